"""The extractor `llm`: numbered sentences out, claims with sentence ids and quotes back; one call per response.

A response that is too long for one call is split at sentences; an answer that was cut at the token limit is asked for
again in halves. When part of a response cannot be had for good, the record is rejected with the reason: "no claims" is
an answer of the model, never the lack of one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pipeline.engines.llm.answers import ExtractedClaim, ExtractedClaims, UnusableAnswerError, read_answer
from pipeline.engines.llm.messages import QUESTION_TOKENS, extract_message, question_of
from pipeline.engines.llm.prompts import ASK_AGAIN, EXTRACT_SCHEMA, EXTRACT_SYSTEM, PROMPT_VERSION
from pipeline.engines.llm.sealed_data import Seal
from pipeline.engines.llm.tally import Tally
from pipeline.engines.llm.together import run_together
from pipeline.engines.llm.windows import PIECE_TOKENS, Unit, fill_windows, token_bound, units_of
from pipeline.llm.chat import LENGTH, OK, Ask, ChatRequest
from pipeline.sentences import split_sentences
from schemas.errors import ConfigError, RecordError, one_line
from schemas.records import Claim, Sample

STAGE: Final = "extract_claims"
INVALID_JSON: Final = "invalid_json"
MAX_REASKS: Final = 2  # of one call whose answer could not be read
_RESPONSE_TOKENS_PER_CALL: Final = 1_200  # longer responses are split: models grow forgetful in long lists
_BEFORE_UNITS: Final = 3  # sentences before a window that are shown to explain its pronouns
# A claim repeats a few words of its sentence twice, as quote and reworded, and a sentence may hold several claims.
_ANSWER_TOKENS_PER_TOKEN: Final = 5
_MIN_ANSWER_TOKENS: Final = 512
_MAX_GROWTH: Final = 4  # times the first token limit that a single sentence's answer may have
_MAX_REASON_CHARS: Final = 200
_ELLIPSIS: Final = re.compile(r"\s*(?:\[\s*)?(?:\.{3,}|\u2026)(?:\s*\])?\s*")


@dataclass(frozen=True, slots=True)
class _Response:
    """A response prepared for being asked about."""

    question: str
    text: str
    units: list[Unit]


class LlmExtractor:
    """Finds claims by asking a chat model; `ask` is handed in with every call.

    model: name at the endpoint, part of `name`.   delimiter_key: see `sealed_data.Seal`.   context_window: of the
    model, in tokens.   tally: counts wrong_sentence_numbers, split_quotes, repeated_claims, unreadable_answers.
    Raises ConfigError when the window cannot hold the prompt and a few sentences.
    """

    prompt_version = PROMPT_VERSION

    def __init__(self, model: str, delimiter_key: bytes, context_window: int, max_reasks: int = MAX_REASKS):
        self.name = f"llm:{model}/1"
        self.max_reasks = max_reasks
        self.tally = Tally()
        self._seal = Seal(delimiter_key)
        self.tokens_per_call = window_tokens(context_window)

    async def extract(self, sample: Sample, ask: Ask) -> tuple[Claim, ...]:
        """The claims in order of appearance, unverified and without spans; () when the model found nothing checkable.

        Raises RecordError when an answer cannot be had.
        """
        text = sample.response or ""
        response = _Response(question_of(sample), text, units_of(text, split_sentences(text)))
        windows = fill_windows(response.units, self.tokens_per_call)
        parts = await run_together(self._extract_window(response, first, last, ask) for first, last in windows)
        found = list(dict.fromkeys(claim for part in parts for claim in part))
        self.tally.add("repeated_claims", sum(map(len, parts)) - len(found))
        return tuple(replace(claim, claim_id=f"c{number}") for number, claim in enumerate(found, start=1))

    async def _extract_window(
        self, response: _Response, first: int, last: int, ask: Ask, growth: int = 1, attempt: int = 0
    ) -> list[Claim]:
        """The claims of units [first, last)."""
        reply = await ask(self.request(response, first, last, growth, attempt))
        if reply.status == LENGTH and last - first > 1:
            middle = (first + last) // 2
            halves = [(first, middle), (middle, last)]
            parts = await run_together(self._extract_window(response, *half, ask, growth, attempt) for half in halves)
            return [claim for part in parts for claim in part]
        if reply.status == LENGTH and growth < _MAX_GROWTH:
            return await self._extract_window(response, first, last, ask, 2 * growth, attempt)
        if reply.status != OK:
            raise RecordError(STAGE, _reason(reply.status, reply.reason))
        try:
            answer = read_answer(reply.text, ExtractedClaims)
        except UnusableAnswerError as err:
            self.tally.add("unreadable_answers")
            if attempt >= self.max_reasks:
                raise RecordError(STAGE, _reason(INVALID_JSON, str(err))) from err
            return await self._extract_window(response, first, last, ask, growth, attempt + 1)
        return [self._claim(response, claim, range(first, last)) for claim in answer.claims]

    def request(self, response: _Response, first: int, last: int, growth: int, attempt: int) -> ChatRequest:
        units, text = response.units, response.text
        sentences = [(n + 1, text[units[n].span.start : units[n].span.end]) for n in range(first, last)]
        before = text[units[max(0, first - _BEFORE_UNITS)].span.start : units[first].span.start].strip()
        return ChatRequest(
            purpose="extract",
            system=EXTRACT_SYSTEM + (ASK_AGAIN if attempt else ""),
            user=extract_message(self._seal, response.question, before, sentences),
            schema=EXTRACT_SCHEMA,
            schema_name="claims",
            max_tokens=growth * answer_tokens(sum(unit.tokens for unit in units[first:last])),
            prompt_version=PROMPT_VERSION,
            attempt=attempt,
        )

    def _claim(self, response: _Response, found: ExtractedClaim, asked: range) -> Claim:
        named = [number - 1 for number in found.sentences if number - 1 in asked]
        self.tally.add("wrong_sentence_numbers", len(found.sentences) - len(named))
        quotes = [piece for quote in found.quotes for piece in self._verbatim(response.text, quote)]
        return Claim(
            claim_id="",
            text=" ".join(found.claim.split()),
            quotes=tuple(quotes),
            sentence_ids=tuple(sorted({response.units[unit].sentence for unit in named})),
            extractor=self.name,
            prompt_version=PROMPT_VERSION,
        )

    def _verbatim(self, text: str, quote: str) -> Sequence[str]:
        """The quote, or its parts where the model left words out in the middle and said so."""
        if quote in text or not _ELLIPSIS.search(quote):
            return [quote] if quote.strip() else []
        self.tally.add("split_quotes")
        return [part for part in _ELLIPSIS.split(quote) if any(char.isalnum() for char in part)]


def window_tokens(context_window: int) -> int:
    """Tokens of a response that one call may hold. Raises ConfigError when that is next to nothing."""
    left = context_window - token_bound(EXTRACT_SYSTEM + ASK_AGAIN) - QUESTION_TOKENS - _BEFORE_UNITS * PIECE_TOKENS
    tokens = min(_RESPONSE_TOKENS_PER_CALL, (left - _MIN_ANSWER_TOKENS) // (1 + _ANSWER_TOKENS_PER_TOKEN))
    if tokens < 100:
        raise ConfigError(
            f"--context-window {context_window}: too small for the extraction prompt; "
            f"it needs {context_window - left + _MIN_ANSWER_TOKENS + 100 * (1 + _ANSWER_TOKENS_PER_TOKEN)} tokens"
        )
    return tokens


def answer_tokens(response_tokens: int) -> int:
    """The token limit of the answer about so many tokens of a response."""
    return _MIN_ANSWER_TOKENS + _ANSWER_TOKENS_PER_TOKEN * response_tokens


def _reason(status: str, reason: str) -> str:
    """One bounded line; what the endpoint said is a stranger's text."""
    line = one_line(reason, _MAX_REASON_CHARS)
    return f"{status}: {line}" if line else status
