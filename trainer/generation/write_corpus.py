"""A corpus file that grows batch by batch, survives a kill, and takes its name only when it is complete.

.corpus.jsonl.partial    records so far, whole groups, flushed to disk after every batch
.corpus.jsonl.run.json   what was asked for; a run that asks for something else does not continue it
.corpus.jsonl.lock       held by the run that writes
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from schemas.disk import disk_errors_of, remove_partials, sync_folder, write_atomically
from schemas.errors import ConfigError
from schemas.interruption import completing
from schemas.lock import only_run
from schemas.records import FINISH_REASON, Rejected, Sample
from schemas.samples import sample_to_json

_MAX_LINE = 1 << 26  # bytes of a record


def _is_generated(out: Path) -> bool:
    """Whether a file's first record is one that a model answered; or there is none."""
    with open(out, "rb") as file:
        line = file.readline(_MAX_LINE)
    try:
        record = json.loads(line or b"null")
    except ValueError:
        return False
    return record is None or (isinstance(record, dict) and FINISH_REASON in (record.get("meta") or {}))


class CorpusWriter:
    """Writes samples to `out` (JSONL). Use as a context manager; `finish` gives the file its name.

    run: what decides the records, as JSON values.   done: groups that an interrupted run has already written.
    Raises ConfigError when `out` is there already, when another run holds it, or when the unfinished one differs.
    """

    def __init__(self, out: Path, run: Mapping[str, Any], num_samples: int, overwrite: bool = False):
        self.out = out
        self.done: set[str] = set()
        self._run = json.loads(json.dumps(run))
        self._num_samples = num_samples
        self._overwrite = overwrite
        self._partial = out.with_name(f".{out.name}.partial")
        self._run_file = run_file(out)
        if out.is_file() and not self._partial.exists():
            tidy_up(out)
        self._refuse_occupied()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(only_run(self.out, _lock_file(self.out)))
            self._refuse_occupied()  # again: another run may have finished before the lock was ours
            try:
                self._file = stack.enter_context(open(self._partial, "a+b"))
            except OSError as err:
                raise ConfigError(f"--out {self.out}: cannot write there ({err.strerror})") from err
            remove_partials(self.out.parent, self._run_file.name)
            self._continue_or_start()
            self._held = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def write(self, group: Sequence[Sample]) -> None:
        """Add the responses of one prompt group. They are on disk after `flush`."""
        lines = [json.dumps(sample_to_json(sample), ensure_ascii=False) + "\n" for sample in group]
        with disk_errors_of(self._partial):
            self._file.write("".join(lines).encode())

    def flush(self) -> None:
        """Bring everything written so far to the disk."""
        with disk_errors_of(self._partial):
            self._file.flush()
            os.fsync(self._file.fileno())

    def finish(self) -> None:
        """The corpus is complete: give it its name."""
        self.flush()
        with completing():
            os.replace(self._partial, self.out)
        sync_folder(self.out.parent)
        self._run_file.unlink(missing_ok=True)

    def _refuse_occupied(self) -> None:
        out = self.out
        if out.is_dir():
            raise ConfigError(f"--out {out}: is a folder; name a file, such as {out / 'corpus.jsonl'}")
        if out.exists() and not self._overwrite:
            raise ConfigError(f"--out {out}: is there already; add --overwrite to replace it, or name another file")
        if out.exists() and not _is_generated(out):
            raise ConfigError(f"--out {out}: is a file that `balto generate` did not write; name another")

    def _continue_or_start(self) -> None:
        before = json.loads(self._run_file.read_bytes()) if self._run_file.is_file() else None
        if before != self._run and self._overwrite:
            before = None
        if before is not None and before != self._run:
            changed = next(name for name in sorted({*before, *self._run}) if before.get(name) != self._run.get(name))
            raise ConfigError(
                f"--out {self.out}: an unfinished run there has {changed} {json.dumps(before.get(changed))}, not "
                f"{json.dumps(self._run.get(changed))}; repeat that command, or add --overwrite to start anew"
            )
        if before is None:
            self._file.truncate(0)
            write_atomically(self._run_file, json.dumps(self._run, sort_keys=True).encode())
        self._file.truncate(self._read_whole_groups())

    def _read_whole_groups(self) -> int:
        """Note the groups that are complete in the partial file; the bytes that they take."""
        whole, at, counts = 0, 0, dict[str, int]()
        self._file.seek(0)
        for line in self._file:
            try:
                group_id = json.loads(line)["group_id"]
            except (ValueError, KeyError, TypeError):
                break  # the line that a kill cut
            if not line.endswith(b"\n"):
                break
            at += len(line)
            counts[group_id] = counts.get(group_id, 0) + 1
            if counts[group_id] == self._num_samples:
                self.done.add(group_id)
                whole = at
        return whole


def run_file(out: Path) -> Path:
    """Beside an unfinished corpus: what its run was asked to do."""
    return out.with_name(f".{out.name}.run.json")


def _lock_file(out: Path) -> Path:
    return out.with_name(f".{out.name}.lock")


def tidy_up(out: Path) -> None:
    """Do what a run still had to do that was killed when the corpus `out` had its name.

    Raises ConfigError when it is still at it.
    """
    with only_run(out, _lock_file(out)):
        run_file(out).unlink(missing_ok=True)


def write_rejected(path: Path, rejected: Sequence[Rejected]) -> None:
    """One JSON object per refused record, with stage and reason; no file when there is none."""
    if not rejected:
        path.unlink(missing_ok=True)
        return
    lines = [json.dumps(dataclasses.asdict(one), ensure_ascii=False) + "\n" for one in rejected]
    write_atomically(path, "".join(lines).encode())
