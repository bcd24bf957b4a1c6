"""One question to a chat model and its answer: all that the engines know of an endpoint.

An engine is a coroutine over an `Ask`. Whether the answer comes from the network, a cache, a batch file or a
counting dry run is not its business, and it parses the text itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

# ChatReply.status
OK: Final = "ok"  # the model finished its answer; whether it parses is the engine's affair
REFUSAL: Final = "refusal"  # the model declined
LENGTH: Final = "length"  # cut at the token limit: ask for less or allow more, do not repeat
CONTENT_FILTER: Final = "content_filter"  # the endpoint withheld the answer
API_ERROR: Final = "api_error"  # no answer after all retries; `reason` says why


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What is asked. Two equal requests have one answer: they share a cache entry.

    purpose: `extract` or `verify`; usage is counted by it.   system, user: the two messages.
    schema: JSON schema that the answer should follow; a hint, since servers may ignore it.   schema_name: its name.
    max_tokens: of the answer.   prompt_version: of the prompts' wording; part of the cache key.
    attempt: 0, or how often the same thing was asked anew after an answer that could not be used.
    """

    purpose: str
    system: str
    user: str
    schema: Mapping[str, Any]
    schema_name: str
    max_tokens: int
    prompt_version: str
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer as the endpoint counted them; zeros when it did not say.

    thinking_tokens: of the completion's, what the model thought before it answered; where the thinking was sent and
    not counted, a quarter of its characters.
    """

    prompt_tokens: int = 0
    cached_prompt_tokens: int = 0
    completion_tokens: int = 0
    thinking_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What came back. text: the raw answer, also of an answer that was cut.   reason: why it is not `ok`, one line.
    from_cache: nothing was sent for it."""

    status: str
    text: str = ""
    reason: str = ""
    usage: Usage = field(default_factory=Usage)
    from_cache: bool = False


# Answers one request. Never raises for a failure of that one request (that is a ChatReply);
# raises BudgetSpent (a BaltoError) when the run may send no more, and BaltoError when the endpoint is gone for good.
Ask = Callable[[ChatRequest], Awaitable[ChatReply]]
