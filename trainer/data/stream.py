"""Steps of prompt groups, read ahead by other processes, in the order that the plan says and no other.

The state of reading is (epoch, step) alone. Row groups are decoded once per pass, in the order of their first use, at
most two windows ahead of the step in hand: memory is bounded whatever the size of the label sets. A row group that
cannot be read is quarantined: its groups are skipped and counted, and every other group keeps its step.
"""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np

from schemas.errors import ShardError
from trainer.data.decode import RefusedGroup
from trainer.data.groups import PromptGroup, StepBatch
from trainer.data.index import GroupIndex, Measured, index_key, join_measured, load_index
from trainer.data.label_sets import LabelSet, RowGroup
from trainer.data.plan import GroupOrder, Plan, file_order
from trainer.data.reading import Reading, result_of
from trainer.data.workers import ReaderPool
from trainer.prompts import PromptRenderer

HELD_OUT = -1  # the "epoch" of held-out steps
log = logging.getLogger(__name__)


class GroupStream:
    """Reads prompt groups of opened label sets. A context manager: leaving it ends the reader processes.

    workers: reader processes; 0 reads in this one.   quarantined: row group -> why it cannot be read.
    """

    def __init__(self, label_sets: Sequence[LabelSet], renderer: PromptRenderer, workers: int = 1):
        self.label_sets = tuple(label_sets)
        self.row_groups: tuple[RowGroup, ...] = tuple(one for label_set in label_sets for one in label_set.row_groups)
        self.quarantined: dict[str, str] = {}
        self._renderer = renderer
        self._pool = ReaderPool(renderer, workers)

    @property
    def stop_ids(self) -> frozenset[int]:
        """Every token id that ends a response of this model."""
        return self._renderer.stop_ids

    def __enter__(self) -> GroupStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the reader processes; nothing can be read afterwards."""
        self._pool.close()

    @property
    def key(self) -> str:
        """Names the index of these label sets under this rendering."""
        return index_key(self.label_sets, self._renderer)

    def measure(self, cache: Path | None = None, on_progress: Callable[[int, int], None] | None = None) -> GroupIndex:
        """The index of all groups: read from the file `cache` when it is of these label sets, else measured.

        on_progress: called with (row groups measured, row groups).
        """
        stored = None if cache is None else load_index(cache, self.key, self.row_groups)
        if stored is not None:
            return stored
        index = join_measured(self._measured(on_progress), self.row_groups, self.key)
        for place, reason in itertools.islice(index.problems.items(), 10):
            log.warning("%s: left out: %s", place, reason)
        return index

    def _measured(self, on_progress: Callable[[int, int], None] | None) -> Iterator[Measured]:
        waiting: deque[Future[Measured]] = deque()
        submitted = 0
        for done in range(len(self.row_groups)):
            while submitted < len(self.row_groups) and len(waiting) <= 4 * self._pool.workers:
                waiting.append(self._pool.measure(self.row_groups[submitted], submitted))
                submitted += 1
            yield result_of(waiting.popleft())
            if on_progress is not None:
                on_progress(done + 1, len(self.row_groups))

    def steps(
        self,
        plan: Plan,
        token_budget: int,
        epoch: int = 0,
        step: int = 0,
        epochs: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[StepBatch]:
        """This rank's share of every step from (epoch, step) on, up to `epochs` epochs in all (None: without end).

        token_budget: packed tokens of a micro-batch.   Raises ShardError when no row group can be read any more,
        BaltoError when a reader process dies.
        """

        def orders() -> Iterator[tuple[int, GroupOrder, int]]:
            for number in itertools.count(epoch) if epochs is None else range(epoch, epochs):
                yield number, plan.epoch(number), step if number == epoch else 0

        ahead = 2 * plan.window * len(self.label_sets) if self._pool.workers else 0
        return iter(Reading(self, plan.index, orders, token_budget, rank, world_size, ahead))

    def held_out(
        self,
        index: GroupIndex,
        groups: np.ndarray,
        token_budget: int,
        groups_per_step: int,
        limit: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[StepBatch]:
        """This rank's share of the given groups, once, in the same order every time; `epoch` is HELD_OUT.

        limit: at most so many groups, always the same ones.
        """
        order = file_order(index, groups, groups_per_step, limit)
        ahead = 2 * self._pool.workers
        return iter(Reading(self, index, lambda: iter([(HELD_OUT, order, 0)]), token_budget, rank, world_size, ahead))

    def decode(self, row_group: RowGroup, first_rows: list[int]) -> Future[list[PromptGroup | RefusedGroup]] | None:
        """The groups that begin at these rows, some time; None when the row group is quarantined."""
        if row_group.place in self.quarantined:
            return None
        return self._pool.decode(row_group, first_rows)

    def quarantine(self, row_group: RowGroup, reason: str) -> None:
        """Note that a row group cannot be read. Raises ShardError when it was the last that could."""
        if row_group.place not in self.quarantined:
            log.warning("%s; its prompt groups are skipped", reason)
        self.quarantined[row_group.place] = reason
        if len(self.quarantined) == len(self.row_groups):
            raise ShardError(f"no row group of the label sets can be read any more; the last: {reason}")
