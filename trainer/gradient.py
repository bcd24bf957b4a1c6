"""The gradient of one global step, accumulated over micro-batches, and the loss of one micro-batch.

Divisors are of the whole step and all ranks, so neither the size of micro-batches, nor their order, nor the number of
ranks enters the gradient. When memory runs out, the micro-batch is halved and the step starts again: half accumulated
gradients are thrown away. On several ranks the others wait in a collective that the failed one will never enter, so
there the run has to be started again, with smaller micro-batches.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from schemas.errors import BaltoError, first_line
from trainer.batches import CreditedGroup, CreditedResponse, Piece, collate, halve
from trainer.data.groups import ResponseRow
from trainer.distributed import Ranks
from trainer.logprobs import TokenLogprobs, TokenScores
from trainer.loss import Divisors, LossTokens, Objective, add_sums, behaviour_or_reference, policy_loss
from trainer.packing import Layout
from trainer.reference import CachedReference, Reference

log = logging.getLogger("trainer")


class RankMemoryError(BaltoError):
    """One of several ranks ran out of memory. fitting: tokens of a micro-batch, at most, for the next start."""

    def __init__(self, message: str, fitting: int):
        super().__init__(message, fitting)
        self.fitting = fitting

    def __str__(self) -> str:
        return str(self.args[0])


class StepGradient:
    """Computes gradients (and losses without them) of pieces. half: bfloat16 autocast.

    most_tokens: pieces above it did not fit into memory before and are halved first.
    """

    def __init__(
        self,
        scorer: TokenLogprobs,
        reference: Reference,
        objective: Objective,
        ranks: Ranks,
        layout: Layout,
        half: bool = False,
    ):
        self.scorer, self.reference, self.objective, self.ranks = scorer, reference, objective, ranks
        self.layout: Layout = layout
        self.half = half
        self.most_tokens: int | None = None

    def accumulate(self, pieces: Sequence[Piece], divisors: Divisors) -> dict[str, Tensor]:
        """Add the step's gradient to the (empty) gradients; metric sums of this rank.

        Where gradients are off, the sums alone. Raises BaltoError when a response does not fit, RankMemoryError when
        one of several ranks ran out of memory.
        """
        waiting = [piece for piece in pieces if piece or self.ranks.size > 1]
        while True:
            waiting = self._aligned(waiting)
            sums: dict[str, Tensor] = {}
            for at, piece in enumerate(waiting):
                try:
                    loss, found = self.loss(piece, divisors)
                    # FSDP averages over ranks what has to be summed
                    if loss.requires_grad:
                        (loss * self.ranks.size).backward()
                except torch.OutOfMemoryError as err:
                    failed = at, first_line(err)
                    break
                sums = add_sums(sums, found)
            else:
                return sums
            # outside the handler: its traceback would keep the tensors of the failed piece alive
            waiting[failed[0] : failed[0] + 1] = self._halved(waiting[failed[0]], failed[1])

    @torch.no_grad()
    def score(self, piece: Piece) -> Iterator[tuple[Piece, TokenScores]]:
        """The policy's scores of every token, in as many parts as memory wants. Every rank calls it as often.

        Raises as `accumulate`.
        """
        waiting = self._aligned([piece])
        while waiting:
            part = waiting.pop(0)
            try:
                batch = collate(part or _nothing(), "all", self.layout).to(self.ranks.device)
                with self.autocast():
                    scores = self.scorer(batch.rows, None)
            except torch.OutOfMemoryError as err:
                reason = first_line(err)
            else:
                if part:
                    yield part, scores
                continue
            waiting[:0] = self._halved(part, reason)

    def _halved(self, piece: Piece, reason: str) -> tuple[Piece, Piece]:
        """The piece in two, its gradients and memory released."""
        tokens = _tokens(piece)
        remedy = "lower --micro-tokens, or turn on --checkpoint-activations, --lora-rank or shorter --max-positions"
        try:
            halves = halve(piece)
        except ValueError as err:
            raise BaltoError(f"out of memory at a single response, {tokens} tokens with its prompt; {remedy}") from err
        if self.ranks.size > 1:
            place = f"rank {self.ranks.rank} of {self.ranks.size}"
            raise RankMemoryError(f"out of memory at a micro-batch of {tokens} tokens on {place}", tokens // 2)
        self.scorer.zero_grad(set_to_none=True)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.most_tokens = tokens - 1
        log.warning(
            "out of memory at %d tokens (%s): going on with halves; --micro-tokens is too large", tokens, reason
        )
        return halves

    def _aligned(self, pieces: Sequence[Piece]) -> list[Piece]:
        """The fitting pieces, as many on every rank: one without groups takes part in the collectives of the others."""
        fitting = self.fitting(pieces)
        if self.most_tokens is None:  # dealt evenly
            return fitting
        return fitting + [()] * (self.ranks.most(len(fitting)) - len(fitting))

    def fitting(self, pieces: Sequence[Piece]) -> list[Piece]:
        """The pieces, those halved that are known not to fit into memory."""
        fitting: list[Piece] = []
        for piece in pieces:
            several = sum(len(group.responses) for group in piece) > 1
            if self.most_tokens is not None and _tokens(piece) > self.most_tokens and several:
                fitting += self.fitting(halve(piece))
            else:
                fitting.append(piece)
        return fitting

    def loss(self, piece: Piece, divisors: Divisors) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of one piece, with a graph where gradients are on, and its metric sums. An empty piece is 0."""
        is_empty = not piece
        piece = piece or _nothing()
        anchor, holds_stop = "all" if is_empty else self.objective.anchor, self.objective.stop_beta > 0
        batch = collate(piece, anchor, self.layout, holds_stop=holds_stop).to(self.ranks.device)
        with self.autocast():
            if is_empty and isinstance(self.reference, CachedReference):
                nothing = torch.zeros(1, device=self.ranks.device)  # nothing is stored of nothing
                reference = TokenScores(nothing, nothing)
            else:
                reference = self.reference(batch, piece)
            policy = self.scorer(batch.rows, batch.needed)
        behaviour = batch.behaviour_logprobs if self.objective.use_behaviour else None
        zero = 0.0 if is_empty else 1.0
        tokens = LossTokens(
            old_logprobs=behaviour_or_reference(behaviour, reference.logprobs),
            ref_logprobs=reference.logprobs,
            advantages=batch.advantages,
            labels=batch.labels,
            anchored=batch.anchored,
            is_stop=batch.is_stop,
            ref_stop_odds=reference.stop_odds,
        )
        stop_odds = policy.stop_odds if holds_stop else None
        loss, sums = policy_loss(policy.logprobs, tokens, self.objective, divisors, stop_odds)
        return loss * zero, {name: value * zero for name, value in sums.items()}

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """bfloat16 for matrix products where asked for."""
        return torch.autocast(self.ranks.device.type, torch.bfloat16, enabled=self.half)


def _tokens(piece: Piece) -> int:
    return sum(len(group.prompt_ids) + sum(len(r.row) for r in group.responses) for group in piece)


def _nothing() -> Piece:
    """One token after one token: what a rank without groups runs, because the others' collectives wait for it."""
    zeros = np.zeros(1, np.int32)
    row = ResponseRow("", zeros, np.zeros(1, np.int8), np.full(1, np.nan, np.float32), has_stop=False)
    return (CreditedGroup(zeros, (CreditedResponse(row, np.zeros(1, np.float32)),)),)
