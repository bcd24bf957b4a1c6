"""A stage whose step works on many records at once: records of a bundle are gathered, then handed on together.

For models that compute a large batch faster than many small ones. A batch in which anything fails is tried again
record by record, so that one poisonous record costs itself alone. Rejections are as in `pipeline.stages`; each result
keeps the window and timestamp of its own record.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

import apache_beam as beam

from pipeline.runs import progress
from pipeline.stages import ACCEPTED, REJECTED, Element, StepDoFn, sample_of
from schemas.errors import BaltoError, RecordError

BATCH_RECORDS: Final = 256  # bounds the memory, and is enough to fill a GPU's batches with pairs of one length
log = logging.getLogger(__name__)


class BatchedStep(Protocol):
    """What a batched stage does to many records: as many results, in order."""

    def setup(self) -> None: ...
    def teardown(self) -> None: ...
    def many(self, elements: Sequence[Any], /) -> Sequence[Any]: ...


class BatchedStage(beam.PTransform):
    """Apply a batched step.   In: records.   Out: {accepted: result of each, rejected: Rejected}."""

    def __init__(self, name: str, step: BatchedStep, batch_records: int = BATCH_RECORDS):
        super().__init__()
        self.name = name
        self.step = step
        self.batch_records = batch_records

    def expand(self, input_or_inputs: Any) -> Any:
        dofn = _BatchedDoFn(self.name, self.step, self.batch_records)
        return input_or_inputs | beam.ParDo(dofn).with_outputs(REJECTED, main=ACCEPTED)


class _BatchedDoFn(StepDoFn):
    def __init__(self, name: str, step: BatchedStep, batch_records: int):
        super().__init__(name, step)
        self.batch_records = batch_records

    def start_bundle(self) -> None:
        self._waiting: list[Element] = []

    def process(
        self, element: Any, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[Any]:
        self._waiting.append(Element(element, timestamp, window))
        if len(self._waiting) >= self.batch_records:
            yield from self._flush()

    def finish_bundle(self) -> Iterator[Any]:  # type: ignore[override]  # Beam's stub says None
        yield from self._flush()

    def _flush(self) -> Iterator[Any]:
        waiting, self._waiting = self._waiting, []
        results = self._results([one.value for one in waiting])
        progress.advance(len(waiting), self.name)
        for one, result in zip(waiting, results, strict=True):
            if isinstance(result, Exception):
                yield one.rejected(self.failures.reject(sample_of(one.value), result))
            else:
                self.failures.passed()
                yield one.accepted(result)

    def _results(self, elements: Sequence[Any]) -> list[Any]:
        """A result or the exception for each element. Raises what ends the run."""
        if not elements:
            return []
        try:
            return list(self.step.many(elements))
        except BaltoError as err:
            if not isinstance(err, RecordError):
                raise
            failed: Exception = err
        except Exception as err:
            failed = err
        if len(elements) == 1:
            return [failed]
        log.warning("stage %s failed on %d records together (%s); trying each alone", self.name, len(elements), failed)
        return [result for element in elements for result in self._results([element])]
