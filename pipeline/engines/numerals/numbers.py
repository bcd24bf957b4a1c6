"""Numbers of a text as values: digits, number words and scales, with their units and the words that bound them.

"1.2 million" is 1,200,000, "twenty-five" 25, "17:00" and "5 PM" the same time of day, "400mg" 400 with a unit; both
ends of "15 to 20 minutes" have one.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pipeline.engines.numerals.clock import read_time
from pipeline.engines.numerals.digits import if_grouped_by_stops, read_digits
from pipeline.engines.words import CONTENT, NUMBER, NUMBER_WORDS, SCALE_WORDS, Tokens, stem, word_set


def key_set(words: str) -> frozenset[str]:
    """Words as they stand among the stems of a text: function words as they are, others as their stem."""
    return word_set(words) | frozenset(map(stem, words.split()))


_APPROXIMATE = key_set("about around approximately roughly nearly almost over under some circa")
# Words in front of a bound: "over 300", "almost 300", "fewer than 300".
_ABOVE = key_set("over above exceed exceeding exceeds exceeded beyond")
_BELOW = key_set("under below")
_SHORT_OF = key_set("nearly almost")
_MORE = key_set("more greater higher longer larger bigger older taller heavier")
_LESS = key_set("less fewer lower shorter smaller younger lighter")
_FURTHEST, _SHORTEST = 1.5, 0.85  # a bound is borne by a number that is so many times as large, or so much short of it
_AT_MOST = (("at", "most"), ("up", "to"))
_HALF_A = [stem("half"), "a"]
_AND_A_HALF = ["and", "a", stem("half")]
_DASHES = frozenset("-\u2010\u2011\u2012\u2013\u2014")
ORDINAL_ENDINGS = ("st", "nd", "rd", "th")
# unit -> (quantity, how many of the quantity's smallest unit); the same number may be told in another of its units
UNITS: dict[str, tuple[str, float]] = {
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
        "months": (("months", 1), ("years", 12), ("decades", 120)),
        "current": (("ma milliamps milliamperes", 1), ("amps amperes", 1e3)),
        "voltage": (("mv millivolts", 1), ("v volts", 1e3), ("kv kilovolts", 1e6)),
        "frequency": (("hz hertz", 1), ("khz kilohertz", 1e3), ("mhz megahertz", 1e6), ("ghz gigahertz", 1e9)),
        "kitchen": (("tsp teaspoons", 1), ("tbsp tablespoons", 3), ("cups", 48), ("pints", 96), ("quarts", 192),
                    ("gallons", 768)),
        "weight": (("oz ounces", 1), ("lb lbs pounds", 16)),
        "distance": (("inches", 1), ("ft feet", 12), ("yards", 36), ("miles", 63360)),
        "memory": (("kb kilobytes", 1), ("mb megabytes", 1e3), ("gb gigabytes", 1e6), ("tb terabytes", 1e9)),
    }.items()
    for names, size in units
    for unit in names.split()
}  # fmt: skip
_HOUR = stem("hours")
_OF_HOURS = {
    unit: next(energy for energy, of in UNITS.items() if of == ("energy", size))
    for unit, (quantity, size) in UNITS.items()
    if quantity == "power"
}  # "watt-hours"
_PERCENT = re.compile(r"\s?%|[\s-]per\s?cent|[\s-]basis points?\b")
_GLUED_SCALES = {"k": 1e3, "m": 1e6, "bn": 1e9, "b": 1e9, "t": 1e12}
_GLUED_SCALE = re.compile(r"(?:bn|[kKmMBT])(?![^\W_])")
_CURRENCIES = ("$", "\u20ac", "\u00a3", "\u00a5")
EXACTLY = (1.0, 1.0)
_HOURS_OF_DAY = range(1, 13)
_LEAST_SCALE = 1000
_BETWEEN = ("to", "and", "or")


class Number(NamedTuple):
    """A number at tokens [first, last] of a text.

    Both ends of a range, "15 to 20 minutes", have the unit and the scale of the last.
    """

    first: int
    last: int
    value: float | str  # of a time of day: minutes after midnight; text where it is no number: "1.2.3"
    digits: int  # significant ones
    approximate: bool = False  # "about 300"; of a time of day: or twelve hours later
    clock: bool = False  # it is a time of day
    unit: str = ""  # the word behind it, as a stem, when it is a unit of UNITS
    unit_at: int = -1  # the place of the word behind it
    bound: tuple[float, float] = EXACTLY  # factors of the value between which "almost 300" holds as well
    counted: str = ""  # the content word right behind it, as a stem: "young" of "300 young people"
    ordinal: bool = False  # "10th"
    scale: float = 1.0  # of its scale words: 1e6 of "5 million"
    in_date: bool = False  # of a claim, in a date of digits: "2024-06-01"
    fraction: float | None = None  # of a claim: that it is a part of, "1/2"
    percent: bool = False  # a percentage or basis points
    other: float | None = None  # its value if "1.500" are thousands, "1.5m" millions, "54 to 31 million" both millions
    whole: float | None = None  # "2 h 30 min" in minutes
    of_all: bool = False  # "the five", "all five"
    until: float | None = None  # the other end of a range that it begins
    money: bool = False  # a currency's sign stands in front


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
        if found and _may_share_scale(tokens, found[-1], number):
            found[-1] = found[-1]._replace(other=float(found[-1].value) * number.scale)
        if found and _is_range(text, tokens, found[-1], number):
            found[-1] = _like_the_end(found[-1], number)
        elif found and _is_hour_before(text, tokens, found[-1], number):
            found[-1] = found[-1]._replace(value=60 * float(found[-1].value), digits=4, approximate=True, clock=True)
        elif found and number.unit and found[-1].unit:
            number = _with_larger_unit(tokens, found[-1], number)
        found.append(number)
        at = number.last + 1


class _Read(NamedTuple):
    """What has been read of a number, up to word `last`.   digits: significant ones.   scale: of its scale words."""

    value: float | str
    digits: int
    last: int
    scale: float = 1.0


def _read_number(text: str, tokens: Tokens, first: int) -> Number:
    word = tokens.words[first]
    if word[0].isdigit():
        time = read_time(text, tokens, first)
        if time is not None:
            return Number(first, time.last, float(time.minutes), 4, time.ambiguous, clock=True)
        read = _Read(*read_digits(text, tokens, first))
    else:
        value = _value_of_word(tokens, first)
        read = _Read(value, max(1, len(f"{value:.0f}".rstrip("0"))), first)  # "eleven" has two digits, "ten" one
    read = _with_half_behind(tokens, _with_words_behind(text, tokens, first, read))
    other = if_grouped_by_stops(word) if read.last == first else None
    glued = _GLUED_SCALE.match(text, tokens.ends[read.last])
    if glued and isinstance(read.value, float):
        scale = _GLUED_SCALES[glued[0].lower()]
        if glued[0] == "bn" or has_currency(text, tokens.starts[first]) or ("." in word and glued[0] in "kM"):
            read = read._replace(value=read.value * scale, scale=scale)
        else:
            other = read.value * scale  # "1.5m" may be metres
    value, digits, last, scale = read
    return Number(
        first, last, value, digits,
        approximate=first > 0 and tokens.stems[first - 1] in _APPROXIMATE,
        unit=_unit_behind(tokens, last), unit_at=last + 1, bound=_bound_before(tokens, first),
        counted=_counted_behind(tokens, last + (glued is not None and scale > 1)),
        ordinal=text[tokens.ends[last] : tokens.ends[last] + 2] in ORDINAL_ENDINGS,
        scale=scale,
        percent=_PERCENT.match(text, tokens.ends[last]) is not None,
        other=other,
        of_all=first > 0 and tokens.stems[first - 1] in ("the", "all", "these", "those"),
        money=has_currency(text, tokens.starts[first]),
    )  # fmt: skip


def _with_words_behind(text: str, tokens: Tokens, first: int, read: _Read) -> _Read:
    """The number with the words that go on with it: "twenty-five", "five hundred", "1.2 million"."""
    value, digits, last, scale = read
    while last + 1 < len(tokens) and tokens.kinds[last + 1] == NUMBER and isinstance(value, float) and last < first + 4:
        word = tokens.stems[last + 1]
        if tokens.starts[last + 1] - tokens.ends[last] > 1 and not _is_in_brackets(text, tokens, first, last):
            break
        if word in SCALE_WORDS:
            value *= SCALE_WORDS[word]
            scale *= SCALE_WORDS[word]
        elif (
            word in NUMBER_WORDS
            and not tokens.words[first][0].isdigit()
            and (value % 100 == 0 or (value % 10 == 0 and NUMBER_WORDS[word] < 10))
        ):
            value += NUMBER_WORDS[word]
            digits += 1
        else:
            break
        last += 1
    return _Read(value, digits, last, scale)


def _with_half_behind(tokens: Tokens, read: _Read) -> _Read:
    """ "Five and a half", "five and a half million"."""
    if isinstance(read.value, str) or tokens.stems[read.last + 1 : read.last + 4] != _AND_A_HALF:
        return read
    behind = "".join(tokens.stems[read.last + 4 : read.last + 5])
    scale = SCALE_WORDS.get(behind, 1.0)
    return _Read((read.value + 0.5) * scale, read.digits + 1, read.last + 3 + (behind in SCALE_WORDS), scale)


def _value_of_word(tokens: Tokens, first: int) -> float:
    """ "five", "million" and "half a million"."""
    word = tokens.stems[first]
    if word not in SCALE_WORDS:
        return float(NUMBER_WORDS.get(word, 0))
    return SCALE_WORDS[word] / (2 if tokens.stems[max(0, first - 2) : first] == _HALF_A else 1)


def _is_in_brackets(text: str, tokens: Tokens, first: int, last: int) -> bool:
    """Whether a number is a loss as accounts write it, with its scale behind: "(14.3) million"."""
    return (
        text[tokens.starts[first] - 1 : tokens.starts[first]] == "("
        and text[tokens.ends[last] : tokens.starts[last + 1]] == ") "
        and tokens.stems[last + 1] in SCALE_WORDS
    )


def _counted_behind(tokens: Tokens, last: int) -> str:
    ahead = last + 1
    if ahead >= len(tokens) or tokens.kinds[ahead] != CONTENT or tokens.starts[ahead] - tokens.ends[last] > 1:
        return ""  # behind a comma or in the next cell is something else
    return tokens.stems[ahead]


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
    return EXACTLY


def _is_range(text: str, tokens: Tokens, low: Number, high: Number) -> bool:
    """Whether two numbers are the ends of a range with one unit behind it: "15-20 minutes", "between 2 and 3 kg"."""
    if low.clock or high.clock or low.unit or not 1 <= high.first - low.last <= 2:
        return False
    if high.first == low.last + 1:
        return text[tokens.ends[low.last] : tokens.starts[high.first]].strip() in _DASHES
    joiner = tokens.stems[low.last + 1]
    return joiner in ("to", "or") or (joiner == "and" and tokens.stems[max(0, low.first - 1)] == "between")


def _is_hour_before(text: str, tokens: Tokens, low: Number, high: Number) -> bool:
    """Whether a number is the first time of "1 to 6 pm"; which half of the day it is in, is open."""
    if low.clock or not high.clock or high.approximate or low.unit or not 1 <= high.first - low.last <= 2:
        return False
    if isinstance(low.value, str) or low.value not in _HOURS_OF_DAY or not text[tokens.starts[low.first]].isdigit():
        return False
    if high.first == low.last + 1:
        return text[tokens.ends[low.last] : tokens.starts[high.first]].strip() in _DASHES
    return tokens.stems[low.last + 1] in ("to", "until", "and")


def _may_share_scale(tokens: Tokens, number: Number, behind: Number) -> bool:
    """Whether the scale of "from 54 to 31 million", "5 and 7 million" may be that of the first number too."""
    if number.scale != 1.0 or behind.scale == 1.0 or behind.first != number.last + 2 or isinstance(number.value, str):
        return False
    plain = not (number.unit or number.percent or number.clock or number.ordinal) and number.other is None
    return plain and number.value < _LEAST_SCALE and tokens.stems[number.last + 1] in _BETWEEN


def _like_the_end(low: Number, high: Number) -> Number:
    """The first number of a range with the unit, and the scale, that only the last one has."""
    value, scale = low.value, low.scale
    if scale == 1.0 and isinstance(value, float) and isinstance(high.value, float) and value <= high.value / high.scale:
        value, scale = value * high.scale, high.scale
    until = high.value if isinstance(high.value, float) else None
    return low._replace(value=value, scale=scale, unit=high.unit, unit_at=high.unit_at, until=until)


def _with_larger_unit(tokens: Tokens, larger: Number, number: Number) -> Number:
    """The second number of "2 hours and 30 minutes" with what both make."""
    (quantity, size), (other_quantity, other_size) = UNITS[number.unit], UNITS[larger.unit]
    between = tokens.stems[larger.unit_at + 1 : number.first]
    if quantity != other_quantity or size >= other_size or between not in ([], ["and"]):
        return number
    if isinstance(larger.value, str) or isinstance(number.value, str):
        return number
    return number._replace(whole=larger.value * other_size / size + number.value)


def _unit_behind(tokens: Tokens, last: int) -> str:
    """The unit of UNITS that follows word `last`, or "". The capital in "kW" begins a second word."""
    at = last + 1
    if at >= len(tokens):
        return ""
    unit = tokens.stems[at]
    if at + 1 < len(tokens) and tokens.starts[at + 1] == tokens.ends[at]:
        unit = f"{tokens.words[at]}{tokens.words[at + 1]}".lower()
    if unit in _OF_HOURS and tokens.stems[at + 1 : at + 2] == [_HOUR]:
        return _OF_HOURS[unit]
    return unit if unit in UNITS else ""


def has_currency(text: str, start: int) -> bool:
    """Whether a sign of one stands in front, before a minus or a bracket."""
    return text[max(0, start - 2) : start].rstrip("-\u2212(").endswith(_CURRENCIES)
