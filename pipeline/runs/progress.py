"""How many records this run has got how far, counted across worker processes for the progress line.

Only a display: nothing that is written depends on it.
"""

from __future__ import annotations

import multiprocessing
from typing import Any, Final

FINISHED: Final = "finished"
EXTRACTED, VERIFIED = "extract_claims", "verify_claims"  # the stages that a model makes slow, by their names
COUNTED: Final = (FINISHED, EXTRACTED, VERIFIED)
_counters: Any = None


def count_into(counters: Any) -> None:
    """Called once in every worker process, with the `counters` of the process that started it."""
    global _counters
    _counters = counters


def counters() -> Any:
    """The `multiprocessing.Array` that this process and its workers count in; made when first asked for."""
    global _counters
    if _counters is None:
        _counters = multiprocessing.get_context("spawn").Array("q", len(COUNTED))
    return _counters


def advance(records: int, stage: str = FINISHED) -> None:
    """Count records that a stage is done with. Does nothing where nobody counts (on a remote worker, say)."""
    if _counters is not None and stage in COUNTED:
        with _counters.get_lock():
            _counters[COUNTED.index(stage)] += records


def counts() -> dict[str, int]:
    """Records so far, by how far they have got. Asks for no lock: a worker that was killed may hold it for ever."""
    return dict(zip(COUNTED, counters().get_obj()[:], strict=True))


def begin() -> None:
    """Count from 0 again."""
    counters().get_obj()[:] = [0] * len(COUNTED)
