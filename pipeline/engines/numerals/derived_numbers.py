"""Numbers that a claim may have worked out from those of the context: differences, sums, means, shares and changes,
products ("$1,188 a year" of "$99 per month") and times ("5:15 pm" of "45 minutes before 6 pm").

"Rose by 145 m" where the context says "from 1,320 m to 1,465 m". Two numbers of a long context make any third, so only
those are taken that stand in the claim or where the context speaks of it, and only where a word of the claim says that
something is compared or summed up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import combinations, permutations, product
from math import isclose
from typing import Final

from pipeline.engines.context_index import ContextIndex, rank_sentences
from pipeline.engines.numerals.implied_numbers import TIMES, ImpliedNumbers
from pipeline.engines.numerals.numbers import UNITS, Number, find_numbers, key_set
from pipeline.engines.words import Tokens, stem, tokenize

_DIFFERENCES: Final = key_set(
    "difference more less fewer higher lower longer shorter taller older younger heavier lighter cheaper larger smaller"
    " increase increased increases decrease decreased decreases rise rises rose risen fall falls fell fallen grow grows"
    " grew grown growth decline declined drop dropped gain gained up down ahead behind save saves saved saving savings"
    " discount margin gap lead reduce reduced reduction cut moved shrank shrunk jump jumped climb climbed improved"
    " change changed net remaining left takes took lasted lasts later earlier than leaves leaving so thus hence"
    " stay stayed stays spend spent spends delay delayed delays postponed duration layover wait compared versus rest"
)
_SUMS: Final = key_set("total totals together combined altogether overall sum add plus worth")
_TOTALS: Final = key_set("altogether total combined together")  # of more than we add up
_MEANS: Final = key_set("average averages averaged mean")
_SENTENCES: Final = 3
_FEW_HERE: Final = 5  # numbers of a sentence or a row, two of which hardly make another of two digits by chance
_MOST_OPERANDS: Final = 24
_MOST_MISSING: Final = 16  # of one claim that are looked at; the others are missing
_SURE_DIGITS: Final = 3  # so many hardly come about by chance
_TIME: Final = "time"
_LARGEST_WORD: Final = 10
_SECONDS_OF_MINUTE: Final = 60
_WEEK: Final = stem("weeks")
_DAYS_OF_WEEK: Final = 7
_COUNTS: Final = (12.0, 52.0, 7.0, 24.0)  # months and weeks of a year, days of a week, hours of a day
_LARGE: Final = 100
_HALF_DAY: Final = 720.0
_MINUTES: Final = Number(0, 0, 1.0, 1, unit=stem("minutes"))


def sort_missing(
    missing: Sequence[Number], numbers: Sequence[Number], tokens: Tokens, first: int, last: int,
    index: ContextIndex, question: str,
) -> tuple[list[Number], list[Number]]:  # fmt: skip
    """(missing, doubtful) of the numbers that the context lacks; those that surely follow from others are in neither.

    numbers: all that the claim in words [first, last) states.   question: the prompt; its numbers are no invention of
    the response, but may be wrong.
    """
    if not missing:
        return [], []
    stems = set(tokens.stems[first:last])
    missing, others = missing[:_MOST_MISSING], missing[_MOST_MISSING:]
    unborne = {*missing, *others}
    own = [number for number in numbers if number not in unborne][:_MOST_OPERANDS]
    near = _numbers_near(index, tokens.stems[first:last])
    asked = _values_of(question)
    kept: list[Number] = []
    doubtful: list[Number] = []
    for number in reversed(missing):  # the hours of "6 hours and 47 minutes" behind the minutes
        from_own = _follows(number, stems, own + near, own)
        if from_own or _follows(number, stems, near, near) or _is_of_column(number, stems, index):
            is_sure = from_own or number.digits >= _SURE_DIGITS or number.whole is not None
            if not is_sure and not (number.digits > 1 and _follows_here(number, tokens.stems[first:last], index)):
                doubtful.insert(0, number)
        elif (
            number.value in asked
            or _may_count(number, tokens, index)
            or index.numbers.has_around(number)
            or not _TOTALS.isdisjoint(stems)
            or (number.percent and _follows(number, stems, own + near, own + near, roughly=True))
            or _is_product(number, own + near, own, [other for other in missing if other is not number])
            or _is_part(number, near, _read_near(index, tokens.stems[first:last]))
            or _is_shifted_time(number, own + near)
        ):
            doubtful.insert(0, number)
        elif not _is_larger_unit(number, missing, kept):
            kept.insert(0, number)
    return [*kept, *others], doubtful


@lru_cache(maxsize=4)
def _values_of(question: str) -> frozenset[float | str]:
    return frozenset(number.value for number in find_numbers(question, tokenize(question)))


def _is_product(number: Number, operands: Sequence[Number], own: Sequence[Number], assumed: Sequence[Number]) -> bool:
    """Whether a number is exactly the product of two operands, or of one and a year's months and the like. Of a number
    below 100 both have to stand in the claim: small ones are the product of too many.

    assumed: numbers of the claim that the context lacks; any operand may be taken so many times: "three nights".
    """
    if isinstance(number.value, str) or number.percent or number.clock:
        return False
    usable = _factors(own if number.value < _LARGE else operands)
    pairs = [*combinations([*usable, *_COUNTS], 2), *product(_factors(assumed), _factors(operands))]
    return any(isclose(one * other, number.value) for one, other in pairs)


def _factors(numbers: Sequence[Number]) -> list[float]:
    values = [one.value for one in numbers if isinstance(one.value, float) and not (one.percent or one.clock)]
    return [value for value in values if value > 1][:_MOST_OPERANDS]


def _is_part(number: Number, operands: Sequence[Number], read: Sequence[tuple[str, Tokens]]) -> bool:
    """Whether a number is a part, a multiple or a discount of an operand, of which the sentences near say some:
    "1,000" of "up to half of 2,000", "80" of "twice as many as 40", "45" of "50 euros, 10 % off"."""
    if isinstance(number.value, str) or number.percent or number.clock:
        return False
    said = ImpliedNumbers()
    for text, tokens in read:
        said.add(text, tokens)
    shares = [one.value / 100 for one in operands if one.percent and isinstance(one.value, float)]
    factors = {*said.shares, *(count for count, of in said.counts if of == TIMES and count > 1)}
    factors.update(factor for share in shares for factor in (share, 1 - share, 1 + share))
    values = [one.value for one in operands if isinstance(one.value, float) and not (one.percent or one.clock)]
    return any(_rounds(value * factor, number) for value in values for factor in factors)


def _is_shifted_time(number: Number, operands: Sequence[Number]) -> bool:
    """Whether a time of day lies as far before or behind one of the context as it says of some duration."""
    if not number.clock:
        return False
    times = [float(one.value) for one in operands if one.clock]
    lasting = [one for one in operands if one.unit and UNITS[one.unit][0] == _TIME and isinstance(one.value, float)]
    spans = [_in_unit(one, _MINUTES) for one in lasting]
    asked = float(number.value) % _HALF_DAY
    return any((time + sign * span) % _HALF_DAY == asked for time in times for span in spans for sign in (-1, 1))


def _is_larger_unit(number: Number, missing: Sequence[Number], kept: Sequence[Number]) -> bool:
    """Whether a number is the hours of hours and minutes of which the minutes have been found to follow."""
    behind = next((other for other in missing if other.first > number.last), None)
    return behind is not None and behind.whole is not None and behind not in kept


def _may_count(number: Number, tokens: Tokens, index: ContextIndex) -> bool:
    """Whether it may say how many there are of what the context lists: a word up to "ten", or no more than a table has
    rows."""
    if number.unit or number.percent or number.clock or number.fraction or isinstance(number.value, str):
        return False
    if not tokens.words[number.first][0].isdigit():
        return number.value <= _LARGEST_WORD
    return (
        index.tables is not None
        and number.value % 1 == 0
        and 0 < number.value <= max(index.tables.sizes(), default=0.0)
    )


def _numbers_near(index: ContextIndex, stems: Sequence[str]) -> list[Number]:
    """Those of the sentences that are most like the claim, of the ones beside the best, and of the rows it names; all
    of a context that has few."""
    rows = index.tables.named(stems) if index.tables else ()
    found = [number for row in rows for number in find_numbers(row.text, tokenize(row.text))]
    if index.numbers.few:
        found = [*index.numbers.few, *found]
    else:
        found += [number for text, tokens in _read_near(index, stems) for number in _numbers_in(text, tokens)]
    return list({(number.value, number.unit, number.percent): number for number in found}.values())[:_MOST_OPERANDS]


@lru_cache(maxsize=256)
def _numbers_in(text: str, tokens: Tokens) -> list[Number]:
    """The numbers of a sentence of the context, which many claims of a response may be like."""
    return find_numbers(text, tokens)


def _read_near(index: ContextIndex, stems: Sequence[str]) -> list[tuple[str, Tokens]]:
    """(text, tokens) of the sentences that are most like the claim and of the ones beside the best."""
    ranked = [at for at, _ in rank_sentences(index, dict.fromkeys(stems), _SENTENCES)]
    places = dict.fromkeys([*ranked, *(beside for best in ranked[:1] for beside in (best - 1, best + 1))])
    return [index.words_of(at) for at in places if 0 <= at < len(index.sentences)]


def _follows_here(number: Number, stems: Sequence[str], index: ContextIndex) -> bool:
    """Whether a number is what two numbers make that stand, with few others, in the row that a claim names, or in the
    sentence most like it."""
    rows = [row.text for row in index.tables.named(stems)] if index.tables else []
    texts = [(text, tokenize(text)) for text in rows] or _read_near(index, stems)[:1]
    some = [_numbers_in(text, tokens) for text, tokens in texts[:1]]
    if number.percent and not rows:  # any two numbers make a percentage
        some = [[one for one in few if one.percent] for few in some]
    return any(len(few) <= _FEW_HERE and _follows(number, set(stems), few, few) for few in some)


def _is_of_column(number: Number, stems: set[str], index: ContextIndex) -> bool:
    """Whether a number is the sum or the mean of a column, and a word of the claim says so."""
    if index.tables is None or (_SUMS | _MEANS).isdisjoint(stems):
        return False
    for values in index.tables.columns():
        total = sum(values)
        if not _SUMS.isdisjoint(stems) and _rounds(total, number):
            return True
        if not _MEANS.isdisjoint(stems) and _rounds(total / len(values), number):
            return True
    return False


def _follows(
    claimed: Number, stems: set[str], operands: Sequence[Number], one_of: Sequence[Number], roughly: bool = False
) -> bool:
    """Whether a number is what two operands make, one of them among `one_of`.   roughly: "9 %" of 9.03 %."""
    return any(_rounds(value, claimed, roughly) for value in _results(claimed, stems, operands, one_of))


def _results(claimed: Number, stems: set[str], operands: Sequence[Number], one_of: Sequence[Number]) -> Iterator[float]:
    differs, sums, means = (not cues.isdisjoint(stems) for cues in (_DIFFERENCES, _SUMS, _MEANS))
    for left, right in _pairs(combinations(operands, 2), one_of) if differs or sums or means else ():
        for a, b in _alike(claimed, left, right):
            if differs:
                yield abs(a - b)
                if claimed.unit == _WEEK and not (left.unit or right.unit):
                    yield abs(a - b) / _DAYS_OF_WEEK  # days of a month
            if sums:
                yield a + b
            if means:
                yield (a + b) / 2
    if claimed.percent:
        yield from _percentages(differs, operands, one_of)


def _pairs(pairs: Iterable[tuple[Number, Number]], one_of: Sequence[Number]) -> Iterator[tuple[Number, Number]]:
    """Those with at least one of some numbers."""
    places = {id(number) for number in one_of}
    yield from (pair for pair in pairs if id(pair[0]) in places or id(pair[1]) in places)


def _percentages(differs: bool, operands: Sequence[Number], one_of: Sequence[Number]) -> Iterator[float]:
    """Shares of a whole, changes, and what is left of a whole."""
    plain = [one for one in operands if not one.percent and not one.clock]
    for part, whole in _pairs(permutations(plain, 2), one_of):
        a, b = part.value, whole.value
        if isinstance(a, str) or isinstance(b, str) or not b:
            continue
        if a < b:
            yield 100 * a / b
        if differs:
            yield 100 * abs(a - b) / b
    for operand in one_of:
        if isinstance(operand.value, float) and operand.percent:
            yield 100 - operand.value
        elif isinstance(operand.value, float) and differs and operand.value < 1:
            yield 100 * (1 - operand.value)


def _alike(claimed: Number, left: Number, right: Number) -> Iterator[tuple[float, float]]:
    """Two operands of the claimed number's kind in its unit; a number without scale beside one that has it, twice."""
    a, b = left.value, right.value
    if isinstance(a, str) or isinstance(b, str) or left.percent != right.percent or left.clock != right.clock:
        return
    if left.clock:
        if claimed.unit in UNITS and UNITS[claimed.unit][0] == _TIME:
            minutes = UNITS[claimed.unit][1] / _SECONDS_OF_MINUTE
            yield a / minutes, b / minutes
        return
    if claimed.percent != left.percent and "percentag" not in claimed.counted:
        return
    for operand in (left, right):
        if operand.unit and claimed.unit and UNITS[operand.unit][0] != UNITS[claimed.unit][0]:
            return
    yield _in_unit(left, claimed), _in_unit(right, claimed)
    if left.scale != right.scale or left.scale < claimed.scale:
        yield a / left.scale * claimed.scale, b / right.scale * claimed.scale


def _in_unit(operand: Number, claimed: Number) -> float:
    assert isinstance(operand.value, float)
    if not operand.unit or not claimed.unit:
        return operand.value
    return operand.value * UNITS[operand.unit][1] / UNITS[claimed.unit][1]


def _rounds(value: float, claimed: Number, roughly: bool = False) -> bool:
    """Whether a result is told as the claimed number: to its digits, but a round number has to be exact to three."""
    asked = claimed.whole if claimed.whole is not None else claimed.value
    if isinstance(asked, str) or not value:
        return False
    told = claimed.whole is None and (claimed.digits > 1 or roughly)
    digits = claimed.digits if told else _SURE_DIGITS
    return float(f"{value:.{digits - 1}e}") == asked
