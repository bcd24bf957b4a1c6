"""Whose turn it is to write into a bucket, where there are no locks: one object names the run that may.

    .work/owner.json   {token, beat}: the run that may write; it beats while the command that started the run is alive

A second command watches the beat: where it moves, another run is at work and the command is refused. Where it stands
still the run is given up for dead, and the second command writes its own token. Should something of the dead run live
on after all (a job in the cloud outlives the command that started it), it finds another token before its next shard or
its manifest, and stops. No clocks are compared.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Final

from pipeline.storage.whole_files import file_facts, join, read_file, write_file
from schemas.errors import BaltoError, ConfigError
from schemas.manifest import MANIFEST, WORK_FOLDER

OWNER_FILE: Final = "owner.json"
BEAT_S: Final = 5.0
WATCH_S: Final = 15.0  # three beats
MAX_OWNER_BYTES: Final = 4096
log = logging.getLogger(__name__)


@contextlib.contextmanager
def take_turn(out: str, sleep: Callable[[float], Any] = time.sleep) -> Iterator[str]:
    """Be the run that may write into `out`; yields its token, and beats until the block ends.

    Raises ConfigError when another run is at it.
    """
    before = _read(out)
    if before is not None:
        log.info("an earlier run left its mark in %s: watching for %.0f s whether it still works", out, WATCH_S)
        sleep(WATCH_S)
        if _read(out) not in (before, None):
            raise ConfigError(f"--out {out}: another run is writing there; wait for it, or name another folder")
    token = uuid.uuid4().hex
    _write(out, token, 0)
    stop = threading.Event()
    thread = threading.Thread(target=_beat, args=(out, token, stop), name="balto-turn", daemon=True)
    thread.start()
    try:
        yield token
    finally:
        stop.set()
        thread.join()


def check_turn(out: str, token: str) -> None:
    """Raises BaltoError when another run has taken over `out`.   token: empty where a lock sees to that."""
    if not token:
        return
    owner = _read(out)
    if owner is None or owner.get("token") != token:
        raise BaltoError(f"{out}: another run has taken over this output, or it was removed; this run has stopped")


def is_closed(out: str, token: str) -> bool:
    """Whether this run has finished `out` before: its manifest is there, and its mark is gone."""
    return bool(token) and _read(out) is None and file_facts(join(out, MANIFEST)) is not None


def _beat(out: str, token: str, stop: threading.Event) -> None:
    beat = 0
    while not stop.wait(BEAT_S):
        beat += 1
        try:
            owner = _read(out)
            if owner is None or owner.get("token") != token:
                return  # finished, or taken over: the run itself finds out before it writes
            _write(out, token, beat)
        except OSError as err:
            log.warning("%s: the mark of this run cannot be renewed (%s)", out, err.strerror)


def _path(out: str) -> str:
    return join(out, WORK_FOLDER, OWNER_FILE)


def _read(out: str) -> dict[str, Any] | None:
    try:
        if file_facts(_path(out)) is None:
            return None
        owner = json.loads(read_file(_path(out), MAX_OWNER_BYTES))
    except OSError:
        if file_facts(_path(out)) is None:  # it went away in between
            return None
        raise
    except ValueError:
        return {}
    return owner if isinstance(owner, dict) else {}


def _write(out: str, token: str, beat: int) -> None:
    write_file(_path(out), json.dumps({"token": token, "beat": beat}).encode())
