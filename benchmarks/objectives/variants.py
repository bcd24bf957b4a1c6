"""Balanced credit with one thing changed: candidates of the search that the trainer does not have. All are our own.

A variant that wins moves into the trainer; the others stay here, so that the chain of attempts can be run again.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from trainer.credit import Mass

SingleClass = Literal["none", "supported", "both"]


def per_claim_credit(labels: Tensor, block_of: Tensor, response_of: Tensor) -> Tensor:
    """Balanced sqrt credit in which every run of equal labels, as a rule a claim, weighs the same. (T,) each, in order.

    The sum over a block stays 0; a long claim no longer outweighs a short one of the other verdict.
    """
    starts = torch.ones_like(labels, dtype=torch.bool)
    starts[1:] = (labels[1:] != labels[:-1]) | (response_of[1:] != response_of[:-1])
    run_of = starts.cumsum(0) - 1
    length = torch.bincount(run_of)[run_of].double()
    blocks = int(block_of.max()) + 1
    supported, unsupported = labels > 0, labels < 0
    p = torch.zeros(blocks, dtype=torch.float64).index_add_(0, block_of, supported / length)
    n = torch.zeros(blocks, dtype=torch.float64).index_add_(0, block_of, unsupported / length)
    moved = torch.where((p > 0) & (n > 0), (p * n).sqrt() / (p + n).clamp(min=1e-9), 0.0)
    credited = supported * (moved / p.clamp(min=1e-9))[block_of] - unsupported * (moved / n.clamp(min=1e-9))[block_of]
    return (credited / length).float()


def token_kinds(tokens: Tensor, order: int) -> Tensor:
    """(B, G, T) token ids -> ids of what stands there: the token itself (order 1) or with the one before it (order
    2).
    """
    if order == 1:
        return tokens
    before = torch.zeros_like(tokens)
    before[..., 1:] = tokens[..., :-1]
    return before * (int(tokens.max()) + 1) + tokens


def contrast_credit(labels: Tensor, block_of: Tensor, kinds: Tensor, mass: Mass) -> Tensor:
    """Balanced credit after what both sides share has cancelled. (T,) each.

    Per block and kind v of token, p_v = P_v/P and n_v = N_v/N are its shares of the supported and of the unsupported
    tokens. Plain balanced credit gives the kind M(p_v - n_v) in sum, as P_v raises and N_v reductions that partly
    undo each other: "the", "is", the subject itself stand in claims of both verdicts. Here the same sum is given
    without the quarrel:

        A_t = M max(0, p_v - n_v)/P_v on supported, -M max(0, n_v - p_v)/N_v on unsupported tokens

    Both sides sum to M TV(p, n), so the block still sums to 0.
    """
    supported, unsupported = labels > 0, labels < 0
    size = int(kinds.max()) + 1
    cell = block_of * size + kinds
    blocks = int(block_of.max()) + 1

    def per(index: Tensor, mask: Tensor, length: int) -> Tensor:
        return torch.zeros(length, dtype=torch.float64).index_add_(0, index, mask.double())

    p, n = per(block_of, supported, blocks), per(block_of, unsupported, blocks)
    num = (p + n).clamp(min=1)
    moved = {"sqrt": (p * n).sqrt() / num, "harmonic": 2 * p * n / num**2, "unit": torch.ones_like(p)}[mass]
    moved = torch.where((p > 0) & (n > 0), moved, 0.0)
    p_kind, n_kind = per(cell, supported, blocks * size)[cell], per(cell, unsupported, blocks * size)[cell]
    excess = p_kind / p.clamp(min=1)[block_of] - n_kind / n.clamp(min=1)[block_of]
    raised = supported * excess.clamp(min=0) / p_kind.clamp(min=1)
    lowered = unsupported * (-excess).clamp(min=0) / n_kind.clamp(min=1)
    return ((raised - lowered) * moved[block_of]).float()


def with_single_class(credited: Tensor, labels: Tensor, block_of: Tensor, which: SingleClass) -> Tensor:
    """Blocks of one class only, which balance gives nothing, balanced against the rest of the step.

    Their supported (and with `both` their unsupported) tokens get 1/n of their block; what that adds to the sum of
    the step is taken from the other side of the two-class blocks in proportion, so the step's advantages still sum to
    0.
    """
    blocks = int(block_of.max()) + 1
    p = torch.zeros(blocks, dtype=torch.float64).index_add_(0, block_of, (labels > 0).double())
    n = torch.zeros(blocks, dtype=torch.float64).index_add_(0, block_of, (labels < 0).double())
    only_p, only_n = (p > 0) & (n == 0), (n > 0) & (p == 0)
    wanted = only_p | only_n if which == "both" else only_p
    added = torch.where(wanted[block_of], labels.double() / (p + n).clamp(min=1)[block_of], 0.0)
    surplus = added.sum()
    other_side = (credited < 0) if surplus > 0 else (credited > 0)
    weight = credited.double().abs() * other_side
    if weight.sum() == 0:
        return credited
    surplus = surplus.clamp(-weight.sum(), weight.sum())  # at most doubles the other side
    added = added * (surplus / added.sum()) if added.sum() != 0 else added
    return (credited.double() + added - surplus * weight / weight.sum()).float()
