"""Worker processes whose parent was killed: nobody writes beside one that has not ended yet."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import time
from pathlib import Path
from typing import Final

from schemas.errors import ConfigError

WORKERS_FILE: Final = "workers"  # in the work folder: locked, shared, by every worker for as long as it lives
WAIT_S: Final = 30.0  # for an orphan that is inside a library which lets no other thread run
_LOOK_EVERY_S: Final = 0.02


def hold_while_alive(lock: Path) -> None:
    """Hold `lock` together with the other workers, until this process ends however that happens.

    A worker that starts after its parent has been killed ends here: a resumed run may be writing already.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)  # never closed, but by the end of the process
    parent = multiprocessing.parent_process()
    if not _took(descriptor, fcntl.LOCK_SH) or (parent is not None and not parent.is_alive()):
        os._exit(1)


def wait_for_orphans(out: Path, lock: Path) -> None:
    """Return when no worker of a killed run holds `lock`. Raises ConfigError when one still does after WAIT_S."""
    if not lock.exists():
        return
    give_up = time.monotonic() + WAIT_S
    descriptor = os.open(lock, os.O_RDWR)
    try:
        while not _took(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > give_up:
                raise ConfigError(
                    f"--out {out}: another run is writing there (a worker process of a run that was killed); "
                    "wait for it, or end it"
                )
            time.sleep(_LOOK_EVERY_S)
    finally:
        os.close(descriptor)


def _took(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a network file system without locks: the user must take care
        return True
    return True
