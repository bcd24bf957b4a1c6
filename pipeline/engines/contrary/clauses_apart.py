"""What a sentence of the context says of one thing in one clause, and the claim of the thing in another one.

"A bus takes 75 minutes; a taxi takes 50 minutes" against "a taxi takes 75 minutes"; "the Falcons beat the Kings"
against "the Kings beat the Falcons".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import combinations, islice, pairwise
from typing import Final

from pipeline.engines.contrary.crossed import same_kind
from pipeline.engines.contrary.elsewhere import is_year
from pipeline.engines.likeness import ALIKE, Likeness
from pipeline.engines.numerals.numbers import Number, find_numbers
from pipeline.engines.words import CONTENT, Tokens, word_set

_PARTS: Final = re.compile(r"[;:]\s|\s(?:but|while|whereas|versus)\s")
_MOST: Final = 4  # numbers of one claim that are looked at
_MOST_NAMES: Final = 12
_REACH: Final = 3  # words between a verb and the names on either side of it
_TOWARDS: Final = word_set("to")
_TRIPLE: Final = 3
_TURNING: Final = word_set("by to from with and or of than")  # with one of these between, the order may be the other


def number_of_other_clause(like: Likeness, tokens: Tokens, first: int, last: int, numbers: Sequence[Number]) -> str:
    """Which number of the claim in words [first, last) belongs to another clause of its sentence; "" if none does."""
    if not numbers:
        return ""
    values = like.index.sentences[like.best].values
    told = [number for number in numbers if number.value in values and not (number.ordinal or is_year(number))]
    if not 0 < len(told) <= _MOST or like.share() < ALIKE:
        return ""
    text, read = like.words()
    if _PARTS.search(text) is None:
        return ""
    clauses = _clauses(text, read)
    claimed = {tokens.stems[at] for at in range(first, last) if tokens.kinds[at] == CONTENT}
    told_values = {number.value for number in told}
    for number in told:
        holding = [clause for clause in clauses if number.value in clause.values]
        if len(holding) != 1:
            continue
        for other in clauses:
            is_rival = other is not holding[0] and other.has_rival(number, told_values)
            if is_rival and other.is_meant(holding[0], claimed, told_values):
                written = " ".join(tokens.words[number.first : number.last + 1])
                return f"the context says {written} of something else in the same sentence"
    return ""


class _Clause:
    """A part of a sentence.   stems: of its content words.   values: of its numbers."""

    def __init__(self, tokens: Tokens, first: int, last: int, numbers: list[Number]) -> None:
        self.stems = {tokens.stems[at] for at in range(first, last) if tokens.kinds[at] == CONTENT}
        self.numbers = [number for number in numbers if first <= number.first < last]
        self.values = {number.value for number in self.numbers}

    def has_rival(self, claimed: Number, told: set[float | str]) -> bool:
        """Whether it has a number of the claimed one's kind which the claim does not tell."""
        return any(same_kind(number, claimed) and number.value not in told for number in self.numbers)

    def is_meant(self, holding: _Clause, claimed: set[str], told: set[float | str]) -> bool:
        """Whether the claim speaks of this clause and not of the one that holds its number, by words or by numbers."""
        if not told.isdisjoint(self.values - holding.values):
            return True
        return bool(claimed & (self.stems - holding.stems)) and not claimed & (holding.stems - self.stems)


def _clauses(text: str, tokens: Tokens) -> list[_Clause]:
    numbers = find_numbers(text, tokens)
    bounds, at = [0], 0
    for end in (match.start() for match in _PARTS.finditer(text)):
        while at < len(tokens) and tokens.starts[at] < end:
            at += 1
        bounds.append(at)
    bounds.append(len(tokens))
    return [_Clause(tokens, low, high, numbers) for low, high in pairwise(bounds) if high > low]


def crossed_names(like: Likeness, tokens: Tokens, first: int, last: int) -> str:
    """Two names that the claim has the other way round about a verb; "" if there are none."""
    if like.share() < ALIKE:
        return ""
    ours = list(_deeds(tokens, first, last))
    if not ours:
        return ""
    _, read = like.words()
    theirs = {(left, verb, right) for left, verb, right, _ in _deeds(read, 0, len(read))}
    for left, verb, right, places in ours:
        if (right, verb, left) in theirs and (left, verb, right) not in theirs:
            one, other = (tokens.words[at] for at in places)
            return f"the context has {one} and {other} the other way round"
    return ""


def crossed_nouns(like: Likeness, tokens: Tokens, first: int, last: int) -> str:
    """Two words that the claim has the other way round about a verb: "the pupil sang to the tutor"; "" if none are."""
    _, read = like.words()
    stems, theirs = tokens.stems, set(read.stems)
    places = [at for at in range(first, last) if tokens.kinds[at] == CONTENT and stems[at] in theirs]
    if len(places) < _TRIPLE or like.share() < ALIKE:
        return ""
    where = read.stems.index
    for left, verb, right in zip(places, places[1:], places[2:], strict=False):
        turned = where(stems[right]) < where(stems[verb]) < where(stems[left])
        if turned and _is_said_of(tokens, left, verb, right):
            there = _beside_verb(read, stems[verb])
            if there is not None and (stems[right], stems[left]) == tuple(read.stems[at] for at in there):
                return f"the context has {tokens.words[left]} and {tokens.words[right]} the other way round"
    return ""


def _beside_verb(tokens: Tokens, verb: str) -> tuple[int, int] | None:
    """The content words on either side of the first word of this stem, if nothing turns their order."""
    at = tokens.stems.index(verb)
    before = next((one for one in range(at - 1, max(-1, at - 1 - _REACH), -1) if tokens.kinds[one] >= CONTENT), None)
    behind = next(
        (one for one in range(at + 1, min(len(tokens), at + 1 + _REACH)) if tokens.kinds[one] >= CONTENT), None
    )
    if before is None or behind is None or not _is_said_of(tokens, before, at, behind):
        return None
    return before, behind


def _is_said_of(tokens: Tokens, left: int, verb: int, right: int) -> bool:
    """Whether a word may be the verb between two words near it, with nothing that turns their order. No manner: "dry
    evenly" is "evenly dry"; and a light that flashes white is a white flashing light."""
    if verb - left > _REACH or right - verb > _REACH or tokens.words[verb].endswith("ing"):
        return False
    between = {*tokens.stems[left + 1 : right]} - _TOWARDS
    return _TURNING.isdisjoint(between) and not any(tokens.words[at].endswith("ly") for at in (left, verb, right))


def _deeds(tokens: Tokens, first: int, last: int) -> Iterator[tuple[str, str, str, tuple[int, int]]]:
    """(name, word, name, places of the names) for words that stand between two names, with nothing that turns them."""
    capital = (at for at in range(first, last) if tokens.words[at][0].isupper() and tokens.kinds[at] == CONTENT)
    names = [*islice(capital, _MOST_NAMES)]
    for left, right in combinations(names, 2):
        between = range(left + 1, right)
        if right - left > 2 * _REACH or not _TURNING.isdisjoint(tokens.stems[left + 1 : right]):
            continue
        for at in between:
            if tokens.kinds[at] == CONTENT and not tokens.words[at][0].isupper():
                yield tokens.stems[left], tokens.stems[at], tokens.stems[right], (left, right)
