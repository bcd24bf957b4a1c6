"""Last stage on a runner: shard reports, how many records were read, and usage -> manifest.json, written last.

It is a stage, not the work of the command that started the job: that one may be killed, or end as soon as the job is
submitted. The records that were read are counted apart from those that were written, so a runner that loses some on the
way fails here instead of reporting success.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import apache_beam as beam

from pipeline.runs.assemble import assemble
from pipeline.storage.turns import check_turn, is_closed
from pipeline.storage.whole_files import is_local, join, remove_files, write_file
from schemas.manifest import MANIFEST, WORK_FOLDER, manifest_bytes

if TYPE_CHECKING:
    from pipeline.runs.asking import Asking

_REPORT: Final = "report"
_READ: Final = "read"
_USAGE: Final = "usage"


@dataclass(frozen=True)
class Closing:
    """What the end of a run needs to know.

    out: folder of the label set.   described: config, engines, tokenizer and inputs for the manifest.   token: of the
    run (`pipeline.storage.turns`), empty on local disks.   asking: how a language model is asked; None when none is.
    """

    out: str
    described: Mapping[str, Any] = field(default_factory=dict)
    token: str = ""
    asking: Asking | None = None


class CloseLabelSet(beam.PTransform):
    """In: (shard reports, samples read, unreadable records, usage of each asking stage ...).   Out: the counts."""

    def __init__(self, closing: Closing):
        super().__init__()
        self.closing = closing

    def expand(self, input_or_inputs: Any) -> Any:
        reports, samples, unread, *usage = input_or_inputs
        count = (samples, unread) | "All read" >> beam.Flatten() | "Count read" >> beam.combiners.Count.Globally()
        parts = [reports | "Reports" >> beam.Map(_part, _REPORT), count | "Read" >> beam.Map(_part, _READ)]
        parts += [one | f"Usage {index}" >> beam.Map(_part, _USAGE) for index, one in enumerate(usage)]
        return (
            parts
            | "Parts" >> beam.Flatten()
            | "In one place" >> beam.GroupByKey()
            | "Write manifest" >> beam.ParDo(_WriteManifest(self.closing))
        )


def _part(value: Any, kind: str) -> tuple[int, tuple[str, Any]]:
    return 0, (kind, value)


class _WriteManifest(beam.DoFn):
    def __init__(self, closing: Closing):
        self.closing = closing

    def process(self, element: tuple[int, Iterable[tuple[str, Any]]]) -> Iterator[dict[str, int]]:
        closing, reports, read = self.closing, [], 0
        used: Counter[str] = Counter()
        for kind, value in element[1]:
            if kind == _REPORT:
                reports.append(value)
            elif kind == _READ:
                read += value
            else:
                used.update(value)
        usage = closing.asking.usage(used) if closing.asking else None
        reports.sort(key=lambda report: report["name"])
        manifest = assemble(reports, read, [], {}, closing.described, usage)
        if not is_closed(closing.out, closing.token):  # else this bundle is repeated after it had done its work
            check_turn(closing.out, closing.token)
            write_file(join(closing.out, MANIFEST), manifest_bytes(manifest))
            if not is_local(closing.out):
                remove_files(join(closing.out, WORK_FOLDER))
        yield dict(manifest.counts)
