"""One stage of a round: a `balto` command in a process of its own, which ends when the round's process is killed.

A signal to the round ends the stage as it ends the stage's own command: training finishes its step and writes a
checkpoint. Ctrl-C and some schedulers send theirs to every process, and a second one ends a command at once; so the
stage reports each signal that it gets through a pipe, and the round hands on only those that the stage has not had.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

from pipeline.runs import output_folder
from schemas.errors import BaltoError, ConfigError
from schemas.interruption import NUMBERS
from schemas.lock import only_run
from schemas.parent import leave_with_parent
from trainer.generation import write_corpus

LOCK: Final = ".lock"  # of a training run, and of the rounds
_SAME_S: Final = 0.2  # in which a signal to every process reaches them all
_SOON_S: Final = 2.0  # in which most stages end: nobody has to be told that they are waited for
# After so many signals: how many seconds more a stage gets, and what is told about it.
_ENDING: Final = (
    (1, 600.0, "waiting for %s to finish what it is at; another signal ends it at once"),  # a step, a checkpoint
    (2, 5.0, "waiting a few seconds for %s to end; then it is killed"),
)
_SIGNALLED: Final = tuple(128 + number for number in NUMBERS)  # how a command ends after a signal
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """One command and what it leaves behind when it is complete."""

    name: str
    arguments: tuple[str, ...]
    product: Path


def run_stage(stage: Stage) -> None:
    """Run the stage to its end. Raises BaltoError when it fails, is killed, or leaves no product.

    A stage that ends with status 2 hands it on: ConfigError.
    """
    log.info("%s: balto %s", stage.name, shlex.join(stage.arguments))
    stage.product.parent.mkdir(parents=True, exist_ok=True)
    spawn = multiprocessing.get_context("spawn")
    had, noted = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_be_balto, args=(stage.arguments, noted))
    # a signal waits until the stage can end in a line: in a starting interpreter Ctrl-C is a traceback
    resource_tracker.ensure_running()  # else `start` does it, and lets signals in again
    signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)
    try:
        process.start()
    except BaseException:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, NUMBERS)
        raise
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, NUMBERS)
        process.join()
    except BaseException:
        _end(stage, process, had)
        raise
    _check_end(stage, process.exitcode or 0)


def _end(stage: Stage, process: BaseProcess, had: Any) -> None:
    """End the stage: as a signal ends its command, at the next signal as a second one does, in the end by SIGKILL.

    had: the end of a pipe at which a byte arrives for each signal that the stage has got.
    """
    got = 0
    for meant, grace_s, told in _ENDING:
        try:
            while got < meant and had.poll(_SAME_S):
                got += len(os.read(had.fileno(), 64))
            if got < meant:
                process.terminate()
            process.join(_SOON_S)
            if process.is_alive():
                log.info(told, stage.name)
                process.join(grace_s)
            break
        except KeyboardInterrupt:
            continue
    process.kill()  # what it was at is resumed
    process.join()


def tidy_up(stage: Stage) -> None:
    """Do what a stage still had to do that was killed when its product was complete.

    Raises ConfigError when it is still at it.
    """
    command, product = stage.arguments[0], stage.product
    if command == "label":
        output_folder.tidy_up(product.parent)
    elif command == "generate":
        write_corpus.tidy_up(product)
    elif command == "train":
        with only_run(product.parent, product.parent / LOCK):
            pass  # and its lock is gone


def _check_end(stage: Stage, code: int) -> None:
    number = code - 128 if code in _SIGNALLED else -code
    if number > 0:
        raise BaltoError(
            f"{stage.name} was killed by signal {signal.Signals(number).name} (out of memory, or by somebody); "
            "the same command goes on there"
        )
    if code:
        failure = ConfigError if code == ConfigError.exit_code else BaltoError
        raise failure(
            f"{stage.name} ended with exit code {code} (its own message stands above); "
            "once that is mended, the same command goes on there (what earlier stages made stays as it is: for other "
            "answers or labels take another --out)"
        )
    if not stage.product.exists():
        raise BaltoError(f"{stage.name} left no {stage.product}; the same command goes on there")


def _be_balto(arguments: Sequence[str], noted: Any) -> None:
    """The process of a stage: the command, its summary not shown.   noted: the other end of that pipe."""
    leave_with_parent()
    os.set_blocking(noted.fileno(), False)
    signal.set_wakeup_fd(noted.fileno(), warn_on_full_buffer=False)
    from balto import main

    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.close(silence)
    sys.argv = ["balto", *arguments]
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, NUMBERS)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    main()
