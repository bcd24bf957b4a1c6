"""The official RAGTruth metrics: response-level P/R/F1 and micro character-overlap span P/R/F1 (arXiv 2401.00396).

A response is positive when it has any span. The true positives of the span scores are the characters shared by the
union of the gold and the union of the predicted spans, summed over the responses.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Scores:
    """Precision, recall and F1 in percent."""

    precision: float
    recall: float
    f1: float


def prf(true_positive: float, predicted: float, gold: float) -> Scores:
    """Scores from counts; 0 where nothing was predicted or nothing is gold."""
    precision = true_positive / predicted if predicted else 0.0
    recall = true_positive / gold if gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return Scores(100 * precision, 100 * recall, 100 * f1)


@dataclass(frozen=True, slots=True, eq=False)
class Overlaps:
    """Per response, (R,) integers: characters in gold spans, in predicted spans, and in both."""

    gold: np.ndarray
    predicted: np.ndarray
    shared: np.ndarray

    def response_scores(self) -> Scores:
        """Positive = any character."""
        gold, predicted = self.gold > 0, self.predicted > 0
        return prf(int((gold & predicted).sum()), int(predicted.sum()), int(gold.sum()))

    def span_scores(self) -> Scores:
        """Characters, micro-averaged."""
        return prf(int(self.shared.sum()), int(self.predicted.sum()), int(self.gold.sum()))

    def summary(self) -> dict[str, Any]:
        """Both, ready for JSON."""
        return {"response": asdict(self.response_scores()), "span": asdict(self.span_scores())}
