"""The manifest of a finished run, put together from the reports of its shards; and the summary that people read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.config import LabelConfig
from pipeline.storage import join, parquet_source
from schemas.manifest import Manifest, RejectedEntry, ShardEntry
from schemas.records import CONTRADICTED, UNSUPPORTED
from schemas.tokens import load_tokenizer

MAX_REJECTED_SHOWN = 5
MAX_REASONS = 100  # kinds of rejection reasons that the manifest names
MIN_CLAIMS_ALIKE = 30  # from so many judged claims on, one and the same verdict against all of them is suspicious


def described(config: LabelConfig) -> dict[str, Any]:
    """What the manifest and the resume check say of a config: the options, the engines, the tokenizer itself."""
    tokenizer = load_tokenizer(config.tokenizer)
    return {
        "config": config.as_dict(),
        "engines": config.engines(),
        "tokenizer": {"name": tokenizer.name, "fingerprint": tokenizer.fingerprint},
        "balto_version": _version(),
    }


def _version() -> str:
    try:
        return version("balto")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return ""


def assemble(
    reports: Sequence[Mapping[str, Any]],
    read: int | None,
    rejected: Sequence[Mapping[str, Any]],
    rejected_by: Mapping[str, int],
    described: Mapping[str, Any],
    usage: Mapping[str, Any] | None = None,
) -> Manifest:
    """The manifest of a finished run from its shards' reports.

    read: records that the reader saw; None where only the shards know (then the sum holds by construction).
    rejected, rejected_by: what the reader itself rejected.   usage: of a language model, as `Manifest.usage`.
    """
    shards = tuple(ShardEntry(**report["shard"]) for report in reports if report["shard"])
    refused = (*rejected, *(report["rejected"] for report in reports if report["rejected"]))
    entries = tuple(RejectedEntry(**entry) for entry in refused)
    labelled, lost = sum(shard.rows for shard in shards), sum(entry.rows for entry in entries)
    return Manifest(
        counts={"read": labelled + lost if read is None else read, "labelled": labelled, "rejected": lost},
        shards=shards,
        rejected=entries,
        rejected_by=_added([rejected_by, *(report["rejected_by"] for report in reports)]),
        claims=_claims(reports),
        usage=usage or {},
        **described,
    )


def _claims(reports: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    names = sorted({name for report in reports for name in report["claims"]})
    return {name: _added(report["claims"].get(name, {}) for report in reports) for name in names}


def _added(tallies: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The sum of tallies, largest first; beyond MAX_REASONS kinds the rest is one entry."""
    total: Counter[str] = Counter()
    for tally in tallies:
        total.update(tally)
    kept = dict(sorted(total.items(), key=lambda one: (-one[1], one[0]))[:MAX_REASONS])
    rest = total.total() - sum(kept.values())
    return kept | ({"other": rest} if rest else {})


def first_rejected(manifest: Manifest, out: str | Path) -> list[str]:
    """The first few rejected records as "file:row: stage: reason"."""
    lines: list[str] = []
    for entry in manifest.rejected:
        with parquet_source(join(str(out), entry.path)) as source:
            for batch in pq.ParquetFile(source).iter_batches(MAX_REJECTED_SHOWN):
                rows = batch.to_pylist()[: MAX_REJECTED_SHOWN - len(lines)]
                lines += [f"{row['source']}:{row['source_row']}: {row['stage']}: {row['reason']}" for row in rows]
                if len(lines) == MAX_REJECTED_SHOWN:
                    return lines
    return lines


def summary(manifest: Manifest, out: str | Path) -> dict[str, Any]:
    """What a finished run in `out` prints: sums that add up, and where the first rejected records stand."""
    return {
        **manifest.counts,
        "claims": manifest.claims.get("verdict", {}),
        "doubtful": manifest.claims.get("projection", {}).get("doubtful", 0),
        "tokens": {
            "supported": sum(shard.tokens_supported for shard in manifest.shards),
            "unsupported": sum(shard.tokens_unsupported for shard in manifest.shards),
            "all": sum(shard.tokens for shard in manifest.shards),
        },
        "rejected_by": dict(manifest.rejected_by),
        "first_rejected": first_rejected(manifest, out),
        "shards": len(manifest.shards),
        "engines": dict(manifest.engines),
        "tokenizer": dict(manifest.tokenizer),
        "usage": dict(manifest.usage),
        "config": LabelConfig(**manifest.config).as_dict(),
        "warnings": warnings_about(manifest),
    }


def warnings_about(manifest: Manifest) -> list[str]:
    """What hints that an engine did not do its work although nothing failed; at most one line, none for a sound run."""
    labelled, text = manifest.counts["labelled"], sum(shard.tokens for shard in manifest.shards)
    verdicts = manifest.claims.get("verdict", {})
    if text and not sum(verdicts.values()):
        return [f"not one claim was found in {labelled:,} labelled records: {_to_check(manifest, 'extractor')}"]
    judged = {name: count for name, count in verdicts.items() if name != str(None) and count}
    if len(judged) == 1:
        ((verdict, count),) = judged.items()
        if verdict in (UNSUPPORTED, CONTRADICTED) and count >= MIN_CLAIMS_ALIKE:
            return [f"all {count:,} judged claims are {verdict}: {_to_check(manifest, 'verifier')}"]
    return []


def _to_check(manifest: Manifest, stage: str) -> str:
    if manifest.config.get("labels") == "gold":
        return "check the corpus's gold_spans"
    engine, model = manifest.engines.get(stage, ""), manifest.config.get("model")
    asked = f", its model ({model})" if model and engine.startswith("llm") else ""
    return f"check the {stage} ({engine}){asked} and the records' {'responses' if stage == 'extractor' else 'contexts'}"
