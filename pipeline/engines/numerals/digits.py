"""Digits as values, however a text groups thousands and marks decimals: "1,234", "1 234", "1.234.567", "1,5"."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from pipeline.engines.words import NUMBER, Tokens

_GROUPED: Final = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?$")
_GROUPED_BY_STOPS: Final = re.compile(r"[1-9]\d{0,2}(?:\.\d{3})+$")
_DECIMAL_COMMA: Final = re.compile(r"\d+,(?:\d{1,2}|\d{4,})$")
_GROUP: Final = re.compile(r"\d{3}(?:,\d{1,2})?$")  # of digits behind a space; the last one may have decimals
_SPACES: Final = " \u00a0\u2009\u202f'\u2019"  # and the marks of Swiss numbers
_MAX_DIGITS: Final = 30  # longer digit strings are identifiers: compared as text
_MAX_GROUPS: Final = 4


@lru_cache(maxsize=1 << 14)
def parse_digits(text: str) -> tuple[float | str, int]:
    """(value, significant digits). "1,234" is grouped, "1,5" has a decimal comma; else ("1.2.3") it stays text."""
    if _GROUPED.match(text):
        plain = text.replace(",", "")
    elif text.count(".") > 1 and _GROUPED_BY_STOPS.match(text):
        plain = text.replace(".", "")
    else:
        plain = text.replace(",", ".") if _DECIMAL_COMMA.match(text) else text
    if len(plain) > _MAX_DIGITS or plain.count(".") > 1 or "," in plain or not plain.isascii():
        return text, len(text)
    significant = plain.replace(".", "").lstrip("0")
    if "." not in plain:
        significant = significant.rstrip("0")
    return float(plain), max(1, len(significant))


def read_digits(text: str, tokens: Tokens, first: int) -> tuple[float | str, int, int]:
    """(value, significant digits, last word) of the number that begins at word `first`, with its groups: "10 000"."""
    word, last = tokens.words[first], first
    if len(word) <= 3 and word[0] != "0" and word.isdigit():
        while (
            last + 1 < len(tokens)
            and last - first < _MAX_GROUPS
            and tokens.kinds[last + 1] == NUMBER
            and text[tokens.ends[last] : tokens.starts[last + 1]] in _SPACES
            and tokens.ends[last] < tokens.starts[last + 1]
            and "," not in tokens.words[last]
            and _GROUP.match(tokens.words[last + 1])
        ):
            last += 1
    if last > first:
        word = "".join(tokens.words[first : last + 1])
    return *parse_digits(word), last


def if_grouped_by_stops(text: str) -> float | None:
    """The other value of "1.500", where a stop may group thousands or mark decimals; None of any other number."""
    if text.count(".") == 1 and _GROUPED_BY_STOPS.match(text):
        return float(text.replace(".", ""))
    return None


def parts_of_row(word: str) -> list[str]:
    """The numbers of "2019,3.1,4", a line of cells without spaces, which looks like one number; [] of "1,234"."""
    return [] if _GROUPED.match(word) else [part for part in word.split(",") if part]
