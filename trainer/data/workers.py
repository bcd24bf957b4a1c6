"""Reader processes: they decode row groups and render prompts while the model computes.

Spawned, not forked (the trainer has threads and perhaps a GPU). They end with their parent, however it ends, and
leave signals to it: on Ctrl-C or SIGTERM the trainer still needs its groups to finish the step.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from typing import Any, Final, TypeVar

from schemas.errors import BaltoError
from schemas.parent import leave_with_parent
from trainer.data.decode import RefusedGroup, decode_row_group
from trainer.data.groups import PromptGroup
from trainer.data.index import Measured, measure_row_group
from trainer.data.label_sets import RowGroup
from trainer.prompts import PromptRenderer

Result = TypeVar("Result")
_LEFT_TO_PARENT: Final = (signal.SIGINT, signal.SIGTERM)
_renderer: PromptRenderer | None = None  # of this reader process


class ReaderPool:
    """Runs the two kinds of reading work, in `workers` processes or, with 0, in this one as it is asked for."""

    def __init__(self, renderer: PromptRenderer, workers: int):
        self.workers = workers
        self._renderer = renderer
        self._executor: ProcessPoolExecutor | None = None
        if workers > 0:
            spawn = multiprocessing.get_context("spawn")
            arguments = (renderer, _threads(workers))
            self._executor = ProcessPoolExecutor(workers, spawn, initializer=_start, initargs=arguments)

    def decode(self, row_group: RowGroup, first_rows: list[int]) -> Future[list[PromptGroup | RefusedGroup]]:
        """`decode_row_group` of the groups that begin at these rows."""
        if self._executor is None:
            return _done(lambda: decode_row_group(row_group, self._renderer, first_rows))
        return self._submit(_decode, row_group, first_rows)

    def measure(self, row_group: RowGroup, position: int) -> Future[Measured]:
        """`measure_row_group`."""
        if self._executor is None:
            return _done(lambda: measure_row_group(row_group, position, self._renderer))
        return self._submit(_measure, row_group, position)

    def _submit(self, work: Callable[..., Result], *arguments: Any) -> Future[Result]:
        assert self._executor is not None
        try:
            with _signals_held():
                return self._executor.submit(work, *arguments)
        except BrokenProcessPool as err:
            raise reader_died() from err

    def close(self) -> None:
        """Drop the work that has not begun and end the processes once they have finished theirs."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Inside, signals wait, in this thread and in readers that it starts, until these ignore them."""
    resource_tracker.ensure_running()  # where it is not, starting a process starts it and lets signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _LEFT_TO_PARENT)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def reader_died() -> BaltoError:
    """One line for a reader process that the system or a person killed."""
    return BaltoError(
        "a process that reads the label set died (out of memory, or killed); the same command goes on, "
        "and fewer --workers need less memory"
    )


def _done(work: Callable[[], Result]) -> Future[Result]:
    future: Future[Result] = Future()
    try:
        future.set_result(work())
    except Exception as err:  # handed on by `result()`, as a process would
        future.set_exception(err)
    return future


def _threads(workers: int) -> int:
    """Threads with which one reader encodes prompts: this machine's cores shared by all readers of all ranks."""
    return max((os.cpu_count() or 1) // (workers * int(os.environ.get("LOCAL_WORLD_SIZE", "1"))), 1)


def _start(renderer: PromptRenderer, threads: int) -> None:
    global _renderer
    os.environ["RAYON_NUM_THREADS"] = str(threads)  # read when the tokenizer first encodes a batch
    _renderer = renderer
    for number in _LEFT_TO_PARENT:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _LEFT_TO_PARENT)
    leave_with_parent()


def _decode(row_group: RowGroup, first_rows: list[int]) -> list[PromptGroup | RefusedGroup]:
    assert _renderer is not None
    return decode_row_group(row_group, _renderer, first_rows)


def _measure(row_group: RowGroup, position: int) -> Measured:
    assert _renderer is not None
    return measure_row_group(row_group, position, _renderer)
