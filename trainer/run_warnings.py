"""What makes a run learn little or lopsidedly, told before it starts: by `--dry-run`, and by the run itself."""

from __future__ import annotations

from typing import Final

import numpy as np

from trainer.config import TrainConfig
from trainer.data.index import GroupIndex
from trainer.prepare import Data

MAX_SINGLE_CLASS: Final = 0.5
MAX_IMBALANCE: Final = 20.0
MAX_LEFT_OUT: Final = 0.1
SHORT_RUN: Final = 20


def warnings_about(data: Data, config: TrainConfig) -> list[str]:
    """What makes a run learn little or lopsidedly, one line each."""
    entries = data.index.entries[data.split.train]
    supported, unsupported = entries["supported"], entries["unsupported"]
    found = []
    single = float(((supported > 0) != (unsupported > 0)).mean())
    if single > MAX_SINGLE_CLASS and config.credit == "balanced":
        found.append(f"{100 * single:.0f} % of the groups have tokens of one label only: balanced credit skips them")
    unlabelled = float(((supported == 0) & (unsupported == 0)).mean())
    if unlabelled > MAX_SINGLE_CLASS:
        found.append(f"{100 * unlabelled:.0f} % of the groups have no labelled token")
    ratio = _imbalance(data.index, data.split.train)
    if ratio > MAX_IMBALANCE:
        found.append(f"{ratio:.0f} tokens of one label for each of the other: few tokens carry all credit (see --cap)")
    if (entries["rows"] < 2).mean() > MAX_SINGLE_CLASS:
        found.append("most groups have one response: nothing is gained by packing, and groups are often of one label")
    left_out = sum(data.split.left_out.values())
    if left_out > MAX_LEFT_OUT * len(data.index.entries):
        counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in data.split.left_out.items() if count)
        if data.split.left_out.get("too_long"):
            longest = data.index.entries["longest_row"].max()
            counts += f" (prompt and response up to {longest} tokens: more than the model's window, or --max-positions)"
        found.append(f"{left_out} of {len(data.index.entries)} groups are left out: {counts}")
    if config.held_out and not len(data.split.held_out):
        found.append("no group is held out: nothing will be evaluated but the steps themselves")
    if config.warmup_steps >= data.total_steps:
        found.append(f"the learning rate never reaches its peak: lower --warmup-steps below {data.total_steps}")
    if data.total_steps < SHORT_RUN:
        few = "1 step is" if data.total_steps == 1 else f"{data.total_steps} steps are"
        found.append(f"{few} few: lower --groups-per-step or raise --epochs")
    return found


def _imbalance(index: GroupIndex, groups: np.ndarray) -> float:
    supported = float(index.entries["supported"][groups].sum())
    unsupported = float(index.entries["unsupported"][groups].sum())
    return max(supported, unsupported) / max(min(supported, unsupported), 1.0)
