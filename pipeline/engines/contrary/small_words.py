"""Small words that turn round what stands behind them: "above 25 degrees" of "below 25 degrees"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pipeline.engines.likeness import Likeness
from pipeline.engines.words import CONTENT, Tokens, stem

_REACH: Final = 3  # words from a small word to the one that it speaks of
_PAIRS: Final = (
    ("above over exceeding", "below under"),
    ("before", "after"),
    ("with", "without"),
    ("more", "less fewer"),
    ("most", "least"),
    ("inside within", "outside"),
    ("all both", "none neither"),
    ("top", "bottom"),
    ("left", "right"),
    ("front", "back rear"),
    ("inner", "outer"),
)
_OPPOSITES: Final[dict[str, frozenset[str]]] = {
    word: frozenset(other.split()) for pair in _PAIRS for one, other in (pair, pair[::-1]) for word in one.split()
}

_STEMS: Final = _OPPOSITES.keys() | frozenset(map(stem, _OPPOSITES))


def turned_small_word(like: Likeness, tokens: Tokens, first: int, last: int) -> str:
    """Which small word of the claim the best sentence has the opposite of; "" if it has none."""
    if _STEMS.isdisjoint(tokens.stems[first:last]):
        return ""
    ours = dict(_spoken_of(tokens, first, last))
    if not ours:
        return ""
    _, read = like.words()
    theirs = dict(_spoken_of(read, 0, len(read)))
    for about, at in ours.items():
        there = theirs.get(about)
        if there is not None and read.words[there].lower() in _OPPOSITES[tokens.words[at].lower()]:
            return f"the context says “{read.words[there]}” where the claim says “{tokens.words[at]}”"
    return ""


def _spoken_of(tokens: Tokens, first: int, last: int) -> Iterator[tuple[str, int]]:
    """(stem of the next content word or number, place) of each small word."""
    for at in range(first, last):
        if tokens.words[at].lower() in _OPPOSITES:
            for behind in range(at + 1, min(last, at + 1 + _REACH)):
                if tokens.kinds[behind] >= CONTENT:
                    yield tokens.stems[behind], at
                    break
