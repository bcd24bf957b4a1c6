"""Doubt about supported claims that leave the wording of their context (`--wording`). Ours.

A verifier that counts words believes a sentence that puts the context's words together anew. Strong models reword and
are right; of a small one's rewordings most are wrong, while what it copies is right. So for its responses the share of
a claim's runs of three words that stand in the context tells more than the verifier's score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

from pipeline.engines.words import tokenize
from pipeline.weigh_scores import NeutralBand
from schemas.records import SUPPORTED, Claim, Passage

RUN: Final = 3  # words
_BELOW: Final = 0.01  # how far below the band's upper end the score of a doubted claim is put


def hold_to_wording(
    claims: Sequence[Claim], context: tuple[Passage, ...], wording: float, band: NeutralBand | None
) -> tuple[Claim, ...]:
    """Claims, of which those supported ones are doubtful that share less than `wording` of their runs with the context.

    They keep their verdict; their score is put below the band's upper end. wording 0 and no band leave all as they are.
    """
    if not wording or band is None:
        return tuple(claims)
    return tuple(_held(claim, context, wording, band) for claim in claims)


def _held(claim: Claim, context: tuple[Passage, ...], wording: float, band: NeutralBand) -> Claim:
    if claim.verdict != SUPPORTED or claim.score is None or claim.score < band.high:
        return claim
    share = shared_wording(claim.text, context)
    if share >= wording:
        return claim
    reason = f"doubtful: {share:.0%} of its runs of {RUN} words stand in the context; {claim.reason}"
    return replace(claim, score=max(0.0, band.high - _BELOW), reason=reason)


def shared_wording(text: str, context: tuple[Passage, ...]) -> float:
    """Share of a text's runs of RUN words, by their stems, that stand in one passage; of all its words, where it has
    fewer. 1 for a text without words."""
    stems = tokenize(text).stems
    length = min(RUN, len(stems))
    runs = _runs(stems, length) if length else set()
    return len(runs & _runs_of(context, length)) / len(runs) if runs else 1.0


def _runs(stems: list[str], length: int) -> set[tuple[str, ...]]:
    return set(zip(*(stems[at:] for at in range(length)), strict=False))


@lru_cache(maxsize=8)
def _runs_of(context: tuple[Passage, ...], length: int) -> frozenset[tuple[str, ...]]:
    return frozenset[tuple[str, ...]]().union(*(_runs(tokenize(passage.text).stems, length) for passage in context))
