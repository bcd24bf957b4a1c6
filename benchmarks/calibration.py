"""Do probabilities mean what they say? Reliability by bins, expected calibration error, Brier score.

Bins hold equally many claims, by rank of the probability. ECE is the mean distance between
a bin's mean probability and its share of positives, weighted by its size (Naeini et al. 2015, with equal-mass bins).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

BINS: Final = 10


@dataclass(frozen=True, slots=True)
class Reliability:
    """One bin: how many claims, their mean probability, the share of them that are positive."""

    claims: int
    predicted: float
    observed: float


def reliability(probabilities: np.ndarray, positive: np.ndarray, bins: int = BINS) -> list[Reliability]:
    """Bins in order of probability.   probabilities: (N,) in [0, 1].   positive: (N,) bool."""
    order = np.argsort(probabilities, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return [Reliability(len(part), float(probabilities[part].mean()), float(positive[part].mean())) for part in parts]


def expected_calibration_error(table: list[Reliability]) -> float:
    """In [0, 1]; 0 for no claims."""
    total = sum(one.claims for one in table)
    return sum(one.claims * abs(one.predicted - one.observed) for one in table) / total if total else 0.0


def calibration(probabilities: np.ndarray, positive: np.ndarray) -> dict[str, Any]:
    """ECE and Brier score with the bins they come from, ready for JSON."""
    table = reliability(probabilities, positive)
    return {
        "claims": len(probabilities),
        "ece": expected_calibration_error(table),
        "brier": float(np.mean((probabilities - positive) ** 2)) if len(probabilities) else 0.0,
        "bins": [(one.claims, round(one.predicted, 4), round(one.observed, 4)) for one in table],
    }
