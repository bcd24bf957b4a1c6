"""Names of a claim that nobody else has, neither the context nor the question: "Santa Monica" of Santa Barbara.

Of models' claims that are supported by all else, people mark one in six of those with such a name, and one in fifty
of the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import takewhile
from typing import Final

from pipeline.engines.numerals.dates import DAYS_AND_MONTHS
from pipeline.engines.words import CONTENT, Tokens, stem, tokenize
from pipeline.gather_evidence import ContextIndex

_SCALES: Final = frozenset(map(stem, ("fahrenheit", "celsius", "kelvin")))
_OPENERS: Final = frozenset(".:!?*\"\u201c\u2018'|#-\u2013\u2022\n")  # what follows is capitalised anyhow
_LARGE_NOUNS: Final = 0.4  # share of capitalised content words from which a text writes all nouns, or titles, so
_MIN_WORDS: Final = 20  # content words that tell how a text writes


def strange_name(text: str, tokens: Tokens, new: Iterable[int], index: ContextIndex, question: str) -> str:
    """The first name among the words `new` of a text, in words for people; "" for none.

    new: those that neither the context nor another response has, without the first of the claim.
    """
    asked: frozenset[str] | None = None
    for at in new:
        word, key = tokens.words[at], tokens.stems[at]
        if not word[0].isupper() or key in DAYS_AND_MONTHS or key in _SCALES or _opens(text, tokens, at):
            continue
        asked = asked if asked is not None else frozenset(tokenize(question).stems)
        if key not in asked and not _is_spelled_out(tokens, at, index) and not _writes_nouns_large(text):
            return f"“{word}” is a name that the context lacks"
    return ""


def _opens(text: str, tokens: Tokens, at: int) -> bool:
    """Whether a sentence, a quotation or a list item begins with a word, or it is the second half of one: "WiFi"."""
    gap = text[tokens.ends[at - 1] : tokens.starts[at]]
    return not gap or not _OPENERS.isdisjoint(gap)


def _is_spelled_out(tokens: Tokens, at: int, index: ContextIndex) -> bool:
    """Whether a name is a part of what letters of the context stand for: "National Insurance contributions" of NICs."""

    def capital(it: int) -> bool:
        return tokens.words[it][0].isupper()

    start = at - len([*takewhile(capital, range(at - 1, -1, -1))])
    initials = "".join(tokens.words[it][0] for it in takewhile(capital, range(start, len(tokens)))).lower()
    return len(initials) > 1 and (
        any(known.startswith(initials) for known in index.idf)
        or any(initials[:length] in index.idf for length in range(2, len(initials)))
    )


@lru_cache(maxsize=32)
def _writes_nouns_large(text: str) -> bool:
    tokens = tokenize(text)
    content = [word[0].isupper() for word, kind in zip(tokens.words, tokens.kinds, strict=True) if kind == CONTENT]
    return len(content) >= _MIN_WORDS and sum(content) > _LARGE_NOUNS * len(content)
