"""What manifests say of label sets: how they were made, what was refused, what a language model cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.stats.scan import LABEL_SET
from schemas.errors import ShardError
from schemas.manifest import read_manifest

_COUNTED = {
    "records": "rows",
    "n_tokens": "tokens",
    "n_tokens_supported": "tokens_supported",
    "n_tokens_unsupported": "tokens_unsupported",
}  # column of the overview -> field of a shard's entry


def label_sets(folders: Sequence[str]) -> pl.DataFrame:
    """One row per label set: records read, labelled and rejected, shards, engines, tokenizer, conflict policy."""
    rows = []
    for folder in folders:
        manifest = read_manifest(Path(folder))
        counts = {name: int(manifest.counts[name]) for name in ("read", "labelled", "rejected")}
        made = {name: str(manifest.engines.get(name, "")) for name in ("extractor", "verifier", "prompt_version")}
        rows.append(
            {
                LABEL_SET: folder,
                **counts,
                "shards": len(manifest.shards),
                **made,
                "tokenizer": manifest.tokenizer["name"],
                "conflict_policy": str(manifest.config.get("conflicts", "")),
            }
        )
    return pl.DataFrame(rows, schema=_LABEL_SETS)


def rejected(folders: Sequence[str]) -> pl.DataFrame:
    """Rejected records by label set and "stage: reason", largest first."""
    rows = [
        (folder, reason, int(records))
        for folder in folders
        for reason, records in read_manifest(Path(folder)).rejected_by.items()
    ]
    frame = pl.DataFrame(rows, {LABEL_SET: pl.String, "reason": pl.String, "records": pl.Int64}, orient="row")
    return frame.sort(LABEL_SET, "records", "reason", descending=[False, True, False])


def usage(folders: Sequence[str]) -> pl.DataFrame:
    """Use of a language model as the manifests tell it: one row per number, named by its path (`verify.requests`).

    Empty where no language model was asked. What is not a number is left out.
    """
    rows = [(folder, name, value) for folder in folders for name, value in _numbers(read_manifest(Path(folder)).usage)]
    return pl.DataFrame(rows, {LABEL_SET: pl.String, "what": pl.String, "amount": pl.Float64}, orient="row")


def check_sums(folders: Sequence[str], whole: Mapping[str, Any]) -> None:
    """Raise ShardError unless the overview of all rows, `whole`, has the sums of the manifests."""
    shards = [shard for folder in folders for shard in read_manifest(Path(folder)).shards]
    for column, field in _COUNTED.items():
        told = sum(getattr(shard, field) for shard in shards)
        if whole[column] != told:
            raise ShardError(
                f"{', '.join(folders)}: the rows hold {whole[column]:,} {field.replace('_', ' ')}, the manifest says "
                f"{told:,}; a shard was altered: label the corpus again"
            )


def _numbers(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{name}", float(value)


_TEXT = ("extractor", "verifier", "prompt_version", "tokenizer", "conflict_policy")
_LABEL_SETS = {
    LABEL_SET: pl.String,
    **dict.fromkeys(("read", "labelled", "rejected", "shards"), pl.Int64),
    **dict.fromkeys(_TEXT, pl.String),
}
