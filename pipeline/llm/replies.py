"""What came over the wire -> a ChatReply, or the failure that it is and what to do about it. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

import orjson

from pipeline.llm.chat import CONTENT_FILTER, LENGTH, OK, REFUSAL, ChatReply, Usage
from pipeline.llm.find_json import END_OF_THINKING
from schemas.errors import one_line

FORBIDDEN: Final = 403
TOO_MANY: Final = 429  # requests: this one was turned away unread, and costs nothing
RETRIED: Final = frozenset({408, 409, 425, TOO_MANY})  # and every 5xx
NO_QUOTA: Final = "insufficient_quota"
# What the code, type or metadata of an error hold when it is the content of the question that is refused: OpenAI and
# Azure, LiteLLM, DashScope, OpenAI's models that think, OpenRouter.
_WITHHELD: Final = ("content_filter", "content_policy", "data_inspection_failed", "invalid_prompt", "flagged_input")
MAX_REASON_CHARS: Final = 300


@dataclass(frozen=True)
class Failure:
    """A call without an answer. again: whether the same request may succeed later.   fatal: no other request of the
    run will succeed either.   retry_after_s: what the server asked for.   code: the server's name for it.
    status: of HTTP; 0 when there was none."""

    reason: str
    again: bool
    fatal: bool = False
    retry_after_s: float | None = None
    code: str = ""
    status: int = 0


def read_completion(body: bytes) -> ChatReply | Failure:
    """The reply in the body of a 200."""
    try:
        value = orjson.loads(body)
        choice = value["choices"][0]
        message = choice["message"]
        finish, refusal = choice.get("finish_reason"), message.get("refusal")
        text, thinking = _text_and_thinking(message)
        usage = _usage(value.get("usage") or {}, thinking)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return no_completion(body)
    if refusal:
        return ChatReply(REFUSAL, text, one_line(refusal, MAX_REASON_CHARS), usage)
    if finish == "length":
        return ChatReply(LENGTH, text, "cut at the limit of tokens", usage)
    if finish == "content_filter":
        return ChatReply(CONTENT_FILTER, text, "withheld by the endpoint's content filter", usage)
    return ChatReply(OK, text, "", usage)


def no_completion(body: bytes) -> Failure:
    """What the body of a 200 is that holds no completion."""
    return Failure(one_line(f"no chat completion came, but: {_error(body)[1]}", MAX_REASON_CHARS), again=True)


def _text_and_thinking(message: Mapping[str, Any]) -> tuple[str, str]:
    """(answer, what was thought before it as far as the server sent it). Raises TypeError when one is no text."""
    text = message.get("content") or ""
    thinking = message.get("reasoning_content") or message.get("reasoning") or ""
    if isinstance(text, list):  # in parts, as some servers send it
        text = "".join(part.get("text") or "" for part in text)
    if not isinstance(text, str) or not isinstance(thinking, str):
        raise TypeError("content is no text")
    if not text.strip() and thinking.lstrip().startswith(("{", "```")):
        return thinking, ""  # a server that takes a schema-bound answer for thinking
    if not thinking and (end := END_OF_THINKING.search(text)):
        thinking = text[: end.start()]
    return text, thinking


def _usage(value: Mapping[str, Any], thinking: str) -> Usage:
    prompt, completion = value.get("prompt_tokens_details") or {}, value.get("completion_tokens_details") or {}
    cached = prompt.get("cached_tokens") or value.get("prompt_cache_hit_tokens")  # the second is DeepSeek's
    return Usage(
        int(value.get("prompt_tokens") or 0),
        int(cached or 0),
        int(value.get("completion_tokens") or 0),
        int(completion.get("reasoning_tokens") or len(thinking) // 4),
    )


def read_refused(status: int, headers: Mapping[str, str], body: bytes, now: float) -> ChatReply | Failure:
    """What a status other than 200 means.   now: seconds since the epoch, for a Retry-After that names a date."""
    code, message = _error(body)
    if 300 <= status < 400:
        where = headers.get("location", "").partition("?")[0]  # what follows may hold a key
        message = f"it redirects to {where or 'somewhere else'}"
    reason = one_line(f"HTTP {status}: {message}" if message else f"HTTP {status}", MAX_REASON_CHARS)
    if status in (400, 403) and any(word in code for word in _WITHHELD):
        return ChatReply(CONTENT_FILTER, "", reason)
    if status == 429 and NO_QUOTA in code:
        return Failure(reason, again=False, fatal=True, code=NO_QUOTA, status=status)
    if status in RETRIED or status >= 500:
        wait = retry_after(headers.get("retry-after"), now)
        return Failure(reason, again=True, retry_after_s=wait, code=code, status=status)
    return Failure(reason, again=False, fatal=status in (401, 402, 403, 404), code=code, status=status)


def _error(body: bytes) -> tuple[str, str]:
    """(code and type, message) of an error body in any of the forms that servers send; else ("", how it begins)."""
    try:
        error = orjson.loads(body)
        error = error[0] if isinstance(error, list) else error  # Google's form
        error = error.get("error", error)
        if isinstance(error, str):
            return "", error
        message = error.get("message") or error.get("detail")
        told = [error.get("code"), error.get("type"), *(error.get("metadata") or {})]
        if message or any(told):
            return " ".join(str(one).lower() for one in told if one), str(message or "")
    except (ValueError, AttributeError, IndexError, TypeError):
        pass
    return "", body[:MAX_REASON_CHARS].decode(errors="replace")


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header asks to wait; None when there is none that can be read."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except ValueError:
        return None
