"""Where the content words of a context stand, and how much of a claim stands close together there.

A sentence is a poor measure of closeness: one may hold a whole career, or three of them one fact. A stretch of so many
content words, wherever it begins, takes what stands together and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from pipeline.engines.words import tokenize
from schemas.records import Passage

_MAX_PLACES = 256  # of one stem that are looked at: bounds the time per claim in a long context


class WordPlaces(dict[str, list[int]]):
    """Stem -> its places in the context, content words counted. No stretch reaches from one passage to the next."""

    def __init__(self, passages: Iterable[Passage], stretch: int) -> None:
        """stretch: content words that count as close together."""
        super().__init__()
        self.stretch = stretch
        place = 0
        for passage in passages:
            for stem in tokenize(passage.text).content_and_number_stems():
                self.setdefault(stem, []).append(place)
                place += 1
            place += stretch

    def gathered(self, weights: Mapping[str, float]) -> float:
        """The largest weight of stems that stand in one stretch, each counted once."""
        found = sorted((place, stem) for stem in weights for place in self.get(stem, ())[:_MAX_PLACES])
        inside: Counter[str] = Counter()
        first, here, most = 0, 0.0, 0.0
        for place, stem in found:
            if not inside[stem]:
                here += weights[stem]
            inside[stem] += 1
            while found[first][0] <= place - self.stretch:
                left = found[first][1]
                inside[left] -= 1
                if not inside[left]:
                    here -= weights[left]
                first += 1
            most = max(most, here)
        return most
