"""What a run says of itself: metrics.jsonl, TensorBoard events, and a line per step."""

from __future__ import annotations

import json
import logging
import math
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch

from schemas.disk import write_atomically
from trainer.loss import KINDS

METRICS: Final = "metrics.jsonl"
EVENTS: Final = "tensorboard"
log = logging.getLogger("trainer")


class MetricsLog:
    """Appends one record per step or evaluation to metrics.jsonl and to TensorBoard's events.

    resume_step: records of this step and later are of a run that was cut off before its checkpoint: they are removed.
    """

    def __init__(self, run: Path, resume_step: int):
        self._path = run / METRICS
        self._drop_from(resume_step)
        self._file = self._path.open("a", encoding="utf-8")
        self._events = _event_writer(run / EVENTS, resume_step)

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._events is not None:
            self._events.close()

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """kind: `train` or `eval`; a record holds it, the step and the values. On disk when this returns.

        A value that is not finite (of a skipped step) is null: JSON has no other word for it.
        """
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self._file.write(json.dumps({"kind": kind, "step": step, **finite}) + "\n")
        self._file.flush()
        if self._events is not None:
            for name, value in values.items():
                self._events.add_scalar(f"{kind}/{name}", value, step)

    def _drop_from(self, step: int) -> None:
        if self._path.is_file():
            kept = [line for line in self._path.read_text(encoding="utf-8").splitlines() if _is_before(line, step)]
            write_atomically(self._path, "".join(f"{line}\n" for line in kept).encode())


def _is_before(line: str, step: int) -> bool:
    try:
        return json.loads(line)["step"] < step
    except (ValueError, KeyError, TypeError):  # a line that a kill cut short
        return False


def read_metrics(run: Path, kind: str = "train") -> list[dict[str, Any]]:
    """The records of one kind in the order of steps."""
    lines = (run / METRICS).read_text(encoding="utf-8").splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == kind]


def last_metrics(run: Path) -> dict[str, float]:
    """The finite values of the last evaluation, of whatever start; of the last step where there is none, or {}."""
    for record in (read_metrics(run, "eval") or read_metrics(run, "train"))[-1:]:
        return {name: value for name, value in record.items() if name not in ("kind", "step") and value is not None}
    return {}


def shifts_of_last_epoch(records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """By kind of token, the mean log-ratio to the reference over the steps of the last epoch, and how many tokens.

    records: of the kind `train`. Each step was measured before its own update; a single step is a handful of groups.
    """
    last = [record for record in records if record["epoch"] == records[-1]["epoch"]]
    shifts: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        name = f"log_ratio_{kind}"  # not there in a step without such a token
        seen = [(record[f"{kind}_tokens"], record[name]) for record in last if record.get(name) is not None]
        tokens = sum(count for count, _ in seen)
        if tokens:
            shifts[kind] = {"tokens": tokens, "log_ratio": sum(count * ratio for count, ratio in seen) / tokens}
    return shifts


def _event_writer(folder: Path, purge_step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        log.info("tensorboard is not installed: metrics.jsonl only")
        return None
    return SummaryWriter(str(folder), purge_step=purge_step or None)


class StepClock:
    """Seconds, rates and memory of a step."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    def lap(self, response_tokens: float, groups: float) -> dict[str, float]:
        """Rates since the last lap; tokens are useful ones: of responses, counted once."""
        now = time.perf_counter()
        seconds, self._started = max(now - self._started, 1e-9), now
        return {
            "seconds": seconds,
            "tokens_per_s": response_tokens / seconds,
            "groups_per_s": groups / seconds,
            "memory_gib": peak_memory_bytes() / 2**30,
        }


def peak_memory_bytes() -> int:
    """Most memory this process had: of the GPU where there is one, else resident."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def counted(number: float, noun: str) -> str:
    """`1 step`, `2 steps`, `1,024 tokens`."""
    return f"{number:,.0f} {noun}{'s' * (round(number) != 1)}"


def duration(seconds: float) -> str:
    """`0.4 s`, `45 s`, `12 min`, `3.5 h`."""
    if seconds < 1:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


class ProgressLine:
    """One line per step on standard error: rewritten in place on a terminal, appended elsewhere."""

    def __init__(self, total_steps: int):
        self._total = total_steps
        self._mean_seconds = 0.0
        self._explained = False
        self._on_terminal = sys.stderr.isatty()

    def show(self, step: int, values: Mapping[str, float]) -> None:
        """`step 40/200 | loss 0.613 | ...`; what the columns are stands in front of the first."""
        if not self._explained:
            sys.stderr.write(_LEGEND)
            self._explained = True
        parts = [f"step {step}/{self._total}"]
        for name, label, form in _SHOWN:
            if name in values:
                parts.append(f"{label} {format(values[name], form)}")
        if step < self._total:
            parts.append(f"{duration(self._seconds(values) * (self._total - step))} left")
        line = " | ".join(parts)
        sys.stderr.write(f"\r\x1b[2K{line}" if self._on_terminal else f"{line}\n")
        sys.stderr.flush()

    def _seconds(self, values: Mapping[str, float]) -> float:
        """Of a step, the latest ones weighing most."""
        seconds = values.get("seconds", 0.0)
        self._mean_seconds = 0.9 * self._mean_seconds + 0.1 * seconds if self._mean_seconds else seconds
        return self._mean_seconds

    def end(self) -> None:
        """Leave the line."""
        if self._on_terminal:
            sys.stderr.write("\n")


_LEGEND: Final = (
    "mass: how far the credit is followed; supported, unsupported: mean change of such tokens' log-probability; "
    "clip: share of tokens that the clip holds\n"
)
_SHOWN: Final = (
    ("loss", "loss", ".4f"),
    ("mass_moved", "mass", "+.4f"),
    ("log_ratio_supported", "supported", "+.3f"),
    ("log_ratio_unsupported", "unsupported", "+.3f"),
    ("clip_share", "clip", ".2f"),
    ("tokens_per_s", "tokens/s", ".0f"),
    ("groups_per_s", "groups/s", ".2f"),
    ("memory_gib", "GiB", ".2f"),
)
