"""Doubt about supported claims of weak policies (`--wording`, `--certainty`). Ours.

A verifier that counts words believes a sentence that puts the context's words together anew. Strong models reword and
are right; of a small one's rewordings most are wrong, while what it copies is right, and what it was sure of is right
more often than what it was not. So for its responses two things tell about as much as the verifier's score: the share
of a claim's runs of three words that stand in the context, and the log-probabilities that the policy itself gave to
the claim's tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np

from pipeline.engines.words import tokenize
from pipeline.weigh_scores import NeutralBand
from schemas.records import SUPPORTED, Claim, Passage, TokenLabels

RUN: Final = 3  # words
LEAST_SURE: Final = 3  # tokens
_BELOW: Final = 0.01  # how far below the band's upper end the score of a doubted claim is put


@dataclass(frozen=True, slots=True)
class Doubt:
    """What a supported claim must have to label anything.

    wording: the share of its runs of RUN words that stands in the context must be as great; 0: any.
    certainty: nats; the mean log-probability of its LEAST_SURE least likely tokens must be as great; None: any.
    """

    wording: float = 0.0
    certainty: float | None = None

    @property
    def is_asked(self) -> bool:
        """Whether there is anything that a claim could fail."""
        return self.wording > 0 or self.certainty is not None


def hold_to(
    doubt: Doubt,
    claims: Sequence[Claim],
    context: tuple[Passage, ...],
    band: NeutralBand | None,
    tokens: TokenLabels | None = None,
    logprobs: Sequence[float] = (),
) -> tuple[Claim, ...]:
    """Claims, of which those supported ones are doubtful that lack what `doubt` asks for.

    They keep their verdict; their score is put below the band's upper end. Without a band all stay as they are.
    tokens, logprobs: of the response, T each; wanted where a certainty is asked for.
    """
    if not doubt.is_asked or band is None:
        return tuple(claims)
    values = np.asarray(logprobs, dtype=np.float64)
    return tuple(_held(claim, _why(doubt, claim, context, tokens, values), band) for claim in claims)


def _held(claim: Claim, why: str, band: NeutralBand) -> Claim:
    if not why or claim.verdict != SUPPORTED or claim.score is None or claim.score < band.high:
        return claim
    return replace(claim, score=max(0.0, band.high - _BELOW), reason=f"doubtful: {why}; {claim.reason}")


def _why(
    doubt: Doubt, claim: Claim, context: tuple[Passage, ...], tokens: TokenLabels | None, logprobs: np.ndarray
) -> str:
    """What a claim lacks, or nothing."""
    if doubt.wording and (share := shared_wording(claim.text, context)) < doubt.wording:
        return f"{share:.0%} of its runs of {RUN} words stand in the context"
    if doubt.certainty is None or tokens is None:
        return ""
    certainty = least_sure(claim, tokens, logprobs)
    if certainty >= doubt.certainty:
        return ""
    if math.isinf(certainty):
        return "how sure the policy was of it is not known"
    return f"the policy was not sure of it ({certainty:.1f} nats a token at its {LEAST_SURE} least likely)"


def shared_wording(text: str, context: tuple[Passage, ...]) -> float:
    """Share of a text's runs of RUN words, by their stems, that stand in one passage; of all its words, where it has
    fewer. 1 for a text without words."""
    stems = tokenize(text).stems
    length = min(RUN, len(stems))
    runs = _runs(stems, length) if length else set()
    return len(runs & _runs_of(context, length)) / len(runs) if runs else 1.0


def least_sure(claim: Claim, tokens: TokenLabels, logprobs: np.ndarray) -> float:
    """Nats: mean log-probability of the LEAST_SURE least likely tokens that a claim touches; 0 if it touches none, -inf
    if one of them is not known.

    logprobs: (T,) of `tokens`; NaN and -inf: not known.
    """
    touched = np.zeros(len(tokens), dtype=bool)
    for span in claim.spans:
        touched |= (tokens.starts < span.end) & (tokens.ends > span.start)
    least = np.sort(np.nan_to_num(logprobs[touched], nan=-np.inf, neginf=-np.inf))[:LEAST_SURE]
    return float(least.mean()) if len(least) else 0.0


def _runs(stems: list[str], length: int) -> set[tuple[str, ...]]:
    return set(zip(*(stems[at:] for at in range(length)), strict=False))


@lru_cache(maxsize=8)
def _runs_of(context: tuple[Passage, ...], length: int) -> frozenset[tuple[str, ...]]:
    return frozenset[tuple[str, ...]]().union(*(_runs(tokenize(passage.text).stems, length) for passage in context))
