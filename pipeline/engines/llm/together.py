"""Several calls at once, and what happens when some of them fail."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from schemas.errors import RecordError

Result = TypeVar("Result")


async def run_together(coroutines: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """All results in order; raised after all have ended: the first exception that is no RecordError, else the first.

    None is cancelled for another's failure: its answer is paid for and kept, and other records may wait for it.
    """
    ended = await asyncio.gather(*coroutines, return_exceptions=True)
    failures = [one for one in ended if isinstance(one, BaseException)]
    if failures:
        raise next((one for one in failures if not isinstance(one, RecordError)), failures[0])
    return [one for one in ended if not isinstance(one, BaseException)]
