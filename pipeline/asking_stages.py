"""A stage whose step asks a language model: many records at a time, on an event loop beside Beam's thread.

Beam calls `process` one record after the other. The record's coroutine is started on the loop, and `process` hands on
whatever has become ready meanwhile; it waits only when enough records are under way to keep every slot busy. What is
left is drained in `finish_bundle`. Each result keeps the window and timestamp of its own record.

Rejections are as in `pipeline.stages`. Counters are incremented on Beam's thread alone: Beam loses all others.
"""

from __future__ import annotations

import asyncio
import logging
import queue
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from pipeline.llm.chat import Ask
from pipeline.llm.ledger import COUNTERS
from pipeline.llm.limits import share
from pipeline.llm.transport import Transport
from pipeline.stages import ACCEPTED, REJECTED, reject, sample_of
from schemas.errors import BaltoError, RecordError

if TYPE_CHECKING:
    from pipeline.llm.service import Service

USAGE: Final = "usage"
RECORDS_PER_SLOT: Final = 2  # under way per request in flight: a record that waits for a slot is there when one is free
log = logging.getLogger(__name__)


class AskingStep(Protocol):
    """What an asking stage does to one record; runs on the event loop, with up to a few hundred others.

    A step may have a `tally` whose `take()` gives counts by name since the last call; they go to Beam's counters and
    to the run's ledger when a bundle is done.
    """

    def setup(self) -> None: ...
    def teardown(self) -> None: ...
    async def ask(self, element: Any, ask: Ask, /) -> Any: ...


class KeyedStep(Protocol):
    """Makes the step on the worker, with the secret that lies in the reply cache and never travels with the job."""

    def __call__(self, delimiter_key: bytes, /) -> AskingStep: ...


class AskingStage(beam.PTransform):
    """Apply an asking step to every record.   In: records.   Out: {accepted: result, rejected: Rejected, usage}.

    step: as it is, or how to make it with the secret of the reply cache.
    usage: what a bundle sent and spent, `purpose.name` -> amount, where no file of the run counts it.
    """

    def __init__(self, name: str, step: AskingStep | KeyedStep, transport: Transport):
        super().__init__()
        self.name = name
        self.step = step
        self.transport = transport

    def expand(self, input_or_inputs: Any) -> Any:
        dofn = _AskingDoFn(self.name, self.step, self.transport)
        return input_or_inputs | beam.ParDo(dofn).with_outputs(REJECTED, USAGE, main=ACCEPTED)


class _Done(NamedTuple):
    """What became of one record: a result, or the exception that its step raised."""

    element: Any
    timestamp: Any
    window: Any
    result: Any
    error: Exception | None


class _AskingDoFn(beam.DoFn):
    def __init__(self, name: str, step: AskingStep | KeyedStep, transport: Transport):
        self.name = name
        self.given = step
        self.transport = transport
        self.most = RECORDS_PER_SLOT * share(transport.in_flight, transport.processes)
        self.rejected = Metrics.counter("balto", f"rejected_{name}")

    def setup(self) -> None:
        from pipeline.llm.service import open_service  # with it comes the openai package, which others need not have

        self._service: Service = open_service(self.transport)
        self.step: AskingStep = self._service.make(self.given) if callable(self.given) else self.given
        self.step.setup()

    def teardown(self) -> None:
        from pipeline.llm.service import close_service

        self.step.teardown()
        close_service(self._service)

    def start_bundle(self) -> None:
        self._done: queue.SimpleQueue[_Done] = queue.SimpleQueue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way = 0

    def process(
        self, element: Any, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[Any]:
        while self._under_way >= self.most:
            yield self._next()
        self._under_way += 1
        self._service.call_soon(self._start, element, timestamp, window)
        while not self._done.empty():
            yield self._next()

    def finish_bundle(self) -> Iterator[Any]:  # type: ignore[override]  # Beam's stub says None
        while self._under_way:
            yield self._next()
        used = self._count_usage()
        if used and not self.transport.ledger:
            window = GlobalWindow()
            yield TaggedOutput(USAGE, WindowedValue(used, window.max_timestamp(), (window,)))

    def _next(self) -> Any:
        """The next record that is done, as an output. Raises what ends the run, after the calls under way are kept."""
        try:
            done = self._done.get()
        except BaseException:  # interrupted while waiting
            self._service.call_soon(self._cancel, self._tasks)
            raise
        self._under_way -= 1
        if isinstance(done.error, BaltoError) and not isinstance(done.error, RecordError):
            self._service.call_soon(self._service.asker.stop, done.error)
            while self._under_way:
                self._done.get()
                self._under_way -= 1
            raise done.error
        if done.error is None:
            return WindowedValue(done.result, done.timestamp, (done.window,))
        self.rejected.inc()
        refused = TaggedOutput(REJECTED, WindowedValue(self._reject(done), done.timestamp, (done.window,)))
        return refused

    def _reject(self, done: _Done) -> Any:
        sample, err = sample_of(done.element), done.error
        if isinstance(err, RecordError):
            return reject(sample, err.stage, err.reason)
        log.error("stage %s failed on record %s", self.name, sample.id, exc_info=err)
        return reject(sample, self.name, f"internal error: {type(err).__name__}: {err}")

    def _start(self, element: Any, timestamp: Any, window: Any) -> None:
        task = self._service.loop.create_task(self._answer(element, timestamp, window, self._done))
        self._tasks.add(task)  # the loop itself keeps only a weak reference
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, element: Any, timestamp: Any, window: Any, done: queue.SimpleQueue[_Done]) -> None:
        try:
            result = await self.step.ask(element, self._service.asker.ask)
        except Exception as err:  # looked at on Beam's thread, by its kind
            done.put(_Done(element, timestamp, window, None, err))
        else:
            done.put(_Done(element, timestamp, window, result, None))

    @staticmethod
    def _cancel(tasks: set[asyncio.Task[None]]) -> None:
        for task in list(tasks):
            task.cancel()

    def _count_usage(self) -> dict[str, float]:
        """What was sent and spent since the last bundle; handed to Beam's counters too (whole numbers only)."""
        tally = getattr(self.step, "tally", None)
        for name, value in (tally.take() if tally else {}).items():
            Metrics.counter("balto", name).inc(value)
            self._service.call_soon(self._service.asker.ledger.note, name, value)
        used = {name: value for name, value in self._service.take_usage().items() if "." in name}
        for name, value in used.items():
            if name.partition(".")[2] in COUNTERS:
                Metrics.counter("balto", name).inc(round(value * 1e6) if name.endswith("cost_usd") else int(value))
        return used
