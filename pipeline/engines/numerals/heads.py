"""What the heads of tables and the keys of records say of the numbers under them: their unit, and their scale.

"Weight (kg)", "Revenue ($bn)", "Population (millions)", `"weight_g": 950`. Which numbers a head is about is not looked
at: a claim may take any number of the context for one that has the unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from pipeline.engines.numerals.numbers import UNITS
from pipeline.engines.words import SCALE_WORDS, stem

_SIGN: Final = "$\u20ac\u00a3\u00a5"
_HEAD: Final = re.compile(
    rf"(?:[(\[](?:in\s)?(?:[A-Z]{{2,3}}\s?)?[{_SIGN}]?\s?|(?<=[a-z0-9])_)(?P<word>[A-Za-z]{{1,11}})[{_SIGN}]?(?:_[a-z]{{3}}|\s[A-Z]{{3}})?(?=[)\]\"'])"
)
_SCALES: Final = {"k": 1e3, "m": 1e6, "mn": 1e6, "mio": 1e6, "mm": 1e6, "bn": 1e9, "b": 1e9} | {
    f"{word}{ending}": SCALE_WORDS[word] for word in ("thousand", "million", "billion") for ending in ("", "s")
}
_CURRENCIES: Final = ("usd", "eur", "gbp", "chf", "jpy", "sek", "nok", "dkk", "cad", "aud", "cny", "inr")
_NO_HEAD: Final = ("s",)  # "the child(s)"


def words_of_heads(text: str) -> Iterator[str]:
    """The words in brackets and at the ends of keys that may be units or scales, in lower case."""
    if "(" in text or "[" in text or "_" in text:
        for match in _HEAD.finditer(text):
            word = match["word"].lower()
            if word[-3:] in _CURRENCIES and word[:-3] in _SCALES:  # "revenue_msek"
                word = word[:-3]
            if word not in _NO_HEAD:
                yield word


def scale_of_head(word: str) -> float | None:
    """1e9 of "bn"; None of other words."""
    return _SCALES.get(word)


def without_unit(head: str) -> str:
    """What the numbers under a head are of: "Revenue" of "Revenue ($bn)" and of "Revenue_bn"."""
    name = head.partition("(")[0].partition("[")[0]
    begin, _, end = name.rpartition("_")
    is_unit = begin and (scale_of_head(end.lower()) is not None or stem(end.lower()) in UNITS)
    return (begin if is_unit else name).replace("_", " ").strip()
