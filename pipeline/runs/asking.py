"""What a run needs before it may ask a language model: an endpoint that answers, a cache that opens, a secret for tags.

All of it is found out before the corpus is touched. What the endpoint was found to honour and the secret of the data
tags are kept in the cache, beside the replies: a run whose replies are all there asks nothing at all, and the same text
goes out under the same tags, without which no reply would be found again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from pipeline.llm.cache import NONE, SQLITE, ReplyCache, kept_key, open_cache
from pipeline.llm.chat import OK, ChatReply
from pipeline.llm.endpoint import Endpoint, resolve_key
from pipeline.llm.ledger import NOTED, read_usage, set_stopped, usage_by_purpose
from pipeline.llm.prices import price_of
from pipeline.llm.probe import probe
from pipeline.llm.transport import USAGE_FILE, Transport, beside
from pipeline.llm.window_check import check_window
from schemas.errors import BaltoError, ConfigError
from schemas.manifest import WORK_FOLDER

OFF: Final = "off"
CLOSING_S: Final = 10.0  # of a process whose requests have come back
_LEARNT: Final = ("answer_form", "token_field", "temperature", "system_role", "thinking_tokens")


@dataclass(frozen=True)
class Asking:
    """How this run asks.

    delimiter_key: the secret of `pipeline.engines.llm.sealed_data`; of no use to anybody who cannot read the cache
    anyway; None: every worker takes it from there.   batch_api: questions go out as batches first, and the run finds
    their answers.
    """

    transport: Transport
    delimiter_key: bytes | None = dataclasses.field(repr=False)
    batch_api: bool = False

    def over(self, processes: int, out: Path) -> Asking:
        """The same, divided over so many processes that write into `out`."""
        transport = dataclasses.replace(self.transport, processes=processes, ledger=str(out / WORK_FOLDER / USAGE_FILE))
        return dataclasses.replace(self, transport=transport)

    def on_workers(self, processes: int) -> Asking:
        """The same, divided over so many processes that share no disk: they count for themselves, and hold no secret
        before they have opened the cache."""
        transport = dataclasses.replace(self.transport, processes=processes, ledger="")
        return dataclasses.replace(self, transport=transport, delimiter_key=None)

    def begin(self) -> None:
        """Let the processes of this run ask, whatever ended an earlier one."""
        set_stopped(self.transport.ledger, False)

    def stop(self) -> float:
        """Let no process of the run send anything more; returns the seconds until all that was sent is back."""
        set_stopped(self.transport.ledger, True)
        return self.transport.endpoint.timeout_s + CLOSING_S

    def usage(self, counted: Mapping[str, float] | None = None) -> dict[str, Any]:
        """What was sent and spent so far, for the manifest.   counted: where no ledger counts, `purpose.name` ->
        amount."""
        endpoint = self.transport.endpoint
        found = read_usage(self.transport.ledger) if self.transport.ledger else usage_by_purpose(counted or {})
        noticed = found.get(NOTED, {})
        if noticed.get("canaries"):
            noticed["canary_failure_rate"] = round(noticed.get("canaries_failed", 0) / noticed["canaries"], 4)
        return {"model": endpoint.model, "endpoint": endpoint.base_url, "answer_form": endpoint.answer_form, **found}

    def watch(self) -> Callable[[], str]:
        """Says what was sent since now, how fast, and what the whole run has cost; for the progress line."""
        started, before = time.monotonic(), self.usage().get("all", {})

        def said() -> str:
            try:
                whole = self.usage().get("all", {})
            except (BaltoError, sqlite3.Error):  # a display: who writes the counts says what is wrong with them
                return ""
            new = {name: whole.get(name, 0) - before.get(name, 0) for name in ("requests", "cached", "failed")}
            rate = new["requests"] / max(time.monotonic() - started, 1e-3)
            parts = [f"{new['requests']:,} requests ({rate:,.1f}/s)" if new["requests"] else ""]
            parts += [f"{new[name]:,} {name}" for name in ("cached", "failed") if new[name]]
            parts += [f"${whole['cost_usd']:,.2f}"] if "cost_usd" in whole else []
            return ", ".join(filter(None, parts))

        return said


def prepare_asking(transport: Transport, out: Path, context_window: int, batch_api: bool = False) -> Asking:
    """Open the cache, resolve the key, try the endpoint. Raises ConfigError, in one line, for whatever cannot work.

    transport.cache: empty for a file beside `out`, `off` for none.   context_window: in tokens, of all that is asked.
    """
    cache = {"": beside(out)["cache"], OFF: NONE}.get(transport.cache, transport.cache)
    transport = dataclasses.replace(transport, cache=cache)
    resolve_key(transport.endpoint)
    price = price_of(transport.endpoint.model, transport.prices)
    if transport.max_cost and price is None:
        raise ConfigError(f"--max-cost: no price is known for {transport.endpoint.model}; give one with --prices FILE")
    return dataclasses.replace(asyncio.run(_prepare(transport, context_window)), batch_api=batch_api)


async def _prepare(transport: Transport, context_window: int) -> Asking:
    found = None
    if transport.cache.startswith(SQLITE) and not Path(transport.cache.removeprefix(SQLITE)).exists():
        found = await _tried(transport.endpoint, context_window)  # an endpoint that will not do leaves no file behind
    cache = await open_cache(transport.cache, transport.cache_required, transport.cache_password)
    try:
        endpoint = await _known_endpoint(cache, transport.endpoint, context_window, found)
        key = await kept_key(cache)
    finally:
        await cache.close()
    return Asking(dataclasses.replace(transport, endpoint=endpoint), key)


async def _tried(endpoint: Endpoint, context_window: int) -> Endpoint:
    found = await probe(endpoint)
    await check_window(found, context_window)
    return found


async def _known_endpoint(
    cache: ReplyCache, endpoint: Endpoint, context_window: int, found: Endpoint | None
) -> Endpoint:
    """The endpoint with what it honours: as `found` just now or in an earlier run, else by asking it."""
    given = [getattr(endpoint, field) for field in ("base_url", "model", "options", *_LEARNT)]
    name = f"endpoint {orjson.dumps([*given, context_window]).decode()}"
    kept = await cache.get(name)
    if kept is not None:
        return dataclasses.replace(endpoint, **orjson.loads(kept.text))
    found = found or await _tried(endpoint, context_window)
    learnt = {field: getattr(found, field) for field in _LEARNT}
    await cache.put(name, ChatReply(OK, orjson.dumps(learnt).decode()))
    return found
