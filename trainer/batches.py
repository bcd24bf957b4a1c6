"""Micro-batches of prompt groups -> credited tensors: what the model reads and what the loss needs, token by token.

Credit is dealt per step, before anything is cut: so a micro-batch may be split anywhere, even inside a group, and the
sum of its gradients stays the same. Responses and groups without a needed token (no credit, not anchored, not under the
stop anchor) are left out of the rows. Shapes: T response tokens of a micro-batch, N needed ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainer.credit import BlockCounts, Form, Mass, advantages, count_blocks
from trainer.data.groups import PromptGroup, ResponseRow
from trainer.loss import Anchor, anchor_mask
from trainer.packing import Layout, TokenRows, lay_out


@dataclass(frozen=True)
class CreditOptions:
    """How credit is dealt; see trainer.credit. block: what it is balanced over, a prompt group or one response.

    holds_stop: the stop anchor reads every response place, so every token is needed.
    """

    form: Form = "balanced"
    mass: Mass = "unit"
    block: str = "group"
    cap: float | None = None
    anchor: Anchor = "all"
    holds_stop: bool = True


@dataclass(frozen=True, eq=False)
class CreditedResponse:
    """A response with the advantages (R,) float32 of its tokens."""

    row: ResponseRow
    advantages: np.ndarray


@dataclass(frozen=True, eq=False)
class CreditedGroup:
    """A prompt group, or a part of one, with credit."""

    prompt_ids: np.ndarray
    responses: tuple[CreditedResponse, ...]


Piece = tuple[CreditedGroup, ...]  # what goes through the model at once


@dataclass(frozen=True)
class StepCounts:
    """Of one rank's share of a step. anchor_tokens: held by the anchor.   response_tokens: with stop tokens."""

    blocks: BlockCounts
    anchor_tokens: int
    response_tokens: int
    groups: int


def deal_credit(groups: Sequence[PromptGroup], options: CreditOptions) -> tuple[list[CreditedGroup], StepCounts]:
    """Credit for whole prompt groups, and the counts that the loss divides by (still to be summed over ranks)."""
    rows = [(number, row) for number, group in enumerate(groups) for row in group.responses]
    lengths = torch.tensor([len(row) for _, row in rows], dtype=torch.long)
    group_of_row = torch.tensor([number for number, _ in rows], dtype=torch.long)
    row_of_token = torch.arange(len(rows)).repeat_interleave(lengths)
    labels = _joined([row.labels for _, row in rows], np.int8)
    block_of = group_of_row[row_of_token] if options.block == "group" else row_of_token
    credit = advantages(
        labels,
        block_of,
        form=options.form,
        mass=options.mass,
        cap=options.cap,
        response_of=row_of_token,
        faithfulness=torch.tensor([faithfulness(row) for _, row in rows]),
    )
    counts = StepCounts(
        blocks=count_blocks(labels, block_of, credit),
        anchor_tokens=int(anchor_mask(labels, options.anchor).sum()),
        response_tokens=len(labels),
        groups=len(groups),
    )
    dealt = iter(np.split(credit.numpy(), lengths.cumsum(0)[:-1].numpy()) if len(rows) else [])
    credited = [
        CreditedGroup(group.prompt_ids, tuple(CreditedResponse(row, next(dealt)) for row in group.responses))
        for group in groups
    ]
    return credited, counts


def faithfulness(row: ResponseRow) -> float:
    """Share of supported claims, NaN for a response without checkable claims."""
    claims = row.claims_supported + row.claims_unsupported
    return row.claims_supported / claims if claims else float("nan")


def needed_piece(groups: Sequence[CreditedGroup], anchor: Anchor, holds_stop: bool) -> Piece:
    """The groups without responses that no term of the loss reads."""

    def is_needed(response: CreditedResponse) -> bool:
        held = holds_stop or bool(anchor_mask(torch.from_numpy(response.row.labels), anchor).any())
        return bool(len(response.row)) and (held or bool((response.advantages != 0).any()))

    kept = (CreditedGroup(g.prompt_ids, tuple(r for r in g.responses if is_needed(r))) for g in groups)
    return tuple(group for group in kept if group.responses)


def halve(piece: Piece) -> tuple[Piece, Piece]:
    """Two pieces of about equal tokens: by groups, or by the responses of a single group. ValueError for one."""
    if len(piece) > 1:
        cut = _middle([len(g.prompt_ids) + sum(len(r.row) for r in g.responses) for g in piece])
        return piece[:cut], piece[cut:]
    group = next(iter(piece))
    if len(group.responses) < 2:
        raise ValueError("one response cannot be halved")
    cut = _middle([len(response.row) for response in group.responses])
    first, second = group.responses[:cut], group.responses[cut:]
    return (CreditedGroup(group.prompt_ids, first),), (CreditedGroup(group.prompt_ids, second),)


def _middle(sizes: Sequence[int]) -> int:
    running = np.cumsum(sizes)
    return 1 + int(np.argmin(np.abs(2 * running[:-1] - running[-1])))


@dataclass(frozen=True)
class TokenBatch:
    """One piece as tensors. rows: what the model reads.   needed: (T,) bool, True = its log-probability is needed.

    The rest is of the needed tokens, (N,): labels long; advantages float32; behaviour_logprobs float32, NaN where
    unknown; is_stop and anchored bool.
    """

    rows: TokenRows
    needed: Tensor
    labels: Tensor
    advantages: Tensor
    behaviour_logprobs: Tensor
    is_stop: Tensor
    anchored: Tensor

    def to(self, device: torch.device | str) -> TokenBatch:
        moved = {name: getattr(self, name).to(device) for name in self.__dataclass_fields__}
        return TokenBatch(**moved)


def collate(piece: Piece, anchor: Anchor, layout: Layout, holds_stop: bool = False) -> TokenBatch:
    """Tensors of one piece (not empty). Tokens stand in the order of rows.targets. holds_stop: every one is needed."""
    rows = lay_out([(g.prompt_ids, [r.row.token_ids for r in g.responses]) for g in piece], layout)
    responses = [response for group in piece for response in group.responses]
    labels = _joined([r.row.labels for r in responses], np.int8)
    credit = _joined([r.advantages for r in responses], np.float32)
    behaviour = _joined([r.row.old_logprobs for r in responses], np.float32)
    stop = _joined([r.row.is_stop for r in responses], np.bool_)
    anchored = anchor_mask(labels, anchor)
    needed = torch.ones_like(anchored) if holds_stop else anchored | (credit != 0)
    return TokenBatch(
        rows, needed, labels[needed].long(), credit[needed], behaviour[needed], stop[needed], anchored[needed]
    )


def _joined(arrays: Sequence[np.ndarray], dtype: type) -> Tensor:
    return torch.from_numpy(np.concatenate([np.zeros(0, dtype), *arrays]).astype(dtype, copy=False))
