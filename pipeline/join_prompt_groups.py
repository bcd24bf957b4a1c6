"""Stage for runners that shuffle by themselves: the samples of a prompt group come together and know each other.

A bucket of a local run holds its groups one behind the other, so there it takes no stage. Either way a group is made of
all accepted samples of the corpus: the labels do not depend on the runner.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam

from pipeline.sibling_responses import know_each_other
from schemas.records import Sample


class JoinPromptGroups(beam.PTransform):
    """In: Sample.   Out: the same, each with the responses of its group."""

    def expand(self, input_or_inputs: Any) -> Any:
        return (
            input_or_inputs
            | "By group" >> beam.Map(lambda sample: (sample.group_id, sample))
            | "Group" >> beam.GroupByKey()
            | "Know each other" >> beam.FlatMap(_known)
        )


def _known(group: tuple[str, Iterable[Sample]]) -> Iterator[Sample]:
    return know_each_other(group[1])
