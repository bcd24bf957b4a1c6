"""A stage whose step asks a language model: many records at a time, on an event loop beside Beam's thread.

Beam calls `process` one record after the other. The record's coroutine is started on the loop, and `process` hands on
whatever has become ready meanwhile; it waits only when enough records are under way to keep every slot busy. What is
left is drained in `finish_bundle`. Each result keeps the window and timestamp of its own record.

Rejections are as in `pipeline.stages`. Counters are incremented on Beam's thread alone: Beam loses all others.
"""

from __future__ import annotations

import asyncio
import queue
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
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
from pipeline.runs import progress
from pipeline.stages import ACCEPTED, REJECTED, Element, Failures, relax_collector, sample_of

if TYPE_CHECKING:
    from pipeline.llm.service import Service

USAGE: Final = "usage"
RECORDS_PER_SLOT: Final = 2  # under way per request in flight: a record that waits for a slot is there when one is free


class AskingStep(Protocol):
    """What an asking stage does to one record; runs on the event loop, with up to a few hundred others. It opens
    nothing: the stage opens what is asked.

    A step may have a `tally` whose `take()` gives counts by name since the last call; they go to Beam's counters and
    to the run's ledger when a bundle is done.
    """

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

    element: Element
    result: Any
    error: Exception | None


class _Exchange:
    """Records to the event loop and back, between two threads, of one bundle.

    Waking the other thread costs as much as sending a request, so each side is woken once for all that has come
    together: the loop by the first record that it has not seen, Beam's thread once per turn of the loop.
    """

    def __init__(self, call_soon: Callable[..., None], answer: Callable[[Element], Coroutine[Any, Any, _Done]]):
        self._call_soon = call_soon
        self._answer = answer
        self._submitted: deque[Element] = deque()
        self._woken = False  # the loop will look at `_submitted`
        self._handed: queue.SimpleQueue[list[_Done]] = queue.SimpleQueue()
        self._received: deque[_Done] = deque()  # Beam's thread alone
        self._finished: list[_Done] = []  # the loop's thread alone
        self._tasks: set[asyncio.Task[_Done]] = set()  # the loop itself keeps only weak references

    def submit(self, element: Element) -> None:
        """Start on a record, from Beam's thread."""
        self._submitted.append(element)
        if not self._woken:
            self._woken = True
            self._call_soon(self._start)

    def has_done(self) -> bool:
        """Whether `next_done` would not wait."""
        return bool(self._received) or not self._handed.empty()

    def next_done(self) -> _Done:
        """The next record that is done; waits for it."""
        if not self._received:
            self._received.extend(self._handed.get())
        return self._received.popleft()

    def _start(self) -> None:
        self._woken = False  # before looking: a record that comes from here on wakes the loop again
        while self._submitted:
            task = asyncio.get_running_loop().create_task(self._answer(self._submitted.popleft()))
            self._tasks.add(task)
            task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[_Done]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        if not self._finished:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._finished.append(task.result())

    def _hand_over(self) -> None:
        finished, self._finished = self._finished, []
        self._handed.put(finished)


class _AskingDoFn(beam.DoFn):
    def __init__(self, name: str, step: AskingStep | KeyedStep, transport: Transport):
        self.name = name
        self.given = step
        self.transport = transport
        self.most = RECORDS_PER_SLOT * share(transport.in_flight, transport.processes)
        self.failures = Failures(name)

    def setup(self) -> None:
        relax_collector()
        from pipeline.llm.service import open_service  # with it comes the openai package, which others need not have

        self._service: Service = open_service(self.transport)
        self.step: AskingStep = self._service.make(self.given) if callable(self.given) else self.given

    def teardown(self) -> None:
        from pipeline.llm.service import close_service

        close_service(self._service)

    def start_bundle(self) -> None:
        self._exchange = _Exchange(self._service.call_soon, self._answer)
        self._under_way = 0
        self._place: tuple[Any, Any] = (GlobalWindow().max_timestamp(), GlobalWindow())

    def process(
        self, element: Any, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[Any]:
        while self._under_way >= self.most:
            yield self._next()
        self._under_way += 1
        self._place = (timestamp, window)
        self._exchange.submit(Element(element, timestamp, window))
        while self._exchange.has_done():
            yield self._next()

    def finish_bundle(self) -> Iterator[Any]:  # type: ignore[override]  # Beam's stub says None
        while self._under_way:
            yield self._next()
        if self.transport.ledger:  # of the run; a process that counts for itself may have met one odd question only
            self._service.check_answered()
        used = self._count_usage()
        if used and not self.transport.ledger:
            timestamp, window = self._place  # of a record of this bundle: every output of a stage is windowed alike
            yield TaggedOutput(USAGE, WindowedValue(used, timestamp, (window,)))

    def _next(self) -> Any:
        """The next record that is done, as an output. Raises what ends the run; closing the service awaits the calls
        that are under way, of other stages too."""
        try:
            element, result, error = self._exchange.next_done()
        except BaseException:  # interrupted while waiting
            self._service.cancel()
            raise
        self._under_way -= 1
        progress.advance(1, self.name)
        if error is None:
            self.failures.passed()
            return element.accepted(result)
        return element.rejected(self.failures.reject(sample_of(element.value), error))

    async def _answer(self, element: Element) -> _Done:
        try:
            return _Done(element, await self.step.ask(element.value, self._service.asker.ask), None)
        except Exception as err:  # looked at on Beam's thread, by its kind
            return _Done(element, None, err)

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
