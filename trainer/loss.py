"""The objective: clipped importance-weighted credit plus a squared anchor. Tensors in, (loss, metric sums) out.

    L = -(1/K) sum_t gain(r_t, A_t) + beta (1/C) sum_{t anchored} d_t^2 / 2
        + stop_beta (1/T) sum_t KL(Bernoulli(q_t) || Bernoulli(p_t))

    gain(r, A) = min(r A, clip(r, 1 - clip_low, 1 + clip_high) A); with pull "log" A (1 + log r) where A > 0 and r < 1
    r = exp(logprobs - old_logprobs)   d = logprobs - ref_logprobs   K active blocks, C anchored tokens of the step
    p, q: probability of stopping instead of writing token t, of the policy and of the reference

Our own reading, not equations of arXiv 2606.15893. The anchor is the squared log-ratio (k2) because its gradient d is
proportional to the drift in both directions; off-policy, the gradient of k1 is 1 (plain unlikelihood) and that of k3,
1 - exp(-d), grows without bound on tokens pushed down. The log pull is for supported tokens that sink together with the
errors beside them: the gradient of r A fades with r and lets go of what has sunk, that of log r does not. As in PPO,
nothing bounds r A above where A < 0: r is large there where the policy likes an unsupported token far better than old
did, which happens with stored log-probabilities of another policy; a step is then bounded by its norm alone. The stop
anchor, the last term, holds one choice alone, whether to go on: its gradient in the log-odds of stopping is p - q. K, C
and T are passed in, so the gradients of micro-batches add up to the gradient of the step however it is cut. Metrics are
sums too, for the same reason: add them over micro-batches and ranks, then `step_metrics` divides. Shapes: T tokens of
any number of responses, in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

Anchor = Literal["all", "labelled", "neutral"]
Pull = Literal["log", "ratio"]
ANCHORS: Final = get_args(Anchor)
PULLS: Final = get_args(Pull)

# exp(20) = 5e8: beyond, a ratio says that two models disagree utterly, and its exponential would overflow in float32.
MAX_LOG_RATIO: Final = 20.0
KINDS: Final = ("supported", "unsupported", "neutral", "stop")


def behaviour_or_reference(behaviour_logprobs: Tensor | None, ref_logprobs: Tensor) -> Tensor:
    """Denominator of the ratio: the sampling policy's log-probability where known (finite), else the reference's."""
    if behaviour_logprobs is None:
        return ref_logprobs
    return torch.where(behaviour_logprobs.isfinite(), behaviour_logprobs, ref_logprobs)


def anchor_mask(labels: Tensor, anchor: Anchor) -> Tensor:
    """(T,) bool, True = the anchor holds this token. Stop tokens have label 0 and count as neutral."""
    if anchor not in ANCHORS:
        raise ValueError(f"anchor {anchor!r}: must be one of {ANCHORS}")
    if anchor == "all":
        return torch.ones_like(labels, dtype=torch.bool)
    return labels != 0 if anchor == "labelled" else labels == 0


def stop_choice_kl(stop_odds: Tensor, ref_stop_odds: Tensor) -> Tensor:
    """KL(reference || policy) of the choice stop / go on, (N,) nats, from log-odds of stopping; 0 where they agree."""
    ours, theirs = stop_odds.float(), ref_stop_odds.float()
    stop = theirs.sigmoid() * (logsigmoid(theirs) - logsigmoid(ours))
    go_on = (-theirs).sigmoid() * (logsigmoid(-theirs) - logsigmoid(-ours))
    return stop + go_on


@dataclass(frozen=True)
class Objective:
    """The loss's constants. clip_low, clip_high: widths of the ratio's interval; math.inf turns a side off.

    beta: of the squared anchor.   stop_beta: of the stop anchor; above 0 only where the scorer knows the stop tokens.
    pull: how a token with A > 0 is raised while its ratio is below 1: `ratio`, in proportion to what is left of it (as
        everywhere), or `log`, undiminished.
    anchor, use_behaviour: which tokens the anchor holds, and whether stored log-probabilities are the denominator; read
        by who fills `LossTokens`.
    """

    clip_low: float
    clip_high: float
    beta: float
    anchor: Anchor = "all"
    use_behaviour: bool = False
    pull: Pull = "ratio"
    stop_beta: float = 0.0


@dataclass(frozen=True)
class Divisors:
    """What the terms of a step's loss are divided by: counts over all micro-batches and ranks; 0 is taken as 1."""

    active_blocks: float = 1.0
    anchor_tokens: float = 1.0
    stop_places: float = 1.0


@dataclass(frozen=True, eq=False)
class LossTokens:
    """What is known of T tokens beside the policy's scores; no gradient.

    old_logprobs, ref_logprobs: (T,) natural log, finite: denominator of the ratio; reference.
    advantages: (T,), 0 = no credit.   labels: (T,) +1, -1, 0; read for the metrics only.
    anchored: (T,) bool, True = held by the anchor; None: all.   is_stop: (T,) bool, True = the stop token; None: none.
    ref_stop_odds: (T,) the reference's log P(stop) - log P(go on) at every response place; None: no stop anchor.
    """

    old_logprobs: Tensor
    ref_logprobs: Tensor
    advantages: Tensor
    labels: Tensor
    anchored: Tensor | None = None
    is_stop: Tensor | None = None
    ref_stop_odds: Tensor | None = None


def policy_loss(
    logprobs: Tensor, tokens: LossTokens, objective: Objective, divisors: Divisors, stop_odds: Tensor | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss (a scalar) and sums of metrics (scalars, detached) of one micro-batch.

    logprobs: (T,) of the policy, natural log, finite, with gradient.   stop_odds: (T,) of the policy, as
    `tokens.ref_stop_odds`, with gradient; None: no stop anchor.   divisors: of the global step.
    Raises ValueError when shapes differ and for an unknown pull.
    """
    advantages, ref_stop_odds = tokens.advantages, tokens.ref_stop_odds
    clip_low, clip_high = objective.clip_low, objective.clip_high
    if objective.pull not in PULLS:
        raise ValueError(f"pull {objective.pull!r}: must be one of {PULLS}")
    several = [logprobs, tokens.old_logprobs, tokens.ref_logprobs, advantages, tokens.labels]
    if stop_odds is not None and ref_stop_odds is not None:
        several += [stop_odds, ref_stop_odds]
    if len({tensor.shape for tensor in several}) != 1:
        raise ValueError(f"policy_loss: shapes differ: {[tuple(tensor.shape) for tensor in several]}")
    logprobs = logprobs.float()
    log_ratio = logprobs - tokens.old_logprobs.float()
    ratio = log_ratio.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
    gain = torch.minimum(ratio * advantages, ratio.clamp(1 - clip_low, 1 + clip_high) * advantages)
    if objective.pull == "log":
        gain = torch.where((advantages > 0) & (ratio < 1), advantages * (1 + log_ratio), gain)
    drift = logprobs - tokens.ref_logprobs.float()
    squared = drift.square() / 2
    held = squared if tokens.anchored is None else torch.where(tokens.anchored, squared, torch.zeros_like(squared))
    policy_part = -gain.sum() / max(divisors.active_blocks, 1)
    anchor_part = held.sum() / max(divisors.anchor_tokens, 1)
    stop_part = torch.zeros_like(policy_part)
    if stop_odds is not None and ref_stop_odds is not None:
        stop_part = stop_choice_kl(stop_odds, ref_stop_odds).sum() / max(divisors.stop_places, 1)
    loss = policy_part + objective.beta * anchor_part + objective.stop_beta * stop_part

    with torch.no_grad():
        cut = ((advantages > 0) & (ratio > 1 + clip_high)) | ((advantages < 0) & (ratio < 1 - clip_low))
        metrics = {
            "loss": loss.detach(),
            "policy_loss": policy_part.detach(),
            "anchor": anchor_part.detach(),
            "stop_anchor": stop_part.detach(),
            "mass_moved": (advantages * drift).sum() / max(divisors.active_blocks, 1),
            "clipped_tokens": cut.sum(),
            "credit_tokens": (advantages != 0).sum(),
            "ratio_sum": ratio[advantages != 0].double().sum(),
            "ratio_square_sum": ratio[advantages != 0].double().square().sum(),
            **_drift_sums(drift, tokens.labels, tokens.is_stop),
        }
    return loss, metrics


def _drift_sums(drift: Tensor, labels: Tensor, is_stop: Tensor | None) -> dict[str, Tensor]:
    """Per kind of token: how many, and the sums of log pi - log pi_ref and its square."""
    stop = torch.zeros_like(labels, dtype=torch.bool) if is_stop is None else is_stop
    kinds = {"supported": labels > 0, "unsupported": labels < 0, "neutral": (labels == 0) & ~stop, "stop": stop}
    sums: dict[str, Tensor] = {}
    for kind, mask in kinds.items():
        chosen = drift[mask].double()
        sums[f"{kind}_tokens"] = mask.sum()
        sums[f"{kind}_drift_sum"] = chosen.sum()
        sums[f"{kind}_square_sum"] = chosen.square().sum()
    return sums


def add_sums(total: dict[str, Tensor], more: dict[str, Tensor]) -> dict[str, Tensor]:
    """Metric sums of two micro-batches together, float64."""
    return {name: total.get(name, 0.0) + value.double() for name, value in more.items()}


def step_metrics(sums: dict[str, Tensor]) -> dict[str, float]:
    """Metrics of a step from its sums. A kind without tokens is left out.

    loss, policy_loss, anchor.   stop_anchor: mean KL of the choice stop / go on, nats per place.
    mass_moved: mean over active blocks of sum A (log pi - log pi_ref), 0 at step 0.
    <kind>_tokens, log_ratio_<kind>: mean of log pi - log pi_ref over the kind.   rms_log_ratio: over all tokens.
    credit_tokens: tokens with credit; of these: mean_ratio, clip_share (gradient cut by the clip) and effective_tokens
    ((sum r)^2 / sum r^2: how many tokens of equal weight they are worth; equal to credit_tokens on-policy).
    """
    value = {name: float(total) for name, total in sums.items()}
    result = {name: value[name] for name in ("loss", "policy_loss", "anchor", "stop_anchor", "mass_moved")}
    for kind in KINDS:
        result[f"{kind}_tokens"] = value[f"{kind}_tokens"]
        if value[f"{kind}_tokens"]:
            result[f"log_ratio_{kind}"] = value[f"{kind}_drift_sum"] / value[f"{kind}_tokens"]
    tokens = max(sum(value[f"{kind}_tokens"] for kind in KINDS), 1)
    result["rms_log_ratio"] = (sum(value[f"{kind}_square_sum"] for kind in KINDS) / tokens) ** 0.5
    credit_tokens = value["credit_tokens"]
    result["credit_tokens"] = credit_tokens
    result["mean_ratio"] = value["ratio_sum"] / credit_tokens if credit_tokens else 1.0
    result["clip_share"] = value["clipped_tokens"] / max(credit_tokens, 1)
    result["effective_tokens"] = value["ratio_sum"] ** 2 / value["ratio_square_sum"] if credit_tokens else 0.0
    return result
