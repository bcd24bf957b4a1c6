"""Do the claims' scores mean what they say? P(supported) against what people marked, in tenths.

A claim counts as borne out when people marked less than half of its characters. Expected calibration error: the mean
distance between score and share over the tenths, weighted by their claims (Naeini et al., AAAI 2015).
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from pipeline.stats.claims import of_claims
from pipeline.stats.figure import Figure, sums, table_of
from pipeline.stats.span_frames import ROW, covered, disjoint, overlap, spans_of

BINS = 10
MARKED = 0.5  # share of a claim's characters in human spans from which people call it wrong


def reliability(labels: pl.LazyFrame, by: Sequence[str] = ()) -> pl.DataFrame:
    """One row per tenth of the score that has claims of annotated responses, and one of all (bounds null).

    Columns: score_from, score_below (the last tenth holds 1), claims, mean_score, share_unmarked, gap: how far the two
    are apart; in the row of all the expected calibration error. Claims without a score or a place are left out.
    """
    return table_of(labels, RELIABILITY, by)


def _count(batch: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    annotated = batch.filter(pl.col("gold_spans").is_not_null())
    claims = (
        annotated.select(*by, "gold_spans", *_CLAIM_LISTS)
        .explode(*_CLAIM_LISTS, empty_as_null=False)
        .rename(_CLAIM_LISTS)
        .filter(pl.col("score").is_finite() & (pl.col("spans").list.len() > 0))
        .with_row_index(ROW)
    )
    own = disjoint(spans_of(claims, "spans"))
    marked = overlap(own, disjoint(spans_of(claims, "gold_spans"))).rename({"characters": "marked"})
    judged = claims.join(covered(own), on=ROW).join(marked, on=ROW, how="left")
    unmarked = pl.col("marked").fill_null(0) < MARKED * pl.col("characters")
    tenth = (pl.col("score") * BINS).floor().clip(0, BINS - 1).cast(pl.Int64).alias("bin")
    return sums(
        judged.with_columns(tenth),
        [*by, "bin"],
        pl.len().cast(pl.Int64).alias("claims"),
        pl.col("score").sum(),
        unmarked.sum().cast(pl.Int64).alias("unmarked"),
    )


def _finish(added: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    tenths = added.with_columns(
        (pl.col("bin") / BINS).alias("score_from"), ((pl.col("bin") + 1) / BINS).alias("score_below"), *_MEANS
    ).with_columns((pl.col("mean_score") - pl.col("share_unmarked")).abs().alias("gap"))
    error = ((pl.col("gap") * pl.col("claims")).sum() / pl.col("claims").sum()).alias("gap")
    every = sums(tenths, by, error, pl.col("claims", "score", "unmarked").sum())
    every = every.filter(pl.col("claims") > 0).with_columns(
        *_MEANS, pl.lit(None, pl.Float64).alias("score_from"), pl.lit(None, pl.Float64).alias("score_below")
    )
    names = [*by, "score_from", "score_below", "claims", "mean_score", "share_unmarked", "gap"]
    return pl.concat([tenths.select(names), every.select(names)]).sort([*by, "score_from"], nulls_last=True)


_CLAIM_LISTS = {"claims.score": "score", "claims.spans": "spans"}
_MEANS = (
    (pl.col("score") / pl.col("claims")).alias("mean_score"),
    (pl.col("unmarked") / pl.col("claims")).alias("share_unmarked"),
)
RELIABILITY = Figure(
    {"gold_spans": pl.col("gold_spans"), **{name: of_claims(field) for name, field in _CLAIM_LISTS.items()}},
    _count,
    _finish,
    ("bin",),
)
