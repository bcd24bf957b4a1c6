"""The endpoint as a process of its own; prints its base URL when it is ready."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import threading

from tests.llm_server.behaviour import FAULTS, SPELLINGS, THINKING, WINDOW_PLACES, Behaviour
from tests.llm_server.server import LlmServer

DEFAULT_ANSWER = "tests.llm_server.claim_answers:answer_by_rule"
ANSWER_HELP = (
    "what answers: a function of the request's body that returns the answer's text. Default: %(default)s, claims and "
    "verdicts by rule; tests.llm_server.answers:smallest_answer: the least that fits the schema, so no claim at all"
)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.llm_server", description="OpenAI's protocol without a model")
    parser.add_argument("--port", type=int, default=8765, help="0: any free one")
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--slow-ms", type=float, default=1000.0, help="latency of the fault `slow`")
    parser.add_argument("--retry-after-s", type=float, default=1.0, help="what the fault `429` says")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME=SHARE", help=f"of {', '.join(FAULTS)}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", action="append", help="a known model; default: test-model")
    parser.add_argument("--api-key", default="", help="refuse requests without this key")
    parser.add_argument("--formats", default="json_schema,json_object,text", help="response formats that are accepted")
    parser.add_argument("--ignores-format", action="store_true", help="answer in prose with a code fence")
    parser.add_argument("--format-status", type=int, default=400, help="of a refused response format")
    parser.add_argument("--token-field", default="any", help="max_tokens, max_completion_tokens: refuse the other")
    parser.add_argument("--no-temperature", action="store_true", help="refuse a temperature other than 1")
    parser.add_argument("--no-system", action="store_true", help="refuse system messages")
    parser.add_argument("--thinking", default="", choices=THINKING, help="where the model's thinking goes")
    parser.add_argument("--spelling", default="json", choices=SPELLINGS, help="of the answer's JSON")
    parser.add_argument("--window", type=int, default=0, help="tokens that the server says it reads")
    parser.add_argument("--window-place", default="models", choices=WINDOW_PLACES, help="where it says so")
    parser.add_argument("--reads-tokens", type=int, default=0, help="silently drop the beginning of what is longer")
    parser.add_argument("--answer", default=DEFAULT_ANSWER, metavar="MODULE:FUNCTION", help=ANSWER_HELP)
    parser.add_argument("--forget", action="store_true", help="do not keep the requests")
    options = parser.parse_args()
    faults = {name: float(share) for name, share in (one.split("=") for one in options.fault)}
    behaviour = Behaviour(
        latency_s=options.latency_ms / 1000,
        slow_s=options.slow_ms / 1000,
        retry_after_s=options.retry_after_s,
        faults=faults,
        seed=options.seed,
        models=tuple(options.model or Behaviour.models),
        api_key=options.api_key,
        formats=tuple(options.formats.split(",")),
        ignores_format=options.ignores_format,
        format_status=options.format_status,
        token_field=options.token_field,
        takes_temperature=not options.no_temperature,
        takes_system=not options.no_system,
        thinking=options.thinking,
        spelling=options.spelling,
        window=options.window,
        window_place=options.window_place,
        reads_tokens=options.reads_tokens,
    )
    module, _, function = options.answer.partition(":")
    server = LlmServer(behaviour, getattr(importlib.import_module(module), function), keep=not options.forget)
    server.port = options.port
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(server))


async def _run(server: LlmServer) -> None:
    ready = threading.Event()
    serving = asyncio.create_task(server.serve(ready))
    while not ready.is_set() and not serving.done():
        await asyncio.sleep(0.01)
    print(server.base_url, flush=True)  # noqa: T201
    await serving


if __name__ == "__main__":
    main()
