"""Labels against people: the official RAGTruth metric of a label set whose records carry gold spans.

Gold: a record's `gold_spans`. Predicted, either its `label_spans` of label -1, which is what training sees, or what the
verdicts call wrong, doubtful ones among them (`pipeline.weigh_scores`). Records that nobody annotated (gold_spans null)
are left out. Source: RAGTruth, arXiv 2401.00396; see span_overlap.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from pipeline.score.bootstrap import RESAMPLES, SEED, interval
from pipeline.score.span_overlap import prf
from pipeline.stats.columns import by_columns
from pipeline.stats.span_frames import ROW, covered, disjoint, overlap, spans_of
from schemas.records import CONTRADICTED, NEGATIVE, UNSUPPORTED

BATCH_ROWS = 20_000
WRONG_VERDICTS: Final = (CONTRADICTED, UNSUPPORTED)
LEVELS: Final = ("response", "span")
_CHARACTERS = ("gold", "predicted", "shared")
_RESPONSES = ("gold_responses", "predicted_responses", "shared_responses")
GOLD_SUMS: Final = ("responses", *_CHARACTERS, *_RESPONSES)


def gold_counts(labels: pl.LazyFrame, by: Sequence[str] = (), verdicts: bool = False) -> pl.DataFrame:
    """One row per prompt (and value of `by`) that has annotated responses: what the metric adds up.

    verdicts: predicted are the error spans of claims without support, or else their spans; otherwise the label spans.

    responses; gold, predicted, shared: characters in the union of the spans; gold_responses, predicted_responses,
    shared_responses: responses with any such character, and with both kinds.
    """
    columns = {"group_id": pl.col("group_id"), **by_columns(labels, by)}
    chosen = labels.filter(pl.col("gold_spans").is_not_null()).select(
        *(expr.alias(name) for name, expr in columns.items()),
        pl.col("gold_spans").alias("#gold_spans"),
        (_wrong_spans() if verdicts else _negative_spans()).alias("#predicted"),
    )
    keys = list(dict.fromkeys([*by, "group_id"]))
    counted = [chosen.limit(0).collect()]
    counted = [_counted(batch, keys) for batch in (*counted, *chosen.collect_batches(chunk_size=BATCH_ROWS))]
    return pl.concat(counted).group_by(keys).agg(pl.all().sum()).sort(keys)


def _counted(batch: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    rows = batch.with_row_index(ROW)
    gold = disjoint(spans_of(rows, "#gold_spans"))
    predicted = disjoint(spans_of(rows, "#predicted"))
    parts = {"gold": covered(gold), "predicted": covered(predicted), "shared": overlap(gold, predicted)}
    for name, part in parts.items():
        rows = rows.join(part.rename({"characters": name}), on=ROW, how="left")
    filled = rows.with_columns(pl.col(_CHARACTERS).fill_null(0))
    with_any = {
        "gold_responses": pl.col("gold") > 0,
        "predicted_responses": pl.col("predicted") > 0,
        "shared_responses": (pl.col("gold") > 0) & (pl.col("predicted") > 0),
    }
    return filled.group_by(keys).agg(
        pl.len().cast(pl.Int64).alias("responses"),
        *(pl.col(name).sum() for name in _CHARACTERS),
        *(expr.sum().cast(pl.Int64).alias(name) for name, expr in with_any.items()),
    )


def _negative_spans() -> pl.Expr:
    """Spans labelled -1, as a list column."""
    return pl.col("label_spans").list.filter(pl.element().struct.field("label") == NEGATIVE)


def _wrong_spans() -> pl.Expr:
    """Spans that verdicts call wrong, as a list column."""
    claim = pl.element()
    named, whole = claim.struct.field("error_spans"), claim.struct.field("spans")
    wrong = pl.col("claims").list.filter(claim.struct.field("verdict").is_in(WRONG_VERDICTS))
    spans = wrong.list.eval(pl.when(named.list.len() > 0).then(named).otherwise(whole).explode())
    return spans.list.drop_nulls()


def gold_scores(counts: pl.DataFrame, resamples: int = RESAMPLES, seed: int = SEED) -> pl.DataFrame:
    """level (response, span), precision, recall, f1 in percent, f1_low, f1_high, responses, flawed (with gold spans).

    counts: of `gold_counts`. No row when nothing was annotated. As published, precision is 0 when nothing was
    predicted and recall when nothing is gold; where there is neither, no score says anything: null.
    """
    if not len(counts):
        return pl.DataFrame(schema=_SCORES)
    columns = (*_RESPONSES, *_CHARACTERS)
    values = counts.select(columns).to_numpy().astype(np.float64)
    low, high = interval(values, both_f1, resamples, seed)
    responses, flawed = counts["responses"].sum(), counts["gold_responses"].sum()
    rows = []
    for at, level in enumerate(LEVELS):
        gold, predicted, shared = (int(one) for one in values[:, 3 * at : 3 * at + 3].sum(0))
        scores = prf(shared, predicted, gold)
        found = (scores.precision, scores.recall, scores.f1) if gold + predicted else (None, None, None)
        bounds = (None if np.isnan(one[at]) else float(one[at]) for one in (low, high))
        rows.append((level, *found, *bounds, responses, flawed))
    return pl.DataFrame(rows, schema=_SCORES, orient="row")


def both_f1(sums: np.ndarray) -> np.ndarray:
    """(B, 6) gold, predicted, shared of both LEVELS -> (B, 2) F1 = 2 shared / (gold + predicted), in percent."""
    gold, predicted, shared = sums[:, [0, 3]], sums[:, [1, 4]], sums[:, [2, 5]]
    either = gold + predicted
    return np.divide(200 * shared, either, out=np.full_like(shared, np.nan), where=either > 0)


_SCORES = {
    "level": pl.String,
    **dict.fromkeys(("precision", "recall", "f1", "f1_low", "f1_high"), pl.Float64),
    "responses": pl.Int64,
    "flawed": pl.Int64,
}
