"""Label statistics with lazy Polars: what a label set holds, by policy or any other column. No Beam here.

Every function takes the frame of `scan_labels` and returns a small frame, so that they serve as a library too:

    from pipeline.stats import scan_labels, overview
    overview(scan_labels(["LABELS"]), by=["policy"])
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from schemas.errors import ConfigError, ShardError
from schemas.manifest import ShardEntry, read_manifest
from schemas.records import ALIGNMENTS

_COUNTS = ("n_claims", "n_supported", "n_contradicted", "n_unsupported", "n_unverified", "n_unmatched", "n_conflicts")
_TOKENS = ("n_tokens", "n_tokens_supported", "n_tokens_unsupported")
# What of the overview fits a terminal's width.
BRIEF = ("records", "n_supported", "n_contradicted", "n_unsupported", "n_unverified", "share_unsupported")
_GROUPABLE = (pl.String, pl.Int64, pl.Int32)


def scan_labels(folders: Sequence[str]) -> pl.LazyFrame:
    """A lazy frame over the shards of finished label sets. Raises ShardError for an unfinished or damaged one."""
    files: list[Path] = []
    tokenizers: dict[str, str] = {}
    for folder in map(Path, folders):
        manifest = read_manifest(folder)
        tokenizers[manifest.tokenizer["fingerprint"]] = f"{folder} ({manifest.tokenizer['name']})"
        files += [_checked(folder, shard) for shard in manifest.shards]
    if len({file.resolve() for file in files}) < len(files):
        raise ConfigError(f"{', '.join(folders)}: the same label set is named twice; its rows would count double")
    if len(tokenizers) > 1:
        raise ConfigError(f"label sets of different tokenizers do not add up: {', '.join(tokenizers.values())}")
    if not files:
        raise ConfigError(f"{', '.join(folders)}: no record was labelled; `rejected/` and the manifest say why")
    return pl.scan_parquet(files)


def _checked(folder: Path, shard: ShardEntry) -> Path:
    path = folder / shard.path
    if not path.is_file():
        raise ShardError(f"{path}: the manifest names this shard, but it is not there; label the corpus again")
    if path.stat().st_size != shard.bytes:
        raise ShardError(f"{path}: {path.stat().st_size} bytes, but {shard.bytes} were written; label the corpus again")
    return path


def overview(labels: pl.LazyFrame, by: Sequence[str] = ()) -> pl.DataFrame:
    """Counts and shares, one row per value of `by` (one row in all without), most records first.

    Columns: records, groups, claims, claims_per_response, one count per verdict, unverified, unmatched, conflicts,
    tokens, and the shares of tokens labelled +1 and -1 and left at 0. Raises ConfigError for an unknown column.
    """
    _check_columns(labels, by)
    sums = [pl.col(name).sum().cast(pl.Int64) for name in (*_COUNTS, *_TOKENS)]
    totals = [
        pl.len().cast(pl.Int64).alias("records"),
        pl.col("group_id").n_unique().cast(pl.Int64).alias("groups"),
        *sums,
    ]
    grouped = labels.group_by(list(by)).agg(totals) if by else labels.select(totals)
    share = {"share_supported": "n_tokens_supported", "share_unsupported": "n_tokens_unsupported"}
    return (
        grouped.with_columns((pl.col("n_claims") / pl.col("records")).alias("claims_per_response"))
        .with_columns((pl.col(count) / pl.col("n_tokens")).fill_nan(None).alias(name) for name, count in share.items())
        .with_columns((1 - pl.col("share_supported") - pl.col("share_unsupported")).alias("share_neutral"))
        .sort(["records", *by], descending=[True, *(False for _ in by)])
        .collect(engine="streaming")
    )


def claim_counts(labels: pl.LazyFrame, column: str, by: Sequence[str] = ()) -> pl.DataFrame:
    """How many claims have each value of a claim field (verdict, status, alignment, verifier, ...), largest first."""
    _check_columns(labels, by)
    claims = labels.select(*by, pl.col("claims")).explode("claims", empty_as_null=False)
    values = claims.select(*by, pl.col("claims").struct.field(column).fill_null("none"))
    return (
        values.group_by([*by, column])
        .agg(pl.len().cast(pl.Int64).alias("claims"))
        .sort([*by, "claims", column], descending=[*(False for _ in by), True, False])
        .collect(engine="streaming")
    )


def projection(labels: pl.LazyFrame) -> pl.DataFrame:
    """How claims came to their characters: one row per alignment, and the claims whose characters the opposite verdict
    claims too.   Columns: projection, claims, share_of_claims."""
    found = dict(claim_counts(labels, "alignment").iter_rows())
    conflicted = labels.select(pl.col("n_conflicts").sum().cast(pl.Int64)).collect().item()
    counts = {alignment: found.get(alignment, 0) for alignment in ALIGNMENTS} | {"conflicted": conflicted}
    frame = pl.DataFrame({"projection": list(counts), "claims": list(counts.values())})
    return frame.with_columns((pl.col("claims") / sum(found.values())).fill_nan(None).alias("share_of_claims"))


def response_statuses(labels: pl.LazyFrame, by: Sequence[str] = ()) -> pl.DataFrame:
    """How many responses have each status (labelled, partial, unverified, no_claims)."""
    _check_columns(labels, by)
    counted = labels.group_by([*by, "status"]).agg(pl.len().cast(pl.Int64).alias("responses"))
    return counted.sort([*by, "status"]).collect(engine="streaming")


def groups_with_signal(labels: pl.LazyFrame) -> pl.DataFrame:
    """Prompt groups by what balanced training finds in them: both labels, only one, or none."""
    tokens = labels.group_by("group_id").agg(pl.col(name).sum() for name in _TOKENS)
    supported, unsupported = pl.col("n_tokens_supported") > 0, pl.col("n_tokens_unsupported") > 0
    kind = (
        pl.when(supported & unsupported)
        .then(pl.lit("both labels"))
        .when(supported)
        .then(pl.lit("only supported"))
        .when(unsupported)
        .then(pl.lit("only unsupported"))
        .otherwise(pl.lit("no label"))
    )
    counted = tokens.group_by(kind.alias("signal")).agg(pl.len().cast(pl.Int64).alias("groups"))
    return counted.sort("signal").collect(engine="streaming")


def _check_columns(labels: pl.LazyFrame, by: Sequence[str]) -> None:
    schema = labels.collect_schema()
    usable = [name for name, type_ in schema.items() if type_ in _GROUPABLE]
    for name in by:
        if name not in usable:
            near = difflib.get_close_matches(name, usable, n=3, cutoff=0.4) or usable[:6]
            raise ConfigError(f"--by {name}: no such column to group by; near: {', '.join(near)}")
