"""Records of a label set by id or by a choice of rows, read from the row groups that hold them and from no other."""

from __future__ import annotations

import difflib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow.parquet as pq

from pipeline.stats.scan import as_shard_error
from schemas.errors import ConfigError
from schemas.manifest import Manifest
from schemas.records import LabelledResponse
from schemas.rows import from_table

MAX_CANDIDATES: Final = 2_000  # ids that are compared letter by letter when one is not found


def rows_of_ids(records: pl.LazyFrame, ids: Sequence[str], place: str) -> list[int]:
    """Row of every id, in the order of `ids`. Raises ConfigError when one is not there, naming the near ids, if any.

    records: a frame with `row` and `id`.   place: what the label set is called in the message.
    """
    matching = records.filter(pl.col("id").is_in(list(ids))).select("id", "row").collect(engine="streaming")
    found = dict(matching.iter_rows())
    for one in ids:
        if one not in found:
            near = near_values(records, "id", one)
            hint = f"near: {', '.join(near)}" if near else "without an id, balto show turns the pages of all records"
            raise ConfigError(f"{place}: no record {one!r}; {hint}")
    return [found[one] for one in ids]


def near_values(records: pl.LazyFrame, column: str, value: str, count: int = 3) -> list[str]:
    """Values of a text column that resemble `value`, nearest first; at most MAX_CANDIDATES are looked at closely."""
    texts = records.select(pl.col(column).drop_nulls())
    stems = [value[:length] for length in (len(value) // 2, 2, 0) if length < len(value)]
    candidates: list[str] = []
    for stem in dict.fromkeys(stems):
        matching = texts.filter(pl.col(column).str.starts_with(stem)).unique().head(MAX_CANDIDATES)
        candidates = sorted(set(candidates) | set(matching.collect(engine="streaming")[column]))
        if len(candidates) >= MAX_CANDIDATES:
            break
    return difflib.get_close_matches(value, candidates, n=count, cutoff=0.5)


def read_rows(folder: Path, manifest: Manifest, rows: Iterable[int]) -> Iterator[tuple[int, LabelledResponse]]:
    """(row, record) in ascending order of `rows`, which count through the shards as the manifest lists them.

    One row group is held at a time. Raises ShardError when a shard cannot be read.
    """
    ends = list(accumulate(shard.rows for shard in manifest.shards))

    def shard_of(row: int) -> int:
        return bisect_right(ends, row)

    for shard, wanted in groupby(sorted(set(rows)), key=shard_of):
        first = ends[shard] - manifest.shards[shard].rows
        yield from _read_shard(folder / manifest.shards[shard].path, first, list(wanted))


def _read_shard(path: Path, first: int, rows: Sequence[int]) -> Iterator[tuple[int, LabelledResponse]]:
    with as_shard_error(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        ends = list(accumulate(sizes, initial=first))
        for group, wanted in groupby(rows, key=lambda row: bisect_right(ends, row) - 1):
            table = file.read_row_group(group, use_threads=False)
            for row in wanted:
                yield row, from_table(table.slice(row - ends[group], 1))[0]
