"""All tables of `balto score`, in the order they are shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.score.bootstrap import RESAMPLES, SEED
from pipeline.score.gold import GOLD_SUMS, gold_counts, gold_scores
from pipeline.score.kappa import pairwise_agreement
from pipeline.score.prompt_scores import COUNTS, mean_scores, prompt_scores, reference_counts, score_difference
from pipeline.stats.figure import check_values
from pipeline.stats.scan import of_people, scan_labels
from schemas.errors import ConfigError
from schemas.manifest import read_manifest

_BRIEF = ("faithfulness", "informativeness", "q_score", "q_score_all", "characters")  # what fits a terminal's width


@dataclass(frozen=True)
class Drawing:
    """How intervals are drawn.   resamples: of the prompts.   seed: the same one gives the same intervals."""

    resamples: int = RESAMPLES
    seed: int = SEED


def score_tables(
    folders: Sequence[str],
    against: Sequence[str] = (),
    k: float | None = None,
    by: Sequence[str] = (),
    drawing: Drawing = Drawing(),
    brief: bool = False,
) -> dict[str, pl.DataFrame]:
    """Title -> table: scores of label sets over all and by the columns `by`, against a base, people, each other.

    k: reference count of supported claims for every prompt; None: per prompt, the median over the base's responses,
    or over the label sets' own where there is no base.   brief: scores by `by` as one line of text each.
    Raises ConfigError for an unknown column.
    """
    if k is not None and not 1 <= k < math.inf:
        raise ConfigError(f"--k {k:g}: the reference count of supported claims must be a number of at least 1")
    labels, base = scan_labels(folders), scan_labels(against) if against else None
    reference = k if k is not None else reference_counts(labels if base is None else base)
    prompts, base_prompts = prompt_scores(labels, reference), _prompts(base, reference, ())
    tables = {"counts": _counts(prompts, ()), "scores": _means(prompts, (), drawing)}
    if base_prompts is not None:
        tables["against the base"] = score_difference(prompts, base_prompts, drawing.resamples, drawing.seed)
    if by:
        tables |= _tables_by(labels, base, base_prompts, reference, by, drawing, brief)
    if len({read_manifest(Path(folder)).tokenizer["fingerprint"] for folder in [*folders, *against]}) > 1:
        tables = {title: _without_tokens(table) if "base" in table else table for title, table in tables.items()}
    of_engines = [folder for folder in folders if folder not in of_people(folders)]
    judged = scan_labels(of_engines) if of_engines else labels  # people held against people say nothing
    counts = gold_counts(judged, by)
    if len(counts):
        tables["against people"] = _gold(counts, (), drawing)
        tables["verdicts against people"] = _gold(gold_counts(judged, verdicts=True), (), drawing)
    if len(counts) and by:
        tables[f"against people by {', '.join(by)}"] = _gold(counts, by, drawing)
    tables["agreement of label sets"] = pairwise_agreement([*folders, *against])
    return {title: table for title, table in tables.items() if len(table)}


def _without_tokens(differences: pl.DataFrame) -> pl.DataFrame:
    """Tokens of two tokenizers are no difference between responses."""
    return differences.filter(pl.col("score") != "tokens")


def _prompts(labels: pl.LazyFrame | None, reference: pl.DataFrame | float, by: Sequence[str]) -> pl.DataFrame | None:
    return None if labels is None else prompt_scores(labels, reference, by)


def _tables_by(
    labels: pl.LazyFrame,
    base: pl.LazyFrame | None,
    base_prompts: pl.DataFrame | None,
    reference: pl.DataFrame | float,
    by: Sequence[str],
    drawing: Drawing,
    brief: bool,
) -> dict[str, pl.DataFrame]:
    title = ", ".join(by)
    prompts = prompt_scores(labels, reference, by)
    check_values(prompts, by, by)
    means = _means(prompts, by, drawing)
    tables = {f"counts by {title}": _counts(prompts, by), f"scores by {title}": _lines(means, by) if brief else means}
    if base is not None and base_prompts is not None:
        base_by = prompt_scores(base, reference, by)
        tables[f"against the base by {title}"] = _differences(prompts, base_by, base_prompts, by, drawing)
    return tables


def _counts(prompts: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    sums = [pl.len().cast(pl.Int64).alias("prompts"), *(pl.col(name).sum() for name in COUNTS)]
    return prompts.group_by(by).agg(sums).sort(by) if by else prompts.select(sums)


def _parts(prompts: pl.DataFrame, by: Sequence[str]) -> list[tuple[pl.DataFrame, pl.DataFrame]]:
    """(the values of `by`, one row; the prompts with them), sorted by the values."""
    if not by:
        return [(prompts.select().head(1), prompts)]
    return [(part.head(1).select(by), part) for part in prompts.sort(by).partition_by(by, maintain_order=True)]


def _beside(values: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    return values.join(table, how="cross") if values.columns else table


def _means(prompts: pl.DataFrame, by: Sequence[str], drawing: Drawing) -> pl.DataFrame:
    parts = _parts(prompts, by)
    return pl.concat([_beside(values, mean_scores(part, drawing.resamples, drawing.seed)) for values, part in parts])


def _differences(
    prompts: pl.DataFrame, base: pl.DataFrame, whole_base: pl.DataFrame, by: Sequence[str], drawing: Drawing
) -> pl.DataFrame:
    """Each value of `by` against the base's rows of the same value, or against the whole base where it has none."""
    tables = []
    for values, part in _parts(prompts, by):
        same = base.join(values, on=by, how="semi", nulls_equal=True)
        table = score_difference(part, same if len(same) else whole_base, drawing.resamples, drawing.seed)
        against = pl.lit("the same" if len(same) else "the whole base").alias("against")
        tables.append(_beside(values, table).with_columns(against))
    return pl.concat(tables)


def _gold(counts: pl.DataFrame, by: Sequence[str], drawing: Drawing) -> pl.DataFrame:
    """Prompts are the unit of resampling; without `by`, the parts of a prompt are added up first."""
    whole = counts if by else counts.group_by("group_id").agg(pl.col(GOLD_SUMS).sum()).sort("group_id")
    tables = [_beside(values, gold_scores(part, drawing.resamples, drawing.seed)) for values, part in _parts(whole, by)]
    return pl.concat(tables)


def _lines(means: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """One row per value of `by`, a score as `0.91 (0.88 to 0.94)`."""
    shown = means.filter(pl.col("score").is_in(_BRIEF))
    digits = pl.when(pl.col("score") == "characters").then(0).otherwise(2)
    text = pl.struct("value", "low", "high", digits.alias("digits")).map_elements(_interval, pl.String)
    return shown.with_columns(text.alias("text")).pivot("score", index=list(by), values="text")


def _interval(cell: dict[str, float | None]) -> str:
    digits = int(cell["digits"] or 0)
    value, low, high = ("-" if cell[name] is None else f"{cell[name]:,.{digits}f}" for name in ("value", "low", "high"))
    return value if cell["low"] is None else f"{value} ({low} to {high})"
