"""Stage: labelled rows and rejected records -> one Parquet file per shard, sorted, written atomically.

Rows travel to their shard as Arrow batches: a bundle's rows become a few byte strings, so grouping a corpus by shard
moves and pickles no Python object per row.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from pipeline.runs import progress
from pipeline.storage.shard_files import shard_name, shard_of, shard_report
from pipeline.storage.turns import check_turn
from schemas.records import LabelledResponse, Rejected
from schemas.rows import to_rejected_table, to_table

ROWS: Final = "rows"
REJECTS: Final = "rejects"
PACK_ROWS: Final = 256  # rows per Arrow batch on their way to a shard


class WriteShards(beam.PTransform):
    """In: (labelled rows, rejected records).   Out: one report (dict) per shard that received anything."""

    def __init__(self, out: str, num_shards: int, token: str = ""):
        """token: of the run that may write into `out` (`pipeline.storage.turns`); empty where a lock sees to that."""
        super().__init__()
        self.out = out
        self.num_shards = num_shards
        self.token = token

    def expand(self, input_or_inputs: Any) -> Any:
        labelled, rejected = input_or_inputs
        packed = (
            labelled | "Pack rows" >> beam.ParDo(_Pack(ROWS, to_table, self.num_shards)),
            rejected | "Pack rejects" >> beam.ParDo(_Pack(REJECTS, to_rejected_table, self.num_shards)),
        )
        return (
            packed
            | "Join" >> beam.Flatten()
            | "Group by shard" >> beam.GroupByKey()
            | "Write shard" >> beam.ParDo(_WriteShard(self.out, self.num_shards, self.token))
        )


class _Pack(beam.DoFn):
    """Records -> (shard, (kind, Arrow stream of up to PACK_ROWS of them))."""

    def __init__(self, kind: str, make_table: Callable[[Sequence[Any]], pa.Table], num_shards: int):
        self.kind = kind
        self.make_table = make_table
        self.num_shards = num_shards

    def start_bundle(self) -> None:
        self._waiting: dict[int, list[Any]] = {}

    def process(self, element: LabelledResponse | Rejected) -> Iterator[tuple[int, tuple[str, bytes]]]:
        group_id = element.group_id if isinstance(element, Rejected) else element.sample.group_id
        shard = shard_of(group_id, self.num_shards)
        waiting = self._waiting.setdefault(shard, [])
        waiting.append(element)
        if len(waiting) >= PACK_ROWS:
            yield self._packed(shard)

    def finish_bundle(self) -> Iterator[WindowedValue]:  # type: ignore[override]  # Beam's stub says None
        for shard in sorted(self._waiting):
            if self._waiting[shard]:
                window = GlobalWindow()
                yield WindowedValue(self._packed(shard), window.max_timestamp(), (window,))

    def _packed(self, shard: int) -> tuple[int, tuple[str, bytes]]:
        records = self._waiting[shard]
        self._waiting[shard] = []
        progress.advance(len(records))
        return shard, (self.kind, _to_stream(self.make_table(records)))


class _WriteShard(beam.DoFn):
    def __init__(self, out: str, num_shards: int, token: str):
        self.out = out
        self.num_shards = num_shards
        self.token = token

    def process(self, element: tuple[int, Iterable[tuple[str, bytes]]]) -> Iterator[dict[str, Any]]:
        shard, packed = element
        tables: dict[str, list[pa.Table]] = {ROWS: [to_table([])], REJECTS: [to_rejected_table([])]}
        for kind, stream in packed:
            tables[kind].append(pa.ipc.open_stream(stream).read_all())
        check_turn(self.out, self.token)
        rows, rejects = pa.concat_tables(tables[ROWS]), pa.concat_tables(tables[REJECTS])
        yield shard_report(rows, rejects, self.out, shard_name(shard, self.num_shards))


def _to_stream(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression="lz4")  # an eighth of the memory while rows wait for their shard
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue()
