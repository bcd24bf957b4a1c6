"""Pairs of texts -> P(supported) and P(contradicted), in batches of pairs of about one length.

A pair that stands several times in a batch of records is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from pipeline.engines.nli.batches import LengthBatches
from pipeline.engines.nli.heads import Head


class Pair(NamedTuple):
    """Evidence and claim. tokens: about their joint length."""

    evidence: str
    claim: str
    tokens: int


class PairModel(Protocol):
    """A sentence-transformers CrossEncoder, as far as it is used here."""

    def predict(self, inputs: Any, **options: Any) -> Any: ...


class PairScorer:
    """Scores pairs with a model. batches: how many at once."""

    def __init__(self, model: PairModel, head: Head, batches: LengthBatches):
        self.model = model
        self.head = head
        self.batches = batches

    def score(self, pairs: Sequence[Pair]) -> np.ndarray:
        """(N, 2) float64: P(supported), P(contradicted). The latter is 0 for a head that does not tell it.

        A row is NaN when the pair could not be computed.
        """
        places: dict[Pair, list[int]] = {}
        for at, pair in enumerate(pairs):
            places.setdefault(pair, []).append(at)
        unique = list(places)
        scores = np.full((len(pairs), 2), np.nan)
        outputs = self.batches.compute(unique, [pair.tokens for pair in unique], self._predict)
        for pair, row in zip(unique, outputs, strict=True):
            if row is not None:
                refuted = row[self.head.contradicted] if self.head.contradicted is not None else 0.0
                scores[places[pair]] = row[self.head.supported], refuted
        return scores

    def _predict(self, batch: Sequence[Pair]) -> list[np.ndarray]:
        """(outputs,) probabilities of each pair."""
        from torch import nn

        texts = [
            (pair.claim, pair.evidence) if self.head.claim_first else (pair.evidence, pair.claim) for pair in batch
        ]
        alone = self.head.outputs == 1
        outputs = self.model.predict(
            texts,
            batch_size=len(texts),
            show_progress_bar=False,
            activation_fn=nn.Sigmoid() if alone else nn.Identity(),
            apply_softmax=not alone,
        )
        return list(np.asarray(outputs, dtype=np.float64).reshape(len(batch), self.head.outputs))
