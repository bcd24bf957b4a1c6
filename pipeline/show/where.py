"""A condition on the columns of a record, as people type it: `unsupported > 3 AND policy LIKE 'llama%'`.

The text is one SQL expression in Polars' dialect over an allow-listed set of columns. It is parsed, never evaluated as
code, and it holds no query: a query could read files.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Final

import polars as pl
from polars.exceptions import PolarsError

from pipeline.stats.columns import META, by_columns
from pipeline.stats.shares import faithfulness, wrong_claims
from schemas.errors import ConfigError, first_line
from schemas.shards import CLAIM_COUNTS, TOKEN_COUNTS

MAX_CONDITION_CHARS: Final = 2_000
_QUERY: Final = re.compile(r"\b(select|from|values|table|with|into)\b|;", re.IGNORECASE)
# A text in single quotes or a name in double ones; a letter in front (E'...') makes it something else.
_QUOTED: Final = re.compile(r"""(?<!\w)'(?:[^']|'')*'|(?<!\w)"[^"]*\"""")
# Comments, escapes, other or lone quotes: beside one of these, quotes may begin and end elsewhere than they seem to.
_OTHER_QUOTING: Final = re.compile(r"""['"`\\$#\[]|--|/\*""")

# meta.KEY, or "meta.ANY KEY"; first of all a text in single quotes, inside which nothing is a name
_META_KEY: Final = re.compile(r"""('(?:[^']|'')*')|"meta\.([^"]+)"|\bmeta\.(\w+)""")

# Columns of a shard that a condition names as they are ...
PLAIN: Final = ("id", "group_id", "policy", "source", "source_row", "status", "response")
# ... and its counts, which go with and without their `n_`.
COUNTS: Final = (*CLAIM_COUNTS, *TOKEN_COUNTS)


def record_columns(labels: pl.LazyFrame) -> pl.LazyFrame:
    """What a condition may name, one row per record: ids, the response, counts with and without `n_`, `wrong`,
    `faithfulness`, `characters` of the response, `meta`, and `row`, the record's place in the label set. Only what is
    used is read.
    """
    return labels.with_row_index("row").select(
        "row",
        *PLAIN,
        *COUNTS,
        *(pl.col(name).alias(name.removeprefix("n_")) for name in COUNTS),
        wrong_claims().alias("wrong"),
        faithfulness().alias("faithfulness"),
        pl.col("response").str.len_chars().alias("characters"),
        "meta",
    )


def where(records: pl.LazyFrame, condition: str) -> pl.LazyFrame:
    """The rows of `record_columns` that satisfy `condition`.

    Raises ConfigError for text that is no condition, and for an unknown column, naming the near ones.
    """
    keys = {match[2] or match[3] for match in _META_KEY.finditer(condition) if not match[1]}
    meta = by_columns(records, [META + key for key in sorted(keys)], option="--where")
    records = records.with_columns(value.alias(name) for name, value in meta.items())
    schema = records.collect_schema()
    expression = _parse(_META_KEY.sub(lambda match: match[1] or f'"{META}{match[2] or match[3]}"', condition))
    _check_names(expression.meta.root_names(), [name for name in schema if name != "meta"])
    try:  # on no rows: a wrong type is found before anything is read
        answers = pl.DataFrame(schema=schema).select(expression.alias("holds"))["holds"]
    except PolarsError as err:
        raise _no_condition(condition, err) from err
    if answers.dtype != pl.Boolean:
        raise ConfigError(f"--where {condition!r}: is not a condition but a value; compare it, as in `unsupported > 3`")
    if len(answers):
        raise ConfigError(
            f"--where {condition!r}: says one thing of all records together; name a column of each record"
        )
    return records.filter(expression)


def _parse(condition: str) -> pl.Expr:
    if len(condition) > MAX_CONDITION_CHARS:
        raise ConfigError(f"--where: {len(condition):,} characters; a condition has at most {MAX_CONDITION_CHARS:,}")
    query = _QUERY.search(_outside_quotes(condition))
    if query:
        raise ConfigError(f"--where {condition!r}: `{query[0]}` belongs to a query; give one condition on one record")
    try:
        return pl.sql_expr(condition)
    except PolarsError as err:
        raise _no_condition(condition, err) from err


def _outside_quotes(condition: str) -> str:
    """The condition without what stands in quotes; all of it when it is not beyond doubt what does."""
    bare = _QUOTED.sub(" ", condition)
    return condition if "\\" in condition or _OTHER_QUOTING.search(bare) else bare


def _no_condition(condition: str, err: PolarsError) -> ConfigError:
    return ConfigError(f"--where {condition!r}: {first_line(err)}; an example: \"unsupported > 3 AND policy = 'a'\"")


def condition_fails(condition: str, err: PolarsError) -> ConfigError:
    """What to say when a condition that is well formed fails on the values of some record."""
    hint = "TRY_CAST instead of CAST gives null where a text is no number"
    return ConfigError(f"--where {condition!r}: cannot be worked out for every record ({first_line(err)}); {hint}")


def _check_names(names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            there = f"near: {', '.join(near)}" if near else f"there are {', '.join(_short(known))}, meta.KEY"
            raise ConfigError(f"--where: no column {name!r}; {there} (a text stands in single quotes: policy = 'a')")


def _short(names: Sequence[str]) -> list[str]:
    return [name for name in names if name not in COUNTS]
