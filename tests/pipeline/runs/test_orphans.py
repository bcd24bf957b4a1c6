"""Workers whose parent is killed, as they really are: spawned."""

import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from pipeline.runs import orphans, progress
from pipeline.runs.orphans import hold_while_alive, wait_for_orphans
from pipeline.runs.output_folder import open_output, workers_lock
from schemas.errors import ConfigError

SLOW_WORKERS = """
import functools, sys
from pathlib import Path
from pipeline.runs.parts import run_parts, worker_pool
from tests.pipeline.runs.test_orphans import sleep_long

folder = Path(sys.argv[1])
with worker_pool(2, lock=folder / "workers") as pool:
    run_parts(range(2), functools.partial(sleep_long, folder=folder), pool)
"""


def sleep_long(part: int, folder) -> None:
    (folder / f"{part}.pid").write_text(str(os.getpid()))
    time.sleep(60)


def wait_until(condition) -> None:
    give_up = time.monotonic() + 30
    while not condition() and time.monotonic() < give_up:
        time.sleep(0.02)
    assert condition()


def is_taken(lock) -> bool:
    with open(lock, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_workers_of_a_killed_parent_end_and_let_go_of_their_lock(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", SLOW_WORKERS, str(tmp_path)])
    pids = [tmp_path / f"{part}.pid" for part in range(2)]
    wait_until(lambda: all(path.is_file() and path.read_text() for path in pids))
    assert is_taken(tmp_path / "workers")
    parent.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    parent.wait()
    wait_for_orphans(tmp_path, tmp_path / "workers")
    assert time.monotonic() - killed < 10  # they would sleep for a minute
    assert not is_taken(tmp_path / "workers")


def test_a_resumed_run_waits_for_a_worker_of_the_killed_one(tmp_path, monkeypatch):
    run = {"inputs": []}
    with open_output(tmp_path / "labels", run, overwrite=False):
        pass
    lock = workers_lock(tmp_path / "labels")
    with open(lock, "w") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        monkeypatch.setattr(orphans, "WAIT_S", 0.1)
        with (
            pytest.raises(ConfigError, match="another run is writing there .a worker process of a run that was killed"),
            open_output(tmp_path / "labels", run, overwrite=False),
        ):
            pass
        monkeypatch.setattr(orphans, "WAIT_S", 30)
        threading.Timer(0.3, fcntl.flock, (held, fcntl.LOCK_UN)).start()
        with open_output(tmp_path / "labels", run, overwrite=False) as resuming:
            assert resuming


def test_a_worker_that_starts_while_another_run_holds_the_lock_ends(tmp_path):
    lock = tmp_path / "workers"
    with open(lock, "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        worker = multiprocessing.get_context("spawn").Process(target=hold_while_alive, args=(lock,))
        worker.start()
        worker.join()
    assert worker.exitcode == 1


def test_the_progress_line_does_not_wait_for_a_lock_that_a_killed_worker_took_with_it():
    progress.begin()
    progress.advance(3)
    taken, seen, done = threading.Event(), [], threading.Event()

    def hold() -> None:
        with progress.counters().get_lock():
            taken.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait()
    reader = threading.Thread(target=lambda: seen.append(progress.counts()[progress.FINISHED]), daemon=True)
    reader.start()
    reader.join(5)
    done.set()
    holder.join()
    assert seen == [3]
