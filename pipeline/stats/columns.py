"""What may stand after `--by`: a column of a shard, `label_set`, or a key of the records' meta as `meta.KEY`."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import polars as pl

from schemas.errors import ConfigError

META = "meta."
_GROUPABLE = (pl.String, pl.Int64, pl.Int32)
_MAX_NAMED = 30  # columns in a message: all of a shard's and some keys of the meta
_LOOK_ROWS = 10_000  # rows in which a meta key is looked for before all of them are


def by_columns(labels: pl.LazyFrame, by: Sequence[str], option: str = "--by") -> dict[str, pl.Expr]:
    """Name -> expression over a row, in the order of `by`. Raises ConfigError for an unknown one, naming near ones.

    option: of the command, for the message.
    """
    schema = labels.collect_schema()
    usable = [name for name, type_ in schema.items() if type_ in _GROUPABLE]
    chosen = {}
    for name in by:
        if name in usable:
            chosen[name] = pl.col(name)
        elif name.startswith(META) and "meta" in schema:
            _check_meta_key(labels, name, option)
            chosen[name] = meta_value(name.removeprefix(META))
        else:
            keys = [META + key for key in meta_keys(labels.head(_LOOK_ROWS))] if "meta" in schema else []
            raise _unknown(name, usable + keys, option)
    return chosen


def meta_value(key: str) -> pl.Expr:
    """The value of one key of a row's meta; null where the row lacks it."""
    return pl.col("meta").map.get(key)


def meta_keys(labels: pl.LazyFrame) -> list[str]:
    """Every meta key of the rows, sorted."""
    keys = labels.select(pl.col("meta").map.keys().alias("key")).explode("key", empty_as_null=False).unique()
    return keys.collect(engine="streaming")["key"].sort().to_list()


def _check_meta_key(labels: pl.LazyFrame, name: str, option: str) -> None:
    for rows in (labels.head(_LOOK_ROWS), labels):
        keys = meta_keys(rows)
        if name.removeprefix(META) in keys:
            return
    raise _unknown(name, [META + key for key in keys], option)


def _unknown(name: str, usable: Sequence[str], option: str) -> ConfigError:
    near = difflib.get_close_matches(name, usable, n=3, cutoff=0.4)
    more = ", ..." if len(usable) > _MAX_NAMED else ""
    known = f"there are {', '.join(usable[:_MAX_NAMED])}{more}" if usable else "no record has any meta"
    hint = f"near: {', '.join(near)}" if near else known
    return ConfigError(f"{option} {name}: no such column; {hint}")
