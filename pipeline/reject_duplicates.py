"""Stage for runners that shuffle by themselves: only the first record with an id is kept, the others are rejected.

Locally `split_corpus` finds duplicates while it splits; here ids are grouped, and only the places of later records
travel back to the readers as a side input, never the records themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import AsDict, TaggedOutput

from pipeline.stages import ACCEPTED, REJECTED, reject
from schemas.records import Rejected, Sample

Place = tuple[int, int]  # (file of the corpus, record of the file), both from 0: no two samples of a corpus share one


class Placed(NamedTuple):
    """A sample and where it stood in the corpus. Its `source` and `source_row` may be those of others as well: the
    responses that `balto generate` samples keep those of their prompt."""

    place: Place
    sample: Sample


def duplicate_reason(first: str) -> str:
    """Why a later record with a known id is rejected.   first: "file:row" of the one that is kept."""
    return f"duplicate id: the record at {first} has it already"


def later_places(named: tuple[str, Iterable[tuple[Place, str]]]) -> Iterator[tuple[Place, str]]:
    """(place, "file:row" of the first) for every place of an id but the first.   named: id, (place, "file:row") ..."""
    (_, first), *later = sorted(named[1])
    yield from ((place, first) for place, _ in later)


class RejectDuplicates(beam.PTransform):
    """In: Placed.   Out: {accepted: the first Sample with each id, rejected: a Rejected for each other}."""

    def expand(self, input_or_inputs: Any) -> Any:
        later = (
            input_or_inputs
            | "Ids" >> beam.Map(_named_place)
            | "Group by id" >> beam.GroupByKey()
            | "Later places" >> beam.FlatMap(later_places)
        )
        kept = beam.ParDo(_RejectLater(), AsDict(later))
        return input_or_inputs | "Keep the first" >> kept.with_outputs(REJECTED, main=ACCEPTED)


def _named_place(placed: Placed) -> tuple[str, tuple[Place, str]]:
    place, sample = placed
    return sample.id, (place, f"{sample.source}:{sample.source_row}")


class _RejectLater(beam.DoFn):
    def process(self, element: Placed, later: dict[Place, str]) -> Iterator[Any]:
        place, sample = element
        first = later.get(place)
        if first is None:
            yield sample
        else:
            yield TaggedOutput(REJECTED, _rejected(sample, first))


def _rejected(sample: Sample, first: str) -> Rejected:
    return reject(sample, "validate", duplicate_reason(first))
