"""Held-out prompt groups: how far the log-probabilities of each kind of token have moved, and the KL to the base."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import torch
from torch import Tensor

from trainer.batches import CreditOptions, Piece, collate, deal_credit
from trainer.data.groups import StepBatch
from trainer.gradient import StepGradient
from trainer.logprobs import TokenLogprobs
from trainer.loss import Divisors, add_sums, step_metrics
from trainer.reference import AdapterOff, FrozenCopy


@torch.no_grad()
def evaluate(gradient: StepGradient, steps: Iterable[StepBatch], credit: CreditOptions) -> dict[str, float]:
    """Metrics (trainer.loss.step_metrics) over the groups of `steps`, every token counted; {} when there are none.

    kl: mean over response tokens of KL(policy || reference) over the vocabulary, where the reference's hidden states
    are at hand (not for a cached reference, not on several ranks).
    """
    held = dataclasses.replace(gradient.objective, anchor="all")
    everywhere = StepGradient(gradient.scorer, gradient.reference, held, gradient.ranks, gradient.layout, gradient.half)
    everywhere.most_tokens = gradient.most_tokens
    credit = dataclasses.replace(credit, anchor="all")
    sums: dict[str, Tensor] = {}
    totals = {"blocks": 0.0, "tokens": 0.0, "groups": 0.0, "kl": 0.0}
    for batch in (micro_batch for step in steps for micro_batch in step.micro_batches):
        groups, counts = deal_credit(batch.groups, credit)
        piece = tuple(group for group in groups if any(len(response.row) for response in group.responses))
        # divided by 1 here and by the counts of all steps below: they are not known yet
        sums = add_sums(sums, found) if (found := everywhere.accumulate([piece], Divisors())) else sums
        totals["blocks"] += counts.blocks.active
        totals["tokens"] += counts.response_tokens
        totals["groups"] += counts.groups
        if gradient.ranks.size == 1:
            totals["kl"] += sum(_kl_of_piece(everywhere, part) for part in everywhere.fitting([piece]) if part)
    totals = gradient.ranks.sum_all(totals)
    if not totals["groups"]:
        return {}
    sums = {name: torch.tensor(value) for name, value in gradient.ranks.sum_all(sums).items()}
    blocks, tokens = max(totals["blocks"], 1), max(totals["tokens"], 1)
    sums["policy_loss"] /= blocks
    sums["mass_moved"] /= blocks
    sums["anchor"] /= tokens
    sums["stop_anchor"] /= tokens
    sums["loss"] = sums["policy_loss"] + held.beta * sums["anchor"] + held.stop_beta * sums["stop_anchor"]
    metrics = step_metrics(sums) | {"groups": totals["groups"]}
    if gradient.ranks.size == 1 and isinstance(gradient.reference, AdapterOff | FrozenCopy):
        metrics["kl"] = totals["kl"] / tokens
    return metrics


def _kl_of_piece(gradient: StepGradient, piece: Piece) -> float:
    """Sum over response tokens of KL(policy || reference) over the vocabulary; 0 without the reference's states."""
    scorer, reference = gradient.scorer, gradient.reference
    rows = collate(piece, "all", gradient.layout).rows.to(gradient.ranks.device)
    with gradient.autocast():
        states = scorer.response_states(rows)
        if isinstance(reference, AdapterOff):
            with reference.scorer.adapters_off():
                base_states = scorer.response_states(rows)
            return _kl(scorer, states, scorer, base_states)
        if isinstance(reference, FrozenCopy):
            return _kl(scorer, states, reference.scorer, reference.scorer.response_states(rows))
    return 0.0


def _kl(scorer: TokenLogprobs, states: Tensor, base: TokenLogprobs, base_states: Tensor) -> float:
    total = 0.0
    chunk = scorer.head_chunk
    for ours, theirs in zip(states.split(chunk), base_states.split(chunk), strict=True):
        log_p, log_q = scorer.logits(ours).log_softmax(-1), base.logits(theirs).log_softmax(-1)
        total += float((log_p.exp() * (log_p - log_q)).sum())
    return total
