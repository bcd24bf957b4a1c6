"""Times of day in a text: "5 PM", "5:00 p.m.", "17:00" and a data record's "17:0" are one value.

Without "am" or "pm" a time up to 12:59 may mean either half of the day; whoever compares it tries both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.engines.words import NUMBER, NUMBER_WORDS, Tokens

_STOPPED = re.compile(r"(\d{1,2})\.([0-5]\d)")
_NAMED = {"noon": 720, "midday": 720, "midnight": 0}
_PARTS = {"half": 30, "quarter": 15, "five": 5, "ten": 10, "twenty": 20}
_HALF_DAY = 12 * 60
_DAY = 24 * 60


class Time(NamedTuple):
    """A time of day at tokens [.., last]: minutes after midnight; `ambiguous`: it may be twelve hours later."""

    last: int
    minutes: int
    ambiguous: bool


def read_time(text: str, tokens: Tokens, first: int) -> Time | None:
    """The time of day that begins at the number `first`, or None when it is just a number."""
    word = tokens.words[first]
    stopped = _STOPPED.fullmatch(word)  # "7.40 p.m.", a time only with the marker behind it
    hour = _two_digits(stopped[1] if stopped else word, 24)
    if hour is None:
        return None
    last, minute = first, int(stopped[2]) if stopped else None
    if _is_joined(text, tokens, first, ":") and tokens.kinds[first + 1] == NUMBER:
        minute = _minutes(tokens.words[first + 1])
        last = first if minute is None else first + 1
    marker, end = _read_marker(text, tokens, last)
    if marker and 1 <= hour <= 12:
        return Time(end, (hour % 12) * 60 + (minute or 0) + (_HALF_DAY if marker == "p" else 0), False)
    if minute is None or stopped:
        return None
    return Time(last, (hour * 60 + minute) % _DAY, 1 <= hour <= 12)


def spoken_times(tokens: Tokens) -> Iterator[Time]:
    """Times of day without digits: "noon", "midnight", "half past nine", "quarter to six", "ten past two"."""
    stems = tokens.stems
    for at, word in enumerate(tokens.words):
        named = _NAMED.get(word.lower())
        if named is not None:
            yield Time(at, named, False)
        elif word.lower() in ("past", "to") and at and at + 1 < len(tokens):
            minutes = _PARTS.get(tokens.words[at - 1].lower())
            hour = NUMBER_WORDS.get(stems[at + 1], 0) or _two_digits(tokens.words[at + 1], 12) or 0
            if minutes is not None and 1 <= hour <= 12:
                yield Time(at + 1, (hour * 60 + (minutes if word.lower() == "past" else -minutes)) % _DAY, True)


def _minutes(word: str) -> int | None:
    """Minutes are two digits, or the "0" of a data record: "3:1" is a ratio."""
    return _two_digits(word, 59) if len(word) == 2 or word == "0" else None


def _two_digits(word: str, highest: int) -> int | None:
    if len(word) <= 2 and word.isascii() and word.isdigit() and int(word) <= highest:
        return int(word)
    return None


def _is_joined(text: str, tokens: Tokens, at: int, by: str) -> bool:
    """Whether exactly `by` stands between word `at` and the next one."""
    return at + 1 < len(tokens) and text[tokens.ends[at] : tokens.starts[at + 1]] == by


def _read_marker(text: str, tokens: Tokens, at: int) -> tuple[str, int]:
    """("a" or "p", its last word) when "am", "PM", "a.m." follows word `at`; else ("", at)."""
    if at + 1 >= len(tokens) or tokens.starts[at + 1] - tokens.ends[at] > 1:
        return "", at
    word = tokens.words[at + 1].lower()
    if word in ("am", "pm"):
        return word[0], at + 1
    if word in ("a", "p") and _is_joined(text, tokens, at + 1, ".") and tokens.words[at + 2].lower() == "m":
        return word, at + 2
    return "", at


def other_half(minutes: int) -> int:
    """The same time twelve hours later or earlier."""
    return (minutes + _HALF_DAY) % _DAY
