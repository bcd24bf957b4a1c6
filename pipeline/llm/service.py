"""The event loop on which a process asks: one thread and one `Asker`, shared by all stages of the process."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from pipeline.llm.asker import Asker, open_asker
from pipeline.llm.cache import kept_key
from pipeline.llm.transport import Transport
from schemas.errors import BaltoError

log = logging.getLogger(__name__)
_lock = threading.Lock()
_services: dict[Transport, Service] = {}


class Service:
    """A thread with an event loop and an asker. Get one by `open_service`."""

    def __init__(self, transport: Transport):
        self.transport = transport
        self.users = 0
        self._usage_lock = threading.Lock()
        self._usage_taken: dict[str, float] = {}
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="balto-llm", daemon=True)
        self._thread.start()
        try:
            self.asker: Asker = self.run(open_asker(transport))
        except BaseException:
            self._end()
            raise

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the loop and wait for its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def call_soon(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a function on the loop's thread."""
        self.loop.call_soon_threadsafe(function, *args)

    def cancel(self) -> None:
        """Give up all that is under way."""
        self.call_soon(lambda: [task.cancel() for task in asyncio.all_tasks(self.loop)])

    def make(self, with_key: Callable[[bytes], Any]) -> Any:
        """What `with_key` makes with the secret of this cache."""
        return with_key(self.run(kept_key(self.asker.cache)))

    def take_usage(self) -> dict[str, float]:
        """What was counted since the last call, `purpose.name` -> amount, for counters that live on other threads."""
        with self._usage_lock:
            now: dict[str, float] = self.run(self._written_counts())
            taken, self._usage_taken = self._usage_taken, now
        return {name: value - taken.get(name, 0) for name, value in now.items() if value != taken.get(name, 0)}

    def check_answered(self) -> None:
        """Raises EndpointError when the endpoint has answered nothing."""
        self.run(self._check_answered())

    async def _check_answered(self) -> None:
        self.asker.check_answered()

    async def _written_counts(self) -> dict[str, float]:
        self.asker.ledger.flush()
        return dict(self.asker.ledger.counts)

    def close(self) -> None:
        """Close the asker and end the thread, when what is under way has come back: it is paid for, and kept. A run
        that ended early sends nothing more for it."""
        try:
            self.run(self._close_all())
        finally:
            self._end()

    async def _close_all(self) -> None:
        self.asker.stop(BaltoError("the run has ended"))
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.asker.close()

    def _end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


def open_service(transport: Transport) -> Service:
    """The service of this process for `transport`; the first to ask opens it. Every call needs a `close_service`."""
    with _lock:
        service = _services.get(transport)
        if service is None:
            service = _services[transport] = Service(transport)
        service.users += 1
        return service


def close_service(service: Service) -> None:
    """Give a service back; the last one closes it."""
    with _lock:
        service.users -= 1
        if service.users:
            return
        _services.pop(service.transport, None)
    service.close()
