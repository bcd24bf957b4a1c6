"""Does the endpoint read as much as `--context-window` says? Asked before a run; watched while it runs.

A server that refuses what is too long fails loudly. One that silently drops the beginning (Ollama reads 4,096 tokens
unless told otherwise) would have every claim about the lost part called unsupported. Servers tell their window in
different places; where none is told, nothing is concluded, and `is_cut` compares what was read with what was sent.
"""

from __future__ import annotations

import logging
from typing import Any, Final

import openai

from pipeline.llm.chat import ChatReply, ChatRequest
from pipeline.llm.client import ChatClient
from pipeline.llm.endpoint import Endpoint
from schemas.errors import ConfigError

# Names of a model's window in the list of models: vLLM and SGLang, OpenRouter, Groq, LM Studio.
_NAMES: Final = ("max_model_len", "context_length", "context_window", "max_context_length")
# Fewer tokens than words were never made of a text; and no text of four words a line has seven characters a token.
_FEWEST_PER_WORD: Final = 0.9
_SUSPICIOUS_CHARS_PER_TOKEN: Final = 6.0
log = logging.getLogger(__name__)


async def check_window(endpoint: Endpoint, context_window: int) -> None:
    """Raise ConfigError when the endpoint says that it reads less than `context_window` and a model's thinking take."""
    thinking = endpoint.thinking_tokens or 0
    found = await told_window(endpoint)
    if found is None or found >= context_window + thinking:
        return
    beside = f", {thinking} of them for thinking" if thinking else ""
    raise ConfigError(
        f"--context-window {context_window}: {endpoint.model} at {endpoint.base_url} reads {found} tokens{beside}; "
        f"start the server with a larger window (Ollama: num_ctx), or set --context-window {max(0, found - thinking)}"
    )


async def told_window(endpoint: Endpoint) -> int | None:
    """The window of the model in tokens as the server tells it, or None."""
    client = ChatClient(endpoint, 1)
    try:
        for ask in (_of_model_list, _of_llama_cpp, _of_ollama):
            found = await ask(client)
            if found is not None:
                log.debug("%s reads %d tokens at a time", endpoint.model, found)
                return found
    finally:
        await client.close()
    return None


async def _of_model_list(client: ChatClient) -> int | None:
    try:
        models = (await client.openai.models.list()).data
    except (openai.OpenAIError, ValueError, TypeError, AttributeError):
        return None
    told = next((model.model_dump() for model in models or () if model.id == client.endpoint.model), {})
    return _number(*(told.get(name) for name in _NAMES))


async def _of_llama_cpp(client: ChatClient) -> int | None:
    told = await client.get_json("/props")
    settings = told.get("default_generation_settings")
    return _number(settings.get("n_ctx")) if isinstance(settings, dict) else None


async def _of_ollama(client: ChatClient) -> int | None:
    """Of the model as it is loaded; the question that was asked before has loaded it."""
    loaded = (await client.get_json("/api/ps")).get("models")
    for model in loaded if isinstance(loaded, list) else ():
        if isinstance(model, dict) and client.endpoint.model in (model.get("name"), model.get("model")):
            return _number(model.get("context_length"))
    return None


def _number(*values: Any) -> int | None:
    return next(
        (value for value in values if isinstance(value, int) and not isinstance(value, bool) and value > 0), None
    )


def is_cut(request: ChatRequest, reply: ChatReply) -> bool:
    """Whether the server read less of the prompt than it was sent, by its own count of tokens."""
    read, sent = reply.usage.prompt_tokens, len(request.system) + len(request.user)
    if not read or sent < _SUSPICIOUS_CHARS_PER_TOKEN * read:
        return False
    words = len(request.system.split()) + len(request.user.split())
    return read < _FEWEST_PER_WORD * words
