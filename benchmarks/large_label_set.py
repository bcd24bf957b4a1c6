"""A label set of any size: the rows of a small one over and over, with new ids and groups each time.

    python -m benchmarks.large_label_set SMALL OUT --records 2000000

Shards and manifest are written straight, without labelling anything again: what is measured is the reading.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.runs.assemble import assemble
from pipeline.storage.shard_files import shard_name, shard_report, sort_rows
from schemas.manifest import read_manifest, write_manifest
from schemas.rows import to_rejected_table
from schemas.shards import SHARD_SCHEMA


def write_large(small: Path, out: Path, records: int) -> None:
    """Write `records` rows into the new label set `out`; one shard per turn through the rows of `small`."""
    manifest = read_manifest(small)
    rows = pa.concat_tables([pq.read_table(small / shard.path, schema=SHARD_SCHEMA) for shard in manifest.shards])
    rows = sort_rows(rows)
    shards = -(-records // len(rows))
    reports = []
    for turn in range(shards):
        part = _renamed(rows.slice(0, min(len(rows), records - turn * len(rows))), turn)
        reports.append(shard_report(part, to_rejected_table([]), str(out), shard_name(turn, shards)))
    described = {name: getattr(manifest, name) for name in ("config", "engines", "tokenizer", "balto_version")}
    large = assemble(reports, records, [], {}, described)
    write_manifest(out, dataclasses.replace(large, usage=manifest.usage))
    shutil.rmtree(out / ".work")


def _renamed(rows: pa.Table, turn: int) -> pa.Table:
    for name in ("id", "group_id"):
        prefixed = pc.call_function("binary_join_element_wise", [pa.scalar(f"{turn:06d}"), rows[name], pa.scalar("-")])
        rows = rows.set_column(rows.schema.get_field_index(name), SHARD_SCHEMA.field(name), prefixed)
    return rows


def main() -> None:
    """Command line: SMALL OUT --records N."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("small", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--records", type=int, default=100_000)
    options = parser.parse_args()
    write_large(options.small, options.out, options.records)


if __name__ == "__main__":
    main()
