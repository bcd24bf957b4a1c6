"""The endpoint itself: HTTP on loopback, in a thread of this process or as a process of its own."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.llm_server.answers import Answer, smallest_answer, spell, spoil
from tests.llm_server.batches import Batches
from tests.llm_server.behaviour import Behaviour

JSON = "application/json"
# Drafts, a bracket that nobody closes and a wrong answer: nothing that a reader of answers should stumble over.
_THOUGHT = 'Let me see. Perhaps {"claims": []}, or {"answers": []}? {"answers": [{"id": No, I shall answer now.'


@dataclass(frozen=True)
class Received:
    """One request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class LlmServer:
    """The endpoint.

        with LlmServer(Behaviour(latency_s=0.2), answer) as server:
            ... server.base_url, server.counts["sent"], server.received ...

    counts: `sent` (chat completions received), `answered` (with status 200), `open` (now being answered), `most_open`,
    one per fault, `batch_lines`.   received: every request, kept unless `keep` is False.
    """

    def __init__(self, behaviour: Behaviour | None = None, answer: Answer = smallest_answer, keep: bool = True):
        self.behaviour = behaviour or Behaviour()
        self.answer = answer
        self.keep = keep
        self.counts: Counter[str] = Counter()
        self.received: list[Received] = []
        self.host, self.port = "127.0.0.1", 0
        self._repetitions: Counter[bytes] = Counter()
        self._batches = Batches(self)
        self._stopped: asyncio.Event | None = None

    @property
    def base_url(self) -> str:
        return f"http://{self.host}:{self.port}/v1"

    def bodies(self) -> list[dict[str, Any]]:
        """The chat completions received, parsed, in order."""
        return [json.loads(one.body) for one in self.received if one.path.endswith("/chat/completions")]

    def __enter__(self) -> LlmServer:
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self.serve(ready)), daemon=True)
        self._thread.start()
        while self._thread.is_alive() and not ready.wait(0.05):
            pass
        if not ready.is_set():
            raise RuntimeError("the test endpoint did not start")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._stopped is not None
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(30)
        self._loop.close()

    async def serve(self, ready: threading.Event | None = None) -> None:
        """Serve until stopped."""
        self._stopped = asyncio.Event()
        handler = web.Server(self._handle, access_log=None, handler_cancellation=True)
        runner = web.ServerRunner(handler, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, self.host, self.port, backlog=4096)
        await site.start()
        assert site._server is not None
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        if ready is not None:
            ready.set()
        try:
            await self._stopped.wait()
        finally:
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        if self.keep:
            self.received.append(Received(request.method, request.path, dict(request.headers), body))
        key = self.behaviour.api_key
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if key and given != key:
            return error(401, f"Incorrect API key provided: {given}", "invalid_api_key")
        if request.path in ("/props", "/api/ps"):
            return self._told_window(request.path)
        path = request.path.removeprefix("/v1")
        if path == "/chat/completions" and request.method == "POST":
            return await self._chat(request, body)
        if path == "/models":
            window, told = self.behaviour.window, self.behaviour.window_place == "models"
            more = {"max_model_len": window} if window and told else {}
            models = [{"id": model, "object": "model", "owned_by": "test", **more} for model in self.behaviour.models]
            return reply({"object": "list", "data": models})
        if path == "/counts":
            return reply(dict(self.counts))
        if path.startswith(("/files", "/batches")):
            return await self._batches.handle(request.method, path, body, request.headers.get("Content-Type", ""))
        return error(404, f"Invalid URL ({request.method} {request.path})", None)

    def _told_window(self, path: str) -> web.StreamResponse:
        """What llama.cpp and Ollama tell beside OpenAI's paths."""
        window, place = self.behaviour.window, self.behaviour.window_place
        if not window or path != {"props": "/props", "ps": "/api/ps"}.get(place):
            return error(404, f"Invalid URL (GET {path})", None)
        if place == "props":
            return reply({"default_generation_settings": {"n_ctx": window}})
        return reply({"models": [{"name": name, "context_length": window} for name in self.behaviour.models]})

    async def _chat(self, request: web.BaseRequest, body: bytes) -> web.StreamResponse:
        self.counts["sent"] += 1
        self.counts["open"] += 1
        self.counts["most_open"] = max(self.counts["most_open"], self.counts["open"])
        try:
            repetition = self._repetitions[body]
            self._repetitions[body] += 1
            fault = self.behaviour.fault_of(body, repetition)
            if fault:
                self.counts[fault] += 1
            return await self._answer_or_fail(request, body, fault)
        finally:
            self.counts["open"] -= 1

    async def _answer_or_fail(self, request: web.BaseRequest, body: bytes, fault: str) -> web.StreamResponse:
        behaviour = self.behaviour
        if fault == "429":
            headers = {} if behaviour.retry_after_s is None else {"Retry-After": f"{behaviour.retry_after_s:g}"}
            return error(429, "Rate limit reached", "rate_limit_exceeded", headers)
        if fault == "500":
            return error(500, "The server had an error while processing your request", None)
        if fault == "reset":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if fault == "hang":
            await asyncio.sleep(3600)
        await asyncio.sleep(behaviour.slow_s if fault == "slow" else behaviour.latency_s)
        if fault == "broken_http":
            return web.Response(body=b'{"choices": [', content_type=JSON)
        status, value = self.completion(json.loads(body), fault)
        self.counts["answered"] += status == 200
        return reply(value, status)

    def completion(self, body: Mapping[str, Any], fault: str = "") -> tuple[int, dict[str, Any]]:
        """HTTP status and body of the answer to a chat completion."""
        refused = self._refused(body)
        if refused is not None:
            return refused
        text, finish, refusal = self.answer(body), "stop", None
        if fault == "refusal":
            text, refusal = "", "I cannot help with that."
        elif fault in ("length", "content_filter"):
            text, finish = text[: len(text) // 2], fault
        elif fault not in ("", "slow"):
            text = spoil(fault, text)
        if self.behaviour.spelling != "json":
            text = spell(self.behaviour.spelling, text)
        if self.behaviour.ignores_format:
            text = f"Here is what you asked for:\n```json\n{text}\n```\nI hope this helps."
        return 200, _completion(body, text, finish, refusal, self.behaviour)

    def _refused(self, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]] | None:
        """The 4xx that this request deserves, if any."""
        behaviour, model = self.behaviour, body.get("model")
        if model not in behaviour.models:
            return 404, _error(f"The model `{model}` does not exist", "model_not_found")
        kind = (body.get("response_format") or {"type": "text"})["type"]
        if kind not in behaviour.formats:
            message = f"'response_format' of type {kind} is not supported"
            return behaviour.format_status, _error(message, "unsupported_parameter")
        if not behaviour.takes_temperature and body.get("temperature", 1) != 1:
            return 400, _error("'temperature' does not support 0 with this model", "unsupported_value")
        if not behaviour.takes_system and any(message["role"] == "system" for message in body["messages"]):
            return 400, _error("System role not supported", None)
        wanted = behaviour.token_field
        if wanted != "any" and any(name in body and name != wanted for name in ("max_tokens", "max_completion_tokens")):
            return 400, _error(f"Unsupported parameter: use '{wanted}' instead", "unsupported_parameter")
        if behaviour.context_tokens and _tokens(_prompt(body)) > behaviour.context_tokens:
            limit = f"This model's maximum context length is {behaviour.context_tokens} tokens"
            return 400, _error(limit, "context_length_exceeded")
        return None


def _prompt(body: Mapping[str, Any]) -> str:
    return "".join(message["content"] for message in body["messages"])


def _tokens(text: str) -> int:
    """A stand-in for a tokenizer: four characters each."""
    return len(text) // 4 + 1


def _completion(
    body: Mapping[str, Any], text: str, finish: str, refusal: str | None, behaviour: Behaviour
) -> dict[str, Any]:
    prompt, answer = _tokens(_prompt(body)), _tokens(text)
    if behaviour.reads_tokens:
        prompt = min(prompt, behaviour.reads_tokens)
    message = {"role": "assistant", "content": None if refusal else text, "refusal": refusal}
    thought: dict[str, Any] = {}
    if behaviour.thinking == "inline" and not refusal:
        message["content"] = f"<think>\n{_THOUGHT}\n</think>\n\n{text}"
    elif behaviour.thinking == "field":
        message["reasoning_content"] = _THOUGHT
    elif behaviour.thinking == "counted":
        thought = {"completion_tokens_details": {"reasoning_tokens": 40}}
    elif behaviour.thinking == "misplaced" and not refusal:
        message |= {"content": None, "reasoning_content": text}
    return {
        "id": "chatcmpl-test",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [
            {"index": index, "message": message, "logprobs": _logprobs(body, text), "finish_reason": finish}
            for index in range(body.get("n") or 1)
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": answer,
            "total_tokens": prompt + answer,
            "prompt_tokens_details": {"cached_tokens": 0},
            **thought,
        },
    }


def _logprobs(body: Mapping[str, Any], text: str) -> dict[str, Any] | None:
    """Log-probabilities of made-up tokens, one per word with the space before it."""
    if not body.get("logprobs"):
        return None
    words = re.findall(r"\s*\S+", text)
    told = [{"token": word, "bytes": list(word.encode()), "logprob": -0.25, "top_logprobs": []} for word in words]
    return {"content": told, "refusal": None}


def reply(value: Any, status: int = 200) -> web.Response:
    """A JSON response."""
    return web.Response(body=json.dumps(value, ensure_ascii=False).encode(), status=status, content_type=JSON)


def error(status: int, message: str, code: str | None, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error in OpenAI's form."""
    data = json.dumps(_error(message, code)).encode()
    return web.Response(body=data, status=status, content_type=JSON, headers=headers)


def _error(message: str, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
