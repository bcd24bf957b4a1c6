"""The verifier `llm`: groups of claims that share one context, context first; a verdict with evidence for each.

Every claim that is sent must come back: claims the answer leaves out are asked for again, and only these. An answer to
an id that was not asked is dropped and counted; two answers that disagree are none. A verdict rests on words that
stand in the context, or there is no verdict. A context that is larger than the model's window is shown in chunks: one
chunk that supports a claim is enough, and only where all chunks were answered can a claim be anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pipeline.engines.llm.answers import ClaimAnswer, ClaimAnswers, UnusableAnswerError, read_answer, verdict_of
from pipeline.engines.llm.canaries import Canary, choose_canary
from pipeline.engines.llm.evidence import common_spans, locate_evidence, locate_wrong_words
from pipeline.engines.llm.messages import QUESTION_TOKENS, ClaimLine, question_of, verify_message
from pipeline.engines.llm.prompts import ASK_AGAIN, PROMPT_VERSION, VERIFY_SCHEMA, VERIFY_SYSTEM
from pipeline.engines.llm.sealed_data import Seal
from pipeline.engines.llm.tally import Tally
from pipeline.engines.llm.together import run_together
from pipeline.engines.llm.windows import ContextPiece, chars_within, context_chunks, data_tokens, token_bound
from pipeline.llm.chat import LENGTH, OK, Ask, ChatRequest
from schemas.errors import ConfigError, one_line
from schemas.records import CONTRADICTED, SUPPORTED, UNSUPPORTED, WITHOUT_VERDICT, Claim, Evidence, Sample, Span
from schemas.records import OK as CLAIM_OK

INVALID_JSON: Final = "invalid_json"
MISSING_IDS: Final = "missing_ids"
NO_EVIDENCE: Final = "evidence not in the context"
DISAGREES: Final = "the answers disagree"
NO_CONTEXT: Final = "no context"
TOO_LONG: Final = "claim too long for the context window"
MAX_REASKS: Final = 2  # of claims that came back without a readable verdict
_ANSWER_TOKENS: Final = 200  # per claim: up to three quotes, a short reason, the wrong words
_MIN_ANSWER_TOKENS: Final = 256
_MAX_GROWTH: Final = 4  # times the first token limit that the answer about a single claim may have
_RESPONSE_TOKENS: Final = 1_200  # of the response that is shown beside claims that need it
_MIN_CONTEXT_TOKENS: Final = 512
_RESERVE_STEP: Final = (
    1_024  # room for claims and answers is rounded up, so that chunks are cut alike for like responses
)
_MAX_REASON_CHARS: Final = 300


@dataclass(frozen=True, slots=True)
class Finding:
    """What one call, or all of them together, said about one claim. verdict: None with a `status` that says why."""

    verdict: str | None
    status: str
    evidence: tuple[Evidence, ...] = ()
    error_spans: tuple[Span, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Subject:
    """A sample prepared for being asked about: its claims as they are shown, and what explains them."""

    sample: Sample
    claims: tuple[Claim, ...]
    lines: list[ClaimLine]
    background: tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Call:
    """One question: these claims (by index) against this part of the context."""

    context: tuple[ContextPiece, ...]
    pending: tuple[int, ...]
    attempt: int = 0
    growth: int = 1
    canary: Canary | None = None

    def lines(self, subject: _Subject) -> list[ClaimLine]:
        lines = [subject.lines[index] for index in self.pending]
        if self.canary is not None:
            lines.insert(self.canary.position, self.canary.line)
        return lines


class LlmVerifier:
    """Judges claims by asking a chat model; `ask` is handed in with every call.

    model: name at the endpoint, part of `name`.   delimiter_key: see `sealed_data.Seal`.   claims_per_call: at most so
    many share a call.   context_window: of the model, in tokens.   canaries: share of calls that get a canary.
    tally: counts missing_ids, invented_ids, unknown_verdicts, disagreeing_answers, unreadable_answers,
    evidence_not_in_context, wrong_words_not_in_claim, canaries, canaries_failed, canaries_unanswered.
    """

    prompt_version = PROMPT_VERSION

    def __init__(
        self,
        model: str,
        delimiter_key: bytes,
        context_window: int,
        claims_per_call: int = 8,
        canaries: float = 0.0,
        max_reasks: int = MAX_REASKS,
    ):
        self.name = f"llm:{model}/1"
        self.claims_per_call = claims_per_call
        self.canaries = canaries
        self.max_reasks = max_reasks
        self.tally = Tally()
        self._seal = Seal(delimiter_key)
        self._window = usable_window(context_window)

    async def verify(self, sample: Sample, claims: tuple[Claim, ...], ask: Ask) -> tuple[Claim, ...]:
        """The same claims in the same order, each with a verdict, or with a status that says why it has none."""
        if not sample.has_context:
            return tuple(self._answered(claim, Finding(None, NO_CONTEXT)) for claim in claims)
        subject = _prepare(sample, claims)
        calls = self.calls(subject)
        answered = await run_together(self._ask(subject, call, ask) for call in calls)
        findings: dict[int, list[Finding]] = {index: [] for index in range(len(claims))}
        for answer in answered:
            for index, finding in answer.items():
                findings[index].append(finding)
        return tuple(self._answered(claim, combine(findings[index])) for index, claim in enumerate(claims))

    def calls(self, subject: _Subject) -> list[_Call]:
        """The first round of calls: every group of claims against every chunk of the context."""
        background = sum(map(data_tokens, subject.background))
        costs = [_claim_tokens(line) for line in subject.lines]
        room = self._window - background - _MIN_CONTEXT_TOKENS
        groups = _groups([index for index, cost in enumerate(costs) if cost <= room], costs, self.claims_per_call, room)
        if not groups:
            return []
        needed = max(sum(costs[index] for index in group) for group in groups)
        reserve = min(-(-needed // _RESERVE_STEP) * _RESERVE_STEP, room)
        chunks = context_chunks(subject.sample.context, self._window - background - reserve)
        return [self._first_call(subject, chunk, group) for chunk in chunks for group in groups]

    def _first_call(self, subject: _Subject, chunk: tuple[ContextPiece, ...], group: tuple[int, ...]) -> _Call:
        lines = [subject.lines[index] for index in group]
        return _Call(chunk, group, canary=choose_canary(self._seal, chunk, lines, self.canaries))

    def request(self, subject: _Subject, call: _Call) -> tuple[ChatRequest, list[str]]:
        """What is sent, and the ids of the call's claims in it, the canary's among them."""
        lines = call.lines(subject)
        user, ids = verify_message(self._seal, call.context, subject.background, lines)
        request = ChatRequest(
            purpose="verify",
            system=VERIFY_SYSTEM + (ASK_AGAIN if call.attempt else ""),
            user=user,
            schema=VERIFY_SCHEMA,
            schema_name="answers",
            max_tokens=call.growth * (_MIN_ANSWER_TOKENS + _ANSWER_TOKENS * len(lines)),
            prompt_version=PROMPT_VERSION,
            attempt=call.attempt,
        )
        return request, ids

    async def _ask(self, subject: _Subject, call: _Call, ask: Ask) -> dict[int, Finding]:
        """A finding for every claim of the call, after as many further calls as that takes."""
        request, ids = self.request(subject, call)
        reply = await ask(request)
        if reply.status == LENGTH and (smaller := _smaller(call)):
            parts = await run_together(self._ask(subject, part, ask) for part in smaller)
            return {index: finding for part in parts for index, finding in part.items()}
        if reply.status != OK:
            return dict.fromkeys(
                call.pending, Finding(None, reply.status, reason=one_line(reply.reason, _MAX_REASON_CHARS))
            )
        findings, why = self._read(subject, call, ids, reply.text)
        missing = tuple(index for index in call.pending if index not in findings)
        if missing and call.attempt < self.max_reasks:
            again = _Call(call.context, missing, call.attempt + 1, call.growth)
            return findings | await self._ask(subject, again, ask)
        return findings | dict.fromkeys(missing, Finding(None, why))

    def _read(self, subject: _Subject, call: _Call, ids: Sequence[str], text: str) -> tuple[dict[int, Finding], str]:
        """(findings of the claims that were answered, why the others were not)."""
        try:
            answers = read_answer(text, ClaimAnswers).answers
        except UnusableAnswerError:
            self.tally.add("unreadable_answers")
            self._count_canary(call.canary, [])
            return {}, INVALID_JSON
        by_id: dict[str, list[ClaimAnswer]] = {claim_id: [] for claim_id in ids}
        for answer in answers:
            if answer.id not in by_id:
                self.tally.add("invented_ids")
            elif verdict_of(answer) is None:
                self.tally.add("unknown_verdicts")
            else:
                by_id[answer.id].append(answer)
        given = [by_id[claim_id] for claim_id in ids]
        if call.canary is not None:
            self._count_canary(call.canary, given.pop(call.canary.position))
        self.tally.add("missing_ids", sum(not answers for answers in given))
        found = {
            index: self._finding(subject, index, answers)
            for index, answers in zip(call.pending, given, strict=True)
            if answers
        }
        return found, MISSING_IDS

    def _finding(self, subject: _Subject, index: int, answers: Sequence[ClaimAnswer]) -> Finding:
        """The verdict of one claim, if its answers agree and its evidence stands in the context."""
        answer, verdict = answers[0], verdict_of(answers[0])
        if any(verdict_of(other) != verdict for other in answers):
            self.tally.add("disagreeing_answers")
            return Finding(None, DISAGREES)
        reason = one_line(answer.reason, _MAX_REASON_CHARS)
        evidence = locate_evidence(subject.sample.context, answer.evidence)
        if evidence is None and (verdict != UNSUPPORTED or any(quote.strip() for quote in answer.evidence)):
            self.tally.add("evidence_not_in_context")
        if evidence is None and verdict != UNSUPPORTED:
            return Finding(None, NO_EVIDENCE, reason=reason)
        if verdict == SUPPORTED:
            return Finding(verdict, CLAIM_OK, evidence or (), (), reason)
        spans = subject.claims[index].spans
        wrong, missing = locate_wrong_words(subject.sample.response or "", spans, answer.wrong_words)
        self.tally.add("wrong_words_not_in_claim", missing if spans else 0)
        return Finding(verdict, CLAIM_OK, evidence or (), wrong, reason)

    def _count_canary(self, canary: Canary | None, answers: Sequence[ClaimAnswer]) -> None:
        if canary is None:
            return
        self.tally.add("canaries")
        self.tally.add("canaries_unanswered", not answers)
        self.tally.add("canaries_failed", any(canary.failed(verdict_of(answer)) for answer in answers))

    def _answered(self, claim: Claim, finding: Finding) -> Claim:
        return replace(
            claim,
            verdict=finding.verdict,
            status=CLAIM_OK if finding.verdict else f"{WITHOUT_VERDICT}{finding.status}",
            evidence=finding.evidence,
            error_spans=finding.error_spans,
            reason=finding.reason,
            verifier=self.name,
            prompt_version=PROMPT_VERSION,
        )


def combine(findings: Sequence[Finding]) -> Finding:
    """One finding of a claim from those of all chunks of its context.

    Any chunk may support it. Otherwise a chunk that was not answered leaves it open, because it might have; then one
    that contradicts it decides, and else it is unsupported. Words that one chunk bears out are not wrong: only
    those that all chunks blame are kept.
    """
    if not findings:
        return Finding(None, TOO_LONG)
    for wanted in (SUPPORTED, None, CONTRADICTED):
        for finding in findings:
            if finding.verdict == wanted:
                return finding
    blamed = [finding.error_spans for finding in findings if finding.error_spans]
    return replace(findings[0], error_spans=common_spans(blamed) if blamed else ())


def usable_window(context_window: int) -> int:
    """Tokens left for context, claims and answer. Raises ConfigError when that is next to nothing."""
    fixed = token_bound(VERIFY_SYSTEM + ASK_AGAIN) + _MIN_ANSWER_TOKENS
    smallest = fixed + QUESTION_TOKENS + _RESPONSE_TOKENS + 2 * _MIN_CONTEXT_TOKENS + 2 * _ANSWER_TOKENS
    if context_window < smallest:
        raise ConfigError(
            f"--context-window {context_window}: too small for the verification prompt; it needs {smallest} tokens"
        )
    return context_window - fixed


def _prepare(sample: Sample, claims: tuple[Claim, ...]) -> _Subject:
    response = sample.response or ""
    lines = [_line(response, claim) for claim in claims]
    # Claims in the response's own words ("It opened in 1932") cannot be understood without what surrounds them.
    in_own_words = any(not line.words for line in lines)
    shown = response[: chars_within(response, _RESPONSE_TOKENS)]
    return _Subject(sample, claims, lines, (question_of(sample), shown) if in_own_words else ("", ""))


def _line(response: str, claim: Claim) -> ClaimLine:
    words = tuple(response[span.start : span.end] for span in claim.spans) or claim.quotes
    return ClaimLine(claim.text, () if words == (claim.text,) else words)


def _claim_tokens(line: ClaimLine) -> int:
    """Of the claim in the question and in the answer."""
    return data_tokens(line.text) + sum(map(data_tokens, line.words)) + _ANSWER_TOKENS


def _groups(indices: Sequence[int], costs: Sequence[int], size: int, room: int) -> list[tuple[int, ...]]:
    """Claims in groups of at most `size`, smaller where they are long: a third of the room is for them."""
    groups: list[list[int]] = []
    tokens = 0
    for index in indices:
        if not groups or len(groups[-1]) == size or tokens + costs[index] > room // 3:
            groups.append([])
            tokens = 0
        groups[-1].append(index)
        tokens += costs[index]
    return [tuple(group) for group in groups]


def _smaller(call: _Call) -> list[_Call]:
    """What to ask instead of a call whose answer was cut: halves, or one claim with more room; [] at the end."""
    if len(call.pending) > 1:
        middle = len(call.pending) // 2
        halves = (call.pending[:middle], call.pending[middle:])
        return [_Call(call.context, half, call.attempt, call.growth) for half in halves]
    if call.growth < _MAX_GROWTH:
        return [_Call(call.context, call.pending, call.attempt, 2 * call.growth)]
    return []
