import functools
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from pipeline.runs.parts import run_parts, worker_pool
from schemas.errors import BaltoError, RecordError


def leave_a_mark(part: int, folder) -> None:
    (folder / f"{part}-{os.getpid()}").write_text("")


def refuse_the_second(part: int, folder) -> None:
    if part == 2:
        raise RecordError("read", "no such thing")
    leave_a_mark(part, folder)


def die_hard(part: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait_long_after_the_first(part: int, folder) -> None:
    if part == 0:
        raise BaltoError("stop")
    time.sleep(60)


def fail_or_wait_for_the_word(part: int, folder) -> None:
    if part == 0:
        raise BaltoError("stop")
    (folder / f"began-{part}").touch()
    while not (folder / "stop").exists():
        time.sleep(0.01)
    (folder / f"ended-{part}").touch()


@pytest.mark.parametrize("workers", [1, 3])
def test_every_part_is_done_once(tmp_path, workers):
    with worker_pool(workers) as pool:
        run_parts(range(5), functools.partial(leave_a_mark, folder=tmp_path), pool)
    marks = [path.name.split("-") for path in tmp_path.iterdir()]
    assert sorted(part for part, _ in marks) == ["0", "1", "2", "3", "4"]
    assert (str(os.getpid()) in {pid for _, pid in marks}) == (workers == 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_part_arrives_as_it_was(tmp_path, workers):
    with pytest.raises(RecordError) as caught, worker_pool(workers) as pool:
        run_parts(range(4), functools.partial(refuse_the_second, folder=tmp_path), pool)
    assert (caught.value.stage, caught.value.reason) == ("read", "no such thing")


def test_parts_that_must_not_be_cut_short_are_told_to_end_when_another_fails(tmp_path):
    def stop() -> float:
        while not (tmp_path / "began-1").exists():
            time.sleep(0.01)
        (tmp_path / "stop").touch()
        return 30

    with pytest.raises(BaltoError, match="stop"), worker_pool(2) as pool:
        run_parts(range(2), functools.partial(fail_or_wait_for_the_word, folder=tmp_path), pool, stop)
    assert (tmp_path / "ended-1").exists()


def test_a_dead_worker_is_one_clear_error():
    with pytest.raises(BaltoError, match="a worker process died .*the same command resumes"), worker_pool(2) as pool:
        run_parts(range(2), die_hard, pool)


def all_workers_end() -> bool:
    """Within ten seconds. The pool's own thread reaps them too: meanwhile one that has ended counts as running."""
    give_up = time.monotonic() + 10
    while multiprocessing.active_children() and time.monotonic() < give_up:
        time.sleep(0.05)
    return not multiprocessing.active_children()


def test_workers_end_at_once_when_one_part_fails(tmp_path):
    started = time.monotonic()
    with pytest.raises(BaltoError, match="stop"), worker_pool(2) as pool:
        run_parts(range(2), functools.partial(wait_long_after_the_first, folder=tmp_path), pool)
    assert time.monotonic() - started < 30  # the other part would sleep for a minute
    assert all_workers_end()


def test_workers_that_do_not_hear_that_the_work_is_done_end_all_the_same(tmp_path):
    with worker_pool(2) as pool:
        run_parts(range(4), functools.partial(leave_a_mark, folder=tmp_path), pool)
        for child in multiprocessing.active_children():  # as if waiting for a lock that a killed one took with it
            os.kill(child.pid, signal.SIGSTOP)
    assert all_workers_end()


def leave_the_modules(part: int, folder) -> None:
    (folder / str(os.getpid())).write_text("\n".join(sys.modules))


def test_workers_get_ready_while_the_parts_are_prepared(tmp_path):
    with worker_pool(2, ["pipeline.gold_labels"]) as pool:
        started = {child.pid for child in multiprocessing.active_children()}
        run_parts(range(2), functools.partial(leave_the_modules, folder=tmp_path), pool)
    marks = list(tmp_path.iterdir())
    assert len(started) == 2
    assert {int(mark.name) for mark in marks} <= started
    assert all("pipeline.gold_labels" in mark.read_text().splitlines() for mark in marks)


def test_an_error_before_the_first_part_ends_the_workers():
    with pytest.raises(BaltoError, match="no corpus"), worker_pool(2):
        raise BaltoError("no corpus")
    assert all_workers_end()


def test_ctrl_c_that_a_library_swallows_ends_the_run_after_its_part():
    code = """
import contextlib, os, signal, time
from pipeline.runs.parts import run_parts

def work(part):
    print(part, flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

try:
    run_parts([1, 2, 3], work, None)
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("1\ninterrupted\n", 0), done.stderr
