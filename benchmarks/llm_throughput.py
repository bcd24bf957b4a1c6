"""Requests per second through Beam against a test endpoint of fixed latency, beside a plain AsyncOpenAI loop.

    python -m benchmarks.llm_throughput --in-flight 16 64 512 --seconds 20 --rounds 3
    python -m benchmarks.llm_throughput --in-flight 512 --seconds 20 --processes 2

The endpoint runs in a process of its own (`python -m tests.llm_server`). A side runs in fresh processes, `--processes`
of them, which divide requests and places in flight as the workers of `balto label` do and start together; the two sides
take turns, and the figures are medians. The ceiling is in_flight / latency. Ours writes the reply cache and counts
usage, as `balto label` does; the plain loop keeps nothing. `cpu` is the asking process's own processor time.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

MODEL = "test-model"
PASSAGE = "The lighthouse was built of granite in 1856 and its lamp was seen from nineteen miles away. " * 20
ITEM = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("id", "verdict", "quote")},
    "required": ["id", "verdict", "quote"],
    "additionalProperties": False,
}
SCHEMA = {
    "type": "object",
    "properties": {"verdicts": {"type": "array", "items": ITEM}},
    "required": ["verdicts"],
    "additionalProperties": False,
}


@contextlib.contextmanager
def endpoint(latency_ms: float) -> Iterator[str]:
    """The test endpoint as a process; yields its base URL."""
    command = [sys.executable, "-m", "tests.llm_server", "--port", "0", "--latency-ms", str(latency_ms), "--forget"]
    command += ["--answer", "tests.llm_server.answers:smallest_answer"]  # the clock is for asking
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


async def plain(base_url: str, in_flight: int, requests: int) -> tuple[float, float]:
    """Seconds and processor seconds of a loop over `AsyncOpenAI.chat.completions.create`, on aiohttp."""
    import httpx2
    import openai

    limits = httpx2.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    http = openai.DefaultAioHttpClient(limits=limits)
    response_format: Any = {"type": "json_schema", "json_schema": {"name": "v", "schema": SCHEMA, "strict": True}}

    patience = {"max_retries": 0, "timeout": 120.0}  # as ours has; the package's 5 s to connect fail on a busy machine
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none", http_client=http, **patience) as client:

        async def work(numbers: Iterator[int]) -> None:
            for number in numbers:
                completion = await client.chat.completions.create(
                    model=MODEL,
                    messages=[
                        {"role": "system", "content": "Judge the claims."},
                        {"role": "user", "content": f"{number} {PASSAGE}"},
                    ],
                    max_tokens=500,
                    temperature=0,
                    response_format=response_format,
                )
                json.loads(completion.choices[0].message.content or "")

        await asyncio.gather(*(work(iter(range(-1, 0))) for _ in range(in_flight)))
        numbers = iter(range(requests))
        _wait_for_start()
        started, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(work(numbers) for _ in range(in_flight)))
        return time.perf_counter() - started, time.process_time() - cpu


def _wait_for_start() -> None:
    """Tell the parent that this process is warm, and wait until all are."""
    print("warm", flush=True)
    sys.stdin.readline()


class OneQuestion:
    """Asking step of the benchmark: one request per record, its answer parsed."""

    async def ask(self, element: Any, ask: Any) -> int:
        from pipeline.llm.chat import ChatRequest

        user = f"{element.id} {PASSAGE}"
        reply = await ask(ChatRequest("verify", "Judge the claims.", user, SCHEMA, "v", 500, "1"))
        json.loads(reply.text)
        return 1


def ours(base_url: str, in_flight: int, requests: int) -> tuple[float, float]:
    """Seconds and processor seconds that the same requests take through Beam, cached and counted."""
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from pipeline.asking_stages import AskingStage
    from pipeline.llm.endpoint import Endpoint
    from pipeline.llm.service import close_service, open_service
    from pipeline.llm.transport import Transport
    from pipeline.stages import ACCEPTED
    from schemas.records import Sample

    def samples(numbers: range) -> list[Sample]:
        return [Sample(id=f"r{number}", group_id="g", prompt="p", context=(), response="r") for number in numbers]

    def run(numbers: range) -> None:
        with beam.Pipeline(runner="FnApiRunner", options=PipelineOptions([])) as pipeline:
            records = pipeline | beam.Create([numbers]) | beam.FlatMap(samples)
            asked: Any = records | AskingStage("ask", OneQuestion(), transport)
            _ = asked[ACCEPTED] | beam.CombineGlobally(sum)

    with tempfile.TemporaryDirectory() as folder:
        transport = Transport(
            Endpoint(base_url, MODEL, answer_form="json_schema"),
            in_flight,
            cache=f"sqlite:{folder}/cache",
            ledger=f"{folder}/ledger",
        )
        service = open_service(transport)  # kept open: the clock is for asking, as it is in the plain loop
        run(range(-in_flight, 0))
        _wait_for_start()
        started, cpu = time.perf_counter(), time.process_time()
        run(range(requests))
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        assert service.asker.ledger.counts["answered"] == requests + in_flight
        close_service(service)
    return seconds, cpu


def one_side(side: str, base_url: str, in_flight: int, requests: int) -> dict[str, float]:
    """Run one side in this process."""
    sizes = (base_url, in_flight, requests)
    seconds, cpu = ours(*sizes) if side == "ours" else asyncio.run(plain(*sizes))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"per_s": requests / seconds, "cpu_us": cpu / requests * 1e6, "peak_mib": peak / 1024}


def measured(side: str, base_url: str, in_flight: int, requests: int, processes: int) -> dict[str, float]:
    """Run one side in fresh processes that start together; the last one to end sets the rate."""
    words = ["--side", side, "--url", base_url, "--in-flight", str(in_flight // processes)]
    words += ["--requests", str(requests // processes)]
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.llm_throughput", *words]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children: list[Any] = [subprocess.Popen(command, **pipes) for _ in range(processes)]
    for child in children:
        child.stdout.readline()  # warm
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    found = [json.loads(child.communicate()[0].splitlines()[-1]) for child in children]
    return {
        "per_s": processes * min(one["per_s"] for one in found),
        "cpu_us": statistics.mean(one["cpu_us"] for one in found),
        "peak_mib": sum(one["peak_mib"] for one in found),
    }


def compare(in_flight: int, requests: int, rounds: int, latency_ms: float, processes: int) -> dict[str, Any]:
    """Both sides in turn, `rounds` times; medians."""
    with endpoint(latency_ms) as base_url:
        sizes = (base_url, in_flight, requests, processes)
        pairs = [(measured("plain", *sizes), measured("ours", *sizes)) for _ in range(rounds)]
    ceiling = in_flight / (latency_ms / 1000)
    medians = [
        {name: statistics.median(pair[side][name] for pair in pairs) for name in pairs[0][side]} for side in (0, 1)
    ]
    ratio = statistics.median(mine["per_s"] / loop["per_s"] for loop, mine in pairs)
    return {"in_flight": in_flight, "ceiling": ceiling, "plain": medians[0], "ours": medians[1], "ratio": ratio}


def main() -> None:
    """Command line; prints one line per number of requests in flight."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[16, 64, 512])
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="as many requests as the ceiling takes in this time"
    )
    parser.add_argument("--requests", type=int, default=0, help="so many requests instead")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--latency-ms", type=float, default=200.0)
    parser.add_argument("--side", choices=("plain", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(one_side(options.side, options.url, options.in_flight[0], options.requests)))
        return
    for in_flight in options.in_flight:
        requests = options.requests or max(6000, round(options.seconds * in_flight / (options.latency_ms / 1000)))
        one = compare(in_flight, requests, options.rounds, options.latency_ms, options.processes)
        sides = "".join(
            f" | {name} {side['per_s']:.0f}/s ({side['per_s'] / one['ceiling']:.0%}, {side['cpu_us']:.0f} us cpu each)"
            for name, side in (("plain loop", one["plain"]), ("ours", one["ours"]))
        )
        asked = f"{in_flight:>4} in flight, {requests} requests | ceiling {one['ceiling']:.0f}/s"
        print(f"{asked}{sides} | x{one['ratio']:.2f}", flush=True)


if __name__ == "__main__":
    main()
