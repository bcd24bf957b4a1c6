"""The training loop. `train` reads top to bottom; everything that it calls is a small module of its own.

    every global step:  groups -> credit -> gradient (over micro-batches) -> update -> metrics, evaluation, checkpoint

A step is a pure function of (label sets, seed, epoch, step) and the weights. So a run that was killed, or stopped and
started on another number of ranks, goes on from its last checkpoint with the groups that it would have seen.
"""

from __future__ import annotations

import dataclasses
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from schemas.errors import BaltoError, ConfigError
from schemas.interruption import NUMBERS
from trainer.batches import CreditOptions, deal_credit, needed_piece
from trainer.checkpoint import TrainState, load_checkpoint, prune, save_checkpoint
from trainer.config import TrainConfig
from trainer.data.stream import GroupStream
from trainer.distributed import Ranks, join_ranks, leave_ranks
from trainer.evaluate import evaluate
from trainer.export import export_model
from trainer.gradient import RankMemoryError, StepGradient
from trainer.inputs import open_inputs
from trainer.loss import Divisors, step_metrics
from trainer.metrics import (
    MetricsLog,
    ProgressLine,
    StepClock,
    counted,
    last_metrics,
    read_metrics,
    shifts_of_last_epoch,
)
from trainer.optimizer import learning_rate, make_optimizer, update
from trainer.policy import Policy
from trainer.prepare import (
    Data,
    credit_options,
    held_out_steps,
    prepare_data,
    prepare_gradient,
)
from trainer.reference_pass import cached_reference
from trainer.run_folder import (
    MEMORY,
    check_run_folder,
    fitting_tokens,
    hold_run_folder,
    identity,
    note_fitting_tokens,
    start_or_resume,
    store_run,
)
from trainer.run_warnings import warnings_about

log = logging.getLogger("trainer")


def train(config: TrainConfig) -> dict[str, Any]:
    """Run or resume a training run; the summary. Raises BaltoError for bad input, before the first step.

    Summary: out, steps (all of the run), steps_before (those of earlier starts), skipped_steps, stopped (by a signal,
    None when finished), model (folder), metrics (`last_metrics`) and last_epoch (`shifts_of_last_epoch`), both on the
    first rank only, left_out (groups that are not trained on, by reason), layout.
    """
    run = Path(config.out)
    check_run_folder(run)
    ranks = join_ranks()
    with hold_run_folder(run, ranks):
        try:
            summary = _train(config, run, ranks)
        except RankMemoryError as err:
            note_fitting_tokens(run, err.fitting)
            raise BaltoError(
                f"{err}; noted in {run / MEMORY}: the same command goes on from the last checkpoint with micro-batches "
                f"of at most {err.fitting} tokens (torchrun --max-restarts N starts it by itself)"
            ) from err
    leave_ranks()
    return summary


def _train(asked_for: TrainConfig, run: Path, ranks: Ranks) -> dict[str, Any]:
    fitting = fitting_tokens(run, ranks)
    micro_tokens = min(asked_for.micro_tokens, fitting or asked_for.micro_tokens)
    config = dataclasses.replace(asked_for, micro_tokens=micro_tokens)
    inputs = open_inputs(config, ranks)
    policy = inputs.policy
    run_of = identity(config, policy.fingerprint, inputs.renderer.fingerprint, inputs.label_sets)
    checkpoint, state = start_or_resume(run, run_of, ranks)
    with GroupStream(inputs.label_sets, inputs.renderer, config.workers) as stream, _asked_to_stop() as asked:
        data = prepare_data(config, inputs, stream, ranks)
        gradient = prepare_gradient(config, policy, data, stream, ranks)
        gradient.most_tokens = fitting
        if state.step > data.total_steps:
            raise ConfigError(
                f"--out {run}: has taken {counted(state.step, 'step')} already, more than the {data.total_steps} of "
                "these options; name another folder"
            )
        if ranks.is_first:
            store_run(run, asked_for, data.index)
        # before the first forward: after a pass without gradients FSDP has gathered weights where the shards were
        optimizer = make_optimizer(policy.model, config.weight_decay)
        if config.reference == "cached":
            gradient.reference = cached_reference(config, policy, data, stream, gradient)
        if checkpoint is not None:
            load_checkpoint(checkpoint, policy.model, optimizer)
            log.info("resuming at step %d from %s", state.step, checkpoint)
        if ranks.is_first:
            prune(run, config.keep)
        if ranks.is_first and checkpoint is None:
            for warning in warnings_about(data, config):
                log.warning("%s", warning)
        started = state.step
        with _written_by_first(ranks, run, started) as written:
            state = _steps(config, policy, data, stream, gradient, optimizer, state, ranks, written, asked)
        # Nothing new in a finished run that is started again, nor in one that was stopped in front of its first step:
        # torch would note one step down in the optimizer's state, and the resumed run would learn something else.
        if state.step > started and not _saves_on_the_way(state.step, config, data):
            save_checkpoint(run, policy.model, optimizer, state, ranks, config.keep)
        finished = state.step >= data.total_steps
        metrics = last_metrics(run) if ranks.is_first else {}
        if finished and state.step and state.totals.get("skipped", 0) == state.step:
            raise _not_finite(config, state)
        folder = export_model(run, inputs, config, metrics, state.step, ranks) if finished else None
    return {
        "out": str(run),
        "steps": state.step,
        "steps_before": started,
        "skipped_steps": int(state.totals.get("skipped", 0)),
        "stopped": None if finished else (asked[0] if asked else "another rank"),
        "model": None if folder is None else str(folder),
        "metrics": metrics,
        "last_epoch": shifts_of_last_epoch(read_metrics(run)) if ranks.is_first and state.step else {},
        "left_out": data.split.left_out | {"unreadable_in_steps": int(state.totals.get("skipped_groups", 0))},
        "layout": gradient.layout,
    }


def _steps(
    config: TrainConfig,
    policy: Policy,
    data: Data,
    stream: GroupStream,
    gradient: StepGradient,
    optimizer: torch.optim.Optimizer,
    state: TrainState,
    ranks: Ranks,
    written: MetricsLog | None,
    asked: list[str],
) -> TrainState:
    """All steps from `state` on, to the end or until asked to stop: where it got to."""
    credit = credit_options(config)
    share = (ranks.rank, ranks.size)
    steps = stream.steps(data.plan, config.micro_tokens, state.epoch, state.step_in_epoch, config.epochs, *share)
    clock, progress = StepClock(), ProgressLine(data.total_steps)
    while state.step < data.total_steps and not ranks.any(bool(asked)):
        batch = next(steps)
        dealt = [deal_credit(micro_batch.groups, credit) for micro_batch in batch.micro_batches]
        counts = ranks.sum_all(_counts([found for _, found in dealt], batch.skipped_groups))
        divisors = Divisors(counts["active_blocks"], counts["anchor_tokens"], counts["response_tokens"])
        is_needed = _is_needed(state, divisors, credit)
        pieces = [needed_piece(groups, credit.anchor, credit.holds_stop) for groups, _ in dealt if is_needed]
        sums = gradient.accumulate(pieces, divisors)
        rate = _rate(config, state.step, data.total_steps)
        norm = update(optimizer, rate, config.max_grad_norm)
        state = _after(state, batch.epoch, batch.step + 1, norm is None, counts)

        values = _reduced(sums, ranks) | counts | {"epoch": batch.epoch, "lr": rate, "skipped": float(norm is None)}
        values |= {"grad_norm": norm or 0.0, **clock.lap(counts["response_tokens"], counts["groups"])}
        if written is not None:
            written.write("train", state.step, values)
            progress.show(state.step, values)
        if state.skipped_in_row >= config.max_skipped:
            raise _not_finite(config, state)
        is_last = state.step == data.total_steps
        if is_last or _is_due(state.step, config.eval_every):
            evaluated = evaluate(gradient, held_out_steps(config, data, stream, ranks), credit)
            if written is not None and evaluated:
                written.write("eval", state.step, evaluated)
        if _saves_on_the_way(state.step, config, data):
            save_checkpoint(Path(config.out), policy.model, optimizer, state, ranks, config.keep)
    if written is not None:
        progress.end()
    return state


def _is_needed(state: TrainState, divisors: Divisors, credit: CreditOptions) -> bool:
    """Whether a step computes a gradient. All ranks say the same.

    Not where no rank needs a token: with a gradient of zeros AdamW would go on moving weights. Nor before the first
    step with credit: the policy still is the reference, the anchors' gradient is 0 up to rounding, and AdamW makes
    steps of full size of that.
    """
    is_held = divisors.anchor_tokens or (credit.holds_stop and divisors.stop_places)
    return bool(divisors.active_blocks or (_credited(state) and is_held))


def _credited(state: TrainState) -> float:
    """Blocks with credit so far; where the checkpoint that was resumed did not count them, each step had one."""
    return state.totals.get("active_blocks", float(state.step))


@contextmanager
def _asked_to_stop() -> Iterator[list[str]]:
    """A list that gets the signal's name when this process is asked to stop (SIGTERM, SIGINT); a second one ends it.

    Ignored signals stay ignored.
    """
    asked: list[str] = []

    def note(number: int, frame: FrameType | None) -> None:
        if asked:
            handler = before[signal.Signals(number)]
            (handler if callable(handler) else signal.default_int_handler)(number, frame)
        asked.append(signal.Signals(number).name)

    heard = [number for number in NUMBERS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in heard}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _written_by_first(ranks: Ranks, run: Path, step: int) -> Iterator[MetricsLog | None]:
    """The metrics log on rank 0, None elsewhere."""
    if not ranks.is_first:
        yield None
        return
    with MetricsLog(run, resume_step=step + 1) as written:
        yield written


def _counts(found: list[Any], skipped_groups: int) -> dict[str, float]:
    """Counts of this rank's share of a step, ready to be summed over ranks."""
    return {
        "active_blocks": sum(counts.blocks.active for counts in found),
        "single_class_blocks": sum(counts.blocks.single_class for counts in found),
        "unlabelled_blocks": sum(counts.blocks.unlabelled for counts in found),
        "anchor_tokens": sum(counts.anchor_tokens for counts in found),
        "response_tokens": sum(counts.response_tokens for counts in found),
        "groups": sum(counts.groups for counts in found),
        "skipped_groups": skipped_groups,
    }


def _reduced(sums: dict[str, torch.Tensor], ranks: Ranks) -> dict[str, float]:
    """Step metrics over all ranks; {} for a step without a needed token anywhere."""
    if not sums:
        return {}
    return step_metrics({name: torch.tensor(value) for name, value in ranks.sum_all(sums).items()})


def _after(state: TrainState, epoch: int, step: int, was_skipped: bool, counts: dict[str, float]) -> TrainState:
    totals = {
        name: state.totals.get(name, 0.0) + counts[name] for name in ("groups", "response_tokens", "skipped_groups")
    }
    totals["active_blocks"] = _credited(state) + counts["active_blocks"]
    totals["skipped"] = state.totals.get("skipped", 0.0) + was_skipped
    skipped_in_row = state.skipped_in_row + 1 if was_skipped else 0
    return TrainState(epoch, step, state.step + 1, skipped_in_row, totals, state.identity)


def _rate(config: TrainConfig, step: int, total_steps: int) -> float:
    return learning_rate(
        step,
        peak=config.learning_rate,
        warmup_steps=config.warmup_steps,
        total_steps=total_steps,
        schedule=config.schedule,
    )


def _not_finite(config: TrainConfig, state: TrainState) -> BaltoError:
    return BaltoError(
        f"{config.out}: {counted(state.skipped_in_row, 'step')} in a row had a gradient that is not finite, the last "
        f"is step {state.step}; lower --lr or --beta, or use --precision float32 (a new --out: the weights are as they "
        "were)"
    )


def _saves_on_the_way(step: int, config: TrainConfig, data: Data) -> bool:
    """Whether the loop itself writes the checkpoint of this step; that of the last step is written behind it."""
    return step < data.total_steps and _is_due(step, config.save_every)


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
