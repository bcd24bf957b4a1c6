"""The output folder of a run: never overwritten by surprise, resumed by the same run only, one run at a time."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.runs.orphans import WORKERS_FILE, wait_for_orphans
from pipeline.storage.shard_files import DONE_FOLDER
from pipeline.storage.whole_files import is_local
from schemas.disk import remove_partials, write_atomically
from schemas.errors import ConfigError
from schemas.lock import only_run
from schemas.manifest import MANIFEST, REJECTED_FOLDER, SHARD_FOLDER, WORK_FOLDER

RUN_FILE = "run.json"  # what the run was asked to do; equal for the run that resumes it
LOCK_FILE = "lock"
OURS = {MANIFEST, SHARD_FOLDER, REJECTED_FOLDER, WORK_FOLDER}


@contextlib.contextmanager
def open_output(out: Path, run: Mapping[str, Any], overwrite: bool) -> Iterator[bool]:
    """Hold `out` for one run. Yields True when an unfinished run of the same command is being resumed.

    run: everything that decides the result, as JSON values.
    Raises ConfigError when `out` holds something else, and says what to do.
    """
    address = re.match(r"([a-zA-Z][a-zA-Z0-9+.-]+:)/(.*)", str(out))  # a Path has one slash where there were two
    if address:
        raise ConfigError(
            f"--out {out}: is it {address[1]}//{address[2]}? Then give both slashes; a command that writes to local "
            "folders only leaves it to `balto copy` to take the result there"
        )
    _refuse_inside(out)
    try:
        tidy_up(out)
        if overwrite and not _is_unfinished(out, run):
            _clear(out)
        _check(out, run)
    except OSError as err:
        raise ConfigError(f"--out {out}: cannot write there ({err.strerror})") from err
    with only_writer(out):
        resuming = _check(out, run)  # again: another run may have finished before the lock was ours
        for folder in (
            out,
            out / SHARD_FOLDER,
            out / REJECTED_FOLDER,
            out / WORK_FOLDER,
            out / WORK_FOLDER / DONE_FOLDER,
        ):
            remove_partials(folder)
        if not resuming:
            write_atomically(out / WORK_FOLDER / RUN_FILE, json.dumps(run, sort_keys=True, indent=1).encode())
        yield resuming


def workers_lock(out: Path) -> Path:
    """The file that the worker processes of a run hold: see `pipeline.runs.orphans`."""
    return out / WORK_FOLDER / WORKERS_FILE


def close_output(out: Path) -> None:
    """Drop what only an unfinished run needs; called after the manifest is written. The lock goes when the run does."""
    for path in (out / WORK_FOLDER).iterdir():
        if path.name != LOCK_FILE:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def tidy_up(out: Path) -> None:
    """Do what a run still had to do that was killed after it had written its manifest.

    Raises ConfigError when it is still at it.
    """
    if (out / MANIFEST).is_file() and (out / WORK_FOLDER).is_dir():
        with only_writer(out):
            close_output(out)


def refuse_own_input(out: str | Path, inputs: Sequence[str | Path]) -> None:
    """Raises ConfigError when an input is `out` or lies inside it: replacing the one would destroy the other."""
    target = _absolute(out)
    for path in inputs:
        if _absolute(path).is_relative_to(target):
            raise ConfigError(f"--out {out}: {path} is read from there; name another folder")


def _absolute(path: str | Path) -> Path:
    return Path(path).resolve() if is_local(str(path)) else Path("/", str(path))


def refuse_occupied(out: Path, overwrite: bool) -> None:
    """Raises ConfigError when `out` holds what no run may replace; asked before anything costs time or money."""
    _refuse_inside(out)
    if out.exists() and overwrite:
        _refuse_foreign(out)
    elif out.exists():
        tidy_up(out)
        _refuse_occupied(out)


def _refuse_inside(out: Path) -> None:
    """Raises ConfigError for a folder inside a label set, which then could not be replaced any more."""
    for above in out.resolve().parents:
        if (above / MANIFEST).is_file() and (above / SHARD_FOLDER).is_dir():
            raise ConfigError(f"--out {out}: lies inside the label set {above}; name a folder elsewhere")


def _is_unfinished(out: Path, run: Mapping[str, Any]) -> bool:
    """Whether `out` holds an unfinished run of the same command, which --overwrite goes on with."""
    before = _read_run(out)
    return before is not None and not (out / MANIFEST).exists() and before == json.loads(json.dumps(run))


def _read_run(out: Path) -> Mapping[str, Any] | None:
    """What the unfinished run in `out` was asked to do; None when there is none, {} when its record is damaged."""
    run_file = out / WORK_FOLDER / RUN_FILE
    if not run_file.is_file():
        return None
    try:
        return json.loads(run_file.read_bytes())
    except ValueError:
        return {}


def _check(out: Path, run: Mapping[str, Any]) -> bool:
    if not out.exists():
        return False
    _refuse_occupied(out)
    before = _read_run(out)
    if before is None:
        _refuse_stray_shards(out)
        return False
    refuse_other_run(str(out), before, run)
    return True


def _refuse_stray_shards(out: Path) -> None:
    """Of a run that was killed while --overwrite removed them: readers would take them for shards of the new one."""
    for name in (SHARD_FOLDER, REJECTED_FOLDER):
        if (out / name).is_dir() and any((out / name).iterdir()):
            raise ConfigError(
                f"--out {out}: holds {name} of no run that can be resumed; add --overwrite to remove them"
            )


def _refuse_occupied(out: Path) -> None:
    if not out.is_dir():
        raise ConfigError(f"--out {out}: is a file; name a new folder")
    if (out / MANIFEST).exists():
        raise ConfigError(
            f"--out {out}: already holds a finished label set; add --overwrite to replace it, or name another folder"
        )
    if foreign := _foreign(out):
        raise ConfigError(f"--out {out}: holds other files ({foreign[0]}, ...); name a new or empty folder")


def refuse_other_run(out: str, before: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """Raises ConfigError when the unfinished run in `out` was asked something else (`before`) than this one."""
    changed = _first_change(before, json.loads(json.dumps(run)))
    if changed is not None:
        name, old, new = changed
        raise ConfigError(
            f"--out {out}: holds an unfinished run with {name} {_short(old)}, not {_short(new)}; "
            "repeat that command to resume it, or add --overwrite to start anew"
        )


def _first_change(before: Any, now: Any, name: str = "") -> tuple[str, Any, Any] | None:
    """(dotted name, old, new) of the first value that differs."""
    if before == now:
        return None
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            found = _first_change(before.get(key), now.get(key), f"{name}.{key}".lstrip("."))
            if found:
                return found
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return next((found for at, pair in pairs if (found := _first_change(*pair, f"{name}[{at}]"))), None)
    return name, before, now


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _clear(out: Path) -> None:
    """Remove a label set or an unfinished run. A folder that holds anything else is refused."""
    if not out.is_dir():
        return
    _refuse_foreign(out)
    if not any(out.iterdir()):
        return
    with only_writer(out):
        (out / MANIFEST).unlink(missing_ok=True)  # first: from here on it is no label set any more
        for name in (SHARD_FOLDER, REJECTED_FOLDER):
            shutil.rmtree(out / name, ignore_errors=True)
        close_output(out)


def _refuse_foreign(out: Path) -> None:
    if out.is_dir() and (foreign := _foreign(out)):
        raise ConfigError(f"--out {out}: --overwrite only replaces a label set, and this holds {foreign[0]}")


def _foreign(out: Path) -> list[str]:
    """Names in `out` that are none of a label set's, sorted. A killed run may have left a part of its manifest."""
    names = {path.name for path in out.iterdir()} - OURS
    return sorted(name for name in names if not (name.startswith(f".{MANIFEST}.") and name.endswith(".partial")))


@contextlib.contextmanager
def only_writer(out: Path) -> Iterator[None]:
    """Hold the folder `out`. Raises ConfigError when another run is writing there, or the workers of a killed one."""
    with only_run(out, out / WORK_FOLDER / LOCK_FILE):
        wait_for_orphans(out, workers_lock(out))
        yield
