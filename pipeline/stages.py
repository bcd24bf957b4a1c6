"""How a stage runs inside Beam: one function per record, a `rejected` output, counters that add up.

A stage file holds the pure function; the transform here only wires, counts and rejects. A RecordError rejects the
record with its stage and reason. Any other exception in a stage is a defect of ours or of an engine: the record is
rejected as an internal error, with the traceback in the log, so that one poisonous record cannot stop a corpus. What
fails for every record (a GPU that is gone), for want of memory or on a disk is about none of them and ends the run.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, Protocol

import apache_beam as beam
import orjson
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.windowed_value import WindowedValue

from schemas.errors import BaltoError, RecordError, one_line
from schemas.records import MAX_REJECTED_CHARS, Claim, LabelledResponse, Rejected, Sample
from schemas.samples import sample_to_json

REJECTED: Final = "rejected"
ACCEPTED: Final = "accepted"
GC_THRESHOLD: Final = 50_000  # new objects between two searches for cycles; Python's own pace is 700

# Prompt groups in a row that failed on a defect: then it is not about them. Groups, because the responses to one odd
# prompt fail together.
DEAD_AFTER: Final = 20
log = logging.getLogger(__name__)


class Draft(NamedTuple):
    """A sample on its way through the stages, with the claims as far as they are known."""

    sample: Sample
    claims: tuple[Claim, ...]


class Element(NamedTuple):
    """What Beam gave a stage that hands on its results later, each in the window and at the timestamp of its own."""

    value: Any
    timestamp: Any
    window: Any

    def accepted(self, result: Any) -> WindowedValue:
        """The result as a main output."""
        return WindowedValue(result, self.timestamp, (self.window,))

    def rejected(self, rejected: Rejected) -> TaggedOutput:
        """The rejection as an output of that name."""
        return TaggedOutput(REJECTED, WindowedValue(rejected, self.timestamp, (self.window,)))


class Step(Protocol):
    """What a stage does to one record. `setup` and `teardown` open and close what cannot be pickled."""

    def setup(self) -> None:
        """Nothing to open."""

    def teardown(self) -> None:
        """Nothing to close."""

    def __call__(self, element: Any, /) -> Any: ...


class PureStep(Step):
    """A step that is a plain function."""

    def __init__(self, function: Callable[[Any], Any]):
        self.function = function

    def __call__(self, element: Any) -> Any:
        return self.function(element)


class Stage(beam.PTransform):
    """Apply a step to every record.   In: records.   Out: {accepted: step(record), rejected: Rejected}."""

    def __init__(self, name: str, step: Step):
        super().__init__()
        self.name = name
        self.step = step

    def expand(self, input_or_inputs: Any) -> Any:
        dofn = _StageDoFn(self.name, self.step)
        return input_or_inputs | beam.ParDo(dofn).with_outputs(REJECTED, main=ACCEPTED)


class StepDoFn(beam.DoFn):
    """What a DoFn with a step needs: to open and close it, and to know what to do when it fails."""

    def __init__(self, name: str, step: Any):
        self.name = name
        self.step = step
        self.failures = Failures(name)

    def setup(self) -> None:
        relax_collector()
        self.step.setup()

    def teardown(self) -> None:
        self.step.teardown()


class _StageDoFn(StepDoFn):
    def process(self, element: Any) -> Iterator[Any]:
        try:
            result = self.step(element)
        except Exception as err:
            yield TaggedOutput(REJECTED, self.failures.reject(sample_of(element), err))
        else:
            self.failures.passed()
            yield result


class Failures:
    """Tells, for a stage of one worker, the failures of a record from those of the run, and counts the former."""

    def __init__(self, stage: str):
        self.stage = stage
        self._rejected = Metrics.counter("balto", f"rejected_{stage}")
        self._groups_in_a_row = 0
        self._last_group = ""

    def passed(self) -> None:
        """A record came through the stage."""
        self._groups_in_a_row, self._last_group = 0, ""

    def reject(self, sample: Sample, err: Exception) -> Rejected:
        """The rejection of a record on which the stage raised `err`. Raises BaltoError when that ends the run."""
        rejected = self._rejection(sample, err)
        self._rejected.inc()
        return rejected

    def _rejection(self, sample: Sample, err: Exception) -> Rejected:
        if isinstance(err, RecordError):
            return reject(sample, err.stage, err.reason)
        if isinstance(err, BaltoError):
            raise err  # wrong configuration or a dead service
        what = one_line(f"{type(err).__name__}: {err}", 300)
        if isinstance(err, MemoryError | OSError):
            raise BaltoError(
                f"stage {self.stage}: {what} (at record {sample.id}); once that is mended, the same command resumes"
            ) from err
        if sample.group_id != self._last_group:
            self._groups_in_a_row, self._last_group = self._groups_in_a_row + 1, sample.group_id
        if self._groups_in_a_row >= DEAD_AFTER:
            raise BaltoError(
                f"stage {self.stage} failed on {DEAD_AFTER} prompts in a row, the last time with {what} (at record "
                f"{sample.id}); once that is mended, the same command resumes"
            ) from err
        first = self._groups_in_a_row == 1  # the tracebacks of those that follow would say the same
        log.error("stage %s failed on record %s: %s", self.stage, sample.id, what, exc_info=err if first else None)
        return reject(sample, self.stage, f"internal error: {type(err).__name__}: {err}")


def relax_collector() -> None:
    """Let a worker process look for reference cycles rarely: records hold none. At Python's usual pace the search took
    a tenth of the time of labelling, and a third of the rate of asking (it stops the event loop)."""
    gc.set_threshold(GC_THRESHOLD)


def sample_of(element: Sample | Draft | LabelledResponse) -> Sample:
    """The sample inside whatever a stage works on."""
    return element if isinstance(element, Sample) else element.sample


def reject(sample: Sample, stage: str, reason: str) -> Rejected:
    """The record of a refusal, with the sample's JSON cut to a bounded length."""
    text = orjson.dumps(sample_to_json(sample)).decode()
    return Rejected(
        sample.id, sample.source, sample.source_row, stage, reason, text[:MAX_REJECTED_CHARS], sample.group_id
    )
