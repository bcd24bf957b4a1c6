"""What came over the wire -> a ChatReply, or the failure that it is and what to do about it. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

import orjson

from pipeline.llm.chat import CONTENT_FILTER, LENGTH, OK, REFUSAL, ChatReply, Usage

RETRIED: Final = frozenset({408, 409, 425, 429})  # and every 5xx
MAX_REASON_CHARS: Final = 300


@dataclass(frozen=True)
class Failure:
    """A call without an answer. again: whether the same request may succeed later.   fatal: no other request of the
    run will succeed either.   retry_after_s: what the server asked for.   code: the server's name for it."""

    reason: str
    again: bool
    fatal: bool = False
    retry_after_s: float | None = None
    code: str = ""


def read_completion(body: bytes) -> ChatReply | Failure:
    """The reply in the body of a 200."""
    try:
        value = orjson.loads(body)
        choice = value["choices"][0]
        message = choice["message"]
        usage = _usage(value.get("usage") or {})
        finish, refusal = choice.get("finish_reason"), message.get("refusal")
        # A server that splits off reasoning may put a schema-bound answer there and leave the content empty.
        text = message.get("content") or message.get("reasoning_content") or message.get("reasoning") or ""
        if not isinstance(text, str):
            raise TypeError("content is no text")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as err:
        return Failure(f"the endpoint sent no chat completion ({type(err).__name__})", again=True)
    if refusal:
        return ChatReply(REFUSAL, text, _line(str(refusal)), usage)
    if finish == "length":
        return ChatReply(LENGTH, text, "cut at the limit of tokens", usage)
    if finish == "content_filter":
        return ChatReply(CONTENT_FILTER, text, "withheld by the endpoint's content filter", usage)
    return ChatReply(OK, text, "", usage)


def _usage(value: Mapping[str, Any]) -> Usage:
    details = value.get("prompt_tokens_details") or {}
    return Usage(
        int(value.get("prompt_tokens") or 0),
        int(details.get("cached_tokens") or 0),
        int(value.get("completion_tokens") or 0),
    )


def read_refused(status: int, headers: Mapping[str, str], body: bytes, now: float) -> ChatReply | Failure:
    """What a status other than 200 means.   now: seconds since the epoch, for a Retry-After that names a date."""
    code, message = _error(body)
    reason = _line(f"HTTP {status}: {message}" if message else f"HTTP {status}")
    if status == 400 and "content_filter" in code:
        return ChatReply(CONTENT_FILTER, "", reason)
    if status == 429 and code == "insufficient_quota":
        return Failure(reason, again=False, fatal=True, code=code)
    if status in RETRIED or status >= 500:
        return Failure(reason, again=True, retry_after_s=retry_after(headers.get("retry-after"), now), code=code)
    return Failure(reason, again=False, fatal=status in (401, 402, 403, 404), code=code)


def _error(body: bytes) -> tuple[str, str]:
    """(code, message) of an error body in any of the forms that servers send."""
    try:
        error = orjson.loads(body)
        error = error.get("error", error)
        if isinstance(error, str):
            return "", error
        message = error.get("message") or error.get("detail") or ""
        return str(error.get("code") or ""), str(message)
    except (ValueError, AttributeError):
        return "", body[:MAX_REASON_CHARS].decode(errors="replace")


def _line(text: str) -> str:
    return " ".join(text.split())[:MAX_REASON_CHARS]


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
