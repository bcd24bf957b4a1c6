"""One stage of a round: a `balto` command in a process of its own, which ends when the round's process is killed."""

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
from pathlib import Path
from typing import Final

from pipeline.runs import output_folder
from schemas.errors import BaltoError, ConfigError
from schemas.lock import only_run
from schemas.parent import leave_with_parent
from trainer.generation import write_corpus

LOCK: Final = ".lock"  # of a training run, and of the rounds
_GRACE_S: Final = 0.5  # Ctrl-C reaches the stage as well, and it has a line to say
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
    process = spawn.Process(target=_be_balto, args=(stage.arguments,))
    # a Ctrl-C waits until the stage can say it in a line: in a starting interpreter it is a traceback
    resource_tracker.ensure_running()  # else `start` does it, and lets signals in again
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    except BaseException:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        raise
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        process.join()
    except BaseException:
        process.join(_GRACE_S)
        process.kill()  # what it was at is resumed
        process.join()
        raise
    _check_end(stage, process.exitcode or 0)


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
    if code < 0:
        raise BaltoError(
            f"{stage.name} was killed by signal {signal.Signals(-code).name} (out of memory, or by somebody); "
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


def _be_balto(arguments: Sequence[str]) -> None:
    """The process of a stage: the command, its summary not shown."""
    leave_with_parent()
    from balto import main

    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.close(silence)
    sys.argv = ["balto", *arguments]
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    main()
