"""Run independent parts of a job (one per shard) in this process or in several."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from pipeline.runs import progress
from pipeline.runs.logs import configure_logging
from pipeline.runs.orphans import hold_while_alive
from schemas.errors import BaltoError
from schemas.parent import leave_with_parent

Part = TypeVar("Part")


@contextlib.contextmanager
def worker_pool(
    workers: int, modules: Sequence[str] = (), lock: Path | None = None
) -> Iterator[ProcessPoolExecutor | None]:
    """Worker processes for `run_parts`; None for a single one: this process does the work itself.

    They start at once and import `modules`, so that they are ready when the parts are. They end when this process is
    killed.   lock: a file that they hold until then (`pipeline.runs.orphans`).
    Raises BaltoError when a worker dies.
    """
    if workers <= 1:
        yield None
        return
    others = set(multiprocessing.active_children())
    spawn = multiprocessing.get_context("spawn")  # fork and Beam's threads do not go together
    with ProcessPoolExecutor(workers, spawn, _start_worker, (progress.counters(), modules, lock)) as pool:
        for _ in range(workers):
            pool.submit(int)  # a task that finds no idle process starts one
        try:
            yield pool
        except BrokenProcessPool as err:
            raise BaltoError(
                "a worker process died (out of memory, or killed); the same command resumes, "
                "and fewer --workers need less memory"
            ) from err
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            # Nothing is lost: they are idle, or what they were at is done again by the resuming run. Asked to end, one
            # would wait for ever for a lock of the pool's queue that another took with it when it was killed.
            for worker in set(multiprocessing.active_children()) - others:
                worker.kill()


def run_parts(
    parts: Sequence[Part],
    work: Callable[[Part], None],
    pool: ProcessPoolExecutor | None,
    stop: Callable[[], float] | None = None,
) -> None:
    """Call `work` once on every part, in the processes of `pool` or in this one. Raises what `work` raises.

    With a pool, `work` must be picklable.   stop: called when a part has failed, for parts that must not be cut short;
    it lets the others end soon, and says how many seconds they get for it.
    """
    if pool is None or len(parts) <= 1:
        with _noted_interrupt() as noted:
            for part in parts:
                work(part)
                if noted:
                    raise KeyboardInterrupt
        return
    futures = [pool.submit(work, part) for part in parts]
    try:
        for future in as_completed(futures):
            future.result()
    except Exception:
        if stop is not None:
            wait([future for future in futures if not future.cancel()], stop())
        raise


@contextlib.contextmanager
def _noted_interrupt() -> Iterator[list[int]]:
    """Gets the number of a signal that interrupts: a library that swallows the exception does not swallow that."""
    noted: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ours = {number: handler for number, handler in before.items() if callable(handler)}  # not ignored, not the default
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return

    def note(number: int, frame: Any) -> None:
        noted.append(number)
        ours[signal.Signals(number)](number, frame)

    for number in ours:
        signal.signal(number, note)
    try:
        yield noted
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)


def _start_worker(counter: Any, modules: Sequence[str], lock: Path | None) -> None:
    leave_with_parent()
    configure_logging()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C and ends its workers
    progress.count_into(counter)
    if lock is not None:
        hold_while_alive(lock)
    for module in modules:
        importlib.import_module(module)
