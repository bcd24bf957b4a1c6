"""The options of `balto label` about language models: their names and help, and how they become settings.

Only typer is imported here; `--help` must stay quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.llm.transport import Transport

PANEL = "Language model (--extractor llm, --verifier llm)"
OPENAI = "https://api.openai.com/v1"

Model = Annotated[str, typer.Option("--model", help="Model as the endpoint calls it.", rich_help_panel=PANEL)]
BaseUrl = Annotated[
    str,
    typer.Option(
        "--base-url",
        help="OpenAI-compatible endpoint: OpenAI, vLLM, SGLang, llama.cpp, Ollama.",
        rich_help_panel=PANEL,
    ),
]
ApiKeyEnv = Annotated[
    str,
    typer.Option(
        "--api-key-env",
        help="NAME of the environment variable with the key, or gcp-secret:projects/P/secrets/S/versions/N.",
        rich_help_panel=PANEL,
    ),
]
Concurrency = Annotated[
    int, typer.Option("--concurrency", min=1, help="Requests in flight, of the whole run.", rich_help_panel=PANEL)
]
RequestsPerMinute = Annotated[
    float, typer.Option("--requests-per-minute", min=0, help="Limit of the whole run; 0: none.", rich_help_panel=PANEL)
]
TokensPerMinute = Annotated[
    float, typer.Option("--tokens-per-minute", min=0, help="Limit of the whole run; 0: none.", rich_help_panel=PANEL)
]
MaxRequests = Annotated[
    int,
    typer.Option(
        "--max-requests",
        min=0,
        help="Of the run, all its starts together; then it stops, resumable; 0: no limit.",
        rich_help_panel=PANEL,
    ),
]
MaxCost = Annotated[
    float,
    typer.Option(
        "--max-cost", min=0, help="US dollars of the run, all its starts together; 0: no limit.", rich_help_panel=PANEL
    ),
]
Cache = Annotated[
    str,
    typer.Option(
        "--cache",
        help="Where replies are kept: sqlite:PATH, redis://HOST, off; default: a file beside --out.",
        rich_help_panel=PANEL,
    ),
]
CacheRequired = Annotated[
    bool,
    typer.Option("--cache-required", help="Stop when the cache fails; else go on without.", rich_help_panel=PANEL),
]
CachePasswordEnv = Annotated[
    str,
    typer.Option(
        "--cache-password-env",
        help="NAME of the environment variable with the password of Redis, or gcp-secret:…",
        rich_help_panel=PANEL,
    ),
]
RequestTimeout = Annotated[
    float, typer.Option("--request-timeout-s", help="Seconds until a request is given up.", rich_help_panel=PANEL)
]
AnswerForm = Annotated[
    str,
    typer.Option(
        "--answer-form",
        help="json_schema, json_object or text; default: what the endpoint honours.",
        rich_help_panel=PANEL,
    ),
]
RequestOptions = Annotated[
    str,
    typer.Option(
        "--request-options",
        help='JSON object of further fields of every request, such as {"reasoning_effort": "low"}; no secrets.',
        rich_help_panel=PANEL,
    ),
]
ThinkingTokens = Annotated[
    int | None,
    typer.Option(
        "--thinking-tokens",
        min=0,
        help="Room in every answer for what the model thinks first; default: found out.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
BatchApi = Annotated[
    bool,
    typer.Option("--batch-api", help="Ask through the Batch API: cheaper, within a day.", rich_help_panel=PANEL),
]
Prices = Annotated[
    str, typer.Option("--prices", help="File of prices per million tokens; default: ours.", rich_help_panel=PANEL)
]
ClaimsPerCall = Annotated[
    int, typer.Option("--claims-per-call", help="Claims that share a verification call.", rich_help_panel=PANEL)
]
ContextWindow = Annotated[
    int,
    typer.Option(
        "--context-window",
        help="Of the model, in tokens; longer contexts are checked in pieces.",
        rich_help_panel=PANEL,
    ),
]
Canaries = Annotated[
    float,
    typer.Option(
        "--canaries", help="Share of verification calls with a claim whose answer is known.", rich_help_panel=PANEL
    ),
]
Estimate = Annotated[
    bool,
    typer.Option("--estimate", help="Print requests, tokens and cost; ask and write nothing.", rich_help_panel=PANEL),
]


def transport_of(
    *,
    model: str,
    base_url: str,
    api_key_env: str,
    concurrency: int,
    requests_per_minute: float,
    tokens_per_minute: float,
    max_requests: int,
    max_cost: float,
    cache: str,
    cache_required: bool,
    cache_password_env: str,
    request_timeout_s: float,
    answer_form: str,
    request_options: str,
    thinking_tokens: int | None,
    prices: str,
) -> Transport:
    """The options that change no row. Raises ConfigError for what cannot be."""
    from pipeline.llm.endpoint import Endpoint
    from pipeline.llm.transport import Transport

    endpoint = Endpoint(
        base_url=base_url,
        model=model,
        api_key=api_key_env,
        answer_form=answer_form,
        options=request_options,
        thinking_tokens=thinking_tokens,
        timeout_s=request_timeout_s,
    )
    return Transport(
        endpoint=endpoint,
        in_flight=concurrency,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        max_requests=max_requests,
        max_cost=max_cost,
        prices=prices,
        cache=cache,
        cache_required=cache_required,
        cache_password=cache_password_env,
    )
