"""A number or a name of the claim that the context has in quite another place, while the sentence that has the rest of
the claim has a different one: "launched in 2019" of "launched in 2014 ... closed in 2019"."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from pipeline.engines.likeness import ALIKE, Likeness
from pipeline.engines.numerals.numbers import EXACTLY, Number, find_numbers, key_set
from pipeline.engines.words import CONTENT, Tokens

_MIN_OTHERS: Final = 2
_MOST: Final = 8  # numbers, and names, of one claim that are looked at
_BESIDE: Final = 3  # words on either side of a name
_SHARED: Final = 2  # of those that must stand beside the other name too, a content word among them
_YEARS: Final = (1000, 2100)
_MEASURES: Final = key_set("degrees dollars euros pounds cents percent points")
_MOST_COUNTED: Final = 1000.0  # larger numbers may be years


def number_elsewhere(like: Likeness, tokens: Tokens, numbers: Sequence[Number]) -> str:
    """Why a number belongs elsewhere; "" if none does.   like: of the claim's content words."""
    if not numbers:
        return ""
    here = like.index.sentences[like.best].values
    away = [number for number in numbers[:_MOST] if number.value not in here and _stands_away(like, number)]
    units = {unit for number in numbers for unit in (number.unit, number.counted)}  # every duration has its "minutes"
    shared = like.index.sentences[like.best].stems.intersection(like.stems)
    if not away or len(shared - units) < _MIN_OTHERS or like.share() < ALIKE:
        return ""
    stated = {number.value for number in numbers}
    text, read = like.words()
    theirs = [number for number in find_numbers(text, read) if number.value not in stated]
    for number in away:
        for other in theirs:
            if _kind(other) == _kind(number):
                return f"the sentence with its other words has {_written(read, other)}, not {_written(tokens, number)}"
    return ""


def _stands_away(like: Likeness, number: Number) -> bool:
    """Whether the context states a number, in sentences that have little of the claim."""
    places = [at for at, sentence in enumerate(like.index.sentences) if number.value in sentence.values]
    return bool(places) and not any(map(like.is_near, places))


def _kind(number: Number) -> tuple[object, ...]:
    return number.percent, number.unit, number.clock, number.ordinal, is_year(number)


def is_year(number: Number) -> bool:
    """Whether a number may be a year."""
    return isinstance(number.value, float) and _YEARS[0] <= number.value <= _YEARS[1] and not number.unit


def other_count(like: Likeness, tokens: Tokens, numbers: Sequence[Number]) -> str:
    """Why a number counts what the context counts otherwise: "three couriers" of "two couriers"; "" if none does."""
    for number in numbers:
        if not _counts(number) or number.value not in like.index.numbers.exact:
            continue  # one that the context lacks is no sign, but an error
        told = [value for value in like.index.numbers.counted(number.counted) if value < _MOST_COUNTED]
        if told and number.value not in told:
            counted = tokens.words[number.last + 1]
            return f"the context counts {told[0]:g} {counted}, not {_written(tokens, number)}"
    return ""


def _counts(number: Number) -> bool:
    """Whether a number says exactly how many there are."""
    is_plain = not (number.unit or number.percent or number.clock or number.ordinal or number.money)
    is_exact = number.bound == EXACTLY and number.until is None and not number.approximate
    is_small = isinstance(number.value, float) and number.value < _MOST_COUNTED
    return is_plain and is_exact and is_small and len(number.counted) > 1 and number.counted not in _MEASURES


def name_elsewhere(like: Likeness, content: set[str], tokens: Tokens, first: int, last: int) -> str:
    """Why a name in the claim's words [first, last) belongs elsewhere; "" if none does.

    like: of the claim's content words.
    """
    stems, index = tokens.stems, like.index
    here = index.sentences[like.best].stems
    names = [at for at in range(first + 1, last) if tokens.kinds[at] == CONTENT and tokens.words[at][0].isupper()]
    for at in names[:_MOST]:
        where = index.postings.get(stems[at])
        if where is None or stems[at] in here:
            continue
        others = content - {stems[name] for name in names if abs(name - at) < _BESIDE}
        rest = Likeness.of(index, others) if len(others) >= _MIN_OTHERS else None
        if rest is None or rest.share() < ALIKE or any(map(rest.is_near, where)):
            continue
        instead = _instead(rest, content, _beside(tokens, at, first, last))
        if instead:
            return f"the sentence with its other words has “{instead}”, not “{tokens.words[at]}”"
    return ""


def _instead(like: Likeness, claimed: Collection[str], beside: set[tuple[bool, str, bool]]) -> str:
    """Another name of the best sentence, beside the same words."""
    _, read = like.words()
    for at in range(1, len(read)):
        if read.kinds[at] == CONTENT and read.words[at][0].isupper() and read.stems[at] not in claimed:
            shared = _beside(read, at, 0, len(read)) & beside
            if len(shared) >= _SHARED and any(is_content for _, _, is_content in shared):
                return read.words[at]
    return ""


def _beside(tokens: Tokens, at: int, first: int, last: int) -> set[tuple[bool, str, bool]]:
    """(behind, stem, is content) of the words near a name that are no names."""
    near = range(max(first, at - _BESIDE), min(last, at + _BESIDE + 1))
    return {
        (other > at, tokens.stems[other], tokens.kinds[other] == CONTENT)
        for other in near
        if other != at and not tokens.words[other][0].isupper()
    }


def _written(tokens: Tokens, number: Number) -> str:
    return " ".join(tokens.words[number.first : number.last + 1])
