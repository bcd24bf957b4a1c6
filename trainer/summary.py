"""What is printed when a training run ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any


def print_summary(summary: Mapping[str, Any], as_json: bool) -> None:
    """The summary of trainer.train as text, or as JSON."""
    if as_json:
        sys.stdout.write(json.dumps(summary, indent=2) + "\n")
        return
    sys.stdout.write("\n".join(_lines(summary)) + "\n")


def _lines(summary: Mapping[str, Any]) -> list[str]:
    metrics = summary["metrics"]
    lines = []
    if summary["stopped"]:
        lines.append(f"stopped by {summary['stopped']} after {summary['steps']} steps; the same command resumes")
    else:
        lines.append(f"{summary['steps']} steps; model in {summary['model']}")
    if summary["skipped_steps"]:
        lines.append(f"{summary['skipped_steps']} steps skipped: their gradient was not finite")
    left_out = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in summary["left_out"].items() if count)
    if left_out:
        lines.append(f"prompt groups not trained on: {left_out}")
    for kind in ("supported", "unsupported", "neutral", "stop"):
        if f"log_ratio_{kind}" in metrics:
            shift, tokens = metrics[f"log_ratio_{kind}"], metrics[f"{kind}_tokens"]
            lines.append(f"log-probability of {kind} tokens: {shift:+.3f} on average ({tokens:.0f} tokens)")
    if "kl" in metrics:
        lines.append(f"KL to the base: {metrics['kl']:.4f} per token")
    return lines
