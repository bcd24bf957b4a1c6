"""Responses: where in them the labels stand, and how faithful they are at which length."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from pipeline.stats.figure import Figure, sums, table_of, total
from pipeline.stats.shares import faithfulness, share, wrong_claims

TENTHS = 10
_PARTS = ("characters", "supported", "unsupported")
_TENTH = [f"tenth {number}" for number in range(1, TENTHS + 1)]
SHORTEST, LONGEST = 6, 14  # responses below 2^6 characters are one class, those from 2^14 on another
_VERDICTS = ("n_supported", "n_contradicted", "n_unsupported")


def label_positions(labels: pl.LazyFrame, by: Sequence[str] = ()) -> pl.DataFrame:
    """Where labels stand: for each tenth of the responses, its characters and how many are labelled +1 and -1.

    A character at i of n is in tenth floor(10 i / n) + 1. Characters, since they are the truth whatever the tokenizer;
    the labels are those of `label_spans`, conflicts resolved.
    """
    return table_of(labels, POSITIONS, by)


def length_and_faithfulness(labels: pl.LazyFrame, by: Sequence[str] = ()) -> pl.DataFrame:
    """Responses by length, in classes of doubling numbers of characters.

    Columns: characters_from, characters_below (null: no bound), records, records_judged (with a verdict at all),
    n_supported, n_unsupported (contradicted ones too), faithfulness: the mean of S / (S + U) over the judged ones.
    """
    return table_of(labels, LENGTHS, by)


def _count_positions(batch: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    rows = batch.select(*by, "response_chars", "label_spans").rename({"response_chars": "n"})
    bounds = [(pl.col("n") * k + TENTHS - 1) // TENTHS for k in range(TENTHS + 1)]  # the first character of tenth k
    whole = [(bounds[k + 1] - bounds[k]).sum().alias(name) for k, name in enumerate(_TENTH)]
    spans = rows.explode("label_spans", empty_as_null=False).unnest("label_spans")
    shared = [
        (pl.min_horizontal("end", bounds[k + 1]) - pl.max_horizontal("start", bounds[k])).clip(0).sum().alias(name)
        for k, name in enumerate(_TENTH)
    ]
    counted = [sums(rows, by, *whole).with_columns(pl.lit("characters").alias("part"))]
    for part, label in (("supported", 1), ("unsupported", -1)):
        of_label = spans.filter(pl.col("label") == label)
        counted.append(sums(of_label, by, *shared).with_columns(pl.lit(part).alias("part")))
    return pl.concat([one.select(*by, "part", *_TENTH) for one in counted])


def _finish_positions(added: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    long = added.unpivot(_TENTH, index=[*by, "part"], variable_name="tenth", value_name="count")
    tenth = pl.col("tenth").str.strip_prefix("tenth ").cast(pl.Int64)
    wide = sums(
        long.with_columns(tenth),
        [*by, "tenth"],
        *(pl.col("count").filter(pl.col("part") == part).sum().alias(part) for part in _PARTS),
    )
    shares = [share(part, "characters").alias(f"share_{part}") for part in _PARTS[1:]]
    return wide.with_columns(shares).sort([*by, "tenth"])


def _count_lengths(batch: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    rows = batch.with_columns(
        sum(
            ((pl.col("response_chars") >= 2**power).cast(pl.Int64) for power in range(SHORTEST, LONGEST + 1)),
            pl.lit(0, pl.Int64),
        ).alias("class"),
        faithfulness().alias("faithfulness"),
    )
    return sums(
        rows,
        [*by, "class"],
        pl.len().cast(pl.Int64).alias("records"),
        pl.col("faithfulness").count().cast(pl.Int64).alias("records_judged"),
        *map(total, _VERDICTS),
        pl.col("faithfulness").sum(),
    )


def _finish_lengths(added: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    lower = pl.when(pl.col("class") > 0).then(2 ** (pl.col("class") + SHORTEST - 1)).otherwise(0)
    upper = pl.when(pl.col("class") <= LONGEST - SHORTEST).then(2 ** (pl.col("class") + SHORTEST))
    return added.sort([*by, "class"]).select(
        *by,
        lower.cast(pl.Int64).alias("characters_from"),
        upper.cast(pl.Int64).alias("characters_below"),
        "records",
        "records_judged",
        "n_supported",
        wrong_claims().alias("n_unsupported"),
        share("faithfulness", "records_judged").alias("faithfulness"),
    )


_LENGTH = {"response_chars": pl.col("response").str.len_chars().cast(pl.Int64)}
POSITIONS = Figure(_LENGTH | {"label_spans": pl.col("label_spans")}, _count_positions, _finish_positions, ("part",))
LENGTHS = Figure(
    _LENGTH | {name: pl.col(name) for name in _VERDICTS},
    _count_lengths,
    _finish_lengths,
    ("class",),
)
