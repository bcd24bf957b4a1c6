"""The verifier `nli:<model>`: a claim is supported when any evidence text entails it.

Claims of many records are scored together. Per claim: the evidence texts (the whole context where it fits), the pairs'
probabilities, then P(supported) = the highest over the texts. Below one half the claim is contradicted when the model
can tell and finds that more likely in some text than anything else, otherwise unsupported.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

import numpy as np

from pipeline.engines.nli.loading import OpenModel, open_model
from pipeline.engines.nli.retrieval import Retriever, fuse, rank_by_words, units_of_sentences
from pipeline.engines.nli.scoring import Pair
from pipeline.engines.nli.settings import Compute, NliSettings
from pipeline.engines.nli.units import ContextUnits, RecentContexts, context_units
from pipeline.engines.nli.windows import EvidenceWindow, chosen_windows, whole_context
from schemas.records import CONTRADICTED, OK, SUPPORTED, UNSUPPORTED, Claim, Evidence, Passage, Sample

NO_CONTEXT: Final = "unverified: no context"
TOO_LONG: Final = "unverified: claim too long for the model"
NO_SCORE: Final = "unverified: the model gave no score"
EMPTY: Final = "unverified: the claim has no text"
DECIDES: Final = 0.5
_CLAIM_ROOMS: Final = (32, 64, 128, 256, 512)  # few sizes, so that claims of a context share evidence texts
_EVIDENCE_SENTENCES: Final = 3
_DIGITS: Final = 4  # of a score: further ones depend on what a pair was computed together with

Asked = tuple[Sample, tuple[Claim, ...]]


@dataclass(frozen=True, slots=True)
class _Question:
    """A claim that is scored. ranked: sentences of the context that speak about it, best first."""

    context: ContextUnits
    windows: list[EvidenceWindow]
    ranked: list[int]


class NliVerifier:
    """Verifies claims by a sequence classifier over (evidence, claim). `setup` loads it once per process."""

    prompt_version = ""

    def __init__(self, settings: NliSettings, compute: Compute = Compute()):  # noqa: B008  # frozen
        self.settings = settings
        self.compute = compute
        self.name = f"nli/1:{PurePath(settings.model).name}@{settings.fingerprint[:12] or 'unseen'}"
        self._opened: OpenModel | None = None

    def setup(self) -> None:
        """Load the model. Raises ConfigError when it is not the one that was prepared."""
        self.use(open_model(self.settings, self.compute))

    def use(self, opened: OpenModel) -> None:
        """Score with this model."""
        self._opened = opened
        self._units = RecentContexts(
            lambda passages: context_units(passages, opened.count, max(1, (opened.window - opened.special) // 4))
        )
        self._retriever = Retriever(opened.embedder) if opened.embedder is not None else None

    def teardown(self) -> None:
        """The model stays for the next run in this process."""
        self._opened = None

    def __getstate__(self) -> dict[str, object]:
        return {"settings": self.settings, "compute": self.compute, "name": self.name, "_opened": None}

    def verify(self, sample: Sample, claims: tuple[Claim, ...]) -> tuple[Claim, ...]:
        """The claims of one record; `verify_many` is many times as fast for many."""
        return self.verify_many([(sample, claims)])[0]

    def verify_many(self, asked: Sequence[Asked]) -> list[tuple[Claim, ...]]:
        """The claims of every record in order, each with verdict, score and evidence, or a status that says why not."""
        assert self._opened is not None, "setup() comes first"
        with self._opened.lock:
            flat = [(sample.context, claim) for sample, claims in asked for claim in claims]
            answered = iter(self._verify_claims(flat))
            return [tuple(next(answered) for _ in claims) for _, claims in asked]

    def _verify_claims(self, asked: list[tuple[tuple[Passage, ...], Claim]]) -> list[Claim]:
        assert self._opened is not None
        lengths = self._opened.count([claim.text for _, claim in asked])
        answers: list[Claim | None] = []
        wanted: list[tuple[int, int]] = []  # position in `asked`, tokens of the claim
        for at, ((passages, claim), tokens) in enumerate(zip(asked, lengths, strict=True)):
            status = self._unanswerable(passages, tokens)
            answers.append(self._unverified(claim, status) if status else None)
            if not status:
                wanted.append((at, tokens))
        questions = self._questions([(*asked[at], tokens) for at, tokens in wanted])
        pairs = [
            Pair(window.text, asked[at][1].text, window.tokens + tokens + self._opened.special)
            for (at, tokens), question in zip(wanted, questions, strict=True)
            for window in question.windows
        ]
        scores = self._opened.scorer.score(pairs)
        first = 0
        for (at, _), question in zip(wanted, questions, strict=True):
            last = first + len(question.windows)
            answers[at] = self._decide(asked[at][1], question, scores[first:last])
            first = last
        return [answer for answer in answers if answer is not None]

    def _unanswerable(self, passages: tuple[Passage, ...], tokens: int) -> str:
        """Why a claim cannot be scored; empty when it can."""
        assert self._opened is not None
        if not any(passage.text.strip() for passage in passages):
            return NO_CONTEXT
        if not tokens:
            return EMPTY
        return TOO_LONG if tokens > (self._opened.window - self._opened.special) // 2 else ""

    def _questions(self, wanted: list[tuple[tuple[Passage, ...], Claim, int]]) -> list[_Question]:
        """The evidence texts of each claim."""
        assert self._opened is not None
        vectors = self._retriever.embed([claim.text for _, claim, _ in wanted]) if self._retriever and wanted else None
        questions = []
        for at, (passages, claim, tokens) in enumerate(wanted):
            context = self._units.of(passages)
            ranked = rank_by_words(passages, claim.text)
            if self._retriever is not None and vectors is not None:
                ranked = fuse(ranked, self._retriever.rank(passages, vectors[at]))
            windows = self._windows(context, ranked, tokens)
            questions.append(_Question(context, windows, ranked))
        return questions

    def _windows(self, context: ContextUnits, ranked: list[int], tokens: int) -> list[EvidenceWindow]:
        assert self._opened is not None
        space = self._opened.window - self._opened.special
        claim_room = next((room for room in _CLAIM_ROOMS if room >= tokens and room <= space // 2), tokens)
        most = self.settings.evidence_windows
        whole = whole_context(context, space - claim_room, most)
        if whole is not None:
            return whole
        return chosen_windows(context, units_of_sentences(context, ranked), space - claim_room, most)

    def _decide(self, claim: Claim, question: _Question, scores: np.ndarray) -> Claim:
        """scores: (windows, 2) P(supported), P(contradicted)."""
        if not len(scores) or np.isnan(scores).any():
            return self._unverified(claim, NO_SCORE)
        best = int(scores[:, 0].argmax())
        supported, contradicted = float(scores[best, 0]), float(scores[:, 1].max())
        verdict = SUPPORTED if supported >= DECIDES else CONTRADICTED if contradicted >= DECIDES else UNSUPPORTED
        window = best if verdict != CONTRADICTED else int(scores[:, 1].argmax())
        return dataclasses.replace(
            claim,
            verdict=verdict,
            status=OK,
            score=round(supported, _DIGITS),
            evidence=_evidence(question, question.windows[window]),
            reason=_reason(verdict, supported, contradicted, len(scores)),
            verifier=self.name,
        )

    def _unverified(self, claim: Claim, status: str) -> Claim:
        return dataclasses.replace(claim, verdict=None, status=status, score=None, verifier=self.name)


def _evidence(question: _Question, window: EvidenceWindow) -> tuple[Evidence, ...]:
    """The sentences of a window that speak most about the claim, best first."""
    units = question.context.units
    inside: dict[int, list[int]] = {}
    for number in window.units:
        inside.setdefault(units[number].sentence, []).append(number)
    chosen = [sentence for sentence in question.ranked if sentence in inside][:_EVIDENCE_SENTENCES]
    places = []
    for sentence in chosen:
        first, last = units[inside[sentence][0]], units[inside[sentence][-1]]
        places.append(Evidence(question.context.passages[first.passage].passage_id, first.start, last.end))
    return tuple(places)


def _reason(verdict: str, supported: float, contradicted: float, windows: int) -> str:
    """One short sentence for people."""
    where = "the evidence" if windows == 1 else f"any of {windows} evidence texts"
    if verdict == SUPPORTED:
        return f"entailed with probability {supported:.2f}"
    if verdict == CONTRADICTED:
        return f"contradicted with probability {contradicted:.2f}"
    return f"not entailed by {where}: probability {supported:.2f}"
