"""What makes a run learn little or lopsidedly, told before it starts: by `--dry-run`, and by the run itself."""

from __future__ import annotations

import dataclasses
from typing import Final

import numpy as np

from trainer.config import TrainConfig, flag
from trainer.data.index import GroupIndex
from trainer.metrics import counted
from trainer.prepare import Data

MAX_SINGLE_CLASS: Final = 0.5
MAX_IMBALANCE: Final = 20.0
MAX_LEFT_OUT: Final = 0.1
SHORT_RUN: Final = 20
FEW_HELD_OUT: Final = 10
_DEFAULTS: Final = {field.name: field.default for field in dataclasses.fields(TrainConfig)}


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
        remedy = " (see --cap)" if config.credit == "balanced" else ""
        found.append(f"{ratio:.0f} tokens of one label for each of the other: few tokens carry all credit{remedy}")
    if (entries["rows"] < 2).mean() > MAX_SINGLE_CLASS:
        found.append("most groups have one response: nothing is gained by packing, and groups are often of one label")
    left_out = sum(data.split.left_out.values())
    if left_out > MAX_LEFT_OUT * len(data.index.entries):
        counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in data.split.left_out.items() if count)
        if data.split.left_out.get("too_long"):
            longest = data.index.entries["longest_row"].max()
            counts += f" (prompt and response up to {longest} tokens: more than the model's window, or --max-positions)"
        verb = "is" if left_out == 1 else "are"
        found.append(f"{left_out} of {counted(len(data.index.entries), 'group')} {verb} left out: {counts}")
    if config.max_positions and config.max_positions > data.window:
        found.append(f"--max-positions {config.max_positions} is more than the model's window of {data.window}")
    found += _about_evaluation(data, config)
    if config.warmup_steps >= data.total_steps:
        remedy = f"lower --warmup-steps below {data.total_steps}" if data.total_steps > 1 else "give --warmup-steps 0"
        found.append(f"the learning rate never reaches its peak: {remedy}")
    if data.total_steps < SHORT_RUN:
        verb = "is" if data.total_steps == 1 else "are"
        found.append(f"{counted(data.total_steps, 'step')} {verb} few: {_more_steps(data, config)}")
    return found


def _more_steps(data: Data, config: TrainConfig) -> str:
    if data.total_steps == config.max_steps:
        return "raise --max-steps"
    return "raise --epochs" if config.groups_per_step == 1 else "lower --groups-per-step or raise --epochs"


def _about_evaluation(data: Data, config: TrainConfig) -> list[str]:
    if not config.held_out:
        unused = [name for name in ("eval_every", "eval_groups") if getattr(config, name) not in (0, _DEFAULTS[name])]
        return [f"{flag(name)} without --held-out: there is nothing to evaluate" for name in unused]
    held_out = min(len(data.split.held_out), config.eval_groups)
    if not held_out:
        return ["no group is held out: nothing will be evaluated but the steps themselves; raise --held-out"]
    if held_out < FEW_HELD_OUT:
        groups = f"{counted(held_out, 'group')} {'is' if held_out == 1 else 'are'}"
        return [f"evaluation: {groups} too few to judge by; raise --held-out or --eval-groups, or label more prompts"]
    return []


def _imbalance(index: GroupIndex, groups: np.ndarray) -> float:
    """Tokens of the commoner label for each of the rarer; 0 where one of them is not there at all."""
    supported = float(index.entries["supported"][groups].sum())
    unsupported = float(index.entries["unsupported"][groups].sum())
    rarer = min(supported, unsupported)
    return max(supported, unsupported) / rarer if rarer else 0.0
