"""Parts of a whole that a text says with two numbers or a sign: "1/2", "1½", "one in four", "3 out of 5"."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from pipeline.engines.words import NUMBER, NUMBER_WORDS, Tokens

_SIGNS: Final = "\u00bc-\u00be\u2150-\u215e"  # of fractions, a half and others
_SLASHED: Final = re.compile(r"/(?<=\d/)\d")
_FRACTION: Final = re.compile(
    rf"(?<![\d/.,])(?:(?:(\d{{1,3}})[ -])?(\d{{1,2}})/(\d{{1,2}})(?![\d/]|[.,]\d)|(\d{{0,3}}) ?([{_SIGNS}]))"
)
_LARGEST_WHOLE: Final = 1000  # "one in 2019" is a year


def find_fractions(text: str) -> Iterator[tuple[int, int, float]]:
    """(start, end, value) of "1/2", "1 1/2", "½" and "1½"; not of dates, nor of "24/7"."""
    if text.isascii() and not _SLASHED.search(text):  # told in less time than the pattern takes
        return
    for match in _FRACTION.finditer(text):
        units, part, whole, units_of_sign, sign = match.groups()
        if sign:
            yield match.start(), match.end(), int(units_of_sign or 0) + unicodedata.numeric(sign)
        elif int(part) < int(whole):
            yield match.start(), match.end(), int(units or 0) + int(part) / int(whole)


def find_ratios(tokens: Tokens) -> Iterator[tuple[int, int, float]]:
    """(first, last, share) of the words "one in four", "3 out of 5", "2 in 10"."""
    stems, kinds = tokens.stems, tokens.kinds
    for at in [at for at, kind in enumerate(kinds) if kind == NUMBER and at > 1]:
        if stems[at - 1] == "in":
            first = at - 2
        elif at > 2 and stems[at - 2 : at] == ["out", "of"]:
            first = at - 3
        else:
            continue
        part, whole = _count(stems[first]), _count(stems[at])
        if 0 < part < whole <= _LARGEST_WHOLE:
            yield first, at, part / whole


def _count(word: str) -> int:
    if word == "one":
        return 1
    return int(word) if word.isascii() and word.isdigit() and len(word) <= 4 else NUMBER_WORDS.get(word, 0)
