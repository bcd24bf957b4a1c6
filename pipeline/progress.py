"""How many records this run has finished, counted across worker processes for the progress line.

Only a display: nothing that is written depends on it.
"""

from __future__ import annotations

import multiprocessing
from typing import Any

_counter: Any = None


def count_into(counter: Any) -> None:
    """Called once in every worker process, with the `counter` of the process that started it."""
    global _counter
    _counter = counter


def counter() -> Any:
    """The `multiprocessing.Value` that this process and its workers count in; made when first asked for."""
    global _counter
    if _counter is None:
        _counter = multiprocessing.get_context("spawn").Value("q", 0)
    return _counter


def advance(records: int) -> None:
    """Count finished records. Does nothing where no counter was given (on a remote worker, say)."""
    if _counter is not None:
        with _counter.get_lock():
            _counter.value += records
