"""That something is free, where the context says nothing of the kind."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from pipeline.engines.context_index import ContextIndex
from pipeline.engines.words import Tokens, stem, word_set
from schemas.records import Passage

_FREE: Final = word_set("free complimentary gratis")
_FREE_STEMS: Final = frozenset(map(stem, _FREE))
_ELSE_BEHIND: Final = word_set("to from time will range trade speech")  # "free to leave", "free time"
_SAID: Final = re.compile(
    r"\b(?:free|complimentary|gratis|waived?|waives|included|includes|nothing|none"
    r"|(?:no|without|zero) (?:\w{1,12} ){0,2}(?:charge|cost|fee|price)s?)\b"
    r"|[$\u20ac\u00a3]0\b|:\s?\"?0\b|\b0 (?:eur|usd|euros?|dollars?)\b",
    re.IGNORECASE,
)


def free_unsaid(text: str, tokens: Tokens, first: int, last: int, index: ContextIndex) -> str:
    """That the context does not say of anything that it is free, in words for people; "" when it does, or the claim in
    words [first, last) does not."""
    if _FREE_STEMS.isdisjoint(tokens.stems[first:last]):
        return ""  # as nearly always
    for at in range(first, last):
        if tokens.words[at].lower() in _FREE and not _is_else(text, tokens, at):
            return (
                "" if _says_free(index.passages) else f"the context does not say that anything is “{tokens.words[at]}”"
            )
    return ""


@lru_cache(maxsize=4)
def _says_free(passages: tuple[Passage, ...]) -> bool:
    return any(_SAID.search(passage.text) for passage in passages)


def _is_else(text: str, tokens: Tokens, at: int) -> bool:
    """ "Sugar-free", "feel free", "free of sugar", but "free of charge"."""
    behind = [word.lower() for word in tokens.words[at + 1 : at + 3]]
    if text[tokens.starts[at] - 1 : tokens.starts[at]] in ("-", "\u2011") and tokens.starts[at]:
        return True
    before = tokens.words[at - 1].lower() if at else ""
    return (
        before in ("feel", "set", "break", "breaks")
        or behind[:1] in ([word] for word in _ELSE_BEHIND)
        or (behind[:1] == ["of"] and behind[1:] not in (["charge"], ["cost"]))
    )
