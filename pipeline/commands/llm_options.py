"""The options of `balto label` about language models: one table of names, defaults and help, and how they become
settings.

Only typer is imported here; `--help` must stay quick.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pipeline.llm.transport import Transport

PANEL = "Language model (--extractor llm, --verifier llm)"


def _option(name: str, says: str, **more: Any) -> Any:
    return typer.Option(name, help=says, rich_help_panel=PANEL, **more)


@dataclass(frozen=True)
class LlmOptions:
    """What was given. Those that shape the rows have the same names in `LabelConfig`."""

    model: Annotated[str, _option("--model", "Model as the endpoint calls it.")] = ""
    base_url: Annotated[
        str, _option("--base-url", "OpenAI-compatible endpoint: OpenAI, vLLM, SGLang, llama.cpp, Ollama.")
    ] = "https://api.openai.com/v1"
    api_key_env: Annotated[
        str,
        _option(
            "--api-key-env",
            "NAME of the environment variable with the key, or gcp-secret:projects/P/secrets/S/versions/N.",
        ),
    ] = "OPENAI_API_KEY"
    claims_per_call: Annotated[int, _option("--claims-per-call", "Claims that share a verification call.")] = 8
    context_window: Annotated[
        int, _option("--context-window", "Of the model, in tokens; longer contexts are checked in pieces.")
    ] = 32_768
    canaries: Annotated[
        float, _option("--canaries", "Share of verification calls with a claim whose answer is known.")
    ] = 0.02
    concurrency: Annotated[int, _option("--concurrency", "Requests in flight, of the whole run.", min=1)] = 64
    requests_per_minute: Annotated[
        float, _option("--requests-per-minute", "Limit of the whole run; 0: none.", min=0)
    ] = 0
    tokens_per_minute: Annotated[float, _option("--tokens-per-minute", "Limit of the whole run; 0: none.", min=0)] = 0
    max_requests: Annotated[
        int,
        _option(
            "--max-requests",
            "Of the run, all its starts together, without those put off (429); then it stops, resumable; 0: no limit.",
            min=0,
        ),
    ] = 0
    max_cost: Annotated[
        float,
        _option("--max-cost", "US dollars of the run, all its starts and workers together; 0: no limit.", min=0),
    ] = 0
    accept_failures: Annotated[
        bool,
        _option(
            "--accept-failures",
            "Finish though the endpoint answers nothing it is asked: for a corpus that it refuses by its content.",
        ),
    ] = False
    cache: Annotated[
        str,
        _option("--cache", "Where replies are kept: sqlite:PATH, redis://HOST, off; default: a file beside --out."),
    ] = ""
    cache_required: Annotated[bool, _option("--cache-required", "Stop when the cache fails; else go on without.")] = (
        False
    )
    cache_password_env: Annotated[
        str,
        _option("--cache-password-env", "NAME of the environment variable with the password of Redis, or gcp-secret:…"),
    ] = "BALTO_REDIS_PASSWORD"  # noqa: S105  # the name of a variable
    request_timeout_s: Annotated[float, _option("--request-timeout-s", "Seconds until a request is given up.")] = 120
    answer_form: Annotated[
        str, _option("--answer-form", "json_schema, json_object or text; default: what the endpoint honours.")
    ] = ""
    request_options: Annotated[
        str,
        _option(
            "--request-options",
            'JSON object of further fields of every request, such as {"reasoning_effort": "low"}; no secrets.',
        ),
    ] = ""
    thinking_tokens: Annotated[
        int | None,
        _option(
            "--thinking-tokens",
            "Room in every answer for what the model thinks first; default: found out.",
            min=0,
            show_default=False,
        ),
    ] = None
    prices: Annotated[str, _option("--prices", "File of prices per million tokens; default: ours.")] = ""
    batch_api: Annotated[bool, _option("--batch-api", "Ask through the Batch API: cheaper, within a day.")] = False
    estimate: Annotated[bool, _option("--estimate", "Print requests, tokens and cost; ask and write nothing.")] = False

    def transport(self) -> Transport:
        """The options that change no row. Raises ConfigError for what cannot be."""
        from pipeline.llm.endpoint import Endpoint
        from pipeline.llm.transport import Transport

        endpoint = Endpoint(
            base_url=self.base_url,
            model=self.model,
            api_key=self.api_key_env,
            answer_form=self.answer_form,
            options=self.request_options,
            thinking_tokens=self.thinking_tokens,
            timeout_s=self.request_timeout_s,
        )
        return Transport(
            endpoint=endpoint,
            in_flight=self.concurrency,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
            max_requests=self.max_requests,
            max_cost=self.max_cost,
            accept_failures=self.accept_failures,
            prices=self.prices,
            cache=self.cache,
            cache_required=self.cache_required,
            cache_password=self.cache_password_env,
        )
