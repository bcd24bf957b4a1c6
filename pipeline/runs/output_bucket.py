"""The output of a run in a bucket or any other filesystem of Beam's: what `output_folder` does on local disks.

Never overwritten by surprise, resumed by the same run only, one run at a time (`pipeline.storage.turns`).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pipeline.runs.output_folder import OURS, RUN_FILE, refuse_other_run
from pipeline.storage.turns import take_turn
from pipeline.storage.whole_files import files_below, is_local, join, read_file, remove_files, write_file
from schemas.errors import ConfigError
from schemas.manifest import MANIFEST, REJECTED_FOLDER, SHARD_FOLDER, WORK_FOLDER

MAX_RUN_BYTES: Final = 64 << 20


@contextlib.contextmanager
def open_bucket(out: str, run: Mapping[str, Any], overwrite: bool) -> Iterator[str]:
    """Hold `out` for one run; yields the run's token.   run: everything that decides the result, as JSON values.

    Raises ConfigError when `out` holds something else or cannot be reached, and says what to do.
    """
    try:
        refuse_occupied_bucket(out, overwrite)
        with take_turn(out) as token:
            before = _earlier_run(out)
            if overwrite:
                remove_files(join(out, MANIFEST))  # first: from here on it is no label set any more
                remove_files(join(out, SHARD_FOLDER), join(out, REJECTED_FOLDER))
            else:
                refuse_occupied_bucket(out, overwrite)  # again: another run may have finished before the turn was ours
                if before is not None:
                    refuse_other_run(out, before, run)
            write_file(join(out, WORK_FOLDER, RUN_FILE), json.dumps(run, sort_keys=True, indent=1).encode())
            yield token
    except OSError as err:
        if err.filename is None or is_local(str(err.filename)):
            raise
        raise ConfigError(
            f"{err.filename}: cannot be used ({err.strerror}); check the address and your access to it"
        ) from err


def refuse_occupied_bucket(out: str, overwrite: bool) -> None:
    """Raises ConfigError when `out` holds what this run may not replace."""
    names = {one.path.removeprefix(out.rstrip("/") + "/").partition("/")[0] for one in files_below(out)}
    if MANIFEST in names and not overwrite:
        raise ConfigError(
            f"--out {out}: already holds a finished label set; add --overwrite to replace it, or name another folder"
        )
    if names - OURS:
        raise ConfigError(
            f"--out {out}: holds other files ({sorted(names - OURS)[0]}, ...); name a new or empty folder"
        )


def _earlier_run(out: str) -> Mapping[str, Any] | None:
    path = join(out, WORK_FOLDER, RUN_FILE)
    if not any(one.path == path for one in files_below(join(out, WORK_FOLDER))):
        return None
    try:
        return json.loads(read_file(path, MAX_RUN_BYTES))
    except ValueError:
        return {}


def close_bucket(out: str) -> None:
    """Drop what only an unfinished run needs; called after the manifest is written."""
    remove_files(join(out, WORK_FOLDER))
