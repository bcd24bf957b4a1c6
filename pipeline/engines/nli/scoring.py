"""Pairs of texts -> P(supported) and P(contradicted), in batches of pairs of about one length.

A pair that stands several times in a batch of records is computed once.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from pipeline.engines.nli.batches import LengthBatches
from pipeline.engines.nli.heads import Head
from pipeline.engines.nli.pair_tokens import PairTokens


class Pair(NamedTuple):
    """Evidence and claim. tokens: about their joint length."""

    evidence: str
    claim: str
    tokens: int


class PairModel(Protocol):
    """A sentence-transformers CrossEncoder, as far as it is used here."""

    def predict(self, inputs: Any, **options: Any) -> Any: ...


class PairScorer:
    """Scores pairs with a model. batches: how many at once.   tokens: makes the inputs of pairs that fit into the
    model's window; without it, and for longer pairs, `predict` does."""

    def __init__(self, model: PairModel, head: Head, batches: LengthBatches, tokens: PairTokens | None = None):
        self.model: Any = model
        self.head = head
        self.batches = batches
        self.tokens = tokens

    def score(self, pairs: Sequence[Pair]) -> np.ndarray:
        """(N, 2) float64: P(supported), P(contradicted). The latter is 0 for a head that does not tell it.

        A row is NaN when the pair could not be computed.
        """
        places: dict[Pair, list[int]] = {}
        for at, pair in enumerate(pairs):
            places.setdefault(pair, []).append(at)
        scores = np.full((len(pairs), 2), np.nan)
        for pair, row in self._outputs(list(places)):
            if row is not None:
                refuted = row[self.head.contradicted] if self.head.contradicted is not None else 0.0
                scores[places[pair]] = row[self.head.supported], refuted
        return scores

    def _outputs(self, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, np.ndarray | None]]:
        """(outputs,) probabilities of each pair; None for one that does not fit into memory."""
        tokens, left = self.tokens, pairs
        if tokens is not None:
            ids = tokens.ids(text for pair in pairs for text in self._texts(pair))
            laid_out = [(ids[first], ids[second]) for first, second in map(self._texts, pairs)]
            lengths = [tokens.length(*own) for own in laid_out]
            fitting = [at for at, length in enumerate(lengths) if length <= tokens.window]
            left = [pair for pair, length in zip(pairs, lengths, strict=True) if length > tokens.window]
            rows = self.batches.compute(
                [laid_out[at] for at in fitting],
                [lengths[at] for at in fitting],
                functools.partial(self._forward, tokens),
            )
            yield from zip([pairs[at] for at in fitting], rows, strict=True)
        yield from zip(left, self.batches.compute(left, [pair.tokens for pair in left], self._predict), strict=True)

    def _texts(self, pair: Pair) -> tuple[str, str]:
        return (pair.claim, pair.evidence) if self.head.claim_first else (pair.evidence, pair.claim)

    def _forward(self, tokens: PairTokens, batch: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
        """What `predict` does behind its tokenizer."""
        import torch

        with torch.inference_mode():
            scores = self.model(tokens.inputs(batch, self.model.device))["scores"].float()
            scores = scores.sigmoid() if self.head.outputs == 1 else scores.softmax(-1)
        return self._rows(scores.cpu().numpy(), len(batch))

    def _predict(self, batch: Sequence[Pair]) -> list[np.ndarray]:
        """By the library's own way."""
        from torch import nn

        alone = self.head.outputs == 1
        outputs = self.model.predict(
            [self._texts(pair) for pair in batch],
            batch_size=len(batch),
            show_progress_bar=False,
            activation_fn=nn.Sigmoid() if alone else nn.Identity(),
            apply_softmax=not alone,
        )
        return self._rows(np.asarray(outputs), len(batch))

    def _rows(self, outputs: np.ndarray, pairs: int) -> list[np.ndarray]:
        return list(outputs.astype(np.float64).reshape(pairs, self.head.outputs))
