"""One walk over an order of prompt groups, decoding row groups ahead of the step in hand.

Row groups are asked for in the order of their first use and kept until their last group is used. At most `ahead` are
kept at once, or what a single step needs, if that is more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from schemas.errors import ShardError
from trainer.data.decode import RefusedGroup
from trainer.data.groups import MicroBatch, PromptGroup, StepBatch
from trainer.data.index import READABLE, GroupIndex
from trainer.data.label_sets import RowGroup
from trainer.data.micro_batches import Batches, deal
from trainer.data.plan import GroupOrder
from trainer.data.workers import reader_died

Orders = Callable[[], Iterator[tuple[int, GroupOrder, int]]]  # (epoch, its order, first step), any number of times


class Source(Protocol):
    """Where row groups come from: a GroupStream."""

    row_groups: tuple[RowGroup, ...]

    def decode(self, row_group: RowGroup, first_rows: list[int]) -> Future[list[PromptGroup | RefusedGroup]] | None: ...

    def quarantine(self, row_group: RowGroup, reason: str) -> None: ...


@dataclass(slots=True, eq=False)
class _Visit:
    """A row group on its way: the positions it is read for, and its groups once they are there."""

    row_group: RowGroup
    positions: list[int]
    first_rows: list[int]
    left: int
    future: Future[list[PromptGroup | RefusedGroup]] | None = None
    groups: dict[int, PromptGroup] | None = None


@dataclass(slots=True, eq=False)
class _Share:
    """This rank's positions of a step, by micro-batch."""

    batches: Batches
    mine: set[int]


class Reading:
    """Iterates over one rank's share of every step."""

    def __init__(
        self,
        stream: Source,
        index: GroupIndex,
        orders: Orders,
        token_budget: int,
        rank: int,
        world_size: int,
        ahead: int,
    ):
        self._stream, self._index, self._orders = stream, index, orders
        self._budget, self._rank, self._world_size = token_budget, rank, world_size
        self._ahead = ahead
        self._tokens = index.packed_tokens
        self._readable = index.entries["state"] == READABLE
        self._visits: dict[tuple[int, int], _Visit] = {}  # submitted, not used up
        self._shares: dict[tuple[int, int], _Share] = {}  # dealt, of steps to come
        self._to_come = self._upcoming()

    def __iter__(self) -> Iterator[StepBatch]:
        for epoch, order, first in self._orders():
            for step in range(first, order.steps):
                share = self._share(epoch, order, step)
                self._read_ahead({(epoch, int(order.visits[at])) for at in share.mine if self._can_be_read(order, at)})
                batches = tuple(
                    MicroBatch(tuple(group for at in batch if (group := self._take(epoch, order, at)) is not None))
                    for batch in share.batches
                )
                # not this step's alone: reading ahead may have asked for one that was over
                self._shares = {key: kept for key, kept in self._shares.items() if key > (epoch, step)}
                skipped = len(share.mine) - sum(len(batch) for batch in batches)
                yield StepBatch(epoch, step, batches, skipped)

    def _share(self, epoch: int, order: GroupOrder, step: int) -> _Share:
        if (epoch, step) not in self._shares:
            positions = order.positions(step)
            tokens = self._tokens[order.groups[positions.start : positions.stop]].tolist()
            dealt = deal(tokens, self._world_size, self._budget)[self._rank]
            batches = [[positions.start + at for at in batch] for batch in dealt]
            self._shares[epoch, step] = _Share(batches, {at for batch in batches for at in batch})
        return self._shares[epoch, step]

    def _upcoming(self) -> Iterator[tuple[tuple[int, int], _Visit]]:
        """Every visit of this rank with its key, in the order of their first use."""
        entries = self._index.entries
        for epoch, order, first_step in self._orders():
            start = order.positions(first_step).start
            by_visit = start + np.argsort(order.visits[start:], kind="stable")
            bounds = np.flatnonzero(np.diff(order.visits[by_visit])) + 1
            for positions in sorted(np.split(by_visit, bounds), key=lambda some: some[0] if len(some) else 0):
                mine = [at for at in positions.tolist() if self._is_mine(epoch, order, at)]
                if mine:
                    chosen = entries[order.groups[mine]]
                    row_group = self._stream.row_groups[chosen["row_group"][0]]
                    visit = _Visit(row_group, mine, chosen["first_row"].tolist(), len(mine))
                    yield (epoch, int(order.visits[mine[0]])), visit

    def _is_mine(self, epoch: int, order: GroupOrder, at: int) -> bool:
        if not self._can_be_read(order, at):
            return False
        return self._world_size == 1 or at in self._share(epoch, order, at // order.per_step).mine

    def _can_be_read(self, order: GroupOrder, at: int) -> bool:
        return bool(self._readable[order.groups[at]])

    def _read_ahead(self, needed: set[tuple[int, int]]) -> None:
        """Submit what this step needs, and then what the next ones will."""
        missing = needed - self._visits.keys()
        while missing or len(self._visits) < self._ahead:
            upcoming = next(self._to_come, None)
            if upcoming is None:
                assert not missing, "a step needs a row group that no visit reads"
                return
            key, visit = upcoming
            missing.discard(key)
            self._visits[key] = visit
            visit.future = self._stream.decode(visit.row_group, visit.first_rows)

    def _take(self, epoch: int, order: GroupOrder, at: int) -> PromptGroup | None:
        """The group at a position; None when it cannot be read."""
        key = (epoch, int(order.visits[at]))
        visit = self._visits.get(key)
        if visit is None:  # known to be unreadable from the index
            return None
        if visit.groups is None:
            visit.groups = self._collect(visit)
        visit.left -= 1
        if visit.left == 0:
            del self._visits[key]
        return visit.groups.pop(at, None)

    def _collect(self, visit: _Visit) -> dict[int, PromptGroup]:
        if visit.future is None:
            return {}
        try:
            groups = result_of(visit.future)
        except ShardError as err:
            self._stream.quarantine(visit.row_group, str(err))
            return {}
        finally:
            visit.future = None
        found = zip(visit.positions, groups, strict=True)
        return {at: group for at, group in found if isinstance(group, PromptGroup)}


def result_of(future: Future[Any]) -> Any:
    """The result of reading work. Raises what the work raised, and BaltoError when its process died."""
    try:
        return future.result()
    except BrokenProcessPool as err:
        raise reader_died() from err
