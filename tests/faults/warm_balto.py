"""The `balto` command without its start-up: a process that has imported everything forks a child for every command.

    with WarmBalto(folder) as balto:
        ended = balto.run(["label", "a.jsonl", "--out", "labels"], watch=folder, kill_at=7)

A child is a process of its own, with its own locks, files and threads, and is killed by SIGKILL as any process is:
after so many seconds, or in front of its n-th change of the file system below `watch` (Python tells of opening for
writing, renaming, removing and making folders), which reaches moments that are too short to be hit by time. Other
signals can also be had at moments around the one at which the output is complete.

What the command starts itself (workers of `label`, stages of `round`) is forked as well and not spawned, so a worker
is never killed while it imports. Its changes count with those of its parent, in the order in which they happen; which
process makes the n-th is not the same in every run. What is written by a library that Python does not see is no moment.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.process_tree import PARENT, Changes, count_changes, fork_instead_of_spawning, send

ROOT = Path(__file__).parents[2]
PRELOADED = (
    *("apache_beam", "polars", "matplotlib.pyplot", "jinja2", "openai", "aiohttp", "torch", "transformers", "peft"),
    *("apache_beam.runners.portability.fn_api_runner.fn_runner", "torch.utils.tensorboard"),
    *("pipeline.runs.label", "pipeline.runs.run_graph", "pipeline.runs.project", "pipeline.report.build"),
    *("trainer.train", "trainer.generation.local_policy", "rounds.generate_corpus", "rounds.round"),
    *("sentence_transformers", "datasets", "pipeline.engines.nli.training.train_verifier"),
)
READ_ONLY = "read-only"
_OWN_DISK = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-ec")
_MOUNT = f"""
mount -t tmpfs -o size="$2" tmpfs "$1"
mkdir "$1/{READ_ONLY}"
mount -t tmpfs -o ro tmpfs "$1/{READ_ONLY}"
shift 2
exec "$@"
"""
HOUR_S = 3600.0
LIMIT_S = 120.0  # for what takes seconds
# When its last file is about to get its name; the next thing that it does; when it prints the first word of its summary
AROUND_THE_END = ("naming", "named", "printing")


@dataclass(frozen=True)
class Ended:
    """How a command ended. code: exit status, negative for a signal.   operations: changes of the file system.
    leader: its process id, and that of its group.   hit: whether the signal was sent before it had ended.
    hung: whether it had not ended after LIMIT_S, and was killed with all that it had started."""

    code: int
    seconds: float
    operations: int
    leader: int
    hit: bool
    hung: bool
    stdout: str
    stderr: str


class WarmBalto:
    """Starts the warm process; `run` one command at a time.

    disk_bytes: size of a disk of its own, in memory, that only this process sees at `disk`; `outside` is the way to it
    for others. Its folder READ_ONLY cannot be written. Needs user namespaces (Linux): `has_own_disks` tells.
    """

    def __init__(self, folder: Path, disk_bytes: int = 0):
        self.folder = folder
        self.disk = folder / "disk"
        self.disk_bytes = disk_bytes

    def __enter__(self) -> WarmBalto:
        # not the test runner's own warning filters and plugins: a plain process, as a user's
        command = [sys.executable, "-m", "tests.faults.warm_balto"]
        if self.disk_bytes:
            self.disk.mkdir()
            command = [*_OWN_DISK, _MOUNT, "sh", str(self.disk), str(self.disk_bytes), *command]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes)
        assert self._read() == "ready"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def outside(self, path: Path) -> Path:
        """The same file on the disk of the warm process, as another process reaches it."""
        return Path(f"/proc/{self._process.pid}/root{path}")

    def run(
        self,
        argv: Sequence[object],
        *,
        watch: Path | None = None,
        kill_at: int = 0,
        kill_after_s: float = 0.0,
        number: int = signal.SIGKILL,
        last_file: Path | None = None,
        moment: str = "",
        victim: str = PARENT,
        chance: float = 0.0,
        environment: Mapping[str, str] | None = None,
        file_bytes: int = 0,
        clock_jumps: bool = False,
    ) -> Ended:
        """Run `balto argv`, undisturbed unless told when to send the signal.

        kill_at: in front of so manieth change below `watch`, from 1 (SIGKILL).   kill_after_s: from the fork on.
        last_file, moment: the one of AROUND_THE_END at which the signal comes.
        victim, chance: who gets the signal: see `process_tree.send`.   file_bytes: no file may become longer.
        clock_jumps: the wall clock jumps by up to an hour whenever it is asked.
        """
        request = {
            "argv": [str(one) for one in argv],
            "watch": str(watch or ""),
            "kill_at": kill_at,
            "kill_after_s": kill_after_s,
            "number": int(number),
            "last_file": str(last_file or ""),
            "moment": moment,
            "victim": victim,
            "chance": chance,
            "environment": dict(environment or {}),
            "file_bytes": file_bytes,
            "clock_jumps": clock_jumps,
            "folder": str(self.folder),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Ended(**self._read())

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the warm process is gone")
        return json.loads(line)


def has_own_disks() -> bool:
    """Whether this machine lets a process mount a disk of its own."""
    if shutil.which("unshare") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        tried = subprocess.run([*_OWN_DISK, _MOUNT, "sh", folder, "4096", "true"], capture_output=True, check=False)
    return tried.returncode == 0


def _serve() -> None:
    import torch

    torch.set_num_threads(1)
    for module in PRELOADED:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # a collection in a child would copy all of this
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answers.write(json.dumps("ready") + "\n")
    answers.flush()
    for line in sys.stdin:
        answers.write(json.dumps(_run(json.loads(line))) + "\n")
        answers.flush()


def _run(request: Mapping[str, Any]) -> dict[str, Any]:
    changes = Changes()
    with (
        tempfile.TemporaryFile(dir=request["folder"]) as out,
        tempfile.TemporaryFile(dir=request["folder"]) as err,
    ):
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            _be_the_command(request, out.fileno(), err.fileno(), changes)
        with contextlib.suppress(OSError):  # it has done so itself, and may have ended
            os.setpgid(pid, pid)
        _send_in_time(pid, request, changes)
        hung = not _ends_within(pid, LIMIT_S)
        if hung:
            os.killpg(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        seconds = time.monotonic() - started
        out.seek(0)
        err.seek(0)
        return {
            "code": os.waitstatus_to_exitcode(status),
            "seconds": seconds,
            "operations": changes.count(),
            "leader": pid,
            "hit": changes.sent,
            "hung": hung,
            "stdout": out.read().decode(errors="replace"),
            "stderr": err.read().decode(errors="replace"),
        }


def _ends_within(pid: int, seconds: float) -> bool:
    handle = os.pidfd_open(pid)
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


def _send_in_time(pid: int, request: Mapping[str, Any], changes: Changes) -> None:
    if not request["kill_after_s"]:
        return
    if not _ends_within(pid, request["kill_after_s"]) and changes.note_sent():
        send(request["number"], request["victim"], pid, None, request["chance"])


def _be_the_command(request: Mapping[str, Any], out: int, err: int, changes: Changes) -> None:
    """The child: never returns."""
    os.setpgid(0, 0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.environ.update(request["environment"])
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    sys.argv = ["balto", *request["argv"]]
    if request["watch"]:
        sys.addaudithook(count_changes(request, os.getpid(), changes))
    if request["moment"] == "printing":
        sys.stdout = _SignalledOutput(1, request["number"])
    elif request["moment"]:
        sys.addaudithook(_signal_around(request["last_file"], request["moment"], request["number"]))
    fork_instead_of_spawning(request["folder"])
    if request["file_bytes"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_bytes"], request["file_bytes"]))
    if request["clock_jumps"]:
        time.time = _jumping(time.time)
    from balto import main

    code = 1
    try:
        main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # taking the interpreter apart would copy all that was loaded, page by page


def _signal_around(last_file: str, moment: str, number: int) -> Any:
    """An audit hook that sends this process the signal once: in front of the renaming, or of what comes behind it."""
    seen, sent = False, False

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal seen, sent
        if sent:
            return
        is_naming = event == "os.rename" and os.fsdecode(args[1]) == last_file
        if is_naming if moment == "naming" else seen:
            sent = True
            os.kill(os.getpid(), number)
        seen = seen or is_naming

    return hook


class _SignalledOutput(io.TextIOWrapper):
    """Standard output during whose first writing a signal comes."""

    def __init__(self, descriptor: int, number: int):
        super().__init__(io.BufferedWriter(io.FileIO(descriptor, "wb", closefd=False)))
        self.number = number

    def write(self, text: str) -> int:
        number, self.number = self.number, 0
        if number:
            os.kill(os.getpid(), number)
        return super().write(text)


def _jumping(real: Any) -> Any:
    asked = 0

    def jump() -> float:
        nonlocal asked
        asked += 1
        return real() + HOUR_S * ((asked * 7919) % 13 - 6) / 6

    return jump


if __name__ == "__main__":
    _serve()
