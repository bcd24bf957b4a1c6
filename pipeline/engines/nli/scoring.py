"""Pairs of texts -> P(supported) and P(contradicted), in batches of pairs of about one length.

A pair that stands several times in a batch of records is computed once. Where the device's memory is too small, the
batch is halved, and later ones stay small; a pair that does not fit alone gets no score (NaN).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from pipeline.engines.nli.heads import Head

LEAST_BATCH_TOKENS: Final = 64
_OUT_OF_MEMORY: Final = ("out of memory", "can't allocate memory", "not enough memory")
log = logging.getLogger(__name__)


class Pair(NamedTuple):
    """Evidence and claim. tokens: about their joint length."""

    evidence: str
    claim: str
    tokens: int


class PairModel(Protocol):
    """A sentence-transformers CrossEncoder, as far as it is used here."""

    def predict(self, inputs: Any, **options: Any) -> Any: ...


@dataclass
class PairScorer:
    """Scores pairs with a model. batch_tokens: of one forward pass, padding included."""

    model: PairModel
    head: Head
    batch_tokens: int

    def score(self, pairs: Sequence[Pair]) -> np.ndarray:
        """(N, 2) float64: P(supported), P(contradicted). The latter is 0 for a head that does not tell it.

        A row is NaN when the pair could not be computed.
        """
        places: dict[Pair, list[int]] = {}
        for at, pair in enumerate(pairs):
            places.setdefault(pair, []).append(at)
        longest_first = sorted(places, key=lambda pair: -pair.tokens)
        scores = np.full((len(pairs), 2), np.nan)
        done = 0
        while done < len(longest_first):
            batch = longest_first[done : done + self._fitting(longest_first[done].tokens)]
            for pair, row in zip(batch, self._score_batch(batch), strict=True):
                scores[places[pair]] = row
            done += len(batch)
        return scores

    def _fitting(self, tokens: int) -> int:
        return max(1, self.batch_tokens // max(1, tokens))

    def _score_batch(self, batch: Sequence[Pair]) -> Iterator[tuple[float, float]]:
        try:
            outputs = self._predict(batch)
        except RuntimeError as err:  # torch.OutOfMemoryError is one; the CPU's allocator has none of its own
            if not any(words in str(err).lower() for words in _OUT_OF_MEMORY):
                raise
            self._free()
            if len(batch) == 1:
                log.warning("a pair of %d tokens does not fit into the device's memory", batch[0].tokens)
                yield np.nan, np.nan
                return
            half = (len(batch) + 1) // 2
            self.batch_tokens = max(LEAST_BATCH_TOKENS, min(self.batch_tokens, half * batch[0].tokens))
            log.warning("out of memory with %d pairs; going on with %d tokens a batch", len(batch), self.batch_tokens)
            yield from self._score_batch(batch[:half])
            yield from self._score_batch(batch[half:])
            return
        for row in outputs:
            supported = float(row[self.head.supported])
            yield supported, float(row[self.head.contradicted]) if self.head.contradicted is not None else 0.0

    def _predict(self, batch: Sequence[Pair]) -> np.ndarray:
        """(N, outputs) probabilities."""
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
        return np.asarray(outputs, dtype=np.float64).reshape(len(batch), self.head.outputs)

    def _free(self) -> None:
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()
