"""The manifest of a finished run, put together from the reports of its shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pipeline.config import LabelConfig
from schemas.manifest import Manifest, RejectedEntry, ShardEntry
from schemas.tokens import load_tokenizer

MAX_REASONS = 100  # kinds of rejection reasons that the manifest names


def describe_config(config: LabelConfig) -> dict[str, Any]:
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
