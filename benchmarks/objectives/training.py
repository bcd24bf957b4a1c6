"""Train a copy of a base with one setting and score it on the way: the inner loop of search and report."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch

from benchmarks.objectives.objectives import Setting, base_stop_odds, batch_of, step_loss
from benchmarks.objectives.sampling import Rollouts


@dataclass(eq=False)
class Trained:
    """A policy and its way there. curve: what `look` returned, by step."""

    model: torch.nn.Module
    curve: dict[int, dict[str, float]] = field(default_factory=dict)
    last_metrics: dict[str, float] = field(default_factory=dict)


def group_order(groups: int, per_step: int, steps: int, seed: int) -> Iterator[torch.Tensor]:
    """Which groups each step sees: whole passes over all groups, each in its own order."""
    generator = torch.Generator().manual_seed(seed)
    rest = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        while len(rest) < per_step:
            rest = torch.cat([rest, torch.randperm(groups, generator=generator)])
        yield rest[:per_step]
        rest = rest[per_step:]


def rate_factor(setting: Setting, step: int) -> float:
    """Learning-rate factor of a step: four steps of warm-up, then constant, or falling to zero at the last step."""
    done = step / setting.steps
    falling = {"constant": 1.0, "cosine": (1 + math.cos(math.pi * done)) / 2, "linear": 1 - done}[setting.schedule]
    return min((step + 1) / 4, 1.0) * falling


def train(
    base: torch.nn.Module,
    rollouts: Rollouts,
    setting: Setting,
    *,
    seed: int,
    look_at: tuple[int, ...] = (),
    look: Callable[[torch.nn.Module], dict[str, float]] | None = None,
) -> Trained:
    """`setting.steps` optimizer steps (AdamW, gradient norm clipped at 1) on groups of `rollouts`, which the base
    wrote.
    """
    trained = Trained(copy.deepcopy(base).requires_grad_(True))
    labels = rollouts.relabelled(setting.shared, setting.claim_tokens, setting.repeats).labels
    base_stop = base_stop_odds(base, rollouts) if setting.stop_beta else None
    optimizer = torch.optim.AdamW(
        trained.model.parameters(), lr=setting.learning_rate, betas=(0.9, 0.98), weight_decay=0
    )
    for step, chosen in enumerate(group_order(len(labels), setting.groups_per_step, setting.steps, seed)):
        for group in optimizer.param_groups:
            group["lr"] = setting.learning_rate * rate_factor(setting, step)
        value, trained.last_metrics = step_loss(
            trained.model, base, batch_of(rollouts, labels, chosen, base_stop), setting
        )
        if not value.isfinite():
            break  # a diverged rival is scored as it stands
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(trained.model.parameters(), 1.0)
        optimizer.step()
        if look and step + 1 in look_at:
            trained.curve[step + 1] = look(trained.model)
    return trained
