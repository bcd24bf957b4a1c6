"""Ctrl-C and SIGTERM end a command, until its output is complete: then there is nothing left to interrupt or resume.

    with listening() as heard:          # the command, around all that it does
        ...
        with completing():              # around the one step that makes its output complete
            write_manifest(out, manifest)
        ...                             # tidying up and printing: one signal is passed over here, a second one ends it

A program that calls the stages itself, without `listening`, keeps its signals as they are.
"""

from __future__ import annotations

import contextlib
import enum
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import FrameType

NUMBERS = (signal.SIGINT, signal.SIGTERM)


class Output(enum.Enum):
    """How far the output of the command is."""

    OPEN = enum.auto()
    COMPLETING = enum.auto()
    COMPLETE = enum.auto()


@dataclass
class Heard:
    """Signals of one command.   numbers: in the order they came.   passed_over: how many did not interrupt."""

    output: Output = Output.OPEN
    numbers: list[int] = field(default_factory=list)
    passed_over: int = 0

    def hear(self, number: int, _: FrameType | None) -> None:
        """The handler. Raises KeyboardInterrupt, but for the first signal since the output was being completed."""
        self.numbers.append(number)
        if self.output is not Output.OPEN and not self.passed_over:
            self.passed_over += 1
            return
        raise KeyboardInterrupt


_heard = Heard()  # signals belong to the process


@contextlib.contextmanager
def listening() -> Iterator[Heard]:
    """Raise KeyboardInterrupt for SIGINT and SIGTERM until the output is complete. Ignored signals stay ignored."""
    global _heard
    _heard = heard = Heard()
    if threading.current_thread() is not threading.main_thread():  # no other may set handlers
        yield heard
        return
    before = {number: signal.getsignal(number) for number in NUMBERS}
    ours = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for number in ours:
        signal.signal(number, heard.hear)
    try:
        yield heard
    finally:
        for number, handler in ours.items():
            if signal.getsignal(number) == heard.hear:  # else `end_with` has been called
                signal.signal(number, handler)


def end_with(code: int) -> None:
    """From now on a signal ends the process at once, with the exit status that it has come to. Called in `listening`.

    What is left is the interpreter's own end; the default handlers would call a finished command killed there. What
    has been printed is written out first: nobody else would.
    """
    with contextlib.suppress(OSError, ValueError):  # a reader that is gone: the interpreter's end says so
        sys.stdout.flush()
    for number in NUMBERS:
        if signal.getsignal(number) == _heard.hear:
            signal.signal(number, lambda *_: os._exit(code))


def interrupt_if_heard() -> None:
    """Raise KeyboardInterrupt once more when it was raised before and got lost: Python ignores it in some callbacks."""
    if _heard.output is Output.OPEN and _heard.numbers:
        raise KeyboardInterrupt


@contextlib.contextmanager
def completing() -> Iterator[None]:
    """Around what makes the output of the command complete: a short step, for a signal does not interrupt it.

    Nor does it interrupt what follows, unless the step fails.
    """
    heard = _heard
    heard.output = Output.COMPLETING
    try:
        yield
    except BaseException:
        heard.output, heard.passed_over = Output.OPEN, 0
        raise
    heard.output = Output.COMPLETE
