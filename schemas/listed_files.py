"""Whether the files of a label set are those that its manifest lists: there, of their size, of their sha256."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Final

from schemas.errors import ShardError
from schemas.manifest import RejectedEntry, ShardEntry

_HASHED_AT_ONCE: Final = 4  # files: hashing waits for the disk and leaves Python's lock
_REMEMBERED: Final = 1 << 17  # files, so that those of a label set that is opened twice are hashed once
_AGAIN: Final = "label or copy the label set again"

Listed = ShardEntry | RejectedEntry


def check_files(folder: Path, entries: Iterable[Listed], verify: bool = True, otherwise: str = "") -> list[Path]:
    """Where the listed files of the label set in `folder` lie.

    verify: read them all and compare their sha256, about a second per gigabyte and core.   otherwise: what else can be
    done about other bytes, for the message. Raises ShardError for the first file that is not what the manifest says.
    """
    listed = [(folder / entry.path, entry) for entry in entries]
    for path, entry in listed:
        _check_size(path, entry)
    if verify:
        with ThreadPoolExecutor(_HASHED_AT_ONCE) as pool:
            for (path, entry), digest in zip(listed, pool.map(_sha256_of, (path for path, _ in listed)), strict=True):
                _check_sha256(str(path), digest, entry, otherwise)
    return [path for path, _ in listed]


def is_as_listed(folder: Path, entry: Listed) -> bool:
    """Whether a file is there and what its entry says."""
    try:
        check_files(folder, [entry])
    except (ShardError, OSError):
        return False
    return True


def check_bytes(path: str, data: bytes, entry: Listed) -> None:
    """Raise ShardError when `data`, all that could be read at `path`, is not what the manifest says."""
    _check_sha256(path, hashlib.sha256(data).hexdigest(), entry, "")


def _check_size(path: Path, entry: Listed) -> None:
    if not path.is_file():
        raise ShardError(f"{path}: missing, although the manifest lists it; {_AGAIN}")
    size = path.stat().st_size
    if size != entry.bytes:
        raise ShardError(f"{path}: {size} bytes, the manifest says {entry.bytes}: altered or copied in part; {_AGAIN}")


def _check_sha256(path: str, digest: str, entry: Listed, otherwise: str) -> None:
    if digest != entry.sha256:
        remedy = f"{_AGAIN}, {otherwise}" if otherwise else _AGAIN
        raise ShardError(f"{path}: altered since it was written (its sha256 is not the manifest's); {remedy}")


def _sha256_of(path: Path) -> str:
    stat = path.stat()
    return _hashed(path.resolve(), stat.st_size, stat.st_mtime_ns)


@lru_cache(_REMEMBERED)
def _hashed(path: Path, size: int, modified_ns: int) -> str:  # noqa: ARG001  # for the cache
    """sha256 of a file.   size, modified_ns: with another, it was written anew and is hashed anew."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
