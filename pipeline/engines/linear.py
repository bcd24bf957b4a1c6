"""Logistic regressions as plain data: named weights on raw features, and the same over a sequence of claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import exp, fsum
from operator import mul
from typing import Final

REACH: Final = 2  # claims on either side that count as neighbours


@dataclass(frozen=True, slots=True)
class LinearModel:
    """logit = bias + weights . features.   names: the feature of each weight."""

    names: tuple[str, ...]
    weights: tuple[float, ...]
    bias: float

    @classmethod
    def of(cls, weights: Sequence[tuple[str, float]], bias: float) -> LinearModel:
        """From (name, weight) pairs, as constants read best."""
        return cls(tuple(name for name, _ in weights), tuple(weight for _, weight in weights), bias)

    def logit(self, features: Sequence[float]) -> float:
        """Of one row of features, in the order of `names`."""
        return self.bias + fsum(map(mul, self.weights, features))  # `sum` adds differently from Python 3.12 on


@dataclass(frozen=True, slots=True)
class ClaimModel:
    """P(not supported) = sigmoid(bias + own * logit + near * mean of the claims beside it).

    Inventions come in runs: a doubtful claim between two doubtful ones is worse than between two sound ones.
    threshold: the probability from which a claim is not supported.
    """

    linear: LinearModel
    own: float
    near: float
    bias: float
    threshold: float

    def probabilities(self, logits: Sequence[float]) -> list[float]:
        """P(not supported) of each claim of a response, from the logits of all of them, in order."""
        beside = neighbour_means(logits)
        return [
            sigmoid(self.bias + self.own * logit + self.near * near) for logit, near in zip(logits, beside, strict=True)
        ]


def neighbour_means(logits: Sequence[float]) -> list[float]:
    """For each claim of a response the mean logit of up to REACH claims on either side; its own if it is alone."""
    sums = list(accumulate(logits, initial=0.0))
    means: list[float] = []
    for at, logit in enumerate(logits):
        first, last = max(0, at - REACH), min(len(logits), at + REACH + 1)
        others = last - first - 1
        means.append((sums[last] - sums[first] - logit) / others if others else logit)
    return means


def sigmoid(logit: float) -> float:
    """1 / (1 + exp(-logit)), without overflow."""
    return 1.0 / (1.0 + exp(-logit)) if logit > -700.0 else 0.0
