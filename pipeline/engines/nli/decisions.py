"""From scores to verdicts: by the head of a classifier as it came, or by the calibration of a trained verifier."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

import numpy as np

from pipeline.engines.nli.trained import Calibration, usable_calibration
from schemas.records import CONTRADICTED, OK, SUPPORTED, UNSUPPORTED, Claim, Evidence, Span

DECIDES: Final = 0.5
SCORE_DIGITS: Final = 4  # further ones depend on what a pair was computed together with


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about a claim. window: number of the evidence text that decided.   score: P(supported)."""

    verdict: str
    score: float
    window: int
    reason: str


def decide_by_head(scores: np.ndarray) -> Decision:
    """scores: (windows, 2) P(supported), P(contradicted), at least one window. Any window supports."""
    best = int(scores[:, 0].argmax())
    supported, contradicted = float(scores[best, 0]), float(scores[:, 1].max())
    if supported >= DECIDES:
        return Decision(SUPPORTED, supported, best, f"entailed with probability {supported:.2f}")
    if contradicted >= DECIDES:
        window = int(scores[:, 1].argmax())
        return Decision(CONTRADICTED, supported, window, f"contradicted with probability {contradicted:.2f}")
    where = "the evidence" if len(scores) == 1 else f"any of {len(scores)} evidence texts"
    return Decision(UNSUPPORTED, supported, best, f"not entailed by {where}: probability {supported:.2f}")


def decide_by_calibration(
    calibrations: tuple[Calibration, ...], values: Mapping[str, float], window: int
) -> Decision | None:
    """The decision of the calibration that fits the claim's features; None when none does."""
    calibration = usable_calibration(calibrations, values)
    if calibration is None:
        return None
    unsupported = calibration.unsupported(values)
    verdict = UNSUPPORTED if unsupported >= calibration.threshold else SUPPORTED
    said = f"probability of support {1 - unsupported:.2f} by {', '.join(calibration.features)}"
    return Decision(verdict, 1 - unsupported, window, said)


def answered(
    claim: Claim, verifier: str, decision: Decision, evidence: tuple[Evidence, ...], error_spans: tuple[Span, ...]
) -> Claim:
    """The claim with its verdict."""
    return dataclasses.replace(
        claim,
        verdict=decision.verdict,
        status=OK,
        score=round(decision.score, SCORE_DIGITS),
        error_spans=error_spans,
        evidence=evidence,
        reason=decision.reason,
        verifier=verifier,
    )


def unverified(claim: Claim, verifier: str, status: str) -> Claim:
    """The claim without a verdict, with the reason."""
    return dataclasses.replace(claim, verdict=None, status=status, score=None, verifier=verifier)
