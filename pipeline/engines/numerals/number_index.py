"""Whether a context bears a claimed number.

"1.2 million" is borne by "1,234,567" (equal after rounding to the claim's two significant digits), "fifteen" by "15".
"15" is not borne by "14", "15 minutes" not by "15 litres", and a claim that is more precise than the context is not
borne either. "26 °C" is borne by "79 °F", "1.5 kW" by "1,500 W", "5 PM" by "17:00", "60 to 120 minutes" by "one to two
hours", "more than 300 m" by "330 metres", "25 %" by "a quarter", and "at the age of 14" by two years that lie 14 apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, islice
from math import isclose

from pipeline.engines.numerals.clock import other_half
from pipeline.engines.numerals.implied_numbers import ImpliedNumbers
from pipeline.engines.numerals.numbers import EXACTLY, UNITS, Number, key_set
from pipeline.engines.words import Tokens, stem

# unit of the claim -> (factor, offset) to the other unit of the same quantity; tolerance below
_CONVERSIONS: dict[str, tuple[float, float]] = {
    stem(unit): conversion
    for units, conversion in (
        ("c celsius", (1.8, 32.0)), ("f fahrenheit", (1 / 1.8, -32 / 1.8)),
        ("mile miles", (1.609, 0.0)), ("km kilometers kilometres", (0.6214, 0.0)),
        ("kg kilograms", (2.205, 0.0)), ("lb lbs pounds", (0.4536, 0.0)),
        ("oz ounces", (28.35, 0.0)), ("g grams", (0.03527, 0.0)),
        ("inches", (2.54, 0.0)), ("cm centimeters centimetres", (0.3937, 0.0)),
        ("cents pence", (0.01, 0.0)), ("ft feet", (0.3048, 0.0)), ("meters metres", (3.281, 0.0)),
    )
    for unit in units.split()
}  # fmt: skip
_SQUARES = key_set("square sq")
_ROUND_DEGREES_C = 3.4
_BEFORE_HOURS = key_set("at till until to from by before after between and around about past opens closes")
_O_CLOCK = stem("o'clock")
_DEGREES, _YEARS = stem("degrees"), stem("years")
_AGES = key_set("age aged")
_BEFORE_AGE = key_set("was at turned")  # "when": "was 36 when"
_MAX_YEARS = 12  # with more years in a context, some two of them lie any number apart
_MAX_COMPARED = 500  # context numbers tried for a conversion: bounds the time per claim
_MAX_SHARES = 4096  # the same for percentages, shares and ranges
_JUST_ABOVE = 1 + 1e-12  # 6,650 is told as 6,600 and as 6,700
_NO_UNIT = frozenset(("",))
_FEW = 20
_EXACT_DIGITS = 4
_FLOAT_DIGITS = 12  # that survive a change of unit
_ABOUT = 0.05  # "almost two thirds" for 62 %
_SHARE_TOLERANCE = 0.007  # "67 %" for two thirds


def _round_to(value: float, digits: int) -> float:
    return float(f"{value:.{max(0, digits - 1)}e}")


class NumberIndex:
    """The numbers of a context, ready to answer whether it bears a claimed number, in constant time each.

    implied: those that the context says in other words.   few: all of them, when they are few.
    """

    def __init__(self, numbers: Iterable[Number], implied: ImpliedNumbers) -> None:
        self._implied = implied
        self.exact: set[float | str] = set()
        self.values: list[float] = []
        self.times: set[float | str] = set()
        self._rounded: set[tuple[int, float]] = set()
        self._hours: set[float | str] = set()
        self._measured: dict[str, list[tuple[float, int, tuple[float, float]]]] = {}
        self._counts: dict[str, list[Number]] = {}  # by the word that they count
        self._units: dict[float | str, set[str]] = {}  # behind each number, "" where no known one is
        self._percentages: dict[float, None] = {}  # in order
        self._ranges: dict[str, list[tuple[float, float]]] = {}  # by unit
        for number in implied.in_rows:
            self._add(number)
        self._in_rows = [number for number in implied.in_rows[:_MAX_COMPARED] if not isinstance(number.value, str)]
        numbers = list(numbers)
        self.few = numbers if len(numbers) <= _FEW else []
        clock: list[Number] = []
        for number in numbers:
            if number.clock:
                clock.append(number)
                continue
            if number.value not in self.exact:
                self._add(number)
            self._add_uses(number)
        for number in implied.amounts:
            if isinstance(number.value, float):
                self._add_measured(number.unit, number.value, number.digits, number.bound)
        if clock:
            self._add_times(clock)
        self.exact.update(implied.romans)
        for time in implied.times:
            halves = (time.minutes, other_half(time.minutes)) if time.ambiguous else (time.minutes,)
            self.times.update(halves)
            self.exact.update(half // 60 + half % 60 / 100 for half in halves)  # "8.30"
        years = [value for value in self.values if 1000 <= value <= 2100 and value.is_integer()]
        self._years = years if len(years) <= _MAX_YEARS else []

    def _add(self, number: Number) -> None:
        self.exact.add(number.value)
        if number.other is not None:
            self.exact.add(number.other)
        if isinstance(number.value, float):
            self.values.append(number.value)
            for digits in range(1, min(number.digits, 5)):
                self._rounded.add((digits, _round_to(number.value, digits)))
                self._rounded.add((digits, _round_to(number.value * _JUST_ABOVE, digits)))

    def _add_uses(self, number: Number) -> None:
        """What a number counts or measures; the same one may stand in several places."""
        self._units.setdefault(number.value, set()).add(number.unit)
        if isinstance(number.value, str):
            return
        if number.percent:
            self._percentages[number.value] = None
        if not number.unit:
            self._counts.setdefault(number.counted, []).append(number)
            return
        if number.until is not None:
            self._ranges.setdefault(number.unit, []).append((number.value, number.until))
        self._add_measured(number.unit, number.value, number.digits, number.bound)
        if number.whole is not None:
            self._add_measured(number.unit, number.whole, _EXACT_DIGITS, EXACTLY)

    def _add_measured(self, unit: str, value: float, digits: int, bound: tuple[float, float]) -> None:
        """A number with a unit, in the smallest unit of its quantity; bounded, so that a look-up is short."""
        quantity, size = UNITS[unit]
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

    def counted(self, word: str) -> list[float]:
        """The numbers that stand right before a word, given as its stem."""
        found = islice(self._counts.get(word, ()), _MAX_COMPARED)
        return [number.value for number in found if isinstance(number.value, float)]

    def bears_converted(self, claimed: Number, tokens: Tokens) -> bool:
        """True when the context has the number in another unit, within 3 % or one degree: "26 °C" for "79 °F".

        Round degrees are converted to round ones: "350 °F" is told as "175 °C" and as "180 °C".
        """
        at = claimed.unit_at
        is_area = at + 1 < len(tokens) and tokens.stems[at] in _SQUARES
        if is_area or (at + 1 < len(tokens) and tokens.stems[at] == _DEGREES):
            at += 1
        unit = tokens.stems[at] if at < len(tokens) else ""
        if unit not in _CONVERSIONS or isinstance(claimed.value, str):
            return False
        factor, offset = _CONVERSIONS[unit]
        factor = factor**2 if is_area else factor
        target = claimed.value * factor + offset
        tolerance = 1.0 if offset else 0.03 * abs(target)
        of_round = _ROUND_DEGREES_C * max(factor, 1.0) if offset and claimed.value % 5 == 0 else tolerance
        return any(
            abs(value - target) <= (tolerance if value % 5 else of_round)
            for value in islice(self.values, _MAX_COMPARED)
        )

    def bears_scaled(self, claimed: Number) -> bool:
        """True when the context has the amount in another unit of the quantity, as precisely or more: "1.5 kW"."""
        if claimed.unit not in UNITS or isinstance(claimed.value, str):
            return False
        quantity, size = UNITS[claimed.unit]
        rounds = claimed.digits > 1 or claimed.approximate
        for amount, digits, _ in self._measured.get(quantity, ()):
            known = amount / size
            if isclose(known, claimed.value) or (
                rounds and digits > claimed.digits and _round_to(known, claimed.digits) == claimed.value
            ):
                return True
        return any(
            self._has(claimed.value * size / UNITS[unit][1], claimed.digits if rounds else 0)
            for unit in self._implied.units
            if UNITS[unit][0] == quantity
        )

    def bears_whole(self, claimed: Number) -> bool:
        """True for "2 hours and 30 minutes" where the context has 150 minutes or 2.5 hours."""
        return claimed.whole is not None and self.bears_scaled(
            claimed._replace(value=claimed.whole, digits=_EXACT_DIGITS, whole=None)
        )

    def _has(self, value: float, digits: int) -> bool:
        """Whether the context has a value, or with `digits` one that rounds to it."""
        value = _round_to(value, _FLOAT_DIGITS)
        return value in self.exact or (digits, value) in self._rounded

    def bears_elapsed(self, claimed: Number, tokens: Tokens) -> bool:
        """True for an age or a number of years that lies between two years of the context, birthday passed or not."""
        before = tokens.stems[max(0, claimed.first - 2) : claimed.first]
        after = tokens.stems[claimed.last + 1 : claimed.last + 2]
        asked = claimed.value
        if not self._years or isinstance(asked, str):
            return False
        if not (after == [_YEARS] or _AGES & set(before) or (after == ["when"] and _BEFORE_AGE & set(before))):
            return False
        # "two and a half years" lie between the middle of 2019 and the end of 2021
        most_short = 0.0 if asked % 1 == 0 else 0.5
        return any(-most_short <= late - early - asked <= 1 for late in self._years for early in self._years)

    def bears_bound(self, claimed: Number) -> bool:
        """True for "more than 300 people", "almost 300 m" when the context has such a number of people or a length.

        Not when that is a bound to the same side: "children under 6" are not those "under 5".
        """
        if claimed.bound == EXACTLY or isinstance(claimed.value, str):
            return False
        lowest, highest = (factor * claimed.value for factor in claimed.bound)
        if claimed.unit:
            quantity, size = UNITS[claimed.unit]
            known = ((amount / size, bound) for amount, _, bound in self._measured.get(quantity, ()))
        else:
            counted = islice(chain(self._counts.get(claimed.counted, ()), self._in_rows), _MAX_COMPARED)
            known = (
                (number.value * scale, number.bound)
                for number in counted
                for scale in (1.0, *self._implied.scales)
                if not isinstance(number.value, str)
            )
        return any(
            lowest <= value <= highest and (bound == EXACTLY or (bound[0] < 1) != (claimed.bound[0] < 1))
            for value, bound in known
        )

    def bears_in_words(self, claimed: Number) -> bool:
        """True for a number that the context says in words, or in a form of its own: see `ImpliedNumbers`.

        "10th" and "tenth", "25 %" and "a quarter", "one in four" and "25 %", "5.5 million" and a table in millions,
        "1.5" and "1½", "two times" and "twice", "four steps" and a list of four, the 06 of a date and "June".
        """
        implied, value = self._implied, claimed.value
        if isinstance(value, str):
            return False
        if claimed.other is not None and claimed.other in self.exact:
            return True
        if value in implied.fractions or (claimed.in_date and value in implied.months):
            return True
        if any(self._has(value / scale, claimed.digits if claimed.digits > 1 else 0) for scale in implied.scales):
            return True
        if claimed.ordinal:
            return value in implied.ordinals
        if claimed.fraction is not None:
            return (
                claimed.fraction in self.exact
                or claimed.fraction in implied.fractions
                or self._bears_share(claimed.fraction)
                or any(
                    abs(claimed.fraction - known / 100) <= (_ABOUT if claimed.approximate else _SHARE_TOLERANCE)
                    for known in islice(self._percentages, _MAX_SHARES)
                )
            )
        if (value, claimed.counted) in implied.counts or (_may_count(claimed) and value in implied.lists):
            return True
        return (claimed.percent or value < 1) and self._bears_share(value if value < 1 else value / 100)

    def _bears_share(self, share: float) -> bool:
        return any(abs(share - known) <= _SHARE_TOLERANCE for known in islice(self._implied.shares, _MAX_SHARES))

    def bears_time(self, claimed: Number) -> bool:
        """True when the context has the time of day, or its full hour as a plain number."""
        minutes = int(claimed.value)
        asked = {minutes, other_half(minutes)} if claimed.approximate else {minutes}
        if not self.times.isdisjoint(asked):
            return True
        hours = {minute // 60 for minute in asked}
        hours.add(minutes // 60 % 12 or 12)  # "at 5" of 5 PM, but not the 20 of "$20" of 8 AM
        return minutes % 60 == 0 and not self.exact.isdisjoint(hours)

    def bears_hour(self, claimed: Number, tokens: Tokens) -> bool:
        """True for a number that is told as a full hour of the context: "open till 10" of 22:00."""
        before = tokens.stems[claimed.first - 1] if claimed.first else ""
        behind = tokens.stems[claimed.last + 1 : claimed.last + 2]
        return claimed.value in self._hours and (before in _BEFORE_HOURS or behind == [_O_CLOCK])

    def has_around(self, number: Number) -> bool:
        """Whether a range of the context has the claimed number, with its unit, between its ends."""
        value, ranges = number.value, self._ranges.get(number.unit, ())
        return isinstance(value, float) and any(low <= value <= high for low, high in islice(ranges, _MAX_SHARES))

    def bears(self, claimed: Number) -> bool:
        """True when the context has the number itself, or a more precise one that rounds to it."""
        if claimed.clock:
            return self.bears_time(claimed)
        if claimed.value in self.exact and not self._measures_else(claimed):
            return True
        if isinstance(claimed.value, str) or (claimed.digits < 2 and not claimed.approximate):
            return False
        return (claimed.digits, claimed.value) in self._rounded

    def _measures_else(self, claimed: Number) -> bool:
        """True when wherever the context has the number it counts another known unit: "15 minutes" for "15 litres"."""
        found = self._units.get(claimed.value, _NO_UNIT)
        return bool(claimed.unit) and "" not in found and UNITS[claimed.unit] not in map(UNITS.get, found)


def _may_count(claimed: Number) -> bool:
    """Whether a number may say how many there are."""
    return not claimed.unit and not claimed.percent and bool(claimed.counted or claimed.of_all)


def missing_numbers(numbers: Sequence[Number], tokens: Tokens, index: NumberIndex) -> list[Number]:
    """The stated numbers that the context bears neither as they stand, nor in another unit, nor as time elapsed."""
    unborne = [at for at, number in enumerate(numbers) if not is_borne(number, tokens, index)]
    missing = [numbers[at] for at in unborne]
    if missing and any(number.whole is not None for number in numbers):
        borne = {at for at, number in enumerate(numbers) if index.bears_whole(number)}
        borne |= {at - 1 for at in borne}
        missing = [numbers[at] for at in unborne if at not in borne]
    return missing


def is_borne(number: Number, tokens: Tokens, index: NumberIndex) -> bool:
    """Whether a context bears a stated number."""
    if index.bears(number) or index.bears_hour(number, tokens):
        return True
    return not number.clock and (
        index.bears_scaled(number)
        or index.bears_bound(number)
        or index.bears_in_words(number)
        or index.bears_converted(number, tokens)
        or index.bears_elapsed(number, tokens)
    )
