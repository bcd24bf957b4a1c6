"""Lines of OpenAI Batch files: a question as a line, and a line of an output or error file as what it answers."""

from __future__ import annotations

import base64
import time
from typing import Final, NamedTuple

import orjson

from pipeline.llm.chat import ChatReply, ChatRequest
from pipeline.llm.client import completion_body
from pipeline.llm.endpoint import Endpoint
from pipeline.llm.replies import Failure, read_completion, read_refused

CHAT_PATH: Final = "/v1/chat/completions"


class Answered(NamedTuple):
    """A line of a result file. key: of the question, see `reply_key`."""

    purpose: str
    key: str
    result: ChatReply | Failure


def question_line(endpoint: Endpoint, request: ChatRequest, key: str) -> bytes:
    """One line of an input file. The custom id carries the purpose and the key, in less than 64 characters."""
    line = {
        "custom_id": f"{request.purpose}.{base64.urlsafe_b64encode(bytes.fromhex(key)).decode()}",
        "method": "POST",
        "url": CHAT_PATH,
        "body": completion_body(endpoint, request),
    }
    return orjson.dumps(line) + b"\n"


def read_question(line: bytes) -> tuple[str, str]:
    """(purpose, key) of a line of an input file."""
    return _read_id(orjson.loads(line)["custom_id"])


def _read_id(custom_id: str) -> tuple[str, str]:
    purpose, _, name = custom_id.partition(".")
    return purpose, base64.urlsafe_b64decode(name).hex()


def read_line(line: bytes) -> Answered | None:
    """What a line of an output or error file answers; None for a line that is none of ours."""
    try:
        value = orjson.loads(line)
        purpose, key = _read_id(value["custom_id"])
        response, error = value.get("response"), value.get("error")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if not isinstance(response, dict):
        code = error.get("code") if isinstance(error, dict) else None
        return Answered(purpose, key, Failure(str(code or "no response"), again=True))
    status, body = response.get("status_code"), orjson.dumps(response.get("body"))
    status = status if isinstance(status, int) else 500
    result = read_completion(body) if status == 200 else read_refused(status, {}, body, time.time())
    return Answered(purpose, key, result)
