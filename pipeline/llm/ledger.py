"""What a run has sent and spent, over all its processes and all its resumptions: one SQLite file beside the output.

Counts are gathered in memory and added to the file every FLUSH_S seconds. Under a budget, a request is booked in the
file before it is sent, with what it may cost, and what came back is booked off as its cost is written: the budget
holds exactly over all processes, and the number of requests also across kills.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pipeline.llm.chat import ChatRequest, Usage
from pipeline.llm.prices import Price
from schemas.errors import BaltoError

FLUSH_S: Final = 0.05
BUSY_S: Final = 60.0  # how long to wait for other processes that write
BYTES_PER_TOKEN: Final = 3  # of a prompt; few tokens of any tokenizer are shorter
# One row. booked: requests that count for `max_requests`.   open, open_cost: what has not come back, of all processes.
_BUDGET: Final = """CREATE TABLE IF NOT EXISTS budget
    (one INTEGER PRIMARY KEY, booked INTEGER NOT NULL, open INTEGER NOT NULL, open_cost REAL NOT NULL)"""
_SPENT: Final = "(SELECT total(value) FROM totals WHERE name LIKE '%.cost_usd')"
_SENT: Final = "(SELECT total(value) FROM totals WHERE name LIKE '%.requests')"  # before there was a budget
_BOOK: Final = f"""UPDATE budget SET booked = booked + 1, open = open + 1, open_cost = open_cost + :cost
    WHERE (:max_requests = 0 OR booked < :max_requests)
    AND (:max_cost = 0 OR {_SPENT} + open_cost + :cost <= :max_cost)"""  # noqa: S608  # our own words
_BOOK_OFF: Final = """UPDATE budget SET booked = booked - :uncounted, open = max(0, open - :back),
    open_cost = CASE WHEN open > :back THEN max(0, open_cost - :cost) ELSE 0 END"""
NO_CHANCE: Final = 3  # questions; fewer may be hard ones that happen to be a run's first or only ones
_STOPPED: Final = "stopped"  # in the file while no process of the run may send anything more
_ANSWERED: Final = "answered"  # in the file, with a purpose behind it
_ADD: Final = "INSERT INTO totals VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"
NOTED: Final = "noticed"  # what engines count about answers stands under this name
# Counters per purpose, in this order in reports. requests: sent, retries included.   cached: answered without sending.
COUNTERS: Final = (
    "requests",
    "retries",
    "cached",
    "failed",
    "prompt_tokens",
    "cached_prompt_tokens",
    "completion_tokens",
    "cost_usd",
)
log = logging.getLogger(__name__)


class BudgetSpent(BaltoError):  # noqa: N818  # a state that was reached, not a mistake
    """The run has sent or spent all it may. What was answered is kept; the same command with more resumes."""


class Ledger:
    """Counters `purpose.name`, and the budget.   path: of the SQLite file; empty: this process's memory alone.

    max_requests, max_cost (US dollars): of the whole run; 0: no limit.   Raises BaltoError when the file is no ledger.
    """

    def __init__(self, path: str, price: Price | None, max_requests: int = 0, max_cost: float = 0.0):
        self.price = price
        self.max_requests = max_requests
        self.max_cost = max_cost
        self.counts: defaultdict[str, float] = defaultdict(float)  # of this process, since it began
        self._unwritten: defaultdict[str, float] = defaultdict(float)
        # Since the last flush: requests that have come back, and how many less count for `max_requests`.
        self._back: dict[str, float] = {"back": 0, "uncounted": 0, "cost": 0}
        self._came_back = asyncio.Event()
        self._is_stopped = False  # as of the last flush
        self._timer: asyncio.TimerHandle | None = None
        self._file = _open(path)
        self.is_stopped()

    def cost_at_most(self, request: ChatRequest, thinking_tokens: int = 0, batched: bool = False) -> float:
        """US dollars that a request can cost: a long prompt, and an answer up to its limit. 0 without a budget."""
        if not self.max_cost or self.price is None:
            return 0.0
        prompt_tokens = (len(request.system.encode()) + len(request.user.encode())) // BYTES_PER_TOKEN
        return self.price.cost(Usage(prompt_tokens, 0, request.max_tokens + thinking_tokens), batched)

    def take(self, cost: float = 0.0) -> None:
        """Book one request that is about to be sent and may cost so much. Raises BudgetSpent when it has no room, and
        BaltoError when the run has ended in another process."""
        if self._is_stopped:
            raise BaltoError("the run has ended in another process")
        if not (self.max_requests or self.max_cost):
            self._back["uncounted"] -= 1  # counts for a budget that a resumption may have
            return
        if not self._book(cost):
            self.flush()  # with what has come back
            if not self._book(cost):
                raise self._spent(cost)

    def _book(self, cost: float) -> bool:
        limits = {"cost": cost, "max_requests": self.max_requests, "max_cost": self.max_cost}
        return self._file.execute(_BOOK, limits).rowcount > 0

    def _spent(self, cost: float) -> BudgetSpent:
        booked, under_way, open_cost, spent = self._file.execute(
            f"SELECT booked, open, open_cost, {_SPENT} FROM budget"  # noqa: S608  # our own words
        ).fetchone()
        if self.max_requests and booked >= self.max_requests:
            return BudgetSpent(
                f"all {self.max_requests} requests of --max-requests are sent; what was answered is kept, "
                "and the same command with a larger --max-requests resumes"
            )
        asked = f"{under_way} requests under way and the next" if under_way else "the next request"
        return BudgetSpent(
            f"${spent:.4g} of --max-cost {self.max_cost:g} is spent, and {asked} may take up to "
            f"${open_cost + cost:.2g}; what was answered is kept, and the same command with a larger "
            "--max-cost resumes"
        )

    async def may_make_room(self) -> bool:
        """Whether requests are under way, in any process, that may turn out cheaper than feared or not count; after
        one has come back, or a moment."""
        (under_way,) = self._file.execute("SELECT open FROM budget").fetchone()
        if under_way:
            self._came_back.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._came_back.wait(), FLUSH_S)
        return under_way > 0

    def sent(self, purpose: str, again: bool) -> None:
        """Count a request that went out.   again: it repeats one that failed."""
        self._add(purpose, "requests", 1)
        if again:
            self._add(purpose, "retries", 1)

    def returned(self, cost: float = 0.0, counts: bool = True) -> None:
        """A request that `take` booked has come back, answered or not.   counts: for `max_requests`."""
        self._back["uncounted"] += not counts
        if not (self.max_requests or self.max_cost):
            return
        self._back["back"] += 1
        self._back["cost"] += cost
        self._came_back.set()
        self._flush_soon()

    def answered(self, purpose: str, usage: Usage, batched: bool = False) -> None:
        """Count the tokens of an answer and what they cost."""
        self._add(purpose, "prompt_tokens", usage.prompt_tokens)
        self._add(purpose, "cached_prompt_tokens", usage.cached_prompt_tokens)
        self._add(purpose, "completion_tokens", usage.completion_tokens)
        self._note_answer(purpose)
        if self.price is not None:
            self._add(purpose, "cost_usd", self.price.cost(usage, batched))

    def cached(self, purpose: str) -> None:
        """Count a question that was answered without sending anything."""
        self._add(purpose, "cached", 1)
        self._note_answer(purpose)

    def _note_answer(self, purpose: str) -> None:
        self._unwritten[f"{_ANSWERED} {purpose}"] += 1

    def is_in_vain(self, purpose: str) -> bool:
        """Whether NO_CHANCE questions of the run for this purpose failed, and none was ever answered."""
        self.flush()
        failed, answered = f"{purpose}.failed", f"{_ANSWERED} {purpose}"
        found = dict(self._file.execute("SELECT name, value FROM totals WHERE name IN (?, ?)", (failed, answered)))
        return found.get(failed, 0) >= NO_CHANCE and answered not in found

    def failed(self, purpose: str) -> None:
        """Count a question that got no answer after all attempts."""
        self._add(purpose, "failed", 1)

    def note(self, name: str, by: int) -> None:
        """Count something that an engine noticed about the answers."""
        self._add(NOTED, name, by)

    def _add(self, purpose: str, name: str, value: float) -> None:
        if not value:
            return
        self._unwritten[f"{purpose}.{name}"] += value
        self._flush_soon()

    def _flush_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Add what was counted to the file."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        rows, self._unwritten = list(self._unwritten.items()), defaultdict(float)
        back, self._back = self._back, dict.fromkeys(self._back, 0.0)
        for name, value in rows:
            self.counts[name] += value
        self._file.execute("BEGIN IMMEDIATE")
        self._file.executemany(_ADD, rows)
        if any(back.values()):
            self._file.execute(_BOOK_OFF, back)
        self._file.execute("COMMIT")
        self.is_stopped()

    def is_stopped(self) -> bool:
        """Whether the run has ended in another process."""
        self._is_stopped = bool(self._file.execute("SELECT 1 FROM totals WHERE name = ?", (_STOPPED,)).fetchone())
        return self._is_stopped

    def close(self) -> None:
        """Write the rest and close the file."""
        self.flush()
        self._file.close()


def _open(path: str) -> sqlite3.Connection:
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    try:
        file = sqlite3.connect(path or ":memory:", timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("PRAGMA synchronous = NORMAL")
        file.execute("CREATE TABLE IF NOT EXISTS totals (name TEXT PRIMARY KEY, value REAL NOT NULL)")
        file.execute(_BUDGET)
        file.execute(f"INSERT OR IGNORE INTO budget SELECT 1, CAST({_SENT} AS INTEGER), 0, 0")  # our own words
        file.execute("SELECT name, value FROM totals LIMIT 1")
    except sqlite3.Error as err:
        raise BaltoError(f"{path}: cannot be used for the run's usage counts ({err})") from err
    return file


def set_stopped(path: str, is_stopped: bool) -> None:
    """Let the processes of a run send nothing more: each ends when what it has sent is back. Or let those of its next
    start ask, for which nothing is under way: what a killed one had sent does not come back."""
    file = _open(path)
    try:
        file.execute("DELETE FROM totals WHERE name = ?", (_STOPPED,))
        if is_stopped:
            file.execute(_ADD, (_STOPPED, 1))
        else:
            file.execute("UPDATE budget SET open = 0, open_cost = 0")
    finally:
        file.close()


def read_usage(path: str) -> dict[str, Any]:
    """The totals in a ledger file by purpose, and of all: what the manifest's `usage` holds. {}: there is no file.
    What engines noticed about the answers stands under `noticed`.

    `cost_usd` is missing where the model's price was not known.
    """
    if not Path(path).is_file():
        return {}
    file = _open(path)
    try:
        totals: Mapping[str, float] = dict(file.execute("SELECT name, value FROM totals").fetchall())
    finally:
        file.close()
    return usage_by_purpose(totals)


def usage_by_purpose(totals: Mapping[str, float]) -> dict[str, Any]:
    """Totals `purpose.name` -> amount as the manifest's `usage` holds them."""
    purposes = sorted({name.partition(".")[0] for name in totals if "." in name} - {NOTED})
    usage: dict[str, Any] = {}
    for purpose in purposes:
        usage[purpose] = {
            name: _rounded(name, totals[f"{purpose}.{name}"]) for name in COUNTERS if f"{purpose}.{name}" in totals
        }
    names = [name for name in COUNTERS if any(name in one for one in usage.values())]
    if usage:
        usage["all"] = {name: _rounded(name, sum(one.get(name, 0) for one in usage.values())) for name in names}
    noted = {name: int(value) for name, value in sorted(totals.items()) if name.startswith(f"{NOTED}.")}
    if noted:
        usage[NOTED] = {name.partition(".")[2]: value for name, value in noted.items()}
    return usage


def _rounded(name: str, value: float) -> float | int:
    return round(value, 6) if name == "cost_usd" else int(value)
