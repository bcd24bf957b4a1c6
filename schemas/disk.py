"""Files that are written whole or not at all, and errors of a disk that say which file they are about."""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path

_RUST: re.Pattern[str] = re.compile(r"\(os error (\d+)\)")  # how a library written in Rust tells the number


@contextlib.contextmanager
def disk_errors_of(path: Path) -> Iterator[None]:
    """Let an OSError of a file that is open name it, and one that a Rust library tells as text of its own be one."""
    try:
        yield
    except OSError as err:
        if err.filename or err.errno is None:
            raise
        raise OSError(err.errno, os.strerror(err.errno), str(path)) from err
    except Exception as err:
        told = _RUST.search(str(err))
        if told is None:
            raise
        number = int(told[1])
        raise OSError(number, os.strerror(number), str(path)) from err


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees all of it or none, also after a crash of the machine."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        sync_folder(path.parent)
    except OSError as err:  # of a full disk, say: writing to an open file does not name it
        partial.unlink(missing_ok=True)
        raise OSError(err.errno, err.strerror, str(path)) from err
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk: else a crash of the machine may keep a later file and lose this one."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # a file system that cannot, such as a bucket mounted as a folder
        return
    finally:
        os.close(descriptor)


def remove_partials(folder: Path, name: str = "") -> None:
    """Remove what writers left in `folder` that were killed in `write_atomically`. The caller is the only one who
    writes there.   name: of the file that was to be written; empty: of any."""
    for partial in folder.glob(f".{glob.escape(name) if name else '*'}.*.partial"):
        if partial.is_file():
            partial.unlink(missing_ok=True)
