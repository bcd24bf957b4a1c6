"""Character spans in Polars: one row per span, under the number of the row that it belongs to (column ROW)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

ROW: Final = "#row"


def spans_of(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    """One row per span of a list column: the row's number, start, end, label."""
    spans = rows.select(ROW, column).explode(column, empty_as_null=False).unnest(column)
    return spans.with_columns(pl.col("start", "end").cast(pl.Int64))


def disjoint(spans: pl.DataFrame) -> pl.DataFrame:
    """The same characters of each row in spans that do not overlap."""
    ordered = spans.sort(ROW, "start", "end")
    before = pl.col("end").cum_max().shift(1).over(ROW).fill_null(0)
    return ordered.with_columns(pl.max_horizontal("start", before)).filter(pl.col("end") > pl.col("start"))


def covered(spans: pl.DataFrame) -> pl.DataFrame:
    """Characters of each row in disjoint spans."""
    return spans.group_by(ROW).agg((pl.col("end") - pl.col("start")).sum().alias("characters"))


def overlap(first: pl.DataFrame, second: pl.DataFrame, keys: Sequence[str] = ()) -> pl.DataFrame:
    """Characters of each row (and value of `keys`) that are in spans of both frames, each disjoint in itself."""
    pairs = first.join(second, on=ROW, suffix=" second")
    length = pl.min_horizontal("end", "end second") - pl.max_horizontal("start", "start second")
    return pairs.group_by(ROW, *keys).agg(length.clip(0).sum().alias("characters"))
