"""Two numbers of one kind, or two words about a verb, that the claim tells the other way round.

"35 when you book, 18 at the gate"; "the Kings beat the Falcons".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations, islice
from typing import Final

from pipeline.engines.likeness import ALIKE, Likeness
from pipeline.engines.numerals.numbers import Number, find_numbers
from pipeline.engines.words import CONTENT, Tokens, word_set

_NEAR: Final = 6  # words between a number and a word that tells whose it is
_MOST: Final = 8  # numbers of one claim that are compared
_PAIR: Final = 2
_IN_ORDER: Final = "respectively"
_MOST_NAMES: Final = 12
_REACH: Final = 3  # words between a verb and the names on either side of it
_TOWARDS: Final = word_set("to")
_TRIPLE: Final = 3
_TURNING: Final = word_set("by to from with and or of than")  # with one of these between, the order may be the other


def crossed_numbers(like: Likeness, tokens: Tokens, first: int, last: int, numbers: Sequence[Number]) -> str:
    """Which numbers of the claim in words [first, last) are crossed; "" if none are."""
    if len(numbers) < _PAIR:
        return ""
    values = like.index.sentences[like.best].values
    told = [number for number in numbers if number.value in values][:_MOST]
    if not any(_same_kind(one, other) for one, other in combinations(told, 2)):
        return ""
    text, read = like.words()
    if _IN_ORDER in map(str.lower, (*read.words, *tokens.words[first:last])):
        return ""
    where: dict[float | str, list[int]] = {}
    for number in find_numbers(text, read):
        where.setdefault(number.value, []).append(number.first)
    once = {value: places[0] for value, places in where.items() if len(places) == 1}
    ours, theirs = _places(tokens, first, last), _places(read, 0, len(read))
    for one, other in combinations(told, 2):
        if _same_kind(one, other) and one.value in once and other.value in once:
            claimed, said = (one.first, other.first), (once[one.value], once[other.value])
            votes = set(_votes(ours, claimed, theirs, said))
            if votes == {(0, 1), (1, 0)} or _in_each_others_words(tokens, (one, other), read, said):
                return f"the context has {tokens.words[one.first]} and {tokens.words[other.first]} the other way round"
    return ""


def _in_each_others_words(tokens: Tokens, told: tuple[Number, Number], read: Tokens, said: tuple[int, int]) -> bool:
    """Whether each of two numbers of the claim stands in the sentence's words about the other one, and not in its own:
    "28 km from the town at a depth of 40 km" of "40 km from the town at a depth of 28 km"."""
    ours = [_beside_number(tokens, number.first, number.last) for number in told]
    theirs = [_beside_number(read, at, at) for at in said]
    crossed = all(ours[at] & theirs[1 - at] for at in (0, 1))
    return crossed and not any(ours[at] & theirs[at] for at in (0, 1))


def _beside_number(tokens: Tokens, first: int, last: int) -> set[tuple[bool, str, str]]:
    """(behind, stem, stem) of the two words in front of a number and behind it, where one of them is a content word."""
    pairs = ((False, max(0, first - _PAIR)), (True, last + 1))
    return {
        (behind, tokens.stems[at], tokens.stems[at + 1])
        for behind, at in pairs
        if at + 1 < len(tokens) and CONTENT in tokens.kinds[at : at + _PAIR]
    }


def _same_kind(one: Number, other: Number) -> bool:
    """Whether two different numbers may stand in each other's place."""
    alike = (one.percent, one.unit, one.clock) == (other.percent, other.unit, other.clock)
    return alike and one.value != other.value


def _votes(
    ours: dict[str, int], claimed: tuple[int, int], theirs: dict[str, int], said: tuple[int, int]
) -> Iterator[tuple[int, int]]:
    """For each word that both have: which of two numbers is nearer to it, in the claim and in the sentence."""
    for word in ours.keys() & theirs.keys():
        here = [abs(ours[word] - at) for at in claimed]
        there = [abs(theirs[word] - at) for at in said]
        if here[0] != here[1] and there[0] != there[1] and min(here) <= _NEAR and min(there) <= _NEAR:
            yield int(here[1] < here[0]), int(there[1] < there[0])


def _places(tokens: Tokens, first: int, last: int) -> dict[str, int]:
    """Where each content word stands that occurs once."""
    counts = Counter(tokens.stems[first:last])
    return {
        tokens.stems[at]: at
        for at in range(first, last)
        if tokens.kinds[at] == CONTENT and counts[tokens.stems[at]] == 1
    }


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
