"""Which prompt groups are trained on at which step: a pure function of (label sets, seed, epoch, step).

An epoch is a list of groups, cut into steps of `groups_per_step`; its last step may be shorter. The list of one label
set: its row groups in a random order, taken a window at a time, the groups of a window shuffled. So a reader holds a
window of row groups, not the label set. Several label sets are merged evenly; a label set of weight w is passed over
w times per epoch, and half a pass goes on where the last epoch stopped: every pass has each group exactly once.

World size, micro-batches and reader processes do not enter. Random numbers are raw PCG64 output, which numpy
guarantees to stay the same; orders come from sorting them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from schemas.errors import ConfigError
from trainer.data.index import GroupIndex
from trainer.data.label_sets import LabelSet

WINDOW: Final = 16  # row groups shuffled together: about 8,000 responses
_WEIGHT_UNIT: Final = 1_000_000  # weights are whole millionths, so that passes add up exactly
_ORDER, _MIX = 0, 1  # what a random stream is for


@dataclass(frozen=True, slots=True, eq=False)
class GroupOrder:
    """Groups in the order of training. groups: (n,) positions in the index; one may stand there more than once.
    visits: (n,) equal exactly for groups that are read together: one row group in one pass.   per_step: groups."""

    groups: np.ndarray
    visits: np.ndarray
    per_step: int

    @property
    def steps(self) -> int:
        """Steps; the last may be shorter."""
        return -(-len(self.groups) // self.per_step)

    def positions(self, step: int) -> range:
        """Positions in `groups` of one step."""
        return range(step * self.per_step, min((step + 1) * self.per_step, len(self.groups)))


class Plan:
    """The order of training on the groups `train` of `index`.

    weights: passes per epoch, one per label set.   content: a hash per label set; part of the seed, so that adding a
    label set leaves the orders of the others alone.   window: row groups that are shuffled together.
    """

    def __init__(
        self,
        index: GroupIndex,
        train: np.ndarray,
        label_sets: Sequence[LabelSet],
        seed: int,
        groups_per_step: int,
        window: int = WINDOW,
    ):
        if groups_per_step < 1:
            raise ConfigError(f"--groups-per-step {groups_per_step}: must be at least 1")
        if seed < 0:
            raise ConfigError(f"--seed {seed}: must not be negative")
        self.index = index
        self.groups_per_step = groups_per_step
        self.window = window
        self._seed = seed
        self._content = [int(one.manifest.content_hash()[:16], 16) for one in label_sets]
        self._weights = [round(one.weight * _WEIGHT_UNIT) for one in label_sets]
        sources = index.sources[train]
        self._groups = [train[sources == source] for source in range(len(label_sets))]
        self._kept: dict[int, GroupOrder] = {}
        if all(len(groups) * weight < _WEIGHT_UNIT for groups, weight in zip(self._groups, self._weights, strict=True)):
            raise ConfigError("the weights leave less than one prompt group per epoch; raise them")

    def epoch(self, epoch: int) -> GroupOrder:
        """The order of one epoch. The last two asked for are kept."""
        if epoch not in self._kept:
            if len(self._kept) > 1:
                self._kept.pop(min(self._kept))
            self._kept[epoch] = self._merge([self._share(source, epoch) for source in range(len(self._groups))], epoch)
        return self._kept[epoch]

    def steps(self, epoch: int) -> int:
        """Steps of one epoch, without ordering its groups."""
        bounds = [self._bounds(source, epoch) for source in range(len(self._groups))]
        return -(-sum(stop - start for start, stop in bounds) // self.groups_per_step)

    def _bounds(self, source: int, epoch: int) -> tuple[int, int]:
        """The first group of an epoch and the one behind its last, counted over all passes of a label set."""
        groups = len(self._groups[source]) * self._weights[source]
        return epoch * groups // _WEIGHT_UNIT, (epoch + 1) * groups // _WEIGHT_UNIT

    def _share(self, source: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """(groups, passes) of one label set in one epoch."""
        count, (start, stop) = len(self._groups[source]), self._bounds(source, epoch)
        groups, passes = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        while start < stop:
            number, begin = divmod(start, count)
            end = min(begin + stop - start, count)
            groups.append(self._pass(source, number)[begin:end])
            passes.append(np.full(end - begin, number))
            start += end - begin
        return np.concatenate(groups), np.concatenate(passes)

    def _pass(self, source: int, number: int) -> np.ndarray:
        """Every group of a label set once: row groups permuted, groups shuffled within windows of them."""
        groups = self._groups[source]
        present, row_group = np.unique(self.index.entries["row_group"][groups], return_inverse=True)
        raw = self._random(self._content[source], _ORDER, number).random_raw(len(present) + len(groups))
        rank = np.empty(len(present), np.int64)
        rank[np.argsort(raw[: len(present)], kind="stable")] = np.arange(len(present))
        return groups[np.lexsort((raw[len(present) :], rank[row_group] // self.window))]

    def _merge(self, shares: Sequence[tuple[np.ndarray, np.ndarray]], epoch: int) -> GroupOrder:
        """The label sets' shares spread evenly over the epoch, each in its own order."""
        keys = []
        for content, (groups, _) in zip(self._content, shares, strict=True):
            jitter = self._random(content, _MIX, epoch).random_raw(max(1, len(groups)))[: len(groups)] / 2.0**64
            keys.append((np.arange(len(groups)) + jitter) / max(1, len(groups)))
        order = np.argsort(np.concatenate(keys), kind="stable")
        groups = np.concatenate([groups for groups, _ in shares])[order]
        passes = np.concatenate([passes for _, passes in shares])[order]
        row_groups = self.index.entries["row_group"][groups].astype(np.int64)
        visits = np.unique(passes * len(self.index.row_groups) + row_groups, return_inverse=True)[1]
        return GroupOrder(groups, visits, self.groups_per_step)

    def _random(self, *stream: int) -> np.random.PCG64:
        return np.random.PCG64(np.random.SeedSequence([self._seed, *stream]))


def file_order(index: GroupIndex, groups: np.ndarray, per_step: int, limit: int | None = None) -> GroupOrder:
    """Groups for evaluation: the same ones every time, in file order. limit: how many; chosen by key, not by place."""
    if limit is not None and limit < len(groups):
        chosen = np.argsort(index.entries["key"][groups], kind="stable")[:limit]
        groups = groups[np.sort(chosen)]
    return GroupOrder(groups, index.entries["row_group"][groups].astype(np.int64), per_step)
