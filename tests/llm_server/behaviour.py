"""How the endpoint behaves: what it accepts, how fast it is, and how often it fails in which way."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

# Failures of the transport: the same request, sent again, may be answered.
TRANSPORT_FAULTS: Final = ("429", "500", "reset", "hang", "broken_http", "slow")
# Failures of the answer: it arrives, but is withheld, cut or wrong.
ANSWER_FAULTS: Final = (
    "refusal",
    "length",
    "content_filter",
    "invalid_json",
    "missing_ids",
    "invented_ids",
    "reworded_quotes",
    "wrong_sentences",
    "reworded_evidence",
)
# Where a model's thinking goes: into the content, into a field of its own, nowhere but into the count; or the answer
# itself is taken for thinking, and the content stays empty.
THINKING: Final = ("", "inline", "field", "counted", "misplaced")
# How the answer's JSON is spelt: well, like Python, without the object around the list, with line breaks in strings.
SPELLINGS: Final = ("json", "python", "bare_list", "raw_breaks")
# Where the window is told: in the list of models (vLLM), at /props (llama.cpp), at /api/ps (Ollama).
WINDOW_PLACES: Final = ("models", "props", "ps")
FAULTS: Final = (*TRANSPORT_FAULTS, *ANSWER_FAULTS)


@dataclass(frozen=True)
class Behaviour:
    """Everything that can be told to the endpoint.

    latency_s: of every answer.   slow_s: of a `slow` one.   retry_after_s: what a 429 says; None says nothing.
    faults: share of requests per fault, drawn independently; of several the first in FAULTS wins. The draw is made of
    `seed`, the request's body and how often that body came: order and timing change nothing, a repetition draws anew.
    models: the known ones.   api_key: required when not empty.   context_tokens: longer prompts get a 400; 0: any.
    formats: the response formats that are accepted; another one gets a `format_status`.   ignores_format: answers in
    prose with a code fence whatever was asked.   token_field: `max_tokens`, `max_completion_tokens` or `any`; another
    gets a 400.   takes_temperature, takes_system: a temperature other than 1, a system message get a 400 where False.
    thinking, spelling: one of THINKING, SPELLINGS.   window: in tokens, told at `window_place`; 0: nowhere.
    reads_tokens: what is longer is silently cut at its beginning; 0: never.
    batch_s: until a batch is done.   batch_expired: share of a batch's lines that expire unanswered.
    batch_failed: share of a batch's lines that fail with a 500.   batch_renamed: share whose answer bears another id.
    """

    latency_s: float = 0.0
    slow_s: float = 1.0
    retry_after_s: float | None = 1.0
    faults: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    models: tuple[str, ...] = ("test-model",)
    api_key: str = ""
    context_tokens: int = 0
    formats: tuple[str, ...] = ("json_schema", "json_object", "text")
    ignores_format: bool = False
    format_status: int = 400
    token_field: str = "any"
    takes_temperature: bool = True
    takes_system: bool = True
    thinking: str = ""
    spelling: str = "json"
    window: int = 0
    window_place: str = "models"
    reads_tokens: int = 0
    batch_s: float = 0.0
    batch_expired: float = 0.0
    batch_failed: float = 0.0
    batch_renamed: float = 0.0

    def __post_init__(self) -> None:
        unknown = set(self.faults) - set(FAULTS)
        if unknown:
            raise ValueError(f"no such fault: {', '.join(sorted(unknown))}; known: {', '.join(FAULTS)}")
        choices = ((self.thinking, THINKING), (self.spelling, SPELLINGS), (self.window_place, WINDOW_PLACES))
        for value, known in choices:
            if value not in known:
                raise ValueError(f"{value}: must be one of {', '.join(known)}")

    def fault_of(self, body: bytes, repetition: int) -> str:
        """The fault that befalls this request, or an empty string."""
        if not self.faults:
            return ""
        digest = hashlib.blake2b(body, digest_size=16).digest()
        for name in FAULTS:
            share = self.faults.get(name, 0.0)
            if share and draw(self.seed, name, repetition, digest) < share:
                return name
        return ""


def draw(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone."""
    data = "|".join(part.hex() if isinstance(part, bytes) else str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") / 2**64
