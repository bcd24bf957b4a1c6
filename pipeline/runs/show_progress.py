"""The progress line of a run: a bar on a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.runs import progress

SHOW_AFTER_S = 1.0  # what is done by then needs no bar
DRAW_EVERY_S: Final = 0.5
LOG_EVERY_S = 30.0
_SAID: Final = {progress.EXTRACTED: "claims extracted", progress.VERIFIED: "verified"}
log = logging.getLogger(__name__)


@contextlib.contextmanager
def show_progress(
    what: str, total: int | None, slow: Sequence[str] = (), spent: Callable[[], str] | None = None
) -> Iterator[None]:
    """Show how many records are done while the block runs.

    total: records; None where nobody knows.   slow: stages that take the time, by their names in `progress.py`:
    a record is then done by as much as it has been through these, not when its shard is written.
    spent: what a language model was asked so far, for the end of the line.
    """
    progress.begin()
    stop = threading.Event()
    show = _draw if sys.stderr.isatty() else _log
    thread = threading.Thread(target=show, args=(what, total, slow, spent or str, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _seen(slow: Sequence[str]) -> tuple[int, str]:
    """Records that count as done, and how far the others are."""
    counts = progress.counts()
    stages = ", ".join(f"{counts[stage]:,} {_SAID[stage]}" for stage in slow)
    return (sum(counts[stage] for stage in slow) // len(slow) if slow else counts[progress.FINISHED]), stages


def _draw(what: str, total: int | None, slow: Sequence[str], spent: Callable[[], str], stop: threading.Event) -> None:
    if stop.wait(SHOW_AFTER_S):
        return
    counted = () if total is None else (MofNCompleteColumn(), TimeRemainingColumn())
    columns = (TextColumn("{task.description}"), BarColumn(), *counted, TextColumn("{task.fields[more]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total, more="")
        while not stop.wait(DRAW_EVERY_S):
            done, stages = _seen(slow)
            alone = f"{done:,}" if total is None and done else ""
            more = " | ".join(filter(None, (alone, stages, spent())))
            bar.update(task, completed=done, more=more)


def _log(what: str, total: int | None, slow: Sequence[str], spent: Callable[[], str], stop: threading.Event) -> None:
    started = time.monotonic()
    while not stop.wait(LOG_EVERY_S):
        (done, stages), seconds = _seen(slow), time.monotonic() - started
        of_all = f"{done:,}{f' of {total:,}' if total else ''} records, {done / seconds:,.1f} records/s"
        left = f"{seconds * (total - done) / done / 60:,.0f} min left" if total and done else ""
        log.info("%s", " | ".join(filter(None, (what, of_all, stages, spent(), left))))
