import functools
import multiprocessing
import os
import signal
import time

import pytest

from pipeline.runs.parts import run_parts
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


@pytest.mark.parametrize("workers", [1, 3])
def test_every_part_is_done_once(tmp_path, workers):
    run_parts(range(5), functools.partial(leave_a_mark, folder=tmp_path), workers)
    marks = [path.name.split("-") for path in tmp_path.iterdir()]
    assert sorted(part for part, _ in marks) == ["0", "1", "2", "3", "4"]
    assert (str(os.getpid()) in {pid for _, pid in marks}) == (workers == 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_part_arrives_as_it_was(tmp_path, workers):
    with pytest.raises(RecordError) as caught:
        run_parts(range(4), functools.partial(refuse_the_second, folder=tmp_path), workers)
    assert (caught.value.stage, caught.value.reason) == ("read", "no such thing")


def test_a_dead_worker_is_one_clear_error():
    with pytest.raises(BaltoError, match="a worker process died .*the same command resumes"):
        run_parts(range(2), die_hard, 2)


def test_workers_end_at_once_when_one_part_fails(tmp_path):
    started = time.monotonic()
    with pytest.raises(BaltoError, match="stop"):
        run_parts(range(2), functools.partial(wait_long_after_the_first, folder=tmp_path), 2)
    assert time.monotonic() - started < 30  # the other part would sleep for a minute
    for child in multiprocessing.active_children():
        child.join(10)
    assert not multiprocessing.active_children()
