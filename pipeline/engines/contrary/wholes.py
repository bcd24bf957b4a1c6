"""What the claim says of all, and the context of a part: "all" of "five of the seven"; "always" of no such rule."""

from __future__ import annotations

from typing import Final

from pipeline.engines.likeness import ALIKE, Likeness
from pipeline.engines.words import NEGATION, NUMBER, Tokens, stem, word_set

_ALWAYS: Final = stem("always")
_LIKE_ALWAYS: Final = word_set("every each all any everyone everything never daily only")
_WHOLE: Final = word_set("all every everyone everything entire entirely")
_WHOLE_STEMS: Final = _WHOLE | frozenset(map(stem, _WHOLE))
_PART: Final = word_set("some most several few half partly partially except majority mostly")


def always_of_no_rule(like: Likeness, tokens: Tokens, first: int, last: int) -> str:
    """ "Always" where neither the context has it nor the best sentence a word like it."""
    if _ALWAYS not in tokens.stems[first:last] or _ALWAYS in like.index.idf:
        return ""
    at = tokens.stems.index(_ALWAYS, first)
    _, read = like.words()
    if NEGATION in tokens.kinds[first:at] or not _LIKE_ALWAYS.isdisjoint(map(str.lower, read.words)):
        return ""
    return f"“{tokens.words[at]}” is not in the context"


def all_of_some(like: Likeness, tokens: Tokens, first: int, last: int) -> str:
    """ "All" and the like where the best sentence speaks of a part: "five of the seven", "most", "except"."""
    if _WHOLE_STEMS.isdisjoint(tokens.stems[first:last]):
        return ""
    whole = next((at for at in range(first, last) if tokens.words[at].lower() in _WHOLE), None)
    if whole is None or like.share() < ALIKE or NEGATION in tokens.kinds[first:last]:
        return ""
    _, read = like.words()
    words = [word.lower() for word in read.words]
    says_all = not _LIKE_ALWAYS.isdisjoint(words) and "except" not in words
    if says_all or not _PART.isdisjoint(map(str.lower, tokens.words[first:last])):
        return ""
    part = next((word for word in words if word in _PART), "") or _part_of_number(read)
    return f"the context says “{part}” where the claim says “{tokens.words[whole]}”" if part else ""


def _part_of_number(tokens: Tokens) -> str:
    """ "five of the seven"."""
    for at in range(len(tokens) - 2):
        behind = at + 2 + (tokens.words[at + 2] == "the" and at + 3 < len(tokens))
        if tokens.words[at + 1] == "of" and tokens.kinds[at] == tokens.kinds[behind] == NUMBER:
            return " ".join(tokens.words[at : behind + 1])
    return ""
