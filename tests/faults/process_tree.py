"""The processes of one command: which of them a signal goes to, what all of them change, and who is left of them.

A command is the leader of a process group, and what it starts belongs to the group.
"""

from __future__ import annotations

import contextlib
import mmap
import multiprocessing
import os
import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

# Whom a signal goes to: all at once; the command's own process; one that it has started (of a moment that is a change
# of the file system: the one that is about to make it), or the command's own where there is none.
EVERYBODY, PARENT, CHILD = "everybody", "parent", "child"
END_WITHIN_S: Final = 10.0  # of its parent
_SLOTS: Final = 4096
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "sqlite3.connect")


class Changes:
    """Counts changes of the file system over all processes: each has a number of its own, so that none waits for a
    lock that a killed one holds."""

    def __init__(self) -> None:
        self._numbers = mmap.mmap(-1, 8 * _SLOTS)  # shared with processes that are forked
        self._all = memoryview(self._numbers).cast("q")

    def add(self) -> int:
        """One more by this process; returns how many there are."""
        self._all[1 + os.getpid() % (_SLOTS - 1)] += 1
        return self.count()

    def count(self) -> int:
        """All changes so far."""
        return sum(self._all[1:])

    def note_sent(self) -> bool:
        """Whether this process is the first that is about to send the signal."""
        first, self._all[0] = not self._all[0], 1
        return first

    @property
    def sent(self) -> bool:
        """Whether the signal was sent."""
        return bool(self._all[0])


def members(leader: int) -> dict[int, int]:
    """Living processes of a group: process id -> its parent's."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            state, parent, group = path.read_text().rpartition(")")[2].split()[:3]
            if int(group) == leader and state not in "ZX":
                found[int(path.parent.name)] = int(parent)
    return found


def send(number: int, victim: str, leader: int, writer: int | None, chance: float) -> None:
    """Send a signal.   writer: the process that is about to change something, when that is the moment.
    chance: which of the children, as a share of them."""
    if victim == EVERYBODY:
        os.killpg(leader, number)
        return
    children = sorted(pid for pid, parent in members(leader).items() if parent == leader)
    one = leader
    if victim == CHILD and writer is not None:
        one = writer
    elif victim == CHILD and children:
        one = children[int(chance * len(children))]
    with contextlib.suppress(ProcessLookupError):  # of a child that has just ended
        os.kill(one, number)


def survivors(leaders: Iterable[int]) -> list[int]:
    """Processes that live on although their commands have ended some time ago; they are killed now."""
    left: list[int] = []
    for leader in leaders:
        give_up = time.monotonic() + END_WITHIN_S
        while (alive := members(leader)) and time.monotonic() < give_up:
            time.sleep(0.02)
        left += alive
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    return left


def count_changes(request: Mapping[str, Any], leader: int, changes: Changes) -> Any:
    """An audit hook that counts changes of the file system below `watch` and sends the signal in front of one."""
    watch, send_at = request["watch"], request["kill_at"]

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = args
            if not (isinstance(flags, int) and flags & _WRITING):
                return
        elif event in _CHANGES:
            path = args[0]
        else:
            return
        text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        # names without a folder are those that rmtree removes through the folder's descriptor
        if not text.startswith(watch) and "/" in text:
            return
        count = changes.add()
        if send_at and count >= send_at and changes.note_sent():
            send(signal.SIGKILL, request["victim"], leader, os.getpid(), 0.0)

    return hook


def fork_instead_of_spawning(folder: str) -> None:
    """Processes that this one starts by `multiprocessing` are forked, which saves them seconds of imports.

    They keep what a spawned one would have: no signal handlers, and no open files below `folder` (with their locks).
    """
    fork = multiprocessing.get_context("fork")
    multiprocessing.get_context = lambda method=None: fork  # type: ignore[assignment]
    os.register_at_fork(after_in_child=lambda: _as_if_spawned(folder))


def _as_if_spawned(folder: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if int(name) > 2 and os.readlink(f"/proc/self/fd/{name}").startswith(f"{folder}/"):
                os.close(int(name))
