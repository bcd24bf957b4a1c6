"""That some words of a claim say otherwise than a record."""

from __future__ import annotations

from typing import NamedTuple


class Denial(NamedTuple):
    """Words [first, last) of a text say otherwise than a table, a field or opening hours.   reason: for people."""

    first: int
    last: int
    reason: str
