"""Opening hours that a context gives by weekday: "hours Monday: 17:00-22:00", {"Monday": "9:0-17:0"}, "Fri 9am-5pm".

What a response makes of them: hours_claims.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pipeline.engines.numerals.clock import other_half
from pipeline.engines.numerals.dates import DAY_NAMES
from pipeline.engines.numerals.numbers import find_numbers
from pipeline.engines.words import stem, tokenize
from schemas.records import Passage

_WEEK: Final = range(len(DAY_NAMES))
_SETS: Final = {"weekday": _WEEK[:5], "weekend": _WEEK[5:], "daily": _WEEK, "everyday": _WEEK}
COUNTED_DAYS: Final = stem("days")  # what "open six days a week" counts
_MOST_OPENINGS: Final = 24  # of one day: what a claim is compared with
_NOON, _DAY_LONG = 12 * 60, 24 * 60
_DASH: Final = "[-\u2013\u2014]"
_NAME: Final = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:days?)?\b\.?|weekdays?|weekends?|daily"
_THROUGH: Final = rf"{_DASH}|to|through|thru"
_NAMES: Final = rf"(?:{_NAME})(?:\s{{0,2}}(?:{_THROUGH}|,|&|and|/)\s{{0,2}}(?:{_NAME})){{0,6}}"
_TIME: Final = r"(?:\d{1,2}(?:[:.]\d{1,2})?(?:\s?[ap]\.?m\b\.?)?|noon|midnight)"
_RANGE: Final = rf"{_TIME}\s{{0,2}}(?:{_DASH}|to|until|till)\s{{0,2}}{_TIME}"
_RANGES: Final = rf"{_RANGE}(?:\s{{0,2}}(?:,|and|&|;)\s{{0,2}}{_RANGE}){{0,3}}(?![\d:])"
_DAYS_FIRST: Final = re.compile(
    rf"""\b(?P<days>{_NAMES})["']?(?P<mark>\s{{0,2}}[:,(])?\s{{0,4}}["']?(?:from\s)?(?P<times>{_RANGES}|closed\b)"""
    r"(?:\s?\([^()\n]{1,40}\))?",  # the same in other words: "17:00-22:00 (5 PM to 10 PM)"
    re.IGNORECASE,
)
_TIMES_FIRST: Final = re.compile(
    rf"\b(?P<times>{_RANGES})(?P<mark>,?)\s{{0,2}}(?:on\s)?(?P<days>{_NAMES})", re.IGNORECASE
)
_CLOSED_FIRST: Final = re.compile(rf"\b(?P<times>closed)\s{{1,2}}(?P<mark>on\s)?(?P<days>{_NAMES})", re.IGNORECASE)
_ONE_NAME: Final = re.compile(rf"(?P<through>{_THROUGH})?\s{{0,2}}\b(?P<name>{_NAME})", re.IGNORECASE)
_ONE_TIME: Final = re.compile(r"(\d{1,2})(?:[:.](\d{1,2}))?(?:\s?([ap])\.?m\b)?|(noon|midnight)", re.IGNORECASE)
_QUOTES: Final = re.compile("[\"']")
_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")  # of a review: no time that anything opens
_HOURS: Final = ("hours", "open", "closed", "closes")
_DAY_WORDS: Final = ("day", "mon", "tue", "wed", "thu", "fri", "sat", "sun", "daily", "weekend")


class Opening(NamedTuple):
    """Open from one time to another, in minutes after midnight.   either: both may be twelve hours later."""

    opens: int
    closes: int
    either: bool

    def holds(self, minutes: int) -> bool:
        """Whether it is open at a time."""
        return (minutes - self.opens) % _DAY_LONG <= (self.closes - self.opens) % _DAY_LONG


@dataclass(slots=True)
class Day:
    """What a context says of one weekday.   passage, start: where; written: the first statement of it."""

    passage: int
    start: int
    written: str
    openings: list[Opening] = field(default_factory=list)
    closed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class OpeningHours:
    """days: by weekday, Monday is 0.   other_times: times of day that the context has beside these, in minutes."""

    days: dict[int, Day]
    other_times: frozenset[float | str]

    def open_days(self) -> int:
        """On how many days it opens."""
        return sum(bool(day.openings) for day in self.days.values())


def days_of(text: str) -> list[int]:
    """The weekdays that a text names, "Monday through Friday" and "weekends" spelled out; [] when it names none."""
    found: list[int] = []
    for match in _ONE_NAME.finditer(text):
        name = match["name"].lower().rstrip(".")
        some = _SETS.get(name.removesuffix("s"))
        if some is not None:
            found += some
            continue
        day = next(number for number, whole in enumerate(DAY_NAMES) if whole.startswith(name[:3]))
        if match["through"] and found:
            found += [(found[-1] + step) % 7 for step in range(1, (day - found[-1]) % 7)]
        found.append(day)
    return list(dict.fromkeys(found))


def read_hours(passages: Iterable[Passage]) -> OpeningHours | None:
    """The opening hours of a context; None when it gives none by weekday, or only that something is closed."""
    texts = [passage.text for passage in passages]
    stated = [_statements(text) if _may_tell_hours(text) else [] for text in texts]
    days: dict[int, Day] = {}
    for at, found in enumerate(stated):
        has_24 = any(int(hour) > 12 for one in found for hour, *_ in _ONE_TIME.findall(one["times"]) if hour)
        for statement in found:
            _add(days, at, statement, has_24)
    if not any(day.openings for day in days.values()):
        return None
    times = (_clock_times(text, found) for text, found in zip(texts, stated, strict=True))
    return OpeningHours(days, frozenset().union(*times))


def _may_tell_hours(text: str) -> bool:
    """Whether it has words without which no hours are told; looking for them is much cheaper than the patterns."""
    lowered = text.lower()
    return any(word in lowered for word in _HOURS) and any(word in lowered for word in _DAY_WORDS)


def _statements(text: str) -> list[re.Match[str]]:
    """Those of which the times are times: "Sat 9-5" is a score."""
    behind_days = [*_DAYS_FIRST.finditer(text)]
    found = [one for one in behind_days if _has_times(one)]
    if not found:
        theirs = {one.start("times") for one in behind_days}  # "Mon-Fri 13-18, Sat 9-15": no 13-18 of Saturday
        in_front = [one for one in _TIMES_FIRST.finditer(text) if one.start("times") not in theirs]
        found = [one for one in in_front if _has_times(one)]
    taken = {one.end("times") for one in found}
    return found + [one for one in _CLOSED_FIRST.finditer(text) if one.end("times") not in taken]


def _has_times(statement: re.Match[str]) -> bool:
    times = statement["times"].lower()
    return bool(statement["mark"]) or not times[-1].isdigit() or ":" in times


def _clock_times(text: str, without: list[re.Match[str]]) -> set[float | str]:
    """The times of day in a text, without those of some statements; of "at 5:30" both."""
    places = {at for one in (*without, *_TIMESTAMP.finditer(text)) for at in range(*one.span())}
    tokens = tokenize(text)
    found = [
        number for number in find_numbers(text, tokens) if number.clock and tokens.starts[number.first] not in places
    ]
    return {minutes for number in found for minutes in _halves(number.value, both=number.approximate)}


def _halves(minutes: float | str, *, both: bool) -> tuple[float | str, ...]:
    return (minutes, float(other_half(int(minutes)))) if both else (minutes,)


def _add(days: dict[int, Day], passage: int, statement: re.Match[str], has_24: bool) -> None:
    times = statement["times"]
    openings = [] if times.lower() == "closed" else [*_openings(times, has_24)]
    for number in days_of(statement["days"]):
        day = days.setdefault(number, Day(passage, statement.start(), _QUOTES.sub("", " ".join(statement[0].split()))))
        day.openings = [*day.openings, *openings][:_MOST_OPENINGS]
        day.closed |= times.lower() == "closed"


def _openings(times: str, has_24: bool) -> Iterator[Opening]:
    found = [match.groups() for match in _ONE_TIME.finditer(times)]
    for (hour, minute, mark, word), (hour2, minute2, mark2, word2) in zip(found[::2], found[1::2], strict=False):
        opens, closes = _minutes(hour, minute, word), _minutes(hour2, minute2, word2)
        if opens is None or closes is None or opens == closes:
            continue  # "0:0-0:0" may be closed, or open day and night
        half2 = (mark2 or "").lower()
        half = (mark or "").lower() or _half_before(opens, closes, half2 if hour else "")
        either = not (half or half2 or word or word2 or has_24)
        yield Opening(_in_half(opens, half), _in_half(closes, half2), either)


def _half_before(opens: int, closes: int, half: str) -> str:
    """The half of the day of the first time, when only the last has one: "5-10pm", and "9-5pm"."""
    if not half or opens % _NOON < closes % _NOON:
        return half
    return "p" if half == "a" else "a"


def _minutes(hour: str, minute: str, word: str) -> int | None:
    if word:
        return _NOON if word.lower() == "noon" else 0
    value = int(hour) * 60 + int(minute or 0)
    return value % _DAY_LONG if value <= _DAY_LONG and int(minute or 0) < 60 else None


def _in_half(minutes: int, half: str) -> int:
    """A time with "a" or "p" behind it; "17:00 pm" is 17:00."""
    is_other = (minutes >= _NOON) != (half == "p")
    return other_half(minutes) if half and is_other and minutes < _NOON + 60 else minutes
