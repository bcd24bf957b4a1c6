"""The user messages: blocks of data, nothing else. The same code writes the examples of the system messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipeline.engines.llm.sealed_data import Seal
from pipeline.engines.llm.windows import ContextPiece, chars_within, token_bound
from schemas.records import Message, Sample

QUESTION_TOKENS: Final = 700  # of the prompt; it often repeats the whole context, and only explains
_OMITTED: Final = " [...] "


@dataclass(frozen=True, slots=True)
class ClaimLine:
    """A claim as the verifier is shown it. words: the response's own, () when `text` is these words."""

    text: str
    words: tuple[str, ...] = ()


def extract_message(seal: Seal, question: str, before: str, sentences: Sequence[tuple[int, str]]) -> str:
    """The user message that asks for the claims of numbered sentences."""
    blocks = [seal.block("question", [{"text": question}])] if question else []
    blocks += [seal.block("before", [{"text": before}])] if before else []
    lines: list[dict[str, Any]] = [{"sentence": number, "text": text} for number, text in sentences]
    blocks.append(seal.block("sentences", lines, question, before))
    return "\n".join(blocks)


def verify_message(
    seal: Seal, context: Sequence[ContextPiece], background: tuple[str, str], claims: Sequence[ClaimLine]
) -> tuple[str, list[str]]:
    """The user message that asks for verdicts, and the claims' ids in it.

    background: (question, response), both "" when the claims can be understood without. The context comes first: up
    to the claims, calls about one context are equal.
    """
    blocks = [seal.block("context", [{"passage": piece.number, "text": piece.text} for piece in context])]
    blocks += [
        seal.block(name, [{"text": text}])
        for name, text in zip(("question", "response"), background, strict=True)
        if text
    ]
    beside = (*blocks, *(part for claim in claims for part in (claim.text, *claim.words)))
    ids = seal.ids(len(claims), *beside)
    lines = [
        {"id": claim_id, "claim": claim.text} | ({"words": list(claim.words)} if claim.words else {})
        for claim_id, claim in zip(ids, claims, strict=True)
    ]
    return "\n".join([*blocks, seal.block("claims", lines, *beside)]), ids


def question_of(sample: Sample) -> str:
    """The prompt, or its beginning and end: what the response answers stands at one of the two."""
    prompt = sample.prompt
    text = prompt if isinstance(prompt, str) else _last_words(prompt)
    if token_bound(text) <= QUESTION_TOKENS:
        return text
    half = QUESTION_TOKENS // 2
    return text[: chars_within(text, half)] + _OMITTED + text[-chars_within(text[::-1], half) :]


def _last_words(messages: Sequence[Message]) -> str:
    """What the last user of a chat said."""
    return next((message.content for message in reversed(messages) if message.role == "user"), "")
