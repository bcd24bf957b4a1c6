"""A label set from one filesystem to another, every file compared with the manifest on the way, the manifest last."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pipeline.runs import progress
from pipeline.runs.output_bucket import refuse_occupied_bucket
from pipeline.runs.output_folder import only_writer, refuse_occupied
from pipeline.storage.whole_files import file_facts, files_below, is_local, join, read_file, remove_files, write_file
from schemas.errors import ConfigError, NoLabelSetError, ShardError
from schemas.interruption import completing
from schemas.listed_files import Listed, check_bytes, is_as_listed
from schemas.manifest import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    REJECTED_FOLDER,
    SHARD_FOLDER,
    Manifest,
    parse_manifest,
)

MAX_SHARD_BYTES: Final = 4 << 30  # more than any shard of ours: what a manifest claims is not believed beyond this


def read_manifest_at(folder: str) -> Manifest:
    """The manifest of a finished label set on any filesystem. Raises ShardError when there is none."""
    path = join(folder, MANIFEST)
    if is_local(folder) and not Path(folder).is_dir():
        raise NoLabelSetError(f"{folder}: no such label set (it must be a folder that `balto label` wrote)")
    if file_facts(path) is None:
        raise ShardError(f"{folder}: no finished label set there (no {MANIFEST})")
    return parse_manifest(read_file(path, MAX_MANIFEST_BYTES), path)


def copy_labels(source: str, target: str, overwrite: bool = False) -> Manifest:
    """Copy the label set `source` to the folder `target`; a copy that was interrupted goes on. Returns its manifest.

    Raises ShardError for a file that is not what the manifest says, ConfigError for a target that may not be replaced.
    """
    if source.rstrip("/") == target.rstrip("/"):
        raise ConfigError(f"{target}: is the label set itself; name another folder")
    manifest = read_manifest_at(source)
    (refuse_occupied(Path(target), overwrite) if is_local(target) else refuse_occupied_bucket(target, overwrite))
    with only_writer(Path(target)) if is_local(target) else contextlib.nullcontext():
        if not overwrite and file_facts(join(target, MANIFEST)) is not None:  # another run's, before the lock was ours
            raise ConfigError(f"--out {target}: already holds a finished label set; add --overwrite to replace it")
        remove_files(join(target, MANIFEST))  # first: from here on it is no label set
        send_files(manifest, source, target)
    return manifest


def send_files(
    manifest: Manifest, source: str, target: str, before_manifest: Callable[[], None] = lambda: None
) -> None:
    """Write what `manifest` lists to `target`, then the manifest itself; files that only an older label set had go."""
    entries = [*manifest.shards, *manifest.rejected]
    for entry in entries:
        if not _is_there(target, entry):
            write_file(join(target, entry.path), read_listed(source, entry))
        progress.advance(entry.rows)
    kept = {join(target, entry.path) for entry in entries}
    stale = [one.path for folder in (SHARD_FOLDER, REJECTED_FOLDER) for one in files_below(join(target, folder))]
    remove_files(*(path for path in stale if path not in kept))
    before_manifest()
    data = read_file(join(source, MANIFEST), MAX_MANIFEST_BYTES)
    with completing():
        write_file(join(target, MANIFEST), data)


def _is_there(target: str, entry: Listed) -> bool:
    """Whether an interrupted copy got so far: on local disks, where looking costs little."""
    return is_local(target) and is_as_listed(Path(target), entry)


def read_listed(folder: str, entry: Listed) -> bytes:
    """One file of the label set in `folder`. Raises ShardError when it is not what the manifest says."""
    path = join(folder, entry.path)
    try:
        data = read_file(path, min(entry.bytes, MAX_SHARD_BYTES))
    except OSError as err:
        raise ShardError(f"{path}: the manifest names this file, but it cannot be read ({err.strerror})") from err
    check_bytes(path, data, entry)
    return data
