"""The evidence of claims: the whole context where it fits, else what the searches find. Many claims at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.engines.nli.retrieval import Retriever, fuse, rank_by_words, units_of_sentences
from pipeline.engines.nli.units import ContextUnits, RecentContexts, context_units
from pipeline.engines.nli.windows import EvidenceWindow, chosen_windows, whole_context
from schemas.records import Evidence, Passage

if TYPE_CHECKING:
    from pipeline.engines.nli.loading import OpenModel

_CLAIM_ROOMS: Final = (32, 64, 128, 256, 512)  # few sizes, so that claims of a context share evidence texts
_NAMED_SENTENCES: Final = 3


@dataclass(frozen=True, slots=True)
class ClaimEvidence:
    """The evidence texts of a claim. ranked: sentences of the context that speak about it, best first."""

    context: ContextUnits
    windows: list[EvidenceWindow]
    ranked: list[int]

    def places(self, window: int) -> tuple[Evidence, ...]:
        """The sentences of a text that speak most about the claim, best first."""
        if not self.windows:
            return ()
        units = self.context.units
        inside: dict[int, list[int]] = {}
        for number in self.windows[window].units:
            inside.setdefault(units[number].sentence, []).append(number)
        places = []
        for sentence in [one for one in self.ranked if one in inside][:_NAMED_SENTENCES]:
            first, last = units[inside[sentence][0]], units[inside[sentence][-1]]
            places.append(Evidence(self.context.passages[first.passage].passage_id, first.start, last.end))
        return tuple(places)


class Gatherer:
    """Finds the evidence of claims for a model. most: texts per claim."""

    def __init__(self, opened: OpenModel, most: int):
        self.room = opened.pair_room
        self.most = most
        self.retriever = Retriever(opened.embedder) if opened.embedder is not None else None
        count, longest = opened.count, max(1, opened.pair_room // 4)
        self._units = RecentContexts(lambda passages: context_units(passages, count, longest))

    def units_of(self, passages: tuple[Passage, ...]) -> ContextUnits:
        """The units of a context, made once while it is in use."""
        return self._units.of(passages)

    def gather(self, claims: Sequence[tuple[tuple[Passage, ...], str, int]]) -> list[ClaimEvidence]:
        """The evidence of each (context, claim text, its tokens)."""
        vectors = self.retriever.embed([text for _, text, _ in claims]) if self.retriever and claims else None
        found = []
        for at, (passages, text, tokens) in enumerate(claims):
            context = self.units_of(passages)
            ranked = rank_by_words(passages, text)
            if self.retriever is not None and vectors is not None:
                ranked = fuse(ranked, self.retriever.rank(passages, vectors[at]))
            found.append(ClaimEvidence(context, self._windows(context, ranked, tokens), ranked))
        return found

    def _windows(self, context: ContextUnits, ranked: Sequence[int], tokens: int) -> list[EvidenceWindow]:
        claim_room = next((room for room in _CLAIM_ROOMS if tokens <= room <= self.room // 2), tokens)
        whole = whole_context(context, self.room - claim_room, self.most)
        if whole is not None:
            return whole
        return chosen_windows(context, units_of_sentences(context, ranked), self.room - claim_room, self.most)
