"""Faithfulness, informativeness and Q-Score: of responses, averaged per prompt, then over prompts.

Of a response with S supported and U unsupported or contradicted claims, and K the reference count of its prompt:

    F = S / (S + U)     I = min(S / K, 1)     Q = 2 F I / (F + I), 0 when S = 0

Q is the F1@K of SAFE (arXiv 2403.18802) on claims; the averaging is ours. A response without checkable claims has no F,
I or Q and is counted apart; `q_score_all` takes it as 0, so that a policy cannot win by saying nothing. A response
whose claims all went unverified is in no score: a failure is not a verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl

from pipeline.score.bootstrap import RESAMPLES, SEED, interval
from pipeline.stats.columns import by_columns
from pipeline.stats.shares import wrong_claims
from schemas.records import NO_CLAIMS, UNVERIFIED

K: Final = "k"
COUNTS: Final = ("responses", "judged", "without_claims", "unverified")
# score -> the count of a prompt's responses that it is a mean over
SCORES: Final[Mapping[str, str]] = {
    "faithfulness": "judged",
    "informativeness": "judged",
    "q_score": "judged",
    "q_score_all": "answered",
    "without_claims_rate": "responses",
    "characters": "responses",
    "tokens": "responses",
}


def reference_counts(labels: pl.LazyFrame) -> pl.DataFrame:
    """group_id, k: the median over a prompt's responses of their supported claims, at least 1."""
    judged = labels.filter(pl.col("status") != UNVERIFIED)
    median = pl.col("n_supported").cast(pl.Float64).median().clip(1.0).alias(K)
    return judged.group_by("group_id").agg(median).collect(engine="streaming")


def prompt_scores(
    labels: pl.LazyFrame, reference: pl.DataFrame | float | None = None, by: Sequence[str] = ()
) -> pl.DataFrame:
    """One row per prompt (and value of `by`): COUNTS, `answered`, and for each score the sum over its responses.

    reference: K for every prompt, or the frame of `reference_counts`; a prompt that it lacks, and every prompt when it
    is None, takes the median of its own responses. Sorted by `by` and group_id.
    """
    columns = {"group_id": pl.col("group_id"), **by_columns(labels, by)}
    rows = labels.select(*(expr.alias(name) for name, expr in columns.items()), *_of_response())
    if isinstance(reference, int | float):
        rows = rows.with_columns(pl.lit(float(reference)).alias(K))
    else:
        own = reference_counts(labels)
        known = own if reference is None else pl.concat([reference, own.join(reference, on="group_id", how="anti")])
        rows = rows.join(known.lazy(), on="group_id", how="left")
    keys = list(dict.fromkeys([*by, "group_id"]))
    # the engine adds in any order: rounded, the last digits do not differ from run to run
    sums = [*(pl.col(name).sum() for name in (*COUNTS, "answered")), *(pl.col(name).sum().round(12) for name in SCORES)]
    return _scored(rows).group_by(keys).agg(sums).sort(keys).collect(engine="streaming")


def _of_response() -> list[pl.Expr]:
    supported = pl.col("n_supported").cast(pl.Int64)
    return [
        supported.alias("#s"),
        wrong_claims().cast(pl.Int64).alias("#u"),
        pl.lit(1, pl.Int64).alias("responses"),
        (pl.col("status") == NO_CLAIMS).cast(pl.Int64).alias("without_claims"),
        (pl.col("status") == UNVERIFIED).cast(pl.Int64).alias("unverified"),
        pl.col("response").str.len_chars().cast(pl.Float64).alias("characters"),
        pl.col("n_tokens").cast(pl.Float64).alias("tokens"),
    ]


def _scored(rows: pl.LazyFrame) -> pl.LazyFrame:
    supported, wrong = pl.col("#s"), pl.col("#u")
    judged = supported + wrong > 0
    f, i = supported / (supported + wrong), pl.min_horizontal(supported / pl.col(K), 1.0)
    q = pl.when(supported > 0).then(2 * f * i / (f + i)).otherwise(0.0)
    return rows.with_columns(
        judged.cast(pl.Int64).alias("judged"),
        (judged | (pl.col("without_claims") > 0)).cast(pl.Int64).alias("answered"),
        pl.when(judged).then(f).otherwise(0.0).alias("faithfulness"),
        pl.when(judged).then(i).otherwise(0.0).alias("informativeness"),
        pl.when(judged).then(q).otherwise(0.0).alias("q_score"),
        pl.when(judged).then(q).otherwise(0.0).alias("q_score_all"),
        pl.col("without_claims").cast(pl.Float64).alias("without_claims_rate"),
    )


def mean_scores(prompts: pl.DataFrame, resamples: int = RESAMPLES, seed: int = SEED) -> pl.DataFrame:
    """score, value, low, high, prompts: means over the prompts of `prompt_scores`, of those that have the score.

    low, high: the bootstrap interval over prompts; null for fewer than two.
    """
    return _means(*_per_prompt(prompts), resamples, seed).select("score", "value", "low", "high", "prompts")


def score_difference(
    prompts: pl.DataFrame, base: pl.DataFrame, resamples: int = RESAMPLES, seed: int = SEED
) -> pl.DataFrame:
    """score, value, base, difference, low, high, prompts, paired: these prompts' scores less the base's.

    Where the two share prompts, only those count, and each is compared with itself: `paired`. Otherwise the two means
    are taken apart, each over its own prompts, and so are their resamples.
    """
    shared = prompts.join(base, on="group_id", suffix=" base")
    if not len(shared):
        return _unpaired(prompts, base, resamples, seed)
    mine, has = _per_prompt(shared)
    theirs, base_has = _per_prompt(shared, " base")
    both = has * base_has
    table = _means((mine - theirs) * both, both, resamples, seed).rename({"value": "difference"})
    values = [_ratio((side * both).sum(0), both.sum(0)) for side in (mine, theirs)]
    return table.select(
        "score",
        _column("value", values[0]),
        _column("base", values[1]),
        "difference",
        "low",
        "high",
        "prompts",
        pl.lit(True).alias("paired"),
    )


def _unpaired(prompts: pl.DataFrame, base: pl.DataFrame, resamples: int, seed: int) -> pl.DataFrame:
    (mine, has), (theirs, base_has) = _per_prompt(prompts), _per_prompt(base)
    n = len(SCORES)
    # one block of columns per side, zero on the other side's prompts: resampled together, means taken apart
    values = np.block(
        [
            [mine, np.zeros_like(mine), has, np.zeros_like(has)],
            [np.zeros_like(theirs), theirs, np.zeros_like(theirs), base_has],
        ]
    )

    def figure(sums: np.ndarray) -> np.ndarray:
        return _ratio(sums[:, :n], sums[:, 2 * n : 3 * n]) - _ratio(sums[:, n : 2 * n], sums[:, 3 * n :])

    low, high = interval(values, figure, resamples, seed)
    ours, bases = _ratio(mine.sum(0), has.sum(0)), _ratio(theirs.sum(0), base_has.sum(0))
    columns = {"value": ours, "base": bases, "difference": ours - bases, "low": low, "high": high}
    counts = pl.Series("prompts", has.sum(0).astype(np.int64))
    table = pl.DataFrame({"score": list(SCORES)}).with_columns(*(_column(*one) for one in columns.items()), counts)
    return table.with_columns(pl.lit(False).alias("paired"))


def _per_prompt(prompts: pl.DataFrame, suffix: str = "") -> tuple[np.ndarray, np.ndarray]:
    """(G, scores) means of each prompt's responses, 0 where there is none; (G, scores) 1.0 where there is one."""
    sums = prompts.select(f"{name}{suffix}" for name in SCORES).to_numpy().astype(np.float64)
    counts = np.stack([prompts[f"{count}{suffix}"].to_numpy() for count in SCORES.values()], axis=1)
    return sums / np.maximum(counts, 1), (counts > 0).astype(np.float64)


def _means(values: np.ndarray, has: np.ndarray, resamples: int, seed: int) -> pl.DataFrame:
    n = len(SCORES)

    def figure(sums: np.ndarray) -> np.ndarray:
        return _ratio(sums[:, :n], sums[:, n:])

    low, high = interval(np.hstack([values, has]), figure, resamples, seed)
    prompts = pl.Series("prompts", has.sum(0).astype(np.int64))
    columns = {"value": _ratio(values.sum(0), has.sum(0)), "low": low, "high": high}
    return pl.DataFrame({"score": list(SCORES)}).with_columns(*(_column(*one) for one in columns.items()), prompts)


def _ratio(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


def _column(name: str, values: np.ndarray) -> pl.Series:
    return pl.Series(name, values).fill_nan(None)
