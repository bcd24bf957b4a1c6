"""The verifier `nli:<model>`: a claim is supported when any evidence text entails it.

Claims of many records are scored together. Per claim: the evidence texts (the whole context where it fits), the pairs'
probabilities, and the highest over the texts. A verifier of `balto train-verifier` adds the token scores of the
response and decides by its calibration. Then, for unsupported claims, the words that carry the error.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import PurePath
from typing import Final

import numpy as np

from pipeline.engines.lexical import LexicalVerifier
from pipeline.engines.lexical_model import NEUTRAL_BAND
from pipeline.engines.nli import refine
from pipeline.engines.nli.decisions import (
    Decision,
    answered,
    decide_by_calibration,
    decide_by_head,
    unverified,
)
from pipeline.engines.nli.gather import ClaimEvidence, Gatherer
from pipeline.engines.nli.loading import OpenModel, open_model
from pipeline.engines.nli.scoring import Pair
from pipeline.engines.nli.settings import Compute, NliSettings
from pipeline.engines.nli.tokens import TokenInput, score_responses, token_inputs
from pipeline.engines.nli.trained import CLAIM, WORDS, log_odds, named_words, token_features
from schemas.records import NO_CONTEXT, SUPPORTED, WITHOUT_VERDICT, Claim, Sample, Span

TOO_LONG: Final = f"{WITHOUT_VERDICT}claim too long for the model"
NO_SCORE: Final = f"{WITHOUT_VERDICT}the model gave no score"
EMPTY: Final = f"{WITHOUT_VERDICT}the claim has no text"

Asked = tuple[Sample, tuple[Claim, ...]]


@dataclasses.dataclass(slots=True)
class _Question:
    """A claim on its way. status: why it cannot be scored; empty when it can.   scores: (windows, 2).

    tokens: length of the claim.   characters: P(unsupported) of the response's characters.   words: P(supported) by
    the lexical verifier.
    """

    sample: Sample
    claim: Claim
    tokens: int
    status: str
    evidence: ClaimEvidence | None = None
    scores: np.ndarray | None = None
    characters: np.ndarray | None = None
    words: float | None = None
    decision: Decision | None = None
    errors: tuple[Span, ...] = ()

    def known_scores(self) -> np.ndarray | None:
        """(windows, 2), if there is evidence and every text of it was scored."""
        if self.scores is None or not len(self.scores) or np.isnan(self.scores).any():
            return None
        return self.scores

    def features(self) -> dict[str, float]:
        """What a calibration may use, as far as it is known; {} for a claim that cannot be scored."""
        if self.status:
            return {}
        scores = self.known_scores()
        values = {} if self.words is None else {WORDS: log_odds(1 - self.words)}
        if scores is not None:
            values[CLAIM] = log_odds(1 - float(scores[:, 0].max()))
        if self.characters is not None:
            values |= token_features(self.characters, self.claim.spans)
        return values


class NliVerifier:
    """Verifies claims by a model over (evidence, claim). `setup` loads it once per process."""

    prompt_version = ""
    reads_group = True  # the lexical verifier does

    def __init__(
        self,
        settings: NliSettings,
        compute: Compute = Compute(),  # noqa: B008  # frozen
        lexical: LexicalVerifier | None = None,
    ):
        self.settings = settings
        self.compute = compute
        self.lexical = lexical or LexicalVerifier()  # whose score a trained verifier may use
        self.name = f"nli/1:{PurePath(settings.model).name}@{settings.fingerprint[:12] or 'unseen'}"
        self._opened: OpenModel | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_opened": None, "_gatherer": None}

    @property
    def neutral_band(self) -> tuple[float, float] | None:
        """That of the lexical verifier for a model that `balto train-verifier` wrote, whose probabilities are
        calibrated too; None for a classifier as it came: what its numbers mean is not known."""
        return NEUTRAL_BAND if self.settings.calibrated else None

    def setup(self) -> None:
        """Load the model. Raises ConfigError when it is not the one that was prepared."""
        self.use(open_model(self.settings, self.compute))

    def use(self, opened: OpenModel) -> None:
        """Score with this model."""
        self._opened = opened
        self._gatherer = Gatherer(opened, self.settings.evidence_windows)

    def teardown(self) -> None:
        """The model stays for the next run in this process."""
        self._opened = None

    def verify(self, sample: Sample, claims: tuple[Claim, ...]) -> tuple[Claim, ...]:
        """The claims of one record; `verify_many` is many times as fast for many."""
        return self.verify_many([(sample, claims)])[0]

    def verify_many(self, asked: Sequence[Asked]) -> list[tuple[Claim, ...]]:
        """The claims of every record in order, each with verdict, score and evidence, or a status that says why not."""
        assert self._opened is not None, "setup() comes first"
        with self._opened.lock:
            questions = self._questions(self._opened, asked)
            self._score_pairs(self._opened, questions)
            self._score_tokens(self._opened, asked, questions)
            for question in questions:
                self._decide(self._opened, question)
            self._refine(self._opened, questions)
            return [tuple(map(self._answer, own)) for own in _by_record(questions, asked)]

    def _questions(self, opened: OpenModel, asked: Sequence[Asked]) -> list[_Question]:
        flat = [(sample, claim) for sample, claims in asked for claim in claims]
        lengths = opened.count([claim.text for _, claim in flat])
        questions = [
            _Question(sample, claim, tokens, _unanswerable(opened, sample, tokens))
            for (sample, claim), tokens in zip(flat, lengths, strict=True)
        ]
        wanted = [question for question in questions if not question.status]
        found = self._gatherer.gather([(one.sample.context, one.claim.text, one.tokens) for one in wanted])
        for question, evidence in zip(wanted, found, strict=True):
            question.evidence = evidence
        return questions

    def _score_pairs(self, opened: OpenModel, questions: Sequence[_Question]) -> None:
        wanted = [question for question in questions if question.evidence is not None]
        if opened.scorer is None:
            return
        scores = opened.scorer.score(_pairs(opened, wanted))
        first = 0
        for one in wanted:
            last = first + len(one.evidence.windows if one.evidence else ())
            one.scores = scores[first:last]
            first = last

    def pairs(self, opened: OpenModel, asked: Sequence[Asked]) -> list[Pair]:
        """The pairs that are scored for these records, claim by claim; for looking at."""
        return _pairs(opened, self._questions(opened, asked))

    def _score_tokens(self, opened: OpenModel, asked: Sequence[Asked], questions: Sequence[_Question]) -> None:
        """P(unsupported) of every response's characters, and the lexical scores, for a trained verifier."""
        if opened.trained is None:
            return
        of_records = _by_record(questions, asked)
        if opened.tokens is not None:
            inputs = [self._token_inputs(opened, sample) if claims else [] for sample, claims in asked]
            characters = score_responses(opened.tokens, inputs, [len(sample.response or "") for sample, _ in asked])
            for own, scores in zip(of_records, characters, strict=True):
                for question in own:
                    question.characters = scores
        if opened.trained.lexical == LexicalVerifier.name:
            for (sample, claims), own in zip(asked, of_records, strict=True):
                for question, answer in zip(own, self.lexical.verify(sample, claims), strict=True):
                    question.words = answer.score

    def _token_inputs(self, opened: OpenModel, sample: Sample) -> list[TokenInput]:
        units = self._gatherer.units_of(sample.context)
        return token_inputs(sample.context, sample.response or "", units, opened.count, opened.pair_room)

    def features(self, asked: Sequence[Asked]) -> tuple[list[list[dict[str, float]]], list[np.ndarray | None]]:
        """Of a trained verifier: what is known of each record's claims, and its characters' scores; for calibrating."""
        assert self._opened is not None, "setup() comes first"
        questions = self._questions(self._opened, asked)
        self._score_pairs(self._opened, questions)
        self._score_tokens(self._opened, asked, questions)
        of_records = _by_record(questions, asked)
        known = [[one.features() for one in own] for own in of_records]
        return known, [own[0].characters if own else None for own in of_records]

    def _decide(self, opened: OpenModel, question: _Question) -> None:
        if question.status:
            return
        scores = question.known_scores()
        if opened.trained is not None:
            window = int(scores[:, 0].argmax()) if scores is not None else 0
            question.decision = decide_by_calibration(opened.calibrations, question.features(), window)
        elif scores is not None:
            question.decision = decide_by_head(scores)
        if question.decision is None:
            question.status = NO_SCORE

    def _refine(self, opened: OpenModel, questions: Sequence[_Question]) -> None:
        """The words that carry the error, for claims without support."""
        wrong = [one for one in questions if one.decision is not None and one.decision.verdict != SUPPORTED]
        if opened.trained is not None and opened.tokens is not None:
            for one in wrong:
                if one.characters is not None:
                    response, threshold = one.sample.response or "", opened.trained.token_threshold
                    one.errors = named_words(response, one.characters, one.claim.spans, threshold)
        elif self.settings.refine and opened.scorer is not None:
            self._leave_one_out(opened, wrong)

    def _leave_one_out(self, opened: OpenModel, wrong: Sequence[_Question]) -> None:
        """Ask again for every claim without each of its parts; only about the evidence text that decided."""
        assert opened.scorer is not None
        trials = []
        for one in wrong:
            place = one.claim.verbatim_span(one.sample.response or "")
            if place is not None and one.evidence is not None and one.decision is not None:
                window = one.evidence.windows[one.decision.window]
                trials.append((one, place, window, refine.parts_of(one.claim.text)))
        pairs = [
            Pair(window.text, refine.without(one.claim.text, part), window.tokens + one.tokens + opened.special)
            for one, _, window, parts in trials
            for part in parts
        ]
        scores = opened.scorer.score(pairs)[:, 0]
        first = 0
        for one, place, _, parts in trials:
            decision = one.decision
            assert decision is not None
            part = refine.named_part(decision.score, parts, scores[first : first + len(parts)])
            first += len(parts)
            if part is not None:
                one.errors = (Span(place.start + part.start, place.start + part.end),)

    def _answer(self, question: _Question) -> Claim:
        if question.decision is None or question.evidence is None:
            return unverified(question.claim, self.name, question.status)
        evidence = question.evidence.places(question.decision.window)
        return answered(question.claim, self.name, question.decision, evidence, question.errors)


def _by_record(questions: Iterable[_Question], asked: Sequence[Asked]) -> list[list[_Question]]:
    """The questions, which are in order, as one list per record."""
    remaining = iter(questions)
    return [list(islice(remaining, len(claims))) for _, claims in asked]


def _pairs(opened: OpenModel, questions: Sequence[_Question]) -> list[Pair]:
    return [
        Pair(window.text, one.claim.text, window.tokens + one.tokens + opened.special)
        for one in questions
        for window in (one.evidence.windows if one.evidence else ())
    ]


def _unanswerable(opened: OpenModel, sample: Sample, tokens: int) -> str:
    """Why a claim cannot be scored; empty when it can."""
    if not sample.has_context:
        return NO_CONTEXT
    if not tokens:
        return EMPTY
    return TOO_LONG if tokens > opened.pair_room // 2 else ""
