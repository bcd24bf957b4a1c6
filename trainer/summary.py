"""What is printed when a training run ends."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping
from typing import Any

from trainer.metrics import counted


def print_summary(summary: Mapping[str, Any], as_json: bool) -> None:
    """The summary of trainer.train as text, or as JSON."""
    if as_json:
        sys.stdout.write(json.dumps(summary, indent=2) + "\n")
        return
    sys.stdout.write("\n".join(_lines(summary)) + "\n")


def _shifts(summary: Mapping[str, Any]) -> tuple[str, dict[str, tuple[float, float]]]:
    """Where it was measured, and by kind of token (mean log-ratio to the reference, tokens): held-out groups win."""
    metrics = summary["metrics"]
    if "lr" in metrics or not metrics:  # of a training step: a handful of groups
        found = summary["last_epoch"]
        return "last epoch, each step before its own update", {
            kind: (one["log_ratio"], one["tokens"]) for kind, one in found.items()
        }
    kinds = [name.removeprefix("log_ratio_") for name in metrics if name.startswith("log_ratio_")]
    return "held-out groups", {kind: (metrics[f"log_ratio_{kind}"], metrics[f"{kind}_tokens"]) for kind in kinds}


def _lines(summary: Mapping[str, Any]) -> list[str]:
    metrics = summary["metrics"]
    lines = []
    if summary["stopped"]:
        resumes = "" if summary["stopped"] == signal.SIGINT.name else "; the same command resumes"  # `main` says it
        lines.append(f"stopped by {summary['stopped']} after {counted(summary['steps'], 'step')}{resumes}")
    else:
        before = ", all taken before" if summary["steps"] == summary["steps_before"] else ""
        lines.append(f"{counted(summary['steps'], 'step')}{before}; model in {summary['model']}")
    if summary["skipped_steps"]:
        lines.append(f"{counted(summary['skipped_steps'], 'step')} skipped: the gradient was not finite")
    left_out = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in summary["left_out"].items() if count)
    if left_out:
        lines.append(f"prompt groups not trained on: {left_out}")
    where, shifts = _shifts(summary)
    for kind, (shift, tokens) in shifts.items():
        lines.append(
            f"log-probability of {kind} tokens: {shift:+.3f} against the base on average "
            f"({counted(tokens, 'token')}, {where})"
        )
    if "kl" in metrics:
        lines.append(f"KL to the base: {metrics['kl']:.4f} per token")
    return lines
