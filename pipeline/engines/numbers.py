"""Numbers of a text as values (digits, number words, scales), and whether a context bears a claimed number.

"1.2 million" is borne by "1,234,567" (equal after rounding to the claim's two significant digits), "fifteen" by "15".
"15" is not borne by "14", "15 minutes" not by "15 litres", and a claim that is more precise than the context is not
borne either. "26 °C" is borne by "79 °F", "1.5 kW" by "1,500 W", "5 PM" by "17:00", "60 to 120 minutes" by "one to two
hours", "more than 300 m" by "330 metres", and "at the age of 14" by two years that lie 14 apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice
from math import isclose
from typing import NamedTuple

from pipeline.engines.clock import other_half, read_time
from pipeline.engines.words import CONTENT, NUMBER, NUMBER_WORDS, SCALE_WORDS, UNSPACED, Tokens, stem, word_set


def _keys(words: str) -> frozenset[str]:
    """Words as they stand among the stems of a text: function words as they are, others as their stem."""
    return word_set(words) | frozenset(map(stem, words.split()))


_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?$")
_APPROXIMATE = _keys("about around approximately roughly nearly almost over under some circa")
# Words in front of a bound: "over 300", "almost 300", "fewer than 300".
_ABOVE = _keys("over above exceeding exceeds exceeded beyond")
_BELOW = _keys("under below")
_SHORT_OF = _keys("nearly almost")
_MORE = _keys("more greater higher longer larger bigger older taller heavier")
_LESS = _keys("less fewer lower shorter smaller younger lighter")
_FURTHEST, _SHORTEST = 1.5, 0.85  # a bound is borne by a number that is so many times as large, or so much short of it
_REFERENCES = word_set("passage passages step steps method methods option options part figure table section example")
_ONE = frozenset(("one", "a", "an"))
_AT_MOST = (("at", "most"), ("up", "to"))
_JOINERS = ("and", "or", "to")
_DASHES = frozenset("-\u2010\u2011\u2012\u2013\u2014")
_ORDINALS = ("st", "nd", "rd", "th")
# unit of the claim -> (factor, offset) to the other unit of the same quantity; tolerance below
_CONVERSIONS: dict[str, tuple[float, float]] = {
    stem(unit): conversion
    for units, conversion in (
        ("c celsius", (1.8, 32.0)), ("f fahrenheit", (1 / 1.8, -32 / 1.8)),
        ("mile miles", (1.609, 0.0)), ("km kilometers kilometres", (0.6214, 0.0)),
        ("kg kilograms", (2.205, 0.0)), ("lb lbs pounds", (0.4536, 0.0)),
        ("oz ounces", (28.35, 0.0)), ("g grams", (0.03527, 0.0)),
        ("inches", (2.54, 0.0)), ("cm centimeters centimetres", (0.3937, 0.0)),
        ("ft feet", (0.3048, 0.0)), ("meters metres", (3.281, 0.0)),
    )
    for unit in units.split()
}  # fmt: skip
# unit -> (quantity, how many of the quantity's smallest unit); the same number may be told in another of its units
_SCALES: dict[str, tuple[str, float]] = {
    stem(unit): (quantity, size)
    for quantity, units in {
        "mass": (("mg milligrams", 1), ("g grams", 1e3), ("kg kilograms kilos", 1e6), ("tonnes", 1e9)),
        "length": (("mm millimeters millimetres", 1), ("cm centimeters centimetres", 10), ("m meters metres", 1e3),
                   ("km kilometers kilometres", 1e6)),
        "volume": (("ml milliliters millilitres", 1), ("cl", 10), ("dl", 100), ("l liters litres", 1e3)),
        "power": (("w watts", 1), ("kw kilowatts", 1e3), ("mw megawatts", 1e6), ("gw gigawatts", 1e9)),
        "energy": (("wh", 1), ("kwh", 1e3), ("mwh", 1e6), ("gwh", 1e9)),
        "time": (("s sec secs seconds", 1), ("min mins minutes", 60), ("h hr hrs hours", 3600), ("days", 86400),
                 ("weeks", 604800)),
        "months": (("months", 1), ("years", 12)),
        "memory": (("kb kilobytes", 1), ("mb megabytes", 1e3), ("gb gigabytes", 1e6), ("tb terabytes", 1e9)),
    }.items()
    for names, size in units
    for unit in names.split()
}  # fmt: skip
# Letters that stand right behind a number as its unit ("400mg"); not those that scale it or name a thing ("5M", "4K").
_GLUED_UNIT = re.compile(
    r"(?:[kmµ\u03bc]?g|mcg|[mcd]?[lL]|[kcmnµ\u03bc]m|ms|h|hrs?|mins?|[kMG]?Wh?|[km]?V|m?Ah|[kMG]?Hz|[kKMGT]B|[kMG]bps|dB"
    r"|[CF]|lbs?|oz|ft|mph|kmh|rpm|ppm|kcal|k?Pa|mmHg|IU)(?![^\W_])"
)
_SPELLED_ON = re.compile(rf"[^\W\d_{UNSPACED}]")  # a letter that belongs to one word with its neighbours
_ROUND_DEGREES_C = 3.4
_DEGREES, _CENTURY, _YEARS = stem("degrees"), stem("century"), stem("years")
_AGES = _keys("age aged")
_BEFORE_AGE = _keys("was at turned")  # "when": "was 36 when"
_MAX_YEARS = 12  # with more years in a context, some two of them lie any number apart
_MAX_COMPARED = 500  # context numbers tried for a conversion: bounds the time per claim
_MAX_DIGITS = 30  # longer digit strings are identifiers: compared as text
_EXACTLY = (1.0, 1.0)


class Number(NamedTuple):
    """A number at tokens [first, last] of a text. `digits`: its significant digits; `approximate`: "about 300".

    bound: (lowest, highest) factor of its value that "more than 300" or "almost 300" also holds of; (1, 1) else.
    counted: the content word right behind it, as a stem: "people" in "300 people", "young" in "300 young people".
    unit: the word behind it, as a stem, when it is a unit of _SCALES.   unit_at: that word's place.
    Both numbers of a range, "15 to 20 minutes", have the unit of the last.
    clock: the number is a time of day, `value` minutes after midnight; `approximate` then means: or twelve hours later.
    """

    first: int
    last: int
    value: float | str
    digits: int
    approximate: bool = False
    clock: bool = False
    unit: str = ""
    unit_at: int = -1
    bound: tuple[float, float] = _EXACTLY
    counted: str = ""


@lru_cache(maxsize=1 << 14)
def _parse_digits(text: str) -> tuple[float | str, int]:
    """(value, significant digits). Commas group thousands; anything else unusual ("1.2.3") stays text."""
    plain = text.replace(",", "") if _GROUPED.match(text) else text
    if len(plain) > _MAX_DIGITS or plain.count(".") > 1 or "," in plain or not plain.isascii():
        return text, len(text)
    significant = plain.replace(".", "").lstrip("0")
    if "." not in plain:
        significant = significant.rstrip("0")
    return float(plain), max(1, len(significant))


def find_numbers(text: str, tokens: Tokens) -> list[Number]:
    """Every number of a text in order; number words and scales are joined ("twenty-five", "1.2 million", "5:30 pm")."""
    if NUMBER not in tokens.kinds:
        return []
    found: list[Number] = []
    at, kinds = 0, tokens.kinds
    while True:
        try:
            at = kinds.index(NUMBER, at)
        except ValueError:
            return found
        number = _read_number(text, tokens, at)
        if found and _is_range(text, tokens, found[-1], number):
            found[-1] = found[-1]._replace(unit=number.unit, unit_at=number.unit_at)
        found.append(number)
        at = number.last + 1


def _read_number(text: str, tokens: Tokens, first: int) -> Number:
    word = tokens.words[first]
    if word[0].isdigit():
        time = read_time(text, tokens, first)
        if time is not None:
            return Number(first, time.last, float(time.minutes), 4, time.ambiguous, clock=True)
        value, digits = _parse_digits(word)
    else:
        stem = tokens.stems[first]
        value, digits = float(NUMBER_WORDS.get(stem, SCALE_WORDS.get(stem, 0))), 1
    last = first
    while last + 1 < len(tokens) and tokens.kinds[last + 1] == NUMBER and isinstance(value, float) and last < first + 4:
        stem = tokens.stems[last + 1]
        if tokens.starts[last + 1] - tokens.ends[last] > 1:
            break
        if stem in SCALE_WORDS:
            value *= SCALE_WORDS[stem]
        elif (
            stem in NUMBER_WORDS
            and not word[0].isdigit()
            and (value % 100 == 0 or (value % 10 == 0 and NUMBER_WORDS[stem] < 10))
        ):
            value += NUMBER_WORDS[stem]
            digits += 1
        else:
            break
        last += 1
    approximate = first > 0 and tokens.stems[first - 1] in _APPROXIMATE
    return Number(
        first, last, value, digits, approximate,
        unit=_unit_behind(tokens, last), unit_at=last + 1, bound=_bound_before(tokens, first),
        counted=_counted_behind(tokens, last),
    )  # fmt: skip


def _counted_behind(tokens: Tokens, last: int) -> str:
    ahead = last + 1
    return tokens.stems[ahead] if ahead < len(tokens) and tokens.kinds[ahead] == CONTENT else ""


def _bound_before(tokens: Tokens, first: int) -> tuple[float, float]:
    """What the words in front of a number make of it: `Number.bound`."""
    before = tokens.stems[first - 1] if first else ""
    earlier = tokens.stems[first - 2] if first > 1 else ""
    if before in _SHORT_OF:
        return _SHORTEST, 1.0
    if before in _ABOVE or (before == "than" and earlier in _MORE) or (earlier, before) == ("at", "least"):
        return 1.0, _FURTHEST
    if before in _BELOW or (before == "than" and earlier in _LESS) or (earlier, before) in _AT_MOST:
        return 1 / _FURTHEST, 1.0
    return _EXACTLY


def implied_amounts(tokens: Tokens) -> list[Number]:
    """Amounts of a context that no number says: "an hour", "half an hour", and "one" in front of a unit or a range.

    "one" is mostly a pronoun, so nobody claims it as a number.
    """
    found = []
    for at, word in enumerate(tokens.stems):
        if word not in _ONE:
            continue
        ahead = tokens.stems[at + 1 : at + 5]
        if word == "one" and ahead[:1] in (["to"], ["or"]):
            unit = ahead[2] if len(ahead) > 2 and tokens.kinds[at + 2] == NUMBER else ""
        else:
            unit = ahead[0] if ahead else ""
        if unit in _SCALES:
            is_half = "half" in tokens.stems[max(0, at - 1) : at]
            found.append(Number(at, at, 0.5 if is_half else 1.0, 1, unit=unit, unit_at=at + 1))
    return found


def _is_range(text: str, tokens: Tokens, low: Number, high: Number) -> bool:
    """Whether two numbers are the ends of a range with one unit behind it: "15-20 minutes", "between 2 and 3 kg"."""
    if low.clock or high.clock or low.unit or not 1 <= high.first - low.last <= 2:
        return False
    if high.first == low.last + 1:
        return text[tokens.ends[low.last] : tokens.starts[high.first]].strip() in _DASHES
    joiner = tokens.stems[low.last + 1]
    return joiner in ("to", "or") or (joiner == "and" and tokens.stems[max(0, low.first - 1)] == "between")


def _unit_behind(tokens: Tokens, last: int) -> str:
    """The unit of _SCALES that follows word `last`, or "". The capital in "kW" begins a second word."""
    at = last + 1
    if at >= len(tokens):
        return ""
    unit = tokens.stems[at]
    if at + 1 < len(tokens) and tokens.starts[at + 1] == tokens.ends[at]:
        unit = f"{tokens.words[at]}{tokens.words[at + 1]}".lower()
    return unit if unit in _SCALES else ""


def _round_to(value: float, digits: int) -> float:
    return float(f"{value:.{max(0, digits - 1)}e}")


class NumberIndex:
    """The numbers of a context, ready to answer whether it bears a claimed number, in constant time each.

    implied: `implied_amounts`, which bear amounts with a unit only.
    """

    def __init__(self, numbers: Iterable[Number], implied: Iterable[Number] = ()) -> None:
        self.exact: set[float | str] = set()
        self.values: list[float] = []
        self.times: set[float | str] = set()
        self._rounded: set[tuple[int, float]] = set()
        self._hours: set[float | str] = set()
        self._measured: dict[str, list[tuple[float, int, tuple[float, float]]]] = {}
        self._counts: dict[str, list[Number]] = {}  # by the word that they count
        self._units: dict[float | str, set[str]] = {}  # behind each number, "" where no known one is
        clock: list[Number] = []
        for number in numbers:
            if number.clock:
                clock.append(number)
                continue
            if number.value not in self.exact:
                self._add(number)
            self._units.setdefault(number.value, set()).add(number.unit)
            if isinstance(number.value, float) and not number.unit:
                self._counts.setdefault(number.counted, []).append(number)
            if number.unit and isinstance(number.value, float):
                self._add_measured(number.unit, number.value, number.digits, number.bound)
        for number in implied:
            if isinstance(number.value, float):
                self._add_measured(number.unit, number.value, number.digits, number.bound)
        if clock:
            self._add_times(clock)
        years = [value for value in self.values if 1000 <= value <= 2100 and value.is_integer()]
        self._years = years if len(years) <= _MAX_YEARS else []

    def _add(self, number: Number) -> None:
        self.exact.add(number.value)
        if isinstance(number.value, float):
            self.values.append(number.value)
            for digits in range(1, min(number.digits, 5)):
                self._rounded.add((digits, _round_to(number.value, digits)))

    def _add_measured(self, unit: str, value: float, digits: int, bound: tuple[float, float]) -> None:
        """A number with a unit, in the smallest unit of its quantity; bounded, so that a look-up is short."""
        quantity, size = _SCALES[unit]
        amounts = self._measured.setdefault(quantity, [])
        if len(amounts) < _MAX_COMPARED:
            amounts.append((value * size, digits, bound))

    def _add_times(self, clock: list[Number]) -> None:
        """Times, and full hours as plain numbers ("open till 10"). One hour past 12 says that the clock has 24."""
        minutes = [float(number.value) for number in clock]
        has_24 = any(value >= 13 * 60 for number, value in zip(clock, minutes, strict=True) if not number.approximate)
        self.times.update(minutes)
        if not has_24:
            self.times.update(
                other_half(int(value)) for number, value in zip(clock, minutes, strict=True) if number.approximate
            )
        for value in self.times:
            if isinstance(value, float | int) and value % 60 == 0:
                self._hours.update((value // 60, other_half(int(value)) // 60))

    def bears_converted(self, claimed: Number, tokens: Tokens) -> bool:
        """True when the context has the number in another unit, within 3 % or one degree: "26 °C" for "79 °F".

        Round degrees are converted to round ones: "350 °F" is told as "175 °C" and as "180 °C".
        """
        at = claimed.unit_at
        if at + 1 < len(tokens) and tokens.stems[at] == _DEGREES:
            at += 1
        unit = tokens.stems[at] if at < len(tokens) else ""
        if unit not in _CONVERSIONS or isinstance(claimed.value, str):
            return False
        factor, offset = _CONVERSIONS[unit]
        target = claimed.value * factor + offset
        tolerance = 1.0 if offset else 0.03 * abs(target)
        of_round = _ROUND_DEGREES_C * max(factor, 1.0) if offset and claimed.value % 5 == 0 else tolerance
        return any(
            abs(value - target) <= (tolerance if value % 5 else of_round)
            for value in islice(self.values, _MAX_COMPARED)
        )

    def bears_scaled(self, claimed: Number) -> bool:
        """True when the context has the amount in another unit of the quantity, as precisely or more: "1.5 kW"."""
        if claimed.unit not in _SCALES or isinstance(claimed.value, str):
            return False
        quantity, size = _SCALES[claimed.unit]
        rounds = claimed.digits > 1 or claimed.approximate
        for amount, digits, _ in self._measured.get(quantity, ()):
            known = amount / size
            if isclose(known, claimed.value) or (
                rounds and digits > claimed.digits and _round_to(known, claimed.digits) == claimed.value
            ):
                return True
        return False

    def bears_elapsed(self, claimed: Number, tokens: Tokens) -> bool:
        """True for an age or a number of years that lies between two years of the context, birthday passed or not."""
        before = tokens.stems[max(0, claimed.first - 2) : claimed.first]
        after = tokens.stems[claimed.last + 1 : claimed.last + 2]
        asked = claimed.value
        if not self._years or isinstance(asked, str):
            return False
        if not (after == [_YEARS] or _AGES & set(before) or (after == ["when"] and _BEFORE_AGE & set(before[-1:]))):
            return False
        return any(late - early - asked in (0, 1) for late in self._years for early in self._years)

    def bears_bound(self, claimed: Number) -> bool:
        """True for "more than 300 people", "almost 300 m" when the context has such a number of people or a length.

        Not when that is a bound to the same side: "children under 6" are not those "under 5".
        """
        if claimed.bound == _EXACTLY or isinstance(claimed.value, str):
            return False
        lowest, highest = (factor * claimed.value for factor in claimed.bound)
        if claimed.unit:
            quantity, size = _SCALES[claimed.unit]
            known = ((amount / size, bound) for amount, _, bound in self._measured.get(quantity, ()))
        else:
            counted = islice(self._counts.get(claimed.counted, ()), _MAX_COMPARED)
            known = ((number.value, number.bound) for number in counted if not isinstance(number.value, str))
        return any(
            lowest <= value <= highest and (bound == _EXACTLY or (bound[0] < 1) != (claimed.bound[0] < 1))
            for value, bound in known
        )

    def bears_time(self, claimed: Number) -> bool:
        """True when the context has the time of day, or its full hour as a plain number."""
        minutes = int(claimed.value)
        asked = {minutes, other_half(minutes)} if claimed.approximate else {minutes}
        if not self.times.isdisjoint(asked):
            return True
        return minutes % 60 == 0 and not self.exact.isdisjoint({minutes // 60, other_half(minutes) // 60})

    def bears(self, claimed: Number) -> bool:
        """True when the context has the number itself, or a more precise one that rounds to it."""
        if claimed.clock:
            return self.bears_time(claimed)
        if claimed.value in self._hours or (claimed.value in self.exact and not self._measures_else(claimed)):
            return True
        if isinstance(claimed.value, str) or (claimed.digits < 2 and not claimed.approximate):
            return False
        return (claimed.digits, claimed.value) in self._rounded

    def _measures_else(self, claimed: Number) -> bool:
        """True when wherever the context has the number it counts another known unit: "15 minutes" for "15 litres"."""
        found = self._units[claimed.value]
        return bool(claimed.unit) and "" not in found and _SCALES[claimed.unit] not in map(_SCALES.get, found)


def claimed_numbers(text: str, tokens: Tokens) -> list[Number]:
    """The numbers a text states: not list markers, "passages 1 and 3", "20th century", or digits inside names."""
    stated: list[Number] = []
    referring = -9  # the last word of a reference such as "passages 1, 2 and 3"
    for number in find_numbers(text, tokens):
        start, end = tokens.starts[number.first], tokens.ends[number.last]
        before = tokens.stems[number.first - 1] if number.first else ""
        after = tokens.stems[number.last + 1 : number.last + 3]
        gap = number.first - referring
        if before in _REFERENCES or gap == 1 or (gap == 2 and before in _JOINERS):
            referring = number.last
        elif not (_is_list_marker(text, start, end) or _is_inside_name(text, start, end) or _CENTURY in after):
            stated.append(number)
    return stated


def _is_list_marker(text: str, start: int, end: int) -> bool:
    lead = text[max(0, start - 4) : start]
    starts_line = not lead.rpartition("\n")[2].strip(" \t(*-") and ("\n" in lead or start < 4)
    return starts_line and text[end : end + 1] in (".", ")")


def _is_inside_name(text: str, start: int, end: int) -> bool:
    """Whether letters make one word with the digits ("A320", "4K"): no ordinal, no unit, no script without spaces."""
    if start and _SPELLED_ON.match(text, start - 1):
        return True
    after = _SPELLED_ON.match(text, end)
    return after is not None and text[end : end + 2] not in _ORDINALS and not _GLUED_UNIT.match(text, end)


def missing_numbers(numbers: Sequence[Number], tokens: Tokens, index: NumberIndex) -> list[Number]:
    """The stated numbers that the context bears neither as they stand, nor in another unit, nor as time elapsed."""
    return [number for number in numbers if not is_borne(number, tokens, index)]


def is_borne(number: Number, tokens: Tokens, index: NumberIndex) -> bool:
    """Whether a context bears a stated number."""
    if index.bears(number):
        return True
    return not number.clock and (
        index.bears_scaled(number)
        or index.bears_bound(number)
        or index.bears_converted(number, tokens)
        or index.bears_elapsed(number, tokens)
    )
