"""One run at a time on one output: a lock that the operating system drops with the process, however that ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from schemas.errors import ConfigError

_NO_LOCKS: Final = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # some network file systems: the user must take care


@contextlib.contextmanager
def only_run(out: Path, lock: Path) -> Iterator[None]:
    """Hold the file `lock`, made here and removed in the end. Raises ConfigError when another run into `out` holds it.

    The folder of `lock` is made, and removed again where nothing else has come into it. Nobody but its holder may
    remove the file, and what the lock guards is looked at once it is held: another run may have just ended.
    """
    try:
        descriptor = _locked(lock)
    except BlockingIOError as err:
        raise ConfigError(f"--out {out}: another run is writing there; wait for it, or name another") from err
    except OSError as err:
        raise ConfigError(f"--out {out}: cannot write there ({err.strerror})") from err
    try:
        yield
    finally:
        if _is(descriptor, lock):  # else it was removed together with the output, and may be another run's by now
            lock.unlink(missing_ok=True)
        os.close(descriptor)
        with contextlib.suppress(OSError):  # there is something in it
            lock.parent.rmdir()


def _locked(lock: Path) -> int:
    """A descriptor that holds the lock. Its last holder may have removed the file, or its folder too, just before: then
    once more."""
    while True:
        lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor)
            if _is(descriptor, lock):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one that has that name now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as err:
        if err.errno not in _NO_LOCKS:
            raise
