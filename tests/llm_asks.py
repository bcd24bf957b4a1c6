"""Answerers for the engine `llm` without a network: coroutines over requests, which is all that an engine ever sees."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from pipeline.llm.chat import OK, ChatReply, ChatRequest
from tests.llm_server.claim_answers import answer_by_rule, read_blocks

KEY = b"a key for tests, of 32 bytes ..."
Result = TypeVar("Result")


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(coroutine)


def body_of(request: ChatRequest) -> dict[str, Any]:
    messages = [{"role": "system", "content": request.system}, {"role": "user", "content": request.user}]
    return {"messages": messages, "max_tokens": request.max_tokens}


class Answering:
    """An `Ask` that answers by rule; `change` may turn the answer into something else. requests: all that came."""

    def __init__(self, change: Callable[[ChatRequest, dict[str, Any]], Any] = lambda _, answer: answer):
        self.change = change
        self.requests: list[ChatRequest] = []

    def __call__(self, request: ChatRequest) -> Awaitable[ChatReply]:
        return self._answer(request)

    async def _answer(self, request: ChatRequest) -> ChatReply:
        self.requests.append(request)
        await asyncio.sleep(0)
        changed = self.change(request, json.loads(answer_by_rule(body_of(request))))
        if isinstance(changed, ChatReply):
            return changed
        return ChatReply(OK, changed if isinstance(changed, str) else json.dumps(changed))

    def blocks(self, index: int = -1) -> dict[str, list[dict[str, Any]]]:
        """The data of one of the requests."""
        return read_blocks(self.requests[index].user)

    def of(self, purpose: str) -> list[ChatRequest]:
        return [request for request in self.requests if request.purpose == purpose]
