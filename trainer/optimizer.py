"""AdamW, the learning rate as a pure function of the step, and the update that is skipped when not finite."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

FINAL_SHARE: Final = 0.1  # of the peak, at the end of the cosine


def make_optimizer(model: nn.Module, weight_decay: float) -> torch.optim.AdamW:
    """AdamW over the trained weights; matrices decay, norms and biases do not. The rate is set before every update."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in trained if parameter.ndim > 1]
    rest = [parameter for parameter in trained if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
    # fused: one pass over the weights, without temporaries of their size
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=0.0, betas=(0.9, 0.95), fused=True)


def learning_rate(step: int, *, peak: float, warmup_steps: int, total_steps: int, schedule: str) -> float:
    """The rate of the 0-based `step`. Linear rise over warmup_steps, then as `schedule` says up to total_steps."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    if schedule == "constant":
        return peak
    done = min((step - warmup_steps) / max(total_steps - warmup_steps, 1), 1.0)
    share = 1 - done if schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return peak * (FINAL_SHARE + (1 - FINAL_SHARE) * share)


def update(optimizer: torch.optim.Optimizer, rate: float, max_grad_norm: float) -> float | None:
    """One update with the gradients in place; the norm they had, or None when it was not finite and nothing was done.

    The norm is over all ranks, so all of them skip or none.
    """
    parameters: Iterable[Tensor] = [
        p for group in optimizer.param_groups for p in group["params"] if p.grad is not None
    ]
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_grad_norm)
    total = float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
    if math.isfinite(total):
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return total if math.isfinite(total) else None
