"""Which words of an unsupported claim carry the error: leave each out, and see whether the rest is supported.

Only for claims that stand in the response word for word. Left out are the parts that carry a fact: numbers, runs of
capitalised words, content words. A part is named when the claim without it is supported (at least one half) and its
score rose by MARGIN; of several the words of the highest are named, which keeps the span minimal.
Leave-one-out attribution is old (Li et al., arXiv 1612.08220); the parts and the rule are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from pipeline.engines.nli.decisions import DECIDES
from pipeline.engines.words import CONTENT, tokenize
from schemas.records import Span

MARGIN: Final = 0.2
MAX_PARTS: Final = 16  # of a claim; a longer one has too many errors to be told by leaving one out


def parts_of(text: str) -> list[Span]:
    """Numbers, content words, and runs of capitalised words (as one), in order; [] for a claim with too many or one."""
    tokens = tokenize(text)
    parts: list[Span] = []
    capitalised = False
    for at, (start, end, kind) in enumerate(zip(tokens.starts, tokens.ends, tokens.kinds, strict=True)):
        if kind < CONTENT:
            continue
        is_name = at > 0 and text[start].isupper()
        if parts and is_name and capitalised and not text[parts[-1].end : start].strip():
            parts[-1] = Span(parts[-1].start, end)
        else:
            parts.append(Span(start, end))
        capitalised = is_name
    return parts if 1 < len(parts) <= MAX_PARTS else []


def without(text: str, part: Span) -> str:
    """The text without a part, white space closed up."""
    return " ".join((text[: part.start] + text[part.end :]).split())


def named_part(score: float, parts: Sequence[Span], scores: np.ndarray) -> Span | None:
    """The part that carries the error.   score: P(supported) of the claim.   scores: (parts,) of it without each."""
    if not parts or np.isnan(scores).any():
        return None
    best = int(scores.argmax())
    return parts[best] if scores[best] >= DECIDES and scores[best] >= score + MARGIN else None
