"""What the claims of the abstract look like in numbers, before a single training step.

    python -m benchmarks.objectives.demos

For every objective and base: how much supported content it lowers, how it pushes length, how much of its gradient is
signal. All from the base's own samples, so nothing here depends on a learning rate, a clip or an anchor. Theory:
docs/objective.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.objectives.experiment import base, training_rollouts
from benchmarks.objectives.models import RATES, response_logits
from benchmarks.objectives.objectives import Batch, Setting, batch_of, step_loss, token_credit
from benchmarks.objectives.sampling import Rollouts, draw_prompts, sample

OBJECTIVES = {
    "balanced unit": Setting(beta=0.0, mass="unit"),
    "balanced sqrt": Setting(beta=0.0),
    "balanced harmonic": Setting(beta=0.0, mass="harmonic"),
    "balanced unit, whole claims": Setting(beta=0.0, mass="unit", claim_tokens="all"),
    "token ±1": Setting("token", beta=0.0),
    "supported only": Setting("supported", beta=0.0),
    "response": Setting("response", beta=0.0),
    "DPO": Setting("dpo", beta=0.1),
}


@dataclass(frozen=True)
class Demonstration:
    """Figures of one objective on one base. Shares are of tokens; slopes are per unit step along the mean gradient."""

    supported_lowered: float  # share of supported tokens whose advantage is negative
    unsupported_raised: float
    block_sum: float  # mean over groups of the sum of advantages: 0 = no push on length
    length_slope: float  # tokens of expected length per unit of parameter distance
    faithfulness_slope: float  # expected F per unit of parameter distance
    signal_to_noise: float  # |mean gradient|^2 / (mean squared distance of a step's gradient from it)


def flat_gradient(model, value: Tensor) -> Tensor:
    """(D,) gradient of a scalar with respect to all parameters."""
    parts = torch.autograd.grad(value, [p for p in model.parameters() if p.requires_grad])
    return torch.cat([part.flatten() for part in parts])


def step_gradients(model, rollouts: Rollouts, setting: Setting) -> Tensor:
    """(M, D) descent directions, one per disjoint step of `groups_per_step` groups: all see the same samples once."""
    labels = _labels(rollouts, setting)
    steps = torch.arange(len(labels)).split(setting.groups_per_step)
    return torch.stack(
        [-flat_gradient(model, step_loss(model, model, batch_of(rollouts, labels, at), setting)[0]) for at in steps]
    )


def _labels(rollouts: Rollouts, setting: Setting) -> Tensor:
    return rollouts.relabelled(setting.shared, setting.claim_tokens, setting.repeats).labels


def score_gradient(model, rollouts: Rollouts, values: Tensor) -> Tensor:
    """(D,) gradient of the expectation of `values` (N, G), by score function with the group's mean as baseline."""
    total = torch.zeros(sum(p.numel() for p in model.parameters()))
    centred = values - values.mean(1, keepdim=True)
    for at in torch.arange(len(values)).split(32):
        batch = batch_of(rollouts, rollouts.labels, at)
        logprobs = response_logits(model, batch.prompts, batch.tokens).log_softmax(-1)
        chosen = logprobs.gather(-1, batch.tokens.unsqueeze(-1)).squeeze(-1)
        whole = (chosen * batch.is_token).sum(-1)
        total += flat_gradient(model, (centred[at] * whole).sum())
    return total / (values.numel() - len(values))


def signal_to_noise(gradients: Tensor) -> float:
    """(M, D) -> power of the mean over power of the deviations, the mean's own share of noise taken out."""
    m = len(gradients)
    mean = gradients.mean(0)
    noise = float((gradients - mean).square().sum() / (m - 1))
    return max(float(mean.square().sum()) - noise / m, 0.0) / noise


def demonstrate(rate: float, name: str, truth: tuple[Tensor, Tensor]) -> Demonstration:
    """Figures of one objective. truth: gradients of expected length and of expected F, from other samples."""
    setting, rollouts, model = OBJECTIVES[name], training_rollouts(rate, 0), base(rate).requires_grad_(True)
    gradients = step_gradients(model, rollouts, setting)
    mean = gradients.mean(0)
    unit = mean / mean.norm()
    lowered = raised = total = float("nan")
    if setting.method != "dpo":
        lowered, raised, total = _credit_shares(
            batch_of(rollouts, _labels(rollouts, setting), torch.arange(len(rollouts.prompts))), setting
        )
    length, faithfulness = truth
    return Demonstration(
        lowered, raised, total, float(unit @ length), float(unit @ faithfulness), signal_to_noise(gradients)
    )


def _credit_shares(batch: Batch, setting: Setting) -> tuple[float, float, float]:
    credited, _ = token_credit(batch, setting)
    labels = batch.labels[batch.is_token]
    lowered = float((credited[labels > 0] < 0).float().mean())
    raised = float((credited[labels < 0] > 0).float().mean())
    return lowered, raised, float(credited.sum()) / len(batch.prompts)


def truths(rate: float) -> tuple[Tensor, Tensor]:
    """Gradients of expected length and F at the base, from samples that no objective here sees."""
    model = base(rate).requires_grad_(True)
    rollouts = sample(model, draw_prompts("demonstrate", 512), 8, seed=77)
    length = torch.tensor([[v.tokens for v in group] for group in rollouts.verified], dtype=torch.float)
    claims = [[(v.supported, max(v.supported + v.unsupported, 1)) for v in group] for group in rollouts.verified]
    share = torch.tensor([[s / n for s, n in group] for group in claims])
    return score_gradient(model, rollouts, length), score_gradient(model, rollouts, share)


def main() -> None:
    """Print one line per base and objective, as JSON and as a row."""
    torch.set_num_threads(1)
    for rate in RATES:
        truth = truths(rate)
        for name in OBJECTIVES:
            found = demonstrate(rate, name, truth)
            print(
                json.dumps({"rate": rate, "objective": name, **{k: round(v, 5) for k, v in vars(found).items()}}),
                flush=True,
            )


if __name__ == "__main__":
    main()
