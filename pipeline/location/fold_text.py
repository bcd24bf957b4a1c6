"""Text folded for comparison, with the way back to the original characters.

Two texts that differ only in typography fold to the same string: case, curly quotes, dashes, ellipses, ligatures and
full-width forms, accents on Latin letters, line ends and runs of white space, invisible characters and Markdown
emphasis. Every folded character remembers which original characters it came from, so a match in folded text is a
span of the original, whatever folding did to the lengths.

What folding must not do is make two numbers equal: superscripts and fractions keep a mark ("10²" is not "102"), and
an asterisk between word characters is not emphasis ("2*3" is not "23").
"""

from __future__ import annotations

import unicodedata
from array import array
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import regex

_DASHES: Final = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
_QUOTES: Final = '"`\u00b4\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2032\u2033\u2039\u203a\u00ab\u00bb'
_INVISIBLE: Final = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\ufe0e\ufe0f"
_TYPOGRAPHY: Final = str.maketrans(
    dict.fromkeys(_DASHES, "-") | dict.fromkeys(_QUOTES, "'") | dict.fromkeys(_INVISIBLE, None)
)
# The only places where folding is more than lower(): white space, emphasis at the edge of a word, and non-ASCII runs
# together with the ASCII character before them, which a combining mark may belong to.
# A single space is plain.
_SPECIAL: Final = regex.compile(
    r"(?P<space>[^\S ]\s*+| \s++)"
    r"|(?P<emphasis>(?<!\w)[*_`~]+(?=[^\s*_`~])|(?<=[^\s*_`~])[*_`~]+(?!\w))"
    r"|(?P<clusters>[\x21-\x7e]?[^\x00-\x7f\s]+)"
)
_CLUSTER: Final = regex.compile(r"\X")


@dataclass(frozen=True, slots=True)
class FoldedText:
    """`text[i]` was folded from original characters [starts[i], ends[i])."""

    text: str
    starts: array
    ends: array

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The original characters of folded [start, end), which must not be empty."""
        return self.starts[start], self.ends[end - 1]


def fold_text(text: str) -> FoldedText:
    """Fold `text`; the map costs 16 bytes per folded character."""
    pieces: list[str] = []
    starts, ends = array("q"), array("q")
    done = 0
    for match in _SPECIAL.finditer(text):
        _append_plain(text, done, match.start(), pieces, starts, ends)
        done = match.end()
        if match.lastgroup == "space":
            _append_folded(" ", match.start(), done, pieces, starts, ends)
        elif match.lastgroup == "clusters":
            for cluster in _CLUSTER.finditer(match.group()):
                at = match.start()
                folded = fold_cluster(cluster.group())
                _append_folded(folded, at + cluster.start(), at + cluster.end(), pieces, starts, ends)
    _append_plain(text, done, len(text), pieces, starts, ends)
    return FoldedText("".join(pieces), starts, ends)


def _append_plain(text: str, start: int, end: int, pieces: list[str], starts: array, ends: array) -> None:
    """ASCII without white space: one folded character per original one."""
    if start < end:
        pieces.append(text[start:end].lower().translate(_TYPOGRAPHY))
        starts.extend(range(start, end))
        ends.extend(range(start + 1, end + 1))


def _append_folded(folded: str, start: int, end: int, pieces: list[str], starts: array, ends: array) -> None:
    pieces.append(folded)
    starts.extend([start] * len(folded))
    ends.extend([end] * len(folded))


@lru_cache(maxsize=1 << 14)
def fold_cluster(cluster: str) -> str:
    """One grapheme cluster, folded; several characters (a ligature), or none (an invisible one)."""
    marked = "^" if unicodedata.category(cluster[0]) == "No" else ""
    composed = unicodedata.normalize("NFKC", cluster).translate(_TYPOGRAPHY)
    letters = unicodedata.normalize("NFKD", composed)
    if letters[:1].isascii():
        letters = "".join(letter for letter in letters if not "\u0300" <= letter <= "\u036f")
    folded = unicodedata.normalize("NFKC", letters).casefold().translate(_TYPOGRAPHY)
    return marked + regex.sub(r"\s+", " ", folded)
