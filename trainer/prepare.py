"""From options to what the loop needs: label sets opened, groups measured and split, policy, reference, gradient."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import numpy as np
import torch

from schemas.errors import BaltoError, ConfigError, ShardError
from trainer.attention import PackedAttention
from trainer.batches import CreditOptions, Piece, TokenBatch
from trainer.config import TrainConfig
from trainer.data.groups import StepBatch
from trainer.data.index import GroupIndex, GroupSplit, index_from_bytes, index_to_bytes, split_groups
from trainer.data.plan import Plan
from trainer.data.stream import GroupStream
from trainer.distributed import Ranks, place_policy
from trainer.gradient import StepGradient
from trainer.inputs import Inputs, uses_bfloat16
from trainer.logprobs import TokenLogprobs, TokenScores
from trainer.loss import Anchor, Objective, Pull
from trainer.policy import Policy
from trainer.reference import AdapterOff, FrozenCopy, Reference
from trainer.run_folder import INDEX
from trainer.self_test import choose_layout, groups_to_test

log = logging.getLogger("trainer")
_SAID_EVERY_S: Final = 5.0


@dataclass(frozen=True)
class Data:
    """What is read, and in which order. total_steps: over all epochs, bounded by --max-steps.

    window: positions that the model has.
    """

    index: GroupIndex
    split: GroupSplit
    plan: Plan
    total_steps: int
    window: int


def prepare_data(config: TrainConfig, inputs: Inputs, stream: GroupStream, ranks: Ranks) -> Data:
    """Measure every group (or read the index kept in the run), split, plan. Rank 0 measures for all."""
    index = _index(Path(config.out) / INDEX, stream, ranks)
    window = inputs.policy.window
    longest = min(config.max_positions or window, window)
    split = split_groups(index, longest, config.too_long, config.held_out)
    refuse_without_signal(index, split.train, config)
    plan = Plan(index, split.train, inputs.label_sets, config.seed, config.groups_per_step)
    steps = sum(plan.steps(epoch) for epoch in range(config.epochs))
    return Data(index, split, plan, min(steps, config.max_steps or steps), window)


def _index(stored: Path, stream: GroupStream, ranks: Ranks) -> GroupIndex:
    """Rank 0 measures, or reads what an earlier start stored; the others get its bytes."""
    mine: list[GroupIndex] = []

    def measured() -> bytes:
        last = [time.monotonic()]

        def said(done: int, total: int) -> None:
            if time.monotonic() - last[0] > _SAID_EVERY_S:
                last[0] = time.monotonic()
                log.info("measuring prompt groups: %d of %d row groups", done, total)

        mine.append(stream.measure(stored, said))
        return index_to_bytes(mine[0]) if ranks.size > 1 else b""

    data = ranks.from_first(measured)
    index = mine[0] if mine else index_from_bytes(data, stream.key, stream.row_groups)
    if index is None:
        raise ShardError("the ranks read other label sets: the folders must hold the same on every machine")
    return index


def refuse_without_signal(index: GroupIndex, train: np.ndarray, config: TrainConfig) -> None:
    """Raise ShardError when no group can have credit: nothing would be learnt, however long the run."""
    supported, unsupported = index.entries["supported"][train] > 0, index.entries["unsupported"][train] > 0
    active = {
        "balanced": supported & unsupported,
        "token": supported | unsupported,
        "supported": supported,
        "response": index.entries["rows"][train] > 1,
    }[config.credit]
    if not active.any():
        raise ShardError(
            f"none of {len(train)} prompt groups has credit under --credit {config.credit} "
            f"({int(supported.sum())} with supported tokens, {int(unsupported.sum())} with unsupported ones); "
            "`balto stats` shows the labels; a stronger verifier, --neutral-band none or more responses to a prompt "
            "give more groups both"
        )


def prepare_gradient(
    config: TrainConfig, policy: Policy, data: Data, stream: GroupStream, ranks: Ranks
) -> StepGradient:
    """Self-test the model on the run's first groups, make the reference, place the policy on its device or shards."""
    if config.attention == "flex" and ranks.device.type != "cuda":
        raise ConfigError("--attention flex: torch trains with it on GPUs only, and here is none; leave it out")
    policy.scorer.attention = cast("PackedAttention", config.attention)
    if ranks.size == 1:  # sharded later: whole weights may not fit on one device, so that is tested on the CPU
        policy.scorer.to(ranks.device)
    half = uses_bfloat16(config, ranks)
    steps = stream.steps(data.plan, config.micro_tokens, epochs=1)  # the same on all ranks
    groups = groups_to_test(group for batch in steps for group in batch.groups)
    try:
        layout = choose_layout(policy.scorer, groups, config.layout)  # pyright: ignore[reportArgumentType]
    except torch.OutOfMemoryError as err:
        longest = max(len(prompt) + max(map(len, responses)) for prompt, responses in groups)
        raise BaltoError(
            f"out of memory before the first step, at rows of up to {longest} tokens; use --lora-rank, a smaller model "
            "or shorter --max-positions"
        ) from err
    stop_beta = anchor_stop(policy.scorer, stream, config.stop_beta)  # before the reference is copied
    reference = _reference(config, policy)
    if isinstance(reference, FrozenCopy):
        place_policy(reference.scorer, ranks, config.compile)
    place_policy(policy.scorer, ranks, config.compile)
    anchor, pull = cast("Anchor", config.anchor), cast("Pull", config.pull)
    use_behaviour = config.ratio == "behaviour"
    objective = Objective(config.clip_low, config.clip_high, config.beta, anchor, use_behaviour, pull, stop_beta)
    return StepGradient(policy.scorer, reference, objective, ranks, layout, half)


def _reference(config: TrainConfig, policy: Policy) -> Reference:
    """What the config names; for `cached` one without values, until `cached_reference` takes its place."""
    kind = config.reference if config.reference != "auto" else ("adapter_off" if config.lora_rank else "copy")
    if kind == "cached":
        return _NoReference()
    return AdapterOff(policy.scorer) if kind == "adapter_off" else FrozenCopy(policy.scorer)


class _NoReference:
    """Zeros: what a step costs beside a reference that is read from disk."""

    def __call__(self, batch: TokenBatch, piece: Piece) -> TokenScores:  # noqa: ARG002
        zeros = torch.zeros(int(batch.needed.sum()), device=batch.needed.device)
        return TokenScores(zeros, zeros)


def anchor_stop(scorer: TokenLogprobs, stream: GroupStream, stop_beta: float) -> float:
    """Tell the scorer which tokens stop, where they are anchored: the anchor's strength, 0 without a stop token."""
    if stop_beta and not stream.stop_ids:
        log.warning("the model's tokenizer has no stop token: there is no choice that --stop-beta could hold")
    scorer.stop_ids = tuple(sorted(stream.stop_ids)) if stop_beta else ()
    return stop_beta if scorer.stop_ids else 0.0


def credit_options(config: TrainConfig) -> CreditOptions:
    """The config's credit."""
    return CreditOptions(
        config.credit,  # pyright: ignore[reportArgumentType]
        config.mass,  # pyright: ignore[reportArgumentType]
        config.block,
        config.cap,
        config.anchor,  # pyright: ignore[reportArgumentType]
        holds_stop=config.stop_beta > 0,
    )


def held_out_steps(config: TrainConfig, data: Data, stream: GroupStream, ranks: Ranks) -> Iterator[StepBatch]:
    """The held-out groups that are evaluated, the same ones every time."""
    return stream.held_out(
        data.index,
        data.split.held_out,
        config.micro_tokens,
        config.groups_per_step,
        config.eval_groups,
        ranks.rank,
        ranks.size,
    )
