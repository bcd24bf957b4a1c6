"""Which pieces of a context speak about a claim: shared words weighted by rarity, and embeddings, fused by rank.

Reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009): a piece scores the sum of 1 / (60 + rank) over the
searches; it needs no scale that both share. Embeddings of a context are made once, claims of a batch together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np

from pipeline.engines.context_index import index_context, rank_sentences
from pipeline.engines.nli.units import ContextUnits, RecentContexts
from pipeline.engines.words import STOP, tokenize
from schemas.records import Passage

FUSION_CONSTANT: Final = 60
_DEPTH: Final = 50  # sentences that a search names
_EMBEDDED_AT_ONCE: Final = 64  # texts


class Embedder(Protocol):
    """A sentence-transformers model, as far as it is used here."""

    def encode(self, sentences: Any, **options: Any) -> Any: ...


def rank_by_words(passages: tuple[Passage, ...], claim: str) -> list[int]:
    """Sentences of the context that share words with a claim, best first."""
    tokens = tokenize(claim)
    stems = [stem for stem, kind in zip(tokens.stems, tokens.kinds, strict=True) if kind != STOP]
    return [sentence for sentence, _ in rank_sentences(index_context(passages), stems, _DEPTH)]


class Retriever:
    """Ranks sentences by embeddings. `embedder`: any model that gives (N, D) vectors for N texts."""

    def __init__(self, embedder: Embedder):
        self.embedder = embedder
        self._contexts = RecentContexts(self._embed_context)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """(N, D) float32 vectors of length 1."""
        return self.embedder.encode(
            list(texts), batch_size=_EMBEDDED_AT_ONCE, normalize_embeddings=True, show_progress_bar=False
        )

    def _embed_context(self, passages: tuple[Passage, ...]) -> np.ndarray:
        sentences = index_context(passages).sentences
        return self.embed([passages[one.passage].text[one.start : one.end] for one in sentences])

    def rank(self, passages: tuple[Passage, ...], claim: np.ndarray) -> list[int]:
        """Sentences of the context nearest to a claim's vector (D,), best first."""
        nearness = self._contexts.of(passages) @ claim
        return [int(at) for at in np.argsort(-nearness, kind="stable")[:_DEPTH]]


def fuse(*rankings: Sequence[int]) -> list[int]:
    """One ranking from several, best first; ties go to the earlier number."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, one in enumerate(ranking, start=1):
            scores[one] = scores.get(one, 0.0) + 1 / (FUSION_CONSTANT + rank)
    return sorted(scores, key=lambda one: (-scores[one], one))


def units_of_sentences(context: ContextUnits, sentences: Sequence[int]) -> list[int]:
    """The units of these sentences, in the order of `sentences`; the context's other units behind them."""
    of_sentence: dict[int, list[int]] = {}
    for number, unit in enumerate(context.units):
        of_sentence.setdefault(unit.sentence, []).append(number)
    ranked = [number for sentence in sentences for number in of_sentence.pop(sentence, [])]
    return ranked + [number for rest in of_sentence.values() for number in rest]
