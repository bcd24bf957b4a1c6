"""Claims: by verdict, status or alignment, those without a label and why, and those that conflict."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from pipeline.stats.figure import Figure, sums, table_of, total
from pipeline.stats.shares import share
from schemas.records import OK, UNMATCHED, WITHOUT_VERDICT

MAX_REASONS = 100  # told apart; the rest is one row
MAX_REASON_CHARS = 120
OTHER = "other"


def claim_counts(labels: pl.LazyFrame, column: str, by: Sequence[str] = ()) -> pl.DataFrame:
    """How many claims have each value of a claim field (verdict, status, alignment, verifier, ...), largest first."""
    return table_of(labels, claim_figure(column), by)


def response_statuses(labels: pl.LazyFrame, by: Sequence[str] = ()) -> pl.DataFrame:
    """How many responses have each status (labelled, partial, unverified, no_claims)."""
    return table_of(labels, RESPONSES, by)


def claims_without_label(labels: pl.LazyFrame, by: Sequence[str] = ()) -> pl.DataFrame:
    """Claims that label no token, by kind and reason, largest first.

    kind `unverified`: no verdict, for the reason that stands in the claim's status. kind `unmatched`: not found in the
    response, whatever the verdict. A claim may be both. Numbers in reasons are written `#`: alike reasons add up.
    """
    return table_of(labels, WITHOUT_LABEL, by)


def conflicts(labels: pl.LazyFrame, by: Sequence[str] = ("policy",)) -> pl.DataFrame:
    """Claims whose characters the opposite verdict claims too, and the responses that hold any."""
    return table_of(labels, CONFLICTS, by)


def of_claims(column: str) -> pl.Expr:
    """One field of all claims of a row, as a list: a fraction of what the claims themselves take."""
    return pl.col("claims").list.eval(pl.element().struct.field(column))


def claim_figure(column: str) -> Figure:
    """Claims by one of their fields; `none` where it is null."""
    name = f"claims.{column}"

    def count(batch: pl.DataFrame, by: list[str]) -> pl.DataFrame:
        values = batch.select(*by, pl.col(name).alias(column)).explode(column, empty_as_null=False)
        return sums(values.with_columns(pl.col(column).fill_null("none")), [*by, column], _ROWS.alias("claims"))

    return Figure({name: of_claims(column)}, count, _largest_first(column), (column,))


_ROWS = pl.len().cast(pl.Int64)


def _largest_first(*keys: str):
    def finish(added: pl.DataFrame, by: list[str]) -> pl.DataFrame:
        table = added.select(*by, *keys, "claims")
        return table.sort([*by, "claims", *keys], descending=[*(False for _ in by), True, *(False for _ in keys)])

    return finish


def _count_statuses(batch: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    return sums(batch, [*by, "status"], _ROWS.alias("responses"))


def _finish_statuses(added: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    return added.select(*by, "status", "responses").sort([*by, "status"])


def _count_claims(batch: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    claims = batch.select(*by, *_CLAIM_LISTS).explode(*_CLAIM_LISTS, empty_as_null=False).rename(_CLAIM_LISTS)
    return sums(claims, [*by, *_CLAIM_KEYS], _ROWS.alias("claims")).with_columns(pl.col("verdict").fill_null("none"))


def _without_label(counted: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Counts of `_count_claims` -> claims by kind and reason."""
    status = (
        pl.col("status").str.strip_prefix(WITHOUT_VERDICT).str.replace_all(r"\d+", "#").str.slice(0, MAX_REASON_CHARS)
    )
    unverified = counted.filter(pl.col("status") != OK).select(
        *by, pl.lit("unverified").alias("kind"), status.alias("reason"), "claims"
    )
    place = (
        pl.when("quoted")
        .then(pl.lit("its quotes do not stand in the response"))
        .otherwise(pl.lit("no quote was given"))
    )
    unmatched = counted.filter(pl.col("alignment") == UNMATCHED).select(
        *by, pl.lit("unmatched").alias("kind"), place.alias("reason"), "claims"
    )
    return sums(pl.concat([unverified, unmatched]), [*by, "kind", "reason"], pl.col("claims").sum())


def _finish_without_label(counted: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    added = _without_label(counted, by)
    largest = (
        added.group_by("kind", "reason")
        .agg(pl.col("claims").sum())
        .sort("claims", "kind", "reason", descending=[True, False, False])
    )
    kept = largest.head(MAX_REASONS).select("kind", "reason", pl.lit(True).alias("kept"))
    named = added.join(kept, on=["kind", "reason"], how="left").with_columns(
        pl.when("kept").then("reason").otherwise(pl.lit(OTHER)).alias("reason")
    )
    return _largest_first("kind", "reason")(sums(named, [*by, "kind", "reason"], pl.col("claims").sum()), by)


def _count_conflicts(batch: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    responses = (pl.col("n_conflicts") > 0).sum().cast(pl.Int64)
    return sums(
        batch,
        by,
        _ROWS.alias("records"),
        responses.alias("responses_with_conflicts"),
        total("n_claims"),
        total("n_conflicts"),
    )


def _finish_conflicts(added: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    names = [*by, "records", "responses_with_conflicts", "n_claims", "n_conflicts"]
    return (
        added.select(names)
        .with_columns(share("n_conflicts", "n_claims").alias("share_conflicts"))
        .sort(["n_conflicts", *by], descending=[True, *(False for _ in by)])
    )


RESPONSES = Figure({"status": pl.col("status")}, _count_statuses, _finish_statuses, ("status",))
_CLAIM_LISTS = {
    "claims.verdict": "verdict",
    "claims.status": "status",
    "claims.alignment": "alignment",
    "claims.quoted": "quoted",
}  # list column of a batch -> its name for a claim
_CLAIM_KEYS = tuple(_CLAIM_LISTS.values())
_CLAIM_COLUMNS = {f"claims.{field}": of_claims(field) for field in _CLAIM_KEYS[:3]} | {
    "claims.quoted": pl.col("claims").list.eval(pl.element().struct.field("quotes").list.len() > 0)
}


def _of_all(column: str) -> Figure:
    """As `claim_figure`, from counts that several figures share."""

    def finish(added: pl.DataFrame, by: list[str]) -> pl.DataFrame:
        return _largest_first(column)(sums(added, [*by, column], pl.col("claims").sum()), by)

    return Figure(_CLAIM_COLUMNS, _count_claims, finish, _CLAIM_KEYS)


VERDICTS, CLAIM_STATUSES, ALIGNMENTS = map(_of_all, ("verdict", "status", "alignment"))
WITHOUT_LABEL = Figure(_CLAIM_COLUMNS, _count_claims, _finish_without_label, _CLAIM_KEYS)
CONFLICTS = Figure(
    {"n_conflicts": pl.col("n_conflicts"), "n_claims": pl.col("n_claims")}, _count_conflicts, _finish_conflicts
)
