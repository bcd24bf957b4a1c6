"""How much may be sent at a time: requests in flight, requests per minute, tokens per minute.

A pace is a schedule: every sending gets the next free moment, so a run never bursts and a sending of any size fits.
(Leaky buckets of the usual libraries let a whole minute's allowance through at once, and refuse a sending larger
than the bucket.)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


class Pace:
    """Lets `per_minute` units pass per minute, evenly. per_minute <= 0: no limit."""

    def __init__(self, per_minute: float):
        self.per_second = per_minute / 60.0
        self._free_at = 0.0

    def delay_s(self, units: float, now: float) -> float:
        """Book `units` on the schedule and return the seconds until they may pass.   now: monotonic seconds."""
        if self.per_second <= 0:
            return 0.0
        start = max(now, self._free_at)
        self._free_at = start + units / self.per_second
        return start - now

    def correct(self, units: float) -> None:
        """Book what a sending took beyond (or, negative, short of) what was booked for it."""
        if self.per_second > 0:
            self._free_at += units / self.per_second

    async def wait(self, units: float, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Return when `units` may pass.   sleep: may wake earlier."""
        delay = self.delay_s(units, time.monotonic())
        if delay > 0:
            await sleep(delay)


def share(limit: int, processes: int) -> int:
    """One process's part of a limit on requests in flight: the parts never add up to more, unless each would be 0."""
    return max(1, limit // max(1, processes))
