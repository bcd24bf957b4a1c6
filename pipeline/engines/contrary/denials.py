"""A claim that denies what the sentences like it assert, or asserts what they deny."""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import Final

from pipeline.engines.contrary.opposites import OPPOSITES
from pipeline.engines.likeness import ALIKE, Likeness
from pipeline.engines.negation import bounds
from pipeline.engines.words import CONTENT, NEGATION, Tokens, stem, word_set

_LIKE_ENOUGH: Final = 0.3  # share of a claim's words from which a negation that no sentence like it has says something
_REACH: Final = 5  # words behind a negation
_DENIED: Final = 2  # content words among them that it denies: "did not receive any payment"
_PART_ENDS: Final = re.compile("[;:{}]")
_EXCEPTING: Final = word_set("without unless except")  # function words are their own stems
_DENYING: Final = _EXCEPTING.union(
    map(
        stem,
        word_set("avoid lack exclude refuse forbid prohibit prevent fail deny unable impossible unlikely false null"),
    )
)


def turned_denial(like: Likeness, tokens: Tokens, first: int, last: int) -> str:
    """Why the claim in words [first, last) is the other way round; "" if it is not."""
    at = next((at for at in range(first, last) if tokens.kinds[at] == NEGATION), None)
    return _left_out(like, tokens, first, last) if at is None else _put_in(like, tokens, first, at, last)


def _put_in(like: Likeness, tokens: Tokens, first: int, at: int, last: int) -> str:
    """The claim denies at word `at` what no sentence like it does."""
    if like.share() < _LIKE_ENOUGH or not _denies(tokens, at, first):
        return ""
    near = [like.index.sentences[one] for one in like.near()]
    denying = _DENYING.union(*(OPPOSITES.get(word, ()) for word in _behind(tokens, at, last)))  # "not open" of "closed"
    if any(sentence.negated or not denying.isdisjoint(sentence.stems) for sentence in near):
        return ""
    return f"the context says so without “{tokens.words[at]}”"


def _left_out(like: Likeness, tokens: Tokens, first: int, last: int) -> str:
    """The claim has, without denying anything, a word that the sentences like it deny."""
    sentences, stems = like.index.sentences, tokens.stems[first:last]
    if not sentences[like.best].negated or not _DENYING.isdisjoint(stems) or like.share() < ALIKE:
        return ""
    text, read = like.words()
    if bounds(read.stems, read.kinds) != bounds(stems, tokens.kinds[first:last]):  # "free over" of "not free under $50"
        return ""
    if not _exceptions(read).isdisjoint(stems) or not all(sentences[one].negated for one in like.near()):
        return ""
    denied = _denied(text, read)
    for at in range(first, last):
        if tokens.kinds[at] == CONTENT and tokens.stems[at] in denied:
            return f"the context has “{tokens.words[at]}” behind a negation"
    return ""


def _denies(tokens: Tokens, at: int, first: int) -> bool:
    """Whether a negation denies the statement: not the "No" that answers, nor a condition ("if you do not have one"),
    nor a contrast ("by diet, not by sleep")."""
    if tokens.stems[first] in ("no", "if", "unless"):
        return False
    behind_verb = at > first and tokens.kinds[at - 1] != CONTENT and tokens.ends[at - 1] + 1 == tokens.starts[at]
    return behind_verb or "'" in tokens.words[at] or "’" in tokens.words[at]


def _exceptions(tokens: Tokens) -> set[str]:
    """The content stems behind "without", "unless" and the like: of what they name, the sentence may say yes."""
    at = next((at for at, word in enumerate(tokens.stems) if word in _EXCEPTING), len(tokens))
    return set(tokens.content_stems(at))


def _denied(text: str, tokens: Tokens) -> set[str]:
    """The content stems behind the negations of a sentence, as far as its part goes."""
    found: set[str] = set()
    for at, kind in enumerate(tokens.kinds):
        if kind == NEGATION:
            part = _PART_ENDS.search(text, tokens.ends[at])
            end = bisect_left(tokens.starts, part.start() if part else len(text), at)
            found.update(_behind(tokens, at, end))
    return found


def _behind(tokens: Tokens, at: int, end: int) -> list[str]:
    """The content stems that a negation at word `at` denies, of those before word `end`."""
    reach = range(at + 1, min(end, at + 1 + _REACH))
    return [tokens.stems[word] for word in reach if tokens.kinds[word] == CONTENT][:_DENIED]
