"""The files of one shard: labelled rows and rejected records as Parquet, and the report that the manifest is made of.

A shard's report (rows, hashes, tallies) is written after its files and under `.work/done/`; a run that was killed
skips the shards that have one.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.storage.whole_files import join, write_file
from schemas.listed_files import is_as_listed
from schemas.manifest import REJECTED_FOLDER, SHARD_FOLDER, WORK_FOLDER, RejectedEntry, ShardEntry
from schemas.records import ALIGNMENTS

ROW_GROUP_ROWS: Final = 512  # a row group closes at the first group boundary after so many rows ...
ROW_GROUP_BYTES: Final = 8 << 20  # ... or so many bytes in memory: what a trainer's worker holds at once
DONE_FOLDER: Final = "done"
_DIGITS: Final = re.compile(r"\d+")


def shard_of(group_id: str, num_shards: int) -> int:
    """The shard of a prompt group: a hash that no process, version or machine changes."""
    digest = hashlib.blake2b(group_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % num_shards


def shard_name(shard: int, num_shards: int) -> str:
    """File name of a shard, such as `part-00007-of-00016`, without its ending."""
    return f"part-{shard:05d}-of-{num_shards:05d}"


def row_group_bounds(group_ids: Sequence[str], bytes_per_row: float) -> list[tuple[int, int]]:
    """Row ranges [start, end) that never cut a prompt group. `group_ids`: of the rows, equal ones adjacent."""
    bounds, start = [], 0
    for row in range(1, len(group_ids) + 1):
        full = row - start >= ROW_GROUP_ROWS or (row - start) * bytes_per_row >= ROW_GROUP_BYTES
        if row == len(group_ids) or (full and group_ids[row] != group_ids[row - 1]):
            bounds.append((start, row))
            start = row
    return bounds


def parquet_bytes(table: pa.Table, bounds: Iterable[tuple[int, int]]) -> bytes:
    """A Parquet file (zstd) of the table with the given row groups. The same table gives the same bytes."""
    sink = io.BytesIO()
    # Token columns compress as well without a dictionary, and are written in a third less time.
    dictionary = [path for path in _leaf_paths(table.schema) if not path.startswith("token_")]
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression="zstd",
        use_dictionary=dictionary,  # type: ignore[arg-type]
        write_page_checksum=True,  # a reader that checks them finds damage that happens after the manifest's check
    ) as writer:
        for start, end in bounds:
            writer.write_table(table.slice(start, end - start), row_group_size=end - start)
    return sink.getvalue()


def _leaf_paths(schema: pa.Schema) -> list[str]:
    """Parquet's dotted paths of all columns, nested ones included."""
    parquet = pq.ParquetFile(_empty_file(schema)).schema
    return [parquet.column(index).path for index in range(len(parquet))]


def _empty_file(schema: pa.Schema) -> io.BytesIO:
    sink = io.BytesIO()
    pq.write_table(schema.empty_table(), sink)
    return sink


def sort_rows(table: pa.Table) -> pa.Table:
    """The rows in the order of a shard: by group, then by id. Rows that stand so already are not copied."""
    keys = [("group_id", "ascending"), ("id", "ascending")]
    options = pc.SortOptions(sort_keys=keys)
    order = pc.call_function("sort_indices", [table.select(["group_id", "id"])], options).to_numpy()
    return table if np.array_equal(order, np.arange(len(table))) else table.take(order)


def write_labelled(table: pa.Table, out: str, name: str) -> dict[str, Any]:
    """Write a shard's labelled rows (sorted) and return its manifest entry."""
    group_ids = table["group_id"].to_pylist()
    data = parquet_bytes(table, row_group_bounds(group_ids, table.nbytes / max(1, len(table))))
    path = f"{SHARD_FOLDER}/{name}.parquet"
    write_file(join(out, SHARD_FOLDER, f"{name}.parquet"), data)
    return {
        "path": path,
        "rows": len(table),
        "groups": len(set(group_ids)),
        "tokens": _total(table, "n_tokens"),
        "tokens_supported": _total(table, "n_tokens_supported"),
        "tokens_unsupported": _total(table, "n_tokens_unsupported"),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def write_rejected(table: pa.Table, out: str, name: str) -> dict[str, Any]:
    """Write rejected records, sorted by where they came from, and return their manifest entry."""
    data = parquet_bytes(table.sort_by([("source", "ascending"), ("source_row", "ascending")]), [(0, len(table))])
    write_file(join(out, REJECTED_FOLDER, f"{name}.parquet"), data)
    path = f"{REJECTED_FOLDER}/{name}.parquet"
    return {"path": path, "rows": len(table), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _total(table: pa.Table, column: str) -> int:
    return int(np.sum(table[column].to_numpy(), dtype=np.int64))


def claim_tallies(table: pa.Table) -> dict[str, dict[str, int]]:
    """How many claims have which verdict, status and alignment, and how they were projected: found how, or in conflict
    with the opposite verdict besides, or too doubtful for a label."""
    claims = pa.chunked_array(
        [chunk.flatten() for chunk in table["claims"].chunks], table.schema.field("claims").type.value_type
    )
    tallies: dict[str, dict[str, int]] = {}
    for column in ("verdict", "status", "alignment", "extractor", "verifier", "prompt_version"):
        values = [chunk.field(column) for chunk in claims.chunks]
        counted = pa.chunked_array(values, pa.string()).value_counts()
        tallies[column] = {str(one["values"].as_py()): one["counts"].as_py() for one in counted}
    found = {alignment: tallies["alignment"].get(alignment, 0) for alignment in ALIGNMENTS}
    decided = {"conflicted": _total(table, "n_conflicts"), "doubtful": _total(table, "n_doubtful")}
    return tallies | {"projection": found | decided}


def reasons(table: pa.Table) -> dict[str, int]:
    """Rejected records by kind of reason, as `reason_kind` says."""
    return dict(Counter(map(reason_kind, table["stage"].to_pylist(), table["reason"].to_pylist())))


def reason_kind(stage: str, reason: str) -> str:
    """ "stage: reason" without the numbers in it, so that a million broken lines are a few kinds of breakage."""
    return f"{stage}: {_DIGITS.sub('#', reason)}"


def shard_report(
    rows: pa.Table, rejects: pa.Table, out: str, name: str, rejected_name: str | None = None
) -> dict[str, Any]:
    """Write one shard's files and then its report; returns the report.   rows, rejects: unsorted, may be empty."""
    report: dict[str, Any] = {"name": name, "shard": None, "rejected": None, "claims": {}, "rejected_by": {}}
    if len(rows):
        rows = sort_rows(rows)
        report["shard"] = write_labelled(rows, out, name)
        report["claims"] = claim_tallies(rows)
    if len(rejects):
        report["rejected"] = write_rejected(rejects, out, rejected_name or name)
        report["rejected_by"] = reasons(rejects)
    write_file(done_path(out, name), json.dumps(report, sort_keys=True).encode())
    return report


def is_finished(out: Path, name: str) -> bool:
    """Whether the shard `name` of a local run has its report, and files that are what the report says."""
    report = out / WORK_FOLDER / DONE_FOLDER / f"{name}.json"
    if not report.is_file():
        return False
    try:
        written = json.loads(report.read_bytes())
        shard, rejected = written["shard"], written["rejected"]
        files = [*([ShardEntry(**shard)] if shard else []), *([RejectedEntry(**rejected)] if rejected else [])]
    except (OSError, ValueError, KeyError, TypeError):  # damaged since: the shard is written again
        return False
    return all(is_as_listed(out, file) for file in files)


def done_path(out: str, name: str) -> str:
    """Where the report of a finished shard lies."""
    return join(out, WORK_FOLDER, DONE_FOLDER, f"{name}.json")
