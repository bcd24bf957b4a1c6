"""A name that the context has in quite another place, while the sentence with the rest of the claim has another one.

"A school in Leeds" of "a school in York".
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from typing import Final

from pipeline.engines.likeness import ALIKE, Likeness
from pipeline.engines.words import CONTENT, Tokens

_MIN_OTHERS: Final = 2
_MOST: Final = 8  # names of one claim that are looked at
_BESIDE: Final = 3  # words on either side of a name
_SHARED: Final = 2  # of those that must stand beside the other name too, a content word among them


def name_elsewhere(like: Likeness, content: set[str], tokens: Tokens, first: int, last: int) -> str:
    """Why a name in the claim's words [first, last) belongs elsewhere; "" if none does.

    like: of the claim's content words.
    """
    stems, index = tokens.stems, like.index
    here = index.sentences[like.best].stems
    names = [at for at in range(first + 1, last) if tokens.kinds[at] == CONTENT and tokens.words[at][0].isupper()]
    for at in names[:_MOST]:
        where = index.postings.get(stems[at])
        if where is None or stems[at] in here:
            continue
        others = content - {stems[name] for name in names if abs(name - at) < _BESIDE}
        rest = Likeness.of(index, others) if len(others) >= _MIN_OTHERS else None
        if rest is None or rest.share() < ALIKE or any(_has(where, sentence) for sentence in rest.near()):
            continue
        instead = _instead(rest, content, _beside(tokens, at, first, last))
        if instead:
            return f"the sentence with its other words has “{instead}”, not “{tokens.words[at]}”"
    return ""


def _has(places: Sequence[int], sentence: int) -> bool:
    """Whether a sentence is among some, which are in order and may be all of a long context."""
    at = bisect_left(places, sentence)
    return at < len(places) and places[at] == sentence


def _instead(like: Likeness, claimed: Collection[str], beside: set[tuple[bool, str, bool]]) -> str:
    """Another name of the best sentence, beside the same words."""
    _, read = like.words()
    for at in range(1, len(read)):
        if read.kinds[at] == CONTENT and read.words[at][0].isupper() and read.stems[at] not in claimed:
            shared = _beside(read, at, 0, len(read)) & beside
            if len(shared) >= _SHARED and any(is_content for _, _, is_content in shared):
                return read.words[at]
    return ""


def _beside(tokens: Tokens, at: int, first: int, last: int) -> set[tuple[bool, str, bool]]:
    """(behind, stem, is content) of the words near a name that are no names."""
    near = range(max(first, at - _BESIDE), min(last, at + _BESIDE + 1))
    return {
        (other > at, tokens.stems[other], tokens.kinds[other] == CONTENT)
        for other in near
        if other != at and not tokens.words[other][0].isupper()
    }
