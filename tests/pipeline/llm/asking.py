"""Shared by the tests of this folder: requests, transports to a test endpoint, and asking them all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.llm.asker import Asker, open_asker
from pipeline.llm.chat import ChatReply, ChatRequest
from pipeline.llm.endpoint import Endpoint
from pipeline.llm.transport import Transport
from tests.llm_server import Behaviour, LlmServer

SCHEMA = {
    "type": "object",
    "properties": {"said": {"type": "string"}},
    "required": ["said"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class FailsOnRecords(Behaviour):
    """Answers the tiny question that tells whether it is there, and fails on all that have this text in them."""

    text: bytes = b""

    def fault_of(self, body: bytes, repetition: int) -> str:
        return "500" if self.text in body and b"Name a colour" not in body else ""


@dataclass(frozen=True)
class IsThere(Behaviour):
    """Its faults befall everything but the tiny question that tells whether it is there."""

    def fault_of(self, body: bytes, repetition: int) -> str:
        return "" if b"Name a colour" in body else super().fault_of(body, repetition)


def request(number: int | str, **changes: Any) -> ChatRequest:
    values: dict[str, Any] = {
        "purpose": "verify",
        "system": "Repeat it.",
        "user": f"question {number}",
        "schema": SCHEMA,
        "schema_name": "said",
        "max_tokens": 50,
        "prompt_version": "1",
    }
    return ChatRequest(**{**values, **changes})


def repeat(body: Any) -> str:
    """The rule of these tests: the answer repeats the question."""
    return body["messages"][-1]["content"]


def transport(server: LlmServer, timeout_s: float = 20.0, max_attempts: int = 6, **options: Any) -> Transport:
    endpoint = Endpoint(
        server.base_url, "test-model", answer_form="json_schema", timeout_s=timeout_s, max_attempts=max_attempts
    )
    return Transport(endpoint, **options)


async def _ask_all(chosen: Transport, requests: Sequence[ChatRequest]) -> tuple[list[Any], Asker]:
    asker = await open_asker(chosen)
    try:
        replies = await asyncio.gather(*map(asker.ask, requests), return_exceptions=True)
    finally:
        await asker.close()
    return replies, asker


def ask_all(chosen: Transport, requests: Sequence[ChatRequest]) -> tuple[list[Any], Asker]:
    """The replies, or what was raised in their stead; and the asker, closed."""
    return asyncio.run(_ask_all(chosen, requests))


def texts(replies: Sequence[ChatReply]) -> list[str]:
    return [reply.text for reply in replies]
