"""The manifest of a label set: what it holds, how it was made, and the sums that must add up.

Layout of a label set:   shards/part-00007-of-00016.parquet   rejected/part-….parquet   manifest.json
The manifest is written last and atomically. A folder without one is an unfinished run; readers refuse it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from schemas.disk import write_atomically
from schemas.errors import NoLabelSetError, ShardError
from schemas.shards import SCHEMA_VERSION

MANIFEST: Final = "manifest.json"
SHARD_FOLDER: Final = "shards"
REJECTED_FOLDER: Final = "rejected"
MAX_MANIFEST_BYTES: Final = 256 << 20  # a hundred thousand shards take a fifth of it
_ADDRESS: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/")  # of a bucket; a Path has lost its second slash
WORK_FOLDER: Final = ".work"  # what an unfinished run needs to go on; gone when the manifest is written


@dataclass(frozen=True)
class ShardEntry:
    """One file of labelled rows. path: relative to the label set.   tokens_*: token counts by label."""

    path: str
    rows: int
    groups: int
    tokens: int
    tokens_supported: int
    tokens_unsupported: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class RejectedEntry:
    """One file of rejected records. path: relative to the label set."""

    path: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What manifest.json holds.

    counts: read = labelled + rejected.   rejected_by: "stage: reason" -> records.   claims: tallies of
    verdicts, statuses, alignments and conflicts over all claims.   config: the options that shaped the rows.
    tokenizer: {name, fingerprint}.   engines: {extractor, verifier, prompt_version}.
    inputs: the corpus files, {path, format, bytes}.
    usage: requests, tokens and cost of a language model; {} when none was asked.
    """

    counts: Mapping[str, int]
    shards: tuple[ShardEntry, ...]
    rejected: tuple[RejectedEntry, ...]
    rejected_by: Mapping[str, int]
    claims: Mapping[str, Mapping[str, int]]
    config: Mapping[str, Any]
    engines: Mapping[str, str]
    tokenizer: Mapping[str, str]
    usage: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[Mapping[str, Any], ...] = ()
    balto_version: str = ""
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        counts = self.counts
        if counts["read"] != counts["labelled"] + counts["rejected"]:
            raise ShardError(
                f"the run does not add up: {counts['read']} records read, {counts['labelled']} labelled and "
                f"{counts['rejected']} rejected; please report this"
            )
        if counts["labelled"] != sum(shard.rows for shard in self.shards):
            raise ShardError(f"the shards hold {sum(s.rows for s in self.shards)} rows, not {counts['labelled']}")

    def content_hash(self) -> str:
        """sha256 over the shards' names and hashes: equal exactly when the labelled rows are equal."""
        lines = [f"{shard.path} {shard.sha256}\n" for shard in self.shards]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write manifest.json into the label set `folder`, atomically."""
    write_atomically(folder / MANIFEST, manifest_bytes(manifest))


def manifest_bytes(manifest: Manifest) -> bytes:
    """What manifest.json holds."""
    text = json.dumps(dataclasses.asdict(manifest), indent=2, sort_keys=True, ensure_ascii=False)
    return (text + "\n").encode()


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the label set in `folder`. Raises ShardError, naming what is wrong and the remedy."""
    path = folder / MANIFEST
    if _ADDRESS.match(str(folder)):
        address = str(folder).replace(":/", "://", 1) if "://" not in str(folder) else str(folder)
        raise NoLabelSetError(
            f"{address}: label sets are read from local folders; copy it here first: balto copy {address} FOLDER"
        )
    if folder.is_file():
        raise NoLabelSetError(
            f"{folder}: no such label set: a file, not the folder that `balto label` makes of a corpus"
        )
    if not folder.is_dir():
        raise NoLabelSetError(f"{folder}: no such label set (it must be a folder that `balto label` wrote)")
    if not path.is_file():
        if (folder / WORK_FOLDER).is_dir():
            raise ShardError(f"{folder}: an unfinished run; the command that started it resumes it")
        raise ShardError(f"{folder}: not a label set, or an unfinished one: no {MANIFEST} (run `balto label` again)")
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise ShardError(f"{path}: {path.stat().st_size} bytes are no manifest; label the corpus again")
    return parse_manifest(path.read_bytes(), str(path))


def parse_manifest(data: bytes, path: str) -> Manifest:
    """The manifest in the bytes of a manifest.json.   path: for messages. Raises ShardError when it cannot be one."""
    try:
        values = json.loads(data)
        version = values["schema_version"]
        if version != SCHEMA_VERSION:
            raise ShardError(f"{path}: schema version {version}; this balto reads version {SCHEMA_VERSION}")
        values["shards"] = tuple(ShardEntry(**shard) for shard in values["shards"])
        values["inputs"] = tuple(values["inputs"])
        values["rejected"] = tuple(RejectedEntry(**entry) for entry in values["rejected"])
        for entry in (*values["shards"], *values["rejected"]):
            if not _is_inside(entry.path):
                raise ShardError(f"{path}: names a file outside the label set ({entry.path})")
        return Manifest(**values)
    except ShardError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as err:
        raise ShardError(f"{path}: not a readable manifest ({err}); label the corpus again") from err


def _is_inside(path: str) -> bool:
    """Whether a manifest's path stays in its label set, on disks and in buckets."""
    return not (Path(path).is_absolute() or ".." in Path(path).parts or "://" in path or "\\" in path)
