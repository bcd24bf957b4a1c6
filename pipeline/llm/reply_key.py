"""The identity of a question: equal questions have equal keys, on any machine and in any process."""

from __future__ import annotations

import hashlib

import orjson

from pipeline.llm.chat import ChatRequest
from pipeline.llm.endpoint import Endpoint, request_options

KEY_VERSION = 2  # raise when the meaning of a stored reply changes


def reply_key(endpoint: Endpoint, request: ChatRequest) -> str:
    """sha256 over everything that an answer may depend on, in hex. How answers are parsed is no part of it, nor is
    the address of the server or the form in which it was asked for JSON."""
    parts = (
        KEY_VERSION,
        endpoint.model,
        endpoint.temperature,
        request_options(endpoint.options),
        request.system,
        request.user,
        request.schema_name,
        request.schema,
        request.max_tokens + (endpoint.thinking_tokens or 0),
        request.prompt_version,
        request.attempt,
    )
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()
