"""Words that dates stand for: "2024-03-05" is in March, and "Sat" is Saturday, whatever the text calls it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from pipeline.engines.words import stem

_DATE: Final = re.compile(r"(?<![\d/.-])(?:\d{4}-(\d{2})-\d{2}|\d{1,2}\.(\d{1,2})\.\d{4})(?!\d)")
MONTH_NAMES: Final = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
DAY_NAMES: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS: Final = tuple(map(stem, MONTH_NAMES))
_DAYS: Final = {name[:3]: stem(name) for name in DAY_NAMES}
DAYS_AND_MONTHS: Final = frozenset((*_MONTHS, *_DAYS.values()))
_DAY: Final = re.compile(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun)(?:s|rs?|urs|nes)?\b")


def words_of_dates(text: str) -> Iterator[tuple[int, str]]:
    """(offset, stem) of the months and weekdays that a text has in digits or short, in order."""
    yield from sorted([*months_of_dates(text), *days_of_short_names(text)])


def days_of_short_names(text: str) -> Iterator[tuple[int, str]]:
    """(offset, stem of the day's name) of "Sat", "Thurs", if the text has two such: one may be the sun."""
    found = list(_DAY.finditer(text))
    if len({match[1] for match in found}) > 1:
        for match in found:
            yield match.start(), _DAYS[match[1].lower()]


def months_of_dates(text: str) -> Iterator[tuple[int, str]]:
    """(offset, stem of the month's name) of the dates of a text, in order: "2024-03-05", "5.3.2024"."""
    for match in _DATE.finditer(text):
        month = int(match[1] or match[2])
        if 1 <= month <= len(_MONTHS):
            yield match.start(), _MONTHS[month - 1]
