"""`balto train --dry-run`: what would be learnt from, what a step costs, and what looks wrong. Nothing is written.

The cost is measured, not guessed: the gradients of the first step and of the largest group are computed once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.text import Text

from trainer.batches import deal_credit, needed_piece
from trainer.config import TrainConfig
from trainer.data.groups import PromptGroup, StepBatch
from trainer.data.stream import GroupStream
from trainer.distributed import join_ranks
from trainer.gradient import StepGradient
from trainer.inputs import open_inputs
from trainer.loss import Divisors
from trainer.metrics import counted, duration, peak_memory_bytes
from trainer.prepare import Data, credit_options, prepare_data, prepare_gradient
from trainer.run_warnings import warnings_about

SHOWN_GROUPS: Final = 2
_PROMPT_TAIL: Final = 300  # characters of a prompt that are shown
_STYLES: Final = {1: "black on green", -1: "white on red", 0: "dim"}
_MARKERS: Final = {1: ("[+", "+]"), -1: ("[-", "-]"), 0: ("", "")}  # where there is no colour, as in `balto show`


def dry_run(config: TrainConfig, console: Console | None = None) -> None:
    """Open, plan, show the first groups with coloured labels, measure one step, warn."""
    console = console or Console(highlight=False)
    console.soft_wrap = not console.is_terminal  # a pipe has no width
    ranks = join_ranks()
    inputs = open_inputs(config, ranks)
    policy = inputs.policy
    with GroupStream(inputs.label_sets, inputs.renderer, config.workers) as stream:
        data = prepare_data(config, inputs, stream, ranks)
        first = next(stream.steps(data.plan, config.micro_tokens, epochs=1))
        for group in list(first.groups)[:SHOWN_GROUPS]:
            console.print(*coloured(group, inputs.tokenizer, marked=not has_colour(console)), sep="\n")
        for line in sizes(config, data):
            console.print(line)
        gradient = prepare_gradient(config, policy, data, stream, ranks)
        for line in _cost(config, data, stream, first, gradient):
            console.print(line)
        for warning in warnings_about(data, config):
            console.print(Text(f"warning: {warning}", style="yellow"))


def has_colour(console: Console) -> bool:
    """Whether a style will be seen: not in a pipe, nor under NO_COLOR."""
    return console.is_terminal and not console.no_color and console.color_system is not None


def coloured(group: PromptGroup, tokenizer: Any, marked: bool = False) -> Iterator[Text]:
    """A group's prompt (its end) and responses, tokens coloured by label; control characters made visible.

    marked: labelled stretches stand between markers too.
    """
    prompt = printable(tokenizer.decode(group.prompt_ids.tolist()))
    cut = "..." if len(prompt) > _PROMPT_TAIL else ""
    yield Text(f"{group.group_id}: {cut}{prompt[-_PROMPT_TAIL:]}", style="bold")
    for row in group.responses:
        text = Text(f"  {printable(row.id)}: ")
        for ids, label in runs(row.token_ids, row.labels):
            before, behind = _MARKERS[label] if marked else ("", "")
            text.append(f"{before}{printable(tokenizer.decode(ids))}{behind}", style=_STYLES[label])
        yield text


def runs(token_ids: np.ndarray, labels: np.ndarray) -> Iterator[tuple[list[int], int]]:
    """Tokens in stretches of one label; decoded together, because a character may be several tokens."""
    if not len(labels):
        return
    for ids, same in zip(_split(token_ids, labels), _split(labels, labels), strict=True):
        yield ids.tolist(), int(same[0])


def _split(values: np.ndarray, labels: np.ndarray) -> Sequence[np.ndarray]:
    return np.split(values, np.flatnonzero(np.diff(labels)) + 1)


def printable(text: str) -> str:
    """Untrusted text without what could steer a terminal."""
    return "".join(char if char.isprintable() or char == "\n" else f"\\x{ord(char):02x}" for char in text)


def sizes(config: TrainConfig, data: Data) -> list[str]:
    """Lines on groups, tokens and steps."""
    entries = data.index.entries[data.split.train]
    tokens = int(entries["response_tokens"].sum())
    padded = int((entries["rows"] * entries["longest_row"]).sum())
    packed = int(entries["prompt_tokens"].sum()) + tokens
    supported, unsupported = int(entries["supported"].sum()), int(entries["unsupported"].sum())
    share = 100 * (supported + unsupported) / max(tokens, 1)
    return [
        f"{counted(len(entries), 'prompt group')} to train on, {len(data.split.held_out)} held out; "
        f"{counted(data.total_steps, 'step')} of {counted(config.groups_per_step, 'group')}",
        f"{counted(tokens, 'response token')}, {share:.1f} % labelled: {supported:,} supported, {unsupported:,} "
        "unsupported",
        f"{counted(packed, 'token')} read per epoch when packed, {padded:,} when padded; longest row "
        f"{entries['longest_row'].max():,}",
    ]


def _cost(config: TrainConfig, data: Data, stream: GroupStream, first: StepBatch, gradient: StepGradient) -> list[str]:
    """Time of the first step; memory of it and of the largest group, whichever is more."""
    started = time.perf_counter()
    _compute(config, first, gradient)
    seconds = time.perf_counter() - started
    positions = data.split.train
    largest = positions[[int(np.argmax(data.index.packed_tokens[positions]))]]
    for batch in stream.held_out(data.index, largest, config.micro_tokens, 1):
        _compute(config, batch, gradient)
    trained = sum(weight.numel() for weight in gradient.scorer.parameters() if weight.requires_grad)
    memory = (peak_memory_bytes() + 8 * trained) / 2**30  # AdamW's two moments come with the first update
    return [
        f"measured: {seconds:.2f} s for the first step with {gradient.layout} rows, about "
        f"{duration(seconds * data.total_steps)} in all; {memory:.2f} GiB with the largest group of "
        f"{int(data.index.packed_tokens[largest][0]):,} packed tokens",
        f"{counted(trained, 'trained weight')}",
    ]


def _compute(config: TrainConfig, step: StepBatch, gradient: StepGradient) -> None:
    """The gradient of a step, thrown away."""
    credit = credit_options(config)
    dealt = [deal_credit(batch.groups, credit) for batch in step.micro_batches]
    gradient.accumulate([needed_piece(groups, credit.anchor, credit.holds_stop) for groups, _ in dealt], Divisors())
    gradient.scorer.zero_grad(set_to_none=True)
