"""Which records of a label set the page shows: every kind of outcome of every policy in turn, the rest by lot.

Records with the same outcome (which verdicts occur, whether anything is unverified, unmatched or in conflict, whether
any token is labelled, whether people saw it otherwise) are alike to a reader; each outcome gets an equal share of the
page, and within it each policy.
The lot is a hash of the record's place and a seed: the same label set and seed give the same page.
"""

from __future__ import annotations

from typing import Any, Final

import polars as pl

_FLAGS: Final = {
    "contradicted": pl.col("n_contradicted") > 0,
    "unsupported": pl.col("n_unsupported") > 0,
    "unverified": pl.col("n_unverified") > 0,
    "unmatched": pl.col("n_unmatched") > 0,
    "conflicts": pl.col("n_conflicts") > 0,
    "doubtful": pl.col("n_doubtful") > 0,
    "all_supported": (pl.col("n_supported") > 0) & (pl.col("n_supported") == pl.col("n_claims")),
    "some_supported": pl.col("n_supported") > 0,
    "no_claims": pl.col("n_claims") == 0,
    "no_labels": pl.col("n_tokens_supported") + pl.col("n_tokens_unsupported") == 0,
    "missed": (pl.col("gold_spans").list.len() > 0).fill_null(False) & (pl.col("n_tokens_unsupported") == 0),
    "false_alarm": (pl.col("gold_spans").list.len() == 0).fill_null(False) & (pl.col("n_tokens_unsupported") > 0),
}
# Outcomes that the page can be filtered by, in the reader's words.
KINDS: Final = {
    "contradicted": "with a contradicted claim",
    "unsupported": "with an unsupported claim",
    "all_supported": "all claims supported",
    "unverified": "with an unverified claim",
    "unmatched": "with a claim not found in the response",
    "conflicts": "with conflicting claims",
    "doubtful": "with a claim too doubtful to label",
    "no_claims": "without claims",
    "no_labels": "no token labelled",
    "missed": "people found an error, the labels none",
    "false_alarm": "the labels found an error, people none",
}
_BATCH_ROWS: Final = 200_000
_MAX_PER_OUTCOME: Final = 10_000  # candidates kept between batches, where a label set has very many policies

_MULTIPLIER: Final = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: spreads neighbouring rows over all of 64 bits


def choose_rows(labels: pl.LazyFrame, count: int, seed: int = 0) -> list[int]:
    """At most `count` rows (places in `labels`), the order being who stays first when space is short.

    Memory is bounded whatever the number of rows: counts and policy are read in batches, the texts not at all.
    """
    outcome = pl.sum_horizontal(flag.cast(pl.UInt32) * 2**bit for bit, flag in enumerate(_FLAGS.values()))
    narrow = labels.with_row_index("row").select("row", "policy", outcome.alias("outcome"))
    kept = _first_of_each(narrow.clear().with_columns(pl.lit(0, pl.UInt64).alias("lot")).collect(), count)
    for batch in narrow.collect_batches(chunk_size=_BATCH_ROWS, maintain_order=True, engine="streaming"):
        kept = _first_of_each(pl.concat([kept.drop("nth"), batch.with_columns(_lot(seed).alias("lot"))]), count)
    turn = pl.int_range(pl.len()).over("outcome")
    return kept.sort("nth", "lot").sort(turn, "outcome").head(count)["row"].to_list()


def _first_of_each(candidates: pl.DataFrame, count: int) -> pl.DataFrame:
    """The first `count` by lot of every outcome of every policy; `nth`: which of them."""
    by_lot = candidates.sort("lot").with_columns(pl.int_range(pl.len()).over("outcome", "policy").alias("nth"))
    in_turn = by_lot.filter(pl.col("nth") < count).sort("nth", "lot")
    return (
        in_turn.group_by("outcome", maintain_order=True)
        .head(_MAX_PER_OUTCOME)
        .select("row", "policy", "outcome", "lot", "nth")
    )


def _lot(seed: int) -> pl.Expr:
    """A number that looks drawn, for every row; the same on every machine and version."""
    mixed = pl.col("row").cast(pl.UInt64) + pl.lit((seed * 0xD1B54A32D192ED03 + 1) % 2**64, pl.UInt64)
    for shift in (32, 29):
        mixed = mixed * pl.lit(_MULTIPLIER, pl.UInt64)  # modulo 2^64
        mixed = mixed ^ (mixed // 2**shift)
    return mixed


def kinds_of(record: dict[str, Any]) -> list[str]:
    """The KINDS that a record belongs to. record: as `pipeline.show.record_values` gives it."""
    claims = record["claims"]
    verdicts = [claim["verdict"] for claim in claims]
    holds = {
        "contradicted": "contradicted" in verdicts,
        "unsupported": "unsupported" in verdicts,
        "all_supported": bool(claims) and set(verdicts) == {"supported"},
        "unverified": None in verdicts,
        "unmatched": any(claim["alignment"] == "unmatched" for claim in claims),
        "conflicts": record["n_conflicts"] > 0,
        "doubtful": record["n_doubtful"] > 0,
        "no_claims": not claims,
        "no_labels": record["n_tokens_supported"] + record["n_tokens_unsupported"] == 0,
        "missed": bool(record["gold_spans"]) and not record["n_tokens_unsupported"],
        "false_alarm": record["gold_spans"] == [] and record["n_tokens_unsupported"] > 0,
    }
    return [kind for kind in KINDS if holds[kind]]
