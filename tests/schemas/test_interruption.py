"""When a signal interrupts a command and when it is passed over."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from schemas.interruption import Output, completing, end_with, interrupt_if_heard, listening

NUMBERS = (signal.SIGINT, signal.SIGTERM)


def get(number: int) -> None:
    os.kill(os.getpid(), number)


def get_while_completing(*numbers: int, then: Exception | None = None) -> None:
    with completing():
        for number in numbers:
            get(number)
        if then:
            raise then


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_interrupts_a_run_whose_output_is_open(number):
    with listening() as heard:
        with pytest.raises(KeyboardInterrupt):
            get(number)
        assert (heard.numbers, heard.output) == ([number], Output.OPEN)


def test_an_interrupt_that_got_lost_is_raised_again_and_one_that_was_passed_over_is_not():
    with listening():
        interrupt_if_heard()
        with pytest.raises(KeyboardInterrupt):
            get(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            interrupt_if_heard()
    with listening():
        get_while_completing(signal.SIGTERM)
        interrupt_if_heard()


@pytest.mark.parametrize("number", NUMBERS)
def test_one_signal_is_passed_over_while_the_output_is_completed_and_after_it(number):
    for inside in (True, False):
        with listening() as heard:
            get_while_completing(*[number] * inside)
            if not inside:
                get(number)
            assert (heard.numbers, heard.output) == ([number], Output.COMPLETE)


def test_whoever_insists_ends_the_command_also_then():
    with listening() as heard:
        get_while_completing(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            get(signal.SIGTERM)
        assert heard.output is Output.COMPLETE
    with listening() as heard:
        with pytest.raises(KeyboardInterrupt):
            get_while_completing(signal.SIGINT, signal.SIGINT)
        assert heard.output is Output.OPEN


def test_an_output_that_could_not_be_completed_is_open_again():
    with listening() as heard:
        with pytest.raises(OSError, match="full"):
            get_while_completing(signal.SIGTERM, then=OSError("full"))
        assert heard.output is Output.OPEN
        with pytest.raises(KeyboardInterrupt):
            get(signal.SIGTERM)


def test_the_handlers_of_before_come_back_and_completing_leaves_them_alone():
    before = [signal.getsignal(number) for number in NUMBERS]
    with completing():
        assert [signal.getsignal(number) for number in NUMBERS] == before
    with listening():
        assert [signal.getsignal(number) for number in NUMBERS] != before
    assert [signal.getsignal(number) for number in NUMBERS] == before


def test_a_thread_listens_to_nothing():
    heard = []

    def listen() -> None:
        with listening() as own:
            heard.append(own.numbers)

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert heard == [[]]


def test_a_signal_that_the_shell_told_to_ignore_stays_ignored():
    code = """
import os, signal
from schemas.interruption import listening
signal.signal(signal.SIGINT, signal.SIG_IGN)
with listening() as heard:
    os.kill(os.getpid(), signal.SIGINT)
    print(heard.numbers)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_at_the_very_end_does_not_change_the_exit_status(number):
    code = f"""
import os
from schemas.interruption import end_with, listening

with listening():
    print("done")
    end_with(3)
os.kill(os.getpid(), {int(number)})
raise SystemExit(4)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (3, "done\n")


def test_a_signal_that_is_ignored_stays_ignored_at_the_end():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with listening():
            end_with(3)
        get(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, signal.default_int_handler)
