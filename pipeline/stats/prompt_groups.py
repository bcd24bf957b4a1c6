"""What balanced training would find: groups with both labels, how unequal they are, and the credit that would move.

A block is what training balances: a prompt group, or one response. With P tokens of +1 and N of -1, n = P + N, the
credit that leaves the -1 tokens and arrives at the +1 tokens of a block is 1 with the trainer's default mass, unit
(added up: the number of active blocks); the named alternatives are sqrt, sqrt(P N) / n, and harmonic, 2 P N / n^2. A
block with P = 0 or N = 0 moves nothing. The formulas are ours.
"""

from __future__ import annotations

import polars as pl

from pipeline.stats.figure import GROUP, Figure, sums, table_of, total

POSITIVE, NEGATIVE = "n_tokens_supported", "n_tokens_unsupported"
_MASSES = ("mass_sqrt", "mass_harmonic")
_TOTALS = ("blocks", POSITIVE, NEGATIVE, *_MASSES)
BOTH_LABELS, _ONLY_POSITIVE, _ONLY_NEGATIVE, _NEITHER = "both labels", "only supported", "only unsupported", "no label"
SIGNALS = (BOTH_LABELS, _ONLY_POSITIVE, _ONLY_NEGATIVE, _NEITHER)


def groups_with_signal(labels: pl.LazyFrame) -> pl.DataFrame:
    """Prompt groups by what balanced training finds in them: both labels, only one, or none."""
    return table_of(labels, SIGNAL)


def balance(labels: pl.LazyFrame) -> pl.DataFrame:
    """Blocks with both labels by the share of -1 among their labelled tokens, in tenths (0, 10 %], (10 %, 20 %], ...

    Columns: block (group, response), percent_above, percent_to, blocks, their tokens of each label, and the credit
    mass, added up.
    """
    return table_of(labels, BALANCE)


def credit_mass(labels: pl.LazyFrame) -> pl.DataFrame:
    """For either kind of block: how many there are, how many move anything, their tokens, and the mass that moves.

    mean_*: per block that moves anything, as the training objective averages.
    """
    return table_of(labels, CREDIT)


def _signal() -> pl.Expr:
    positive, negative = pl.col(POSITIVE) > 0, pl.col(NEGATIVE) > 0
    return (
        pl.when(positive & negative)
        .then(pl.lit(BOTH_LABELS))
        .when(positive)
        .then(pl.lit(_ONLY_POSITIVE))
        .when(negative)
        .then(pl.lit(_ONLY_NEGATIVE))
        .otherwise(pl.lit(_NEITHER))
        .alias("signal")
    )


def _blocks(batch: pl.DataFrame) -> pl.DataFrame:
    """One row per prompt group and one per response, with P, N and the masses."""
    groups = sums(batch, [GROUP], total(POSITIVE), total(NEGATIVE)).with_columns(pl.lit("group").alias("block"))
    rows = batch.select(pl.col(POSITIVE, NEGATIVE).cast(pl.Int64), pl.lit("response").alias("block"))
    positive, negative = pl.col(POSITIVE), pl.col(NEGATIVE)
    n, active = positive + negative, (positive > 0) & (negative > 0)
    product = positive.cast(pl.Float64) * negative
    return pl.concat([groups.select(rows.columns), rows]).with_columns(
        _signal(),
        pl.when(active).then(product.sqrt() / n).otherwise(0.0).alias("mass_sqrt"),
        pl.when(active).then(2 * product / n.cast(pl.Float64).pow(2)).otherwise(0.0).alias("mass_harmonic"),
        pl.when(active).then((10 * negative + n - 1) // n).alias("tenth"),  # ceil(10 N / n), in integers
    )


def _count_signal(batch: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    groups = sums(batch, [GROUP], total(POSITIVE), total(NEGATIVE)).with_columns(_signal())
    return sums(groups, [*by, "signal"], pl.len().cast(pl.Int64).alias("groups"))


def _count_balance(batch: pl.DataFrame, _: list[str]) -> pl.DataFrame:
    count = pl.len().cast(pl.Int64).alias("blocks")
    return sums(_blocks(batch), ["block", "signal", "tenth"], count, *map(pl.sum, _TOTALS[1:]))


def _finish_balance(added: pl.DataFrame, _: list[str]) -> pl.DataFrame:
    above, to = (10 * (pl.col("tenth") - 1)).alias("percent_above"), (10 * pl.col("tenth")).alias("percent_to")
    active = added.filter(pl.col("tenth").is_not_null()).sort("block", "tenth")
    return active.select("block", above, to, *_TOTALS)


def _finish_credit(added: pl.DataFrame, _: list[str]) -> pl.DataFrame:
    active = pl.col("blocks").filter(pl.col("signal") == BOTH_LABELS).sum().alias("active_blocks")
    table = sums(added, ["block"], *map(pl.sum, _TOTALS), active).sort("block")
    means = [
        pl.when(pl.col("active_blocks") > 0).then(pl.col(mass) / pl.col("active_blocks")).alias(f"mean_{mass}")
        for mass in _MASSES
    ]
    return table.select("block", "blocks", "active_blocks", *_TOTALS[1:]).with_columns(means)


_COLUMNS = {name: pl.col(name) for name in (POSITIVE, NEGATIVE)}
SIGNAL = Figure(_COLUMNS, _count_signal, lambda added, _: added.sort("signal"), ("signal",))
BALANCE = Figure(_COLUMNS, _count_balance, _finish_balance, ("block", "signal", "tenth"))
CREDIT = Figure(_COLUMNS, _count_balance, _finish_credit, ("block", "signal", "tenth"))
