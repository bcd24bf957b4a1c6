"""Labels of tokens -> advantages: how much each response token is to be raised or lowered.

Balanced credit (our own definition; the equations of arXiv 2606.15893 are not known to us). A balance block b, a prompt
group or one response as the caller's `block_of` says, has P supported and N unsupported tokens, n = P + N:

    A_t = M_b (1[label=+1]/P - 1[label=-1]/N),   0 on neutral and stop tokens,   0 everywhere when P = 0 or N = 0

    mass M_b:  unit  1              difference of class means: every block moves the same mass
               sqrt  sqrt(PN)/n     sum A^2 = 1/n whatever the imbalance
               harmonic  2PN/n^2    the labels minus their block mean, over n: least variance at equal mass

A sums to 0 over every block, so neither length nor the stop token is pushed, and copying all tokens k times leaves
the block's mass as it is. Baselines under the same trainer: `token` (label/n), `supported` (1/P on supported tokens),
`response` (one number per response on all its tokens, as in GRPO). Shapes: T response tokens of any number of
responses, R responses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import torch
from torch import Tensor

Form = Literal["balanced", "token", "supported", "response"]
Mass = Literal["unit", "sqrt", "harmonic"]
FORMS: Final = get_args(Form)
MASSES: Final = get_args(Mass)

_SMALLEST_SPREAD: Final = 1e-6  # a standard deviation below this is rounding: the responses are equally faithful


def advantages(
    labels: Tensor,
    block_of: Tensor,
    *,
    form: Form = "balanced",
    mass: Mass = "unit",
    cap: float | None = None,
    response_of: Tensor | None = None,
    faithfulness: Tensor | None = None,
) -> Tensor:
    """Advantages (T,) float32 of response tokens.

    labels: (T,) integers, +1 supported, -1 unsupported or contradicted, 0 neutral and stop tokens.
    block_of: (T,) long >= 0, the balance block of each token; any order, blocks must be whole.
    cap: largest n*|A_t| of the balanced form (its size relative to a token of the `token` form). The mass M_b is
        lowered until the rarer class fits, which lowers both classes alike: the sum stays 0.
    response_of, faithfulness: (T,) long and (R,) float in [0, 1], NaN for a response without checkable claims; the
        form `response` needs both. Its blocks must be whole prompt groups.
    Raises ValueError for an unknown form or mass, and for a cap on another form than `balanced`.
    """
    if form not in FORMS or mass not in MASSES:
        raise ValueError(f"credit form {form!r}, mass {mass!r}: must be one of {FORMS} and {MASSES}")
    if cap is not None and (form != "balanced" or cap <= 0):
        raise ValueError(f"a cap of {cap} on the form {form!r}: caps are positive and for the form 'balanced' only")
    if labels.shape != block_of.shape or labels.ndim != 1:
        raise ValueError(f"labels {tuple(labels.shape)} and block_of {tuple(block_of.shape)} must be (T,) both")
    if form == "response":
        if response_of is None or faithfulness is None:
            raise ValueError("the form 'response' needs response_of and faithfulness")
        return _response_credit(block_of, response_of, faithfulness)
    supported, unsupported = labels > 0, labels < 0
    num_p, num_n = _per_block(supported, block_of), _per_block(unsupported, block_of)  # float64 (blocks,)
    num = num_p + num_n
    if form == "token":
        credit = (supported.double() - unsupported.double()) / num.clamp(min=1)[block_of]
    elif form == "supported":
        credit = supported / num_p.clamp(min=1)[block_of]
    else:
        moved = _mass(num_p, num_n, mass, cap)
        credit = torch.where(supported, (moved / num_p.clamp(min=1))[block_of], 0.0)
        credit = torch.where(unsupported, -(moved / num_n.clamp(min=1))[block_of], credit)
    return credit.float()


def _mass(num_p: Tensor, num_n: Tensor, mass: Mass, cap: float | None) -> Tensor:
    """M_b (blocks,) float64: what the supported side gains and the unsupported side loses; 0 for a single class."""
    num = (num_p + num_n).clamp(min=1)
    if mass == "sqrt":
        moved = (num_p * num_n).sqrt() / num
    elif mass == "harmonic":
        moved = 2 * num_p * num_n / num**2
    else:
        moved = torch.ones_like(num)
    rarer = torch.minimum(num_p, num_n)
    if cap is not None:  # the rarer class has the largest |A| = M/rarer, so n|A| <= cap is a bound on M
        moved = torch.minimum(moved, cap * rarer / num)
    return torch.where(rarer > 0, moved, torch.zeros_like(moved))


def _response_credit(block_of: Tensor, response_of: Tensor, faithfulness: Tensor) -> Tensor:
    """(F - mean)/std over the responses of a group, spread over the response's tokens: z_i / (G L_i), as in GRPO.

    G: scored responses of the group, L_i: tokens of response i; std is of the population. Every response weighs the
    same whatever its length, and the sum over a group is 0.
    """
    length = _per_block(torch.ones_like(response_of, dtype=torch.bool), response_of, len(faithfulness))
    group_of = torch.zeros(len(faithfulness), dtype=torch.long, device=block_of.device)
    group_of[response_of] = block_of  # the same for all tokens of a response
    scored = ~faithfulness.isnan() & (length > 0)
    score = torch.where(scored, faithfulness, torch.zeros_like(faithfulness)).double()
    groups = int(block_of.max()) + 1 if len(block_of) else 0
    size = _per_block(scored, group_of, groups).clamp(min=1)
    mean = _sums(score, group_of, groups) / size
    centred = torch.where(scored, score - mean[group_of], torch.zeros_like(score))
    spread = (_sums(centred**2, group_of, groups) / size).sqrt()
    standardised = (
        torch.where(spread > _SMALLEST_SPREAD, 1 / spread.clamp(min=_SMALLEST_SPREAD), 0.0)[group_of] * centred
    )
    return (standardised / (size[group_of] * length.clamp(min=1)))[response_of].float()


@dataclass(frozen=True)
class BlockCounts:
    """What blocks a step has. active: with credit; single_class: labelled tokens of one label only; unlabelled: none.

    A single-class block is active too under the baselines, which do not balance.
    """

    active: int
    single_class: int
    unlabelled: int


def count_blocks(labels: Tensor, block_of: Tensor, credit: Tensor) -> BlockCounts:
    """Count the blocks of tokens (T,) by their labels and by the advantages that they got."""
    num_p, num_n = _per_block(labels > 0, block_of), _per_block(labels < 0, block_of)
    present = _per_block(torch.ones_like(labels, dtype=torch.bool), block_of) > 0
    with_credit = _per_block(credit != 0, block_of) > 0
    return BlockCounts(
        active=int(with_credit.sum()),
        single_class=int(((num_p > 0) != (num_n > 0)).sum()),
        unlabelled=int((present & (num_p + num_n == 0)).sum()),
    )


def _per_block(mask: Tensor, block_of: Tensor, blocks: int | None = None) -> Tensor:
    """Tokens with a true mask in each block, float64 (exact for counts)."""
    return _sums(mask.double(), block_of, blocks)


def _sums(values: Tensor, block_of: Tensor, blocks: int | None = None) -> Tensor:
    if blocks is None:
        blocks = int(block_of.max()) + 1 if len(block_of) else 0
    return torch.zeros(blocks, dtype=torch.float64, device=values.device).index_add_(
        0, block_of.long(), values.double()
    )
