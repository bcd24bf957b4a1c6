"""Changes that a text tells against its own numbers: "declined from 115 % to 117 %"."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from pipeline.engines.numerals.dates import DAYS_AND_MONTHS
from pipeline.engines.numerals.numbers import EXACTLY, Number
from pipeline.engines.words import Tokens, word_set

# What is told of a number that is larger, or smaller, than the one before.
CHANGES: Final = {
    **dict.fromkeys(
        word_set("rose rises risen rising increased increases increasing grew grows grown climbed gained"), 1
    ),
    **dict.fromkeys(word_set("jumped soared surged"), 1),
    **dict.fromkeys(
        word_set("fell falls fallen falling decreased decreases decreasing declined declines declining"), -1
    ),
    **dict.fromkeys(word_set("dropped drops dropping shrank cut sank plunged slumped"), -1),
}
_REACH: Final = 8  # words from the verb to the first number
_BETWEEN: Final = 6  # words from one number to the other
_RANKS: Final = word_set("number no rank place position spot page chapter")
_YEARS: Final = (1000, 2100)


def impossible_change(tokens: Tokens, first: int, last: int, numbers: Sequence[Number]) -> int | None:
    """The verb in words [first, last) that says "rose" of a smaller number, or "fell" of a larger one; None for none.

    numbers: that these words state.
    """
    if len(numbers) < 2 or "from" not in tokens.stems[first:last]:
        return None
    verbs = [at for at in range(first, last) if tokens.words[at].lower() in CHANGES]
    if len(verbs) != 1:
        return None
    (verb,) = verbs
    behind = [number for number in numbers if number.first > verb]
    for one, other in pairwise(behind):
        marks = (_mark_before(tokens, one), _mark_before(tokens, other))
        if sorted(marks) != ["from", "to"] or one.first - verb > _REACH or other.first - one.last > _BETWEEN:
            continue
        before, after = (one, other) if marks[0] == "from" else (other, one)
        if not (_is_amount(tokens, before) and _is_amount(tokens, after) and _are_alike(before, after)):
            continue
        if (float(after.value) - float(before.value)) * CHANGES[tokens.words[verb].lower()] < 0:
            return verb
    return None


def _mark_before(tokens: Tokens, number: Number) -> str:
    """ "from" or "to" in front of a number; "" for anything else."""
    word = tokens.words[number.first - 1].lower() if number.first else ""
    return word if word in ("from", "to") else ""


def _is_amount(tokens: Tokens, number: Number) -> bool:
    """Whether a number says how much: no year, day, time, rank or bound."""
    if not isinstance(number.value, float) or number.clock or number.ordinal or number.bound != EXACTLY:
        return False
    beside = tokens.stems[max(0, number.first - 2) : number.first] + tokens.stems[number.last + 1 : number.last + 2]
    if not DAYS_AND_MONTHS.isdisjoint(beside) or not _RANKS.isdisjoint(beside):
        return False
    is_year = _YEARS[0] <= number.value <= _YEARS[1] and not (number.unit or number.money or number.percent)
    return not is_year


def _are_alike(one: Number, other: Number) -> bool:
    return (one.percent, one.unit, one.scale) == (other.percent, other.unit, other.scale) and one.other == other.other
