"""A logistic regression as plain data: named weights on raw features, a bias and a decision threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from operator import mul


@dataclass(frozen=True, slots=True)
class LinearModel:
    """P(positive) = sigmoid(bias + weights . features).

    names: the feature of each weight.   threshold: the probability from which a row is called positive.
    """

    names: tuple[str, ...]
    weights: tuple[float, ...]
    bias: float
    threshold: float

    @classmethod
    def of(cls, weights: Sequence[tuple[str, float]], bias: float, threshold: float) -> LinearModel:
        """From (name, weight) pairs, as constants read best."""
        return cls(tuple(name for name, _ in weights), tuple(weight for _, weight in weights), bias, threshold)

    def probability(self, features: Sequence[float]) -> float:
        """P(positive) of one row of features, in the order of `names`."""
        logit = self.bias + sum(map(mul, self.weights, features))
        return 1.0 / (1.0 + exp(-logit)) if logit > -700.0 else 0.0
