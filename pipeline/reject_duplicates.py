"""Stage for runners that shuffle by themselves: only the first record with an id is kept, the others are rejected.

Locally `split_corpus` finds duplicates while it splits; here ids are grouped, and only the places of later records
travel back to the readers as a side input, never the records themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsDict, TaggedOutput

from pipeline.stages import ACCEPTED, REJECTED, reject
from schemas.records import Rejected, Sample

Place = tuple[str, int]


def duplicate_reason(first: str) -> str:
    """Why a later record with a known id is rejected.   first: "file:row" of the one that is kept."""
    return f"duplicate id: the record at {first} has it already"


def later_places(sample_id_places: tuple[str, Iterable[Place]]) -> Iterator[tuple[Place, str]]:
    """(place, "file:row" of the first) for every place of an id but the first in file order."""
    first, *later = sorted(sample_id_places[1])
    yield from ((place, f"{first[0]}:{first[1]}") for place in later)


class RejectDuplicates(beam.PTransform):
    """In: Sample.   Out: {accepted: the first Sample with each id, rejected: the others}."""

    def expand(self, input_or_inputs: Any) -> Any:
        later = (
            input_or_inputs
            | "Ids" >> beam.Map(lambda sample: (sample.id, (sample.source, sample.source_row)))
            | "Group by id" >> beam.GroupByKey()
            | "Later places" >> beam.FlatMap(later_places)
        )
        kept = beam.ParDo(_RejectLater(), AsDict(later))
        return input_or_inputs | "Keep the first" >> kept.with_outputs(REJECTED, main=ACCEPTED)


class _RejectLater(beam.DoFn):
    def process(self, element: Sample, later: dict[Place, str]) -> Iterator[Any]:
        first = later.get((element.source, element.source_row))
        if first is None:
            yield element
        else:
            yield TaggedOutput(REJECTED, _rejected(element, first))


def _rejected(sample: Sample, first: str) -> Rejected:
    return reject(sample, "validate", duplicate_reason(first))
