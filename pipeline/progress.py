"""How many records this run has finished, counted across worker processes for the progress line.

Only a display: nothing that is written depends on it.
"""

from __future__ import annotations

from typing import Any

_counter: Any = None


def count_into(counter: Any) -> None:
    """Called once in every process of a run with one shared `multiprocessing.Value`."""
    global _counter
    _counter = counter


def counter() -> Any:
    """The shared counter of this run, or None."""
    return _counter


def advance(records: int) -> None:
    """Count finished records. Does nothing where no counter was given (on a remote worker, say)."""
    if _counter is not None:
        with _counter.get_lock():
            _counter.value += records
