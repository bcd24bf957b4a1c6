"""Errors of a disk that say which file they are about."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

_RUST: re.Pattern[str] = re.compile(r"\(os error (\d+)\)")  # how a library written in Rust tells the number


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Let an OSError of a file that is open name it, and one that a Rust library tells as text of its own be one."""
    try:
        yield
    except OSError as err:
        if err.filename or err.errno is None:
            raise
        raise OSError(err.errno, os.strerror(err.errno), str(path)) from err
    except Exception as err:
        told = _RUST.search(str(err))
        if told is None:
            raise
        number = int(told[1])
        raise OSError(number, os.strerror(number), str(path)) from err
