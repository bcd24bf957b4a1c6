"""Records of a label set by id or by a choice of rows, read from the row groups that hold them and from no other."""

from __future__ import annotations

import contextlib
import difflib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars.exceptions import PolarsError

from schemas.errors import ConfigError, ShardError
from schemas.manifest import Manifest, read_manifest
from schemas.records import LabelledResponse
from schemas.rows import from_table

MAX_CANDIDATES: Final = 2_000  # ids that are compared letter by letter when one is not found


@contextlib.contextmanager
def readable(folders: Sequence[str]) -> Iterator[None]:
    """Around reading with Polars: what it says of a damaged shard becomes a ShardError that names the shard."""
    try:
        yield
    except PolarsError as err:
        for shard in (Path(folder) / entry.path for folder in folders for entry in read_manifest(Path(folder)).shards):
            with _as_shard_error(shard):
                pq.read_metadata(shard)
        reason = (str(err).splitlines() or [type(err).__name__])[0]
        raise ShardError(f"{', '.join(folders)}: cannot be read ({reason}); label the corpus again") from err


@contextlib.contextmanager
def _as_shard_error(shard: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, IndexError) as err:
        reason = (str(err).splitlines() or [type(err).__name__])[0]
        raise ShardError(f"{shard}: cannot be read ({reason}); label the corpus again") from err


def rows_of_ids(records: pl.LazyFrame, ids: Sequence[str], place: str) -> list[int]:
    """Row of every id, in the order of `ids`. Raises ConfigError naming the near ids when one is not there.

    records: a frame with `row` and `id`.   place: what the label set is called in the message.
    """
    matching = records.filter(pl.col("id").is_in(list(ids))).select("id", "row").collect(engine="streaming")
    found = dict(matching.iter_rows())
    for one in ids:
        if one not in found:
            near = near_values(records, "id", one)
            raise ConfigError(f"{place}: no record {one!r}" + (f"; near: {', '.join(near)}" if near else ""))
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
    near = difflib.get_close_matches(value, candidates, n=count, cutoff=0.5)
    return near or candidates[:count]


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
    with _as_shard_error(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        ends = list(accumulate(sizes, initial=first))
        for group, wanted in groupby(rows, key=lambda row: bisect_right(ends, row) - 1):
            table = file.read_row_group(group, use_threads=False)
            for row in wanted:
                yield row, from_table(table.slice(row - ends[group], 1))[0]
