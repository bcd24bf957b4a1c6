"""The loss with everything that it reads as one flat list of arguments: a test shows a few numbers at a time."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from trainer.loss import Divisors, LossTokens, Objective, policy_loss

_TOKENS = ("anchored", "is_stop", "ref_stop_odds")
_CONSTANTS = ("clip_low", "clip_high", "beta", "pull", "stop_beta")


def loss_of(
    logprobs: Tensor,
    old_logprobs: Tensor,
    ref_logprobs: Tensor,
    advantages: Tensor,
    *,
    labels: Tensor,
    num_active_blocks: float,
    num_anchor_tokens: float,
    num_stop_places: float = 0.0,
    stop_odds: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, dict[str, Tensor]]:
    """`policy_loss`; options: fields of LossTokens and of Objective."""
    assert options.keys() <= {*_TOKENS, *_CONSTANTS}
    of_tokens = {name: options[name] for name in _TOKENS if name in options}
    objective = Objective(**{name: options[name] for name in _CONSTANTS if name in options})
    tokens = LossTokens(old_logprobs, ref_logprobs, advantages, labels, **of_tokens)
    divisors = Divisors(num_active_blocks, num_anchor_tokens, num_stop_places)
    return policy_loss(logprobs, tokens, objective, divisors, stop_odds)
