"""Months that dates of digits name: "2024-03-05" is in March, whatever the text calls it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from pipeline.engines.words import stem

_DATE: Final = re.compile(r"(?<![\d/.-])(?:\d{4}-(\d{2})-\d{2}|\d{1,2}\.(\d{1,2})\.\d{4})(?!\d)")
_NAMES: Final = "january february march april may june july august september october november december"
_MONTHS: Final = tuple(map(stem, _NAMES.split()))


def months_of_dates(text: str) -> Iterator[tuple[int, str]]:
    """(offset, stem of the month's name) of the dates of a text, in order: "2024-03-05", "5.3.2024"."""
    for match in _DATE.finditer(text):
        month = int(match[1] or match[2])
        if 1 <= month <= len(_MONTHS):
            yield match.start(), _MONTHS[month - 1]
