"""The objectives that are compared, each as (model, batch of groups) -> loss. Credit and loss are the trainer's own
functions.

Every objective gets the same batches: B prompts with G responses each from the base, their labels, and the
log-probabilities they were drawn with (the base is behaviour policy and reference at once). Token-level methods are
one flag of the trainer; DPO (arXiv 2305.18290) and KTO (arXiv 2402.01306) are written out here on pairs made from the
same labels, so that they can share the loop, and are held against TRL's own trainers by `trl_check`. What the trainer
does not have (yet) is in `variants`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from benchmarks.objectives import variants
from benchmarks.objectives.models import response_logits
from benchmarks.objectives.sampling import Rollouts
from benchmarks.objectives.world import PADDING, STOP, ClaimTokens, Repeats, SharedToken
from trainer import credit, loss

Method = Literal["balanced", "token", "response", "supported", "dpo", "kto"]
Block = Literal["group", "response", "step"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to train. Everything that a search may change, and nothing else."""

    method: Method = "balanced"
    learning_rate: float = 3e-4
    beta: float = 0.02  # anchor strength; DPO's and KTO's own beta for these
    clip_low: float = 0.4
    clip_high: float = 0.4
    pull: loss.Pull = "ratio"
    # the balanced form
    mass: credit.Mass = "sqrt"
    block: Block = "group"
    cap: float | None = None
    anchor: loss.Anchor = "all"
    stop_beta: float = 0.0  # strength of the trainer's stop anchor
    # labels
    shared: SharedToken = "neutral"
    claim_tokens: ClaimTokens = "first_wrong"
    repeats: Repeats = "neutral"
    # variants that the trainer does not have
    # 1, 2: what both sides of a block share, by token or by pair of tokens, cancels before credit is given; 0: nothing
    contrast: int = 0
    lift: float = 0.0  # the supported side gets this much more, relative; the stop anchor must hold the length then
    per_claim: bool = False  # a claim weighs the same whatever its number of tokens
    single_class: variants.SingleClass = "none"
    sampled_stop_beta: float = 0.0  # squared anchor on the sampled stop tokens, in place of the choice
    # the run
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    steps: int = 192
    groups_per_step: int = 8


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """B groups.   prompts: (B, P).   tokens, labels, old_logprobs: (B, G, T).   base_stop_odds: (B, G, T) the base's
    log-odds of stopping at every place."""

    prompts: Tensor
    tokens: Tensor
    labels: Tensor
    old_logprobs: Tensor
    faithfulness: Tensor  # (B, G) share of supported claims, NaN without claims
    base_stop_odds: Tensor | None = None

    @property
    def is_token(self) -> Tensor:
        """(B, G, T) bool, True = a token of the response, the stop token included."""
        return self.tokens != PADDING


@torch.no_grad()
def base_stop_odds(base, rollouts: Rollouts) -> Tensor:
    """(N, G, T) log-odds of stopping at every place of the rollouts, under the base."""
    parts = zip(rollouts.prompt_tokens.split(64), rollouts.tokens.split(64), strict=True)
    return torch.cat([stop_odds(response_logits(base, *part)) for part in parts])


def stop_odds(logits: Tensor) -> Tensor:
    """(...) log P(stop) - log P(go on) of logits (..., V)."""
    going_on = torch.cat([logits[..., :STOP], logits[..., STOP + 1 :]], -1)
    return logits[..., STOP] - going_on.logsumexp(-1)


def batch_of(rollouts: Rollouts, labels: Tensor, chosen: Tensor, base_stop: Tensor | None = None) -> Batch:
    """The groups at `chosen`, cut to the longest response. base_stop: `base_stop_odds`, where they are anchored."""
    tokens = rollouts.tokens[chosen]
    longest = int((tokens != PADDING).any(0).any(0).sum())
    return Batch(
        rollouts.prompt_tokens[chosen],
        tokens[:, :, :longest],
        labels[chosen][:, :, :longest],
        rollouts.logprobs[chosen][:, :, :longest],
        rollouts.faithfulness[chosen],
        None if base_stop is None else base_stop[chosen][:, :, :longest],
    )


def step_loss(model, base, batch: Batch, setting: Setting) -> tuple[Tensor, dict[str, float]]:
    """Loss of one step and its metrics. base: the frozen base; called only by what needs more than stored log-probs."""
    distribution = response_logits(model, batch.prompts, batch.tokens).log_softmax(-1)  # (B, G, T, V)
    logprobs = distribution.gather(-1, batch.tokens.unsqueeze(-1)).squeeze(-1)
    if setting.method in ("dpo", "kto"):
        change = ((logprobs - batch.old_logprobs) * batch.is_token).sum(-1)  # (B, G)
        preference = dpo_loss if setting.method == "dpo" else kto_loss
        reference_point = None if setting.method == "dpo" else _mismatched_change(model, base, batch)
        return preference(change, batch.faithfulness, setting.beta, reference_point), {}
    value, metrics = _credit_loss(logprobs, stop_odds(distribution) if setting.stop_beta else None, batch, setting)
    if setting.sampled_stop_beta:
        drift = (logprobs - batch.old_logprobs)[batch.tokens == STOP]
        value = value + setting.sampled_stop_beta * drift.square().mean() / 2
    return value, metrics


def token_credit(batch: Batch, setting: Setting) -> tuple[Tensor, Tensor]:
    """Advantages (t,) of the batch's t response tokens in row-major order, and the number of active blocks."""
    mask = batch.is_token
    b, g, _ = mask.shape
    response_of = torch.arange(b * g).view(b, g, 1).expand_as(mask)[mask]
    group_of = torch.arange(b).view(b, 1, 1).expand_as(mask)[mask]
    block_of = {"group": group_of, "response": response_of, "step": torch.zeros_like(group_of)}[setting.block]
    labels = batch.labels[mask]
    if setting.method != "balanced":
        faithfulness = batch.faithfulness.flatten()
        credited = credit.advantages(
            labels, group_of, form=_trainer_form(setting.method), response_of=response_of, faithfulness=faithfulness
        )
        return credited, torch.tensor(credit.count_blocks(labels, group_of, credited).active)
    if setting.contrast:
        places = variants.token_kinds(batch.tokens, setting.contrast)[mask]
        credited = variants.contrast_credit(labels, block_of, places, setting.mass)
    elif setting.per_claim:
        credited = variants.per_claim_credit(labels, block_of, response_of)
    else:
        credited = credit.advantages(labels, block_of, mass=setting.mass, cap=setting.cap)
    if setting.lift:
        credited = torch.where(labels > 0, credited * (1 + setting.lift), credited)
    if setting.single_class != "none":
        credited = variants.with_single_class(credited, labels, block_of, setting.single_class)
    active = credit.count_blocks(labels, block_of, credited).active
    if setting.block == "step":
        active = 1
    return credited, torch.tensor(active)


def _trainer_form(method: Method) -> credit.Form:
    assert method not in ("dpo", "kto"), "preference methods give no token credit"
    return method


def _credit_loss(
    logprobs: Tensor, odds: Tensor | None, batch: Batch, setting: Setting
) -> tuple[Tensor, dict[str, float]]:
    mask = batch.is_token
    credited, active = token_credit(batch, setting)
    labels, ours, old = batch.labels[mask], logprobs[mask], batch.old_logprobs[mask]
    anchored = loss.anchor_mask(labels, setting.anchor)
    objective = loss.Objective(
        setting.clip_low, setting.clip_high, setting.beta, pull=setting.pull, stop_beta=setting.stop_beta
    )
    divisors = loss.Divisors(float(active), float(anchored.sum()), float(mask.sum()))
    base_odds = None if batch.base_stop_odds is None else batch.base_stop_odds[mask]
    tokens = loss.LossTokens(old, old, credited, labels, anchored, batch.tokens[mask] == STOP, base_odds)
    value, sums = loss.policy_loss(ours, tokens, objective, divisors, None if odds is None else odds[mask])
    return value, loss.step_metrics({name: total.double() for name, total in sums.items()})


def dpo_loss(change: Tensor, faithfulness: Tensor, beta: float, _: Tensor | None = None) -> Tensor:
    """Sigmoid DPO. change: (B, G) log pi/pi_ref of whole responses. Pairs: see `preference_pairs`."""
    better, worse, differs = preference_pairs(faithfulness)
    margin = change.gather(1, better) - change.gather(1, worse)  # (B, G/2)
    return -torch.nn.functional.logsigmoid(beta * margin)[differs].sum() / max(int(differs.sum()), 1)


def kto_loss(change: Tensor, faithfulness: Tensor, beta: float, reference_point: Tensor | None) -> Tensor:
    """KTO with both weights 1: the better half of a group's pairs desirable, the worse half undesirable."""
    assert reference_point is not None
    better, worse, differs = preference_pairs(faithfulness)
    z = reference_point.mean().clamp(min=0)
    desirable = 1 - torch.sigmoid(beta * (change.gather(1, better) - z))
    undesirable = 1 - torch.sigmoid(beta * (z - change.gather(1, worse)))
    return (desirable + undesirable)[differs].sum() / max(2 * int(differs.sum()), 1)


def preference_pairs(faithfulness: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Best with worst, second best with second worst, ...: indices (B, G/2) twice, and whether the pair differs at
    all.
    """
    score = faithfulness.nan_to_num(nan=0.0)  # a response without claims is no better than one that invents all
    order = score.argsort(dim=1, descending=True, stable=True)
    half = score.shape[1] // 2
    better, worse = order[:, :half], order.flip(1)[:, :half]
    return better, worse, score.gather(1, better) > score.gather(1, worse)


@torch.no_grad()
def _mismatched_change(model, base, batch: Batch) -> Tensor:
    """(B, G) log pi/pi_ref of each response under the next prompt: KTO's estimate of its reference point."""
    moved = batch.tokens.roll(1, 0)
    mask = moved != PADDING

    def logprobs(of):
        found = response_logits(of, batch.prompts, moved).log_softmax(-1)
        return found.gather(-1, moved.unsqueeze(-1)).squeeze(-1)

    return ((logprobs(model) - logprobs(base)) * mask).sum(-1)


def describe(setting: Setting) -> str:
    """The fields that differ from the defaults, short."""
    default = Setting()
    changed = {
        f: getattr(setting, f) for f in Setting.__dataclass_fields__ if getattr(setting, f) != getattr(default, f)
    }
    return " ".join(f"{name}={'inf' if value == math.inf else value}" for name, value in changed.items()) or "defaults"
