"""Two numbers of one kind that the claim tells the other way round: "35 when you book, 18 at the gate"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Final

from pipeline.engines.likeness import Likeness
from pipeline.engines.numerals.numbers import Number, find_numbers
from pipeline.engines.words import CONTENT, Tokens

_NEAR: Final = 6  # words between a number and a word that tells whose it is
_MOST: Final = 8  # numbers of one claim that are compared
_PAIR: Final = 2
_IN_ORDER: Final = "respectively"


def crossed_numbers(like: Likeness, tokens: Tokens, first: int, last: int, numbers: Sequence[Number]) -> str:
    """Which numbers of the claim in words [first, last) are crossed; "" if none are."""
    if len(numbers) < _PAIR:
        return ""
    values = like.index.sentences[like.best].values
    told = [number for number in numbers if number.value in values][:_MOST]
    if not any(same_kind(one, other) for one, other in combinations(told, 2)):
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
        if same_kind(one, other) and one.value in once and other.value in once:
            claimed, said = (one.first, other.first), (once[one.value], once[other.value])
            if set(_votes(ours, claimed, theirs, said)) == {(0, 1), (1, 0)}:
                return f"the context has {tokens.words[one.first]} and {tokens.words[other.first]} the other way round"
    return ""


def same_kind(one: Number, other: Number) -> bool:
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
