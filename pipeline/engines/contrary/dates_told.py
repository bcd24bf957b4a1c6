"""A date that the context lacks, though it has its day, or its month, in another one: "May 1" of "January 1"."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Final

from pipeline.engines.context_index import ContextIndex
from pipeline.engines.numerals.dates import MONTH_NAMES
from pipeline.engines.words import stem
from schemas.records import Passage

_MONTHS: Final = tuple(name[:3] for name in MONTH_NAMES)
_MONTH: Final = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)\b\.?"
)
_DAY: Final = r"(?<![\d.,:/-])\d{1,2}(?:st|nd|rd|th)?(?![\d:/]|[.,]\d|\s?[ap]\.?m\b)"
_JOINED: Final = r"(?:\s?[-\u2013]\s?|\s(?:to|and|or|through|until)\s|,\s)"
_DATE: Final = re.compile(
    rf"\b(?P<month>{_MONTH})\s(?:the\s)?(?P<days>{_DAY}(?:{_JOINED}{_DAY}){{0,3}})"
    rf"|(?P<days2>{_DAY}(?:{_JOINED}{_DAY}){{0,3}})\s(?:of\s)?(?P<month2>{_MONTH})"
)
_IN_DIGITS: Final = re.compile(r"(?<![\d/.-])(?:\d{4}-(\d{2})-(\d{2})|(\d{1,2})[./](\d{1,2})[./]\d{2,4})(?!\d)")
_RANGE: Final = re.compile(r"(\d{1,2})\D{0,4}(?:[-\u2013]|\bto\b|through|until)\D{0,3}(\d{1,2})")
_MOST: Final = 4  # dates of a claim that are looked at
_MAY_TELL: Final = frozenset(stem(name) for name in (*_MONTHS, "sept", *MONTH_NAMES))


def strange_date(text: str, stems: Collection[str], index: ContextIndex) -> str:
    """The first date of a claim that the context has neither in words nor in digits, though it has its day or its month
    in another date; "" if there is none.   stems: of the claim's words."""
    if _MAY_TELL.isdisjoint(stems):
        return ""  # as nearly always
    for written, month, days in [*_dates(text)][:_MOST]:
        known = _dates_of(index.passages)
        if any((month, day) in known for day in days):
            continue
        if any(day in days or other == month for other, day in known):
            return f"“{written}” is not a date of the context"
    return ""


def _dates(text: str) -> Iterator[tuple[str, int, list[int]]]:
    """(as written, month, days) of the dates of a text in words; all days of a range."""
    for match in _DATE.finditer(text):
        month = _MONTHS.index((match["month"] or match["month2"])[:3].lower()) + 1
        written = match["days"] or match["days2"]
        days = [int(day) for day in re.findall(r"\d{1,2}", written)]
        for one, other in _RANGE.findall(written):
            days += range(int(one), int(other))
        yield match[0].rstrip("."), month, days


@lru_cache(maxsize=4)
def _dates_of(passages: tuple[Passage, ...]) -> frozenset[tuple[int, int]]:
    """(month, day) of all dates of a context; of "3/4/2020" both readings."""
    found: set[tuple[int, int]] = set()
    for passage in passages:
        for _, month, days in _dates(passage.text):
            found.update((month, day) for day in days)
        for month, day, one, other in _IN_DIGITS.findall(passage.text):
            found.update([(int(month), int(day))] if month else [(int(one), int(other)), (int(other), int(one))])
    return frozenset(found)
