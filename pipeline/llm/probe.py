"""Before a corpus is touched: one tiny question that shows whether the endpoint will answer, and in which form.

Out comes the endpoint with what was learnt: the form of answers that it honours (json_schema, else json_object, else
text), the name of its token limit, whether it takes a temperature and a system message, whether the model thinks before
it answers. What cannot work is a ConfigError of one line.
"""

from __future__ import annotations

import asyncio
import dataclasses
import difflib
import json
import logging
from typing import Final

import openai
import orjson

from pipeline.llm.chat import LENGTH, ChatReply, ChatRequest
from pipeline.llm.client import ChatClient, completion_body, explain
from pipeline.llm.endpoint import ANSWER_FORMS, TEXT, Endpoint
from pipeline.llm.find_json import find_json
from pipeline.llm.replies import Failure
from schemas.errors import ConfigError

PROBE_TOKENS: Final = 4_000  # a model that thinks first needs room for it; others stop after ten
THINKING_TOKENS: Final = 8_192  # room for the thinking of a model that was seen to think
ATTEMPTS: Final = 3
ENDS: Final = frozenset({401, 402, 403, 429})  # another form of the question would meet the same
NEAR_MODELS: Final = 5
_SCHEMA: Final = {
    "type": "object",
    "properties": {"colour": {"type": "string"}, "letters": {"type": "integer"}},
    "required": ["colour", "letters"],
    "additionalProperties": False,
}
# No corpus is in it: an endpoint that does not answer this one answers none.
QUESTION: Final = ChatRequest(
    "probe", "You answer in JSON.", "Name a colour and count its letters.", _SCHEMA, "colour", PROBE_TOKENS, ""
)
log = logging.getLogger(__name__)


async def probe(endpoint: Endpoint) -> Endpoint:
    """The endpoint with what it honours filled in. Raises ConfigError, in one line, when it cannot be used."""
    forms = (endpoint.answer_form,) if endpoint.answer_form else ANSWER_FORMS
    is_cut = False
    for form in forms:
        tried, result = await _ask_adapting(dataclasses.replace(endpoint, answer_form=form))
        endpoint = dataclasses.replace(tried, answer_form=endpoint.answer_form)
        if isinstance(result, Failure):
            if form == forms[-1] or result.status in ENDS or result.code == "connection":
                raise ConfigError(explain(endpoint, result))
            continue  # some servers answer a form that they do not know with a 404 or a 500
        if _follows(result.text, anywhere=form == TEXT):
            if form != forms[0]:
                log.warning("%s does not honour %s: asking for JSON by %s", endpoint.base_url, forms[0], form)
            return _with_room_to_think(tried, result)
        is_cut = result.status == LENGTH
    raise ConfigError(
        f"{endpoint.model} at {endpoint.base_url} gives no JSON, by {', '.join(forms)}; "
        + (f"its answer was cut at {PROBE_TOKENS} tokens: let it think less (--request-options), or " if is_cut else "")
        + "choose a model that follows a schema (--model), or another --answer-form"
    )


def _with_room_to_think(endpoint: Endpoint, reply: ChatReply) -> Endpoint:
    if endpoint.thinking_tokens is not None:  # the user said how much
        return endpoint
    if not reply.usage.thinking_tokens:
        return dataclasses.replace(endpoint, thinking_tokens=0)
    log.warning(
        "%s thinks before it answers: every answer may be %d tokens longer (--thinking-tokens)",
        *(endpoint.model, THINKING_TOKENS),
    )
    return dataclasses.replace(endpoint, thinking_tokens=THINKING_TOKENS)


async def _ask_adapting(endpoint: Endpoint) -> tuple[Endpoint, ChatReply | Failure]:
    """Ask the probe's question, dropping parameters that the server says it does not take."""
    async with _opened(endpoint) as client:
        failures = 0
        while True:
            client.endpoint = endpoint
            result = await client.send(orjson.dumps(completion_body(endpoint, QUESTION)))
            if isinstance(result, ChatReply):
                return endpoint, result
            if result.status == 404 and (unknown := await _unknown(client, endpoint, result)):
                raise ConfigError(unknown)
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
            log.warning("%s: %s; trying again", endpoint.base_url, result.reason)
            await asyncio.sleep(min(client.wait_s(failures, result), 10.0))


class _opened:  # noqa: N801  # a context manager, used like a function
    def __init__(self, endpoint: Endpoint):
        self.client = ChatClient(endpoint, 1)

    async def __aenter__(self) -> ChatClient:
        return self.client

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()


def _adapted(endpoint: Endpoint, failure: Failure) -> Endpoint | None:
    """The endpoint asked as its refusal says it wants to be, or None when the refusal is about something else.

    A chat template that knows no system message fails with a 400 (vLLM) or a 500 (llama.cpp).
    """
    if failure.status not in (400, 422, 500):
        return None
    reason = failure.reason.lower()
    is_refused = "support" in reason or "unknown" in reason or "unrecognized" in reason
    has_other_name = "max_completion_tokens" in reason or ("max_tokens" in reason and is_refused)
    if endpoint.token_field == "max_tokens" and has_other_name:  # noqa: S105
        return dataclasses.replace(endpoint, token_field="max_completion_tokens")  # noqa: S106
    if endpoint.temperature is not None and "temperature" in reason:
        return dataclasses.replace(endpoint, temperature=None)
    if endpoint.system_role and "role" in reason and ("system" in reason or "alternate" in reason):
        return dataclasses.replace(endpoint, system_role=False)
    return None


def _follows(text: str, anywhere: bool) -> bool:
    """Whether an answer is the JSON that was asked for.   anywhere: it may stand amid other text."""
    try:
        values = find_json(text).values if anywhere else [json.loads(text)]
    except ValueError:
        return False
    return any(isinstance(found, dict) and set(_SCHEMA["required"]) <= set(found) for found in values)


async def _unknown(client: ChatClient, endpoint: Endpoint, failure: Failure) -> str | None:
    """One line for a 404: the models that are there, if the address is right at all. None: the model is there, and
    the 404 is about the question (a router that has nobody who takes its parameters)."""
    try:
        known = [model.id async for model in await client.openai.models.list()]
    except (openai.OpenAIError, ValueError, TypeError, AttributeError):
        return f"--base-url {endpoint.base_url}: no chat completions there ({failure.reason}); it usually ends in /v1"
    if endpoint.model in known:
        return None
    near = difflib.get_close_matches(endpoint.model, known, NEAR_MODELS, cutoff=0.3) or sorted(known)[:NEAR_MODELS]
    listed = f"it has {', '.join(near)}" if near else "it lists none"
    return f"--model {endpoint.model}: not known at {endpoint.base_url}; {listed}"
