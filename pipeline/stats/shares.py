"""How much there is: records, claims and tokens, and the shares of token labels."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from pipeline.stats.figure import GROUP, Figure, sums, table_of, total
from schemas.shards import CLAIM_COUNTS, TOKEN_COUNTS

# What of the overview fits a terminal's width, and a line of the report page.
BRIEF = ("records", "n_supported", "n_contradicted", "n_unsupported", "n_unverified", "share_unsupported")


def overview(labels: pl.LazyFrame, by: Sequence[str] = ()) -> pl.DataFrame:
    """Counts and shares, one row per value of `by` (one row in all without), most records first.

    Columns: records, groups (prompt groups, counted in each label set), the counts of a shard's row added up, claims
    per response, and the shares of tokens labelled +1 and -1 and left at 0.
    """
    return table_of(labels, OVERVIEW, by)


def token_labels(labels: pl.LazyFrame, by: Sequence[str] = ()) -> pl.DataFrame:
    """Tokens and their share by label: +1, 0, -1."""
    return table_of(labels, TOKENS, by)


def share(part: str, whole: str) -> pl.Expr:
    """Column `part` over column `whole`; null where there is nothing to share."""
    return pl.when(pl.col(whole) > 0).then(pl.col(part) / pl.col(whole))


def wrong_claims() -> pl.Expr:
    """Claims of a response that the context does not bear: unsupported and contradicted ones."""
    return pl.col("n_unsupported") + pl.col("n_contradicted")


def faithfulness() -> pl.Expr:
    """Supported claims of a response over its claims with a verdict; null where there is none."""
    judged = pl.col("n_supported") + wrong_claims()
    return pl.when(judged > 0).then(pl.col("n_supported") / judged)


def _count_overview(batch: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    counts = (total(name) for name in (*CLAIM_COUNTS, *TOKEN_COUNTS))
    groups = pl.col(GROUP).n_unique().cast(pl.Int64).alias("groups")
    return sums(batch, by, pl.len().cast(pl.Int64).alias("records"), groups, *counts)


def _finish_overview(added: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    return (
        added.with_columns(
            share("n_claims", "records").alias("claims_per_response"),
            share("n_tokens_supported", "n_tokens").alias("share_supported"),
            share("n_tokens_unsupported", "n_tokens").alias("share_unsupported"),
        )
        .with_columns((1 - pl.col("share_supported") - pl.col("share_unsupported")).alias("share_neutral"))
        .sort(["records", *by], descending=[True, *(False for _ in by)])
    )


def _count_tokens(batch: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    return sums(batch, by, *(total(name) for name in TOKEN_COUNTS))


def _finish_tokens(added: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    neutral = pl.col("n_tokens") - pl.col("n_tokens_supported") - pl.col("n_tokens_unsupported")
    tokens = {"+1": pl.col("n_tokens_supported"), "0": neutral, "-1": pl.col("n_tokens_unsupported")}
    rows = [
        added.select(*by, pl.lit(label).alias("label"), count.alias("tokens"), "n_tokens")
        for label, count in tokens.items()
    ]
    table = pl.concat(rows).with_columns(share("tokens", "n_tokens").alias("share_tokens")).drop("n_tokens")
    return table.sort(by, maintain_order=True) if by else table


OVERVIEW = Figure(
    {name: pl.col(name) for name in (*CLAIM_COUNTS, *TOKEN_COUNTS)}, _count_overview, _finish_overview, additive=False
)
TOKENS = Figure({name: pl.col(name) for name in TOKEN_COUNTS}, _count_tokens, _finish_tokens)
