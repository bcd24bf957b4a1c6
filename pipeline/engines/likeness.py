"""Which sentences of the context are like a claim: how much of its words, weighted by rarity, each of them has."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import fsum, log
from typing import Final, Self

from pipeline.engines.context_index import ContextIndex, shared_mass
from pipeline.engines.words import Tokens

ALIKE: Final = 0.5  # share of a claim's words from which it may be made of a sentence
_NEAR: Final = 0.7  # of the best sentence's share, from which another is about as like the claim


@dataclass(slots=True, eq=False)  # one per claim: a frozen one takes twice as long to make
class Likeness:
    """The context's sentences against some stems of a claim.

    shared: sentence -> IDF mass that it has of them, for sentences that have any.   best: the one with most, the
    earliest of equals.
    """

    index: ContextIndex
    stems: Collection[str]
    shared: dict[int, float]
    best: int
    _share: float | None = None

    @classmethod
    def of(cls, index: ContextIndex, stems: Collection[str]) -> Self | None:
        """None when no sentence has any of the stems."""
        shared = shared_mass(index, stems)
        if not shared:
            return None
        most = max(shared.values())
        return cls(index, stems, shared, min([at for at, value in shared.items() if value == most]))

    def share(self) -> float:
        """The share of the stems' IDF mass that the best sentence has; one that the context lacks weighs most."""
        if self._share is None:
            idf, highest = self.index.idf, log(1 + len(self.index.sentences))
            self._share = self.shared[self.best] / fsum([idf.get(word, highest) for word in self.stems])
        return self._share

    def is_near(self, sentence: int) -> bool:
        """Whether a sentence is about as like the claim as the best one."""
        return self.shared.get(sentence, 0.0) >= _NEAR * self.shared[self.best]

    def near(self) -> list[int]:
        """The sentences that are, the best among them."""
        return [sentence for sentence in self.shared if self.is_near(sentence)]

    def words(self) -> tuple[str, Tokens]:
        """(text, tokens) of the best sentence."""
        return self.index.words_of(self.best)
