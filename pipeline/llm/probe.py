"""Before a corpus is touched: one tiny question that shows whether the endpoint will answer, and in which form.

Out comes the endpoint with what was learnt: the form of answers that it honours (json_schema, else json_object, else
text), the name of its token limit, whether it takes a temperature. What cannot work is a ConfigError of one line.
"""

from __future__ import annotations

import asyncio
import dataclasses
import difflib
import json
import logging
from typing import Any, Final

import openai
import orjson

from pipeline.llm.chat import LENGTH, ChatReply, ChatRequest
from pipeline.llm.client import ChatClient, completion_body, explain
from pipeline.llm.endpoint import ANSWER_FORMS, TEXT, Endpoint
from pipeline.llm.replies import Failure
from schemas.errors import ConfigError

PROBE_TOKENS: Final = 2_000  # a model that reasons first needs room for it; others stop after ten
ATTEMPTS: Final = 3
NEAR_MODELS: Final = 5
_SCHEMA: Final = {
    "type": "object",
    "properties": {"colour": {"type": "string"}, "letters": {"type": "integer"}},
    "required": ["colour", "letters"],
    "additionalProperties": False,
}
_QUESTION: Final = ChatRequest(
    "probe", "You answer in JSON.", "Name a colour and count its letters.", _SCHEMA, "colour", PROBE_TOKENS, ""
)
log = logging.getLogger(__name__)


def probe(endpoint: Endpoint) -> Endpoint:
    """The endpoint with what it honours filled in. Raises ConfigError, in one line, when it cannot be used."""
    return asyncio.run(_probe(endpoint))


async def _probe(endpoint: Endpoint) -> Endpoint:
    forms = (endpoint.answer_form,) if endpoint.answer_form else ANSWER_FORMS
    for form in forms:
        tried = dataclasses.replace(endpoint, answer_form=form)
        tried, result = await _ask_adapting(tried)
        endpoint = dataclasses.replace(tried, answer_form=endpoint.answer_form)
        if isinstance(result, ChatReply):
            if _follows(result.text, anywhere=form == TEXT):
                if form != forms[0]:
                    log.warning("%s does not honour %s: asking for JSON by %s", endpoint.base_url, forms[0], form)
                return tried
            if result.status == LENGTH:
                log.info("%s: the probe's answer by %s was cut at %d tokens", endpoint.base_url, form, PROBE_TOKENS)
        elif form == forms[-1] or not result.reason.startswith(("HTTP 400", "HTTP 422")):
            raise ConfigError(explain(endpoint, result))
    raise ConfigError(
        f"{endpoint.model} at {endpoint.base_url} gives no JSON, by {', '.join(forms)}; "
        "choose a model that follows a schema (--model), or another --answer-form"
    )


async def _ask_adapting(endpoint: Endpoint) -> tuple[Endpoint, ChatReply | Failure]:
    """Ask the probe's question, dropping parameters that the server says it does not take."""
    async with _opened(endpoint) as client:
        failures = 0
        while True:
            client.endpoint = endpoint
            result = await client.send(orjson.dumps(completion_body(endpoint, _QUESTION)))
            if isinstance(result, ChatReply):
                return endpoint, result
            if result.reason.startswith("HTTP 404"):
                raise ConfigError(await _unknown(client, endpoint, result))
            adapted = _adapted(endpoint, result)
            if adapted is not None:
                endpoint = adapted
                continue
            failures += 1
            if not result.again or failures == ATTEMPTS:
                if result.code == "connection":
                    raise ConfigError(
                        f"--base-url {endpoint.base_url}: cannot be reached ({result.reason}); is the server running?"
                    )
                return endpoint, result
            await asyncio.sleep(min(client.wait_s(failures, result), 10.0))


class _opened:  # noqa: N801  # a context manager, used like a function
    def __init__(self, endpoint: Endpoint):
        self.client = ChatClient(endpoint, 1)

    async def __aenter__(self) -> ChatClient:
        return self.client

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()


def _adapted(endpoint: Endpoint, failure: Failure) -> Endpoint | None:
    """The endpoint asked as its 400 says it wants to be, or None when the 400 is about something else."""
    reason = failure.reason
    if not reason.startswith(("HTTP 400", "HTTP 422")):
        return None
    if endpoint.token_field == "max_tokens" and "max_completion_tokens" in reason:  # noqa: S105
        return dataclasses.replace(endpoint, token_field="max_completion_tokens")  # noqa: S106
    if endpoint.temperature is not None and "temperature" in reason:
        return dataclasses.replace(endpoint, temperature=None)
    return None


def _follows(text: str, anywhere: bool) -> bool:
    """Whether an answer is the JSON that was asked for.   anywhere: it may stand amid other text."""
    found: Any = None
    start = text.find("{") if anywhere else 0
    try:
        found = json.JSONDecoder().raw_decode(text, start)[0] if anywhere else json.loads(text)
    except ValueError:
        return False
    return isinstance(found, dict) and set(_SCHEMA["required"]) <= set(found)


async def _unknown(client: ChatClient, endpoint: Endpoint, failure: Failure) -> str:
    """One line for a 404: the models that are there, if the address is right at all."""
    try:
        known = [model.id async for model in await client.openai.models.list()]
    except (openai.OpenAIError, ValueError, TypeError, AttributeError):
        return f"--base-url {endpoint.base_url}: no chat completions there ({failure.reason}); it usually ends in /v1"
    near = difflib.get_close_matches(endpoint.model, known, NEAR_MODELS, cutoff=0.3) or sorted(known)[:NEAR_MODELS]
    listed = f"it has {', '.join(near)}" if near else "it lists none"
    return f"--model {endpoint.model}: not known at {endpoint.base_url}; {listed}"
