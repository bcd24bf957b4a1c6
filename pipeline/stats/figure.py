"""What a figure is, and how figures are counted over label sets of any size.

Rows come in batches of whole prompt groups, holding only the columns that the figures ask for. Each batch is counted
into a small frame of sums, the sums of all batches are added, and a figure makes its table of the total: time is linear
in the rows, memory is a batch's. All figures of one call share one pass over the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from pipeline.runs import progress
from pipeline.stats.columns import by_columns
from pipeline.stats.scan import LABEL_SET
from schemas.errors import ConfigError

BATCH_ROWS = 20_000
MAX_VALUES = 10_000  # of the `by` columns together: a table that people and memory can hold
GROUP = "#group"  # integer column of a batch: the same for the rows of one prompt group, within that batch
_ADD_AFTER = 64  # batches whose counts wait before they are added up


@dataclass(frozen=True)
class Figure:
    """One table of statistics.

    columns: name in the batch -> expression over a row of a label set.
    count: (batch, `by` columns) -> one row per value of `by` and `keys`; its other columns are sums.
    keys: what `count` tells apart beside the `by` columns.   finish: (total of all batches, by) -> the table.
    additive: the counts by some columns, added up, are those over all rows. Figures of one `count` share its counts.
    """

    columns: Mapping[str, pl.Expr]
    count: Callable[[pl.DataFrame, list[str]], pl.DataFrame]
    finish: Callable[[pl.DataFrame, list[str]], pl.DataFrame]
    keys: tuple[str, ...] = ()
    additive: bool = True


_Wanted = Mapping[str, tuple[Figure, Sequence[str]]]  # title -> figure, `by` columns
_Source = tuple[Callable[[pl.DataFrame, list[str]], pl.DataFrame], tuple[str, ...]]  # what counts, by which columns


def sums(rows: pl.DataFrame, keys: Sequence[str], *totals: pl.Expr) -> pl.DataFrame:
    """`totals` of the rows, for each value of `keys`; one row in all without keys."""
    return rows.group_by(keys).agg(*totals) if keys else rows.select(*totals)


def total(name: str) -> pl.Expr:
    """The sum of an integer column, wide enough for any label set."""
    return pl.col(name).cast(pl.Int64).sum()


def table_of(labels: pl.LazyFrame, figure: Figure, by: Sequence[str] = ()) -> pl.DataFrame:
    """The table of one figure."""
    return tables_of(labels, {"": (figure, by)})[""]


def tables_of(labels: pl.LazyFrame, wanted: _Wanted) -> dict[str, pl.DataFrame]:
    """The tables of several figures, each by columns of its own, in one pass.

    labels: rows in the order of `scan_labels`; filtered is fine, sorted anew is not. Raises ConfigError for a column
    in `by` that is not there or has more than MAX_VALUES values.
    """
    names = list(dict.fromkeys(name for _, by in wanted.values() for name in by))
    by_exprs = {_internal(name): expr for name, expr in by_columns(labels, names).items()}
    columns = {name: expr for figure, _ in wanted.values() for name, expr in figure.columns.items()}
    chosen = labels.select(*_group_keys(labels), *(expr.alias(name) for name, expr in {**columns, **by_exprs}.items()))
    sources = {name: (figure.count, _counted_by(figure, by, wanted)) for name, (figure, by) in wanted.items()}
    keys = {sources[name]: [*map(_internal, sources[name][1]), *figure.keys] for name, (figure, _) in wanted.items()}
    counted: dict[_Source, list[pl.DataFrame]] = {source: [] for source in keys}
    for batch in whole_groups(chosen):
        for source, parts in counted.items():
            parts.append(source[0](batch, [_internal(name) for name in source[1]]))
            if len(parts) == _ADD_AFTER:
                parts[:] = [_added(parts, keys[source], source[1])]
    totals = {source: _added(parts, keys[source], source[1]) for source, parts in counted.items()}
    tables = {}
    for name, (figure, by) in wanted.items():
        whole = totals[sources[name]]
        if sources[name][1] and not by:  # over all rows: the counts by value, added up
            whole = _added([whole.drop(map(_internal, sources[name][1]))], figure.keys, ())
        tables[name] = _finished(whole, figure, list(by))
    return tables


def _counted_by(figure: Figure, by: Sequence[str], wanted: _Wanted) -> tuple[str, ...]:
    """`by`, or the columns by which the same is counted anyway, if counts over all rows follow from them."""
    if by or not figure.additive:
        return tuple(by)
    same = (tuple(columns) for other, columns in wanted.values() if other.count is figure.count)
    return next(filter(None, same), ())


def _internal(by: str) -> str:
    return f"by {by}"


def _group_keys(labels: pl.LazyFrame) -> list[pl.Expr]:
    label_set = pl.col(LABEL_SET) if LABEL_SET in labels.collect_schema() else pl.lit("")
    return [pl.struct(label_set.alias(LABEL_SET), pl.col("group_id")).alias(GROUP)]


def whole_groups(rows: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """Batches of about BATCH_ROWS rows that never cut a prompt group; at least one, though it be empty.

    rows: with the group's key as `GROUP`, equal ones adjacent; a batch has a number in its place.
    """
    rest: pl.DataFrame | None = None
    for batch in rows.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True, engine="streaming"):
        progress.advance(len(batch))
        whole = batch if rest is None else pl.concat([rest, batch])
        runs = whole[GROUP].rle_id()
        last = int((runs < runs[-1]).sum()) if len(whole) else 0  # rows before the group that may go on
        rest = whole[last:]
        if last:
            yield whole[:last].with_columns(runs[:last].alias(GROUP))
    whole = rows.limit(0).collect() if rest is None else rest
    yield whole.with_columns(whole[GROUP].rle_id().alias(GROUP))


def _added(counted: list[pl.DataFrame], keys: Sequence[str], by: Sequence[str]) -> pl.DataFrame:
    whole = pl.concat(counted)
    added = whole.group_by(keys).agg(pl.all().sum()) if keys else whole.sum()
    if by:
        check_values(added, [_internal(name) for name in by], by)
    return added


def check_values(table: pl.DataFrame, columns: Sequence[str], by: Sequence[str]) -> None:
    """Raise ConfigError when `columns`, known to users as `by`, have more than MAX_VALUES different values."""
    if table.select(columns).n_unique() > MAX_VALUES:
        raise ConfigError(f"--by {','.join(by)}: more than {MAX_VALUES:,} values; choose columns that have fewer")


def _finished(added: pl.DataFrame, figure: Figure, by: list[str]) -> pl.DataFrame:
    """The table, under the names that were asked for; `by NAME` where the figure has a column NAME of its own."""
    table = figure.finish(added, [_internal(name) for name in by])
    return table.rename({_internal(name): name for name in by if name not in table.columns})
