import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ConfigError
from schemas.manifest import Manifest, ShardEntry
from trainer.data.index import ENTRY, GroupIndex
from trainer.data.label_sets import LabelSet, RowGroup
from trainer.data.plan import Plan, file_order


def make_index(sizes: list[list[int]]) -> GroupIndex:
    """An index without files: sizes[source][row group] prompt groups of two responses."""
    row_groups, entries = [], []
    for source, counts in enumerate(sizes):
        for number, count in enumerate(counts):
            row_groups.append(RowGroup(source, f"set{source}.parquet", number, 2 * count))
            some = np.zeros(count, ENTRY)
            some["row_group"], some["first_row"], some["rows"] = len(row_groups) - 1, 2 * np.arange(count), 2
            some["key"] = np.random.default_rng(len(row_groups)).integers(2**63, size=count)
            entries.append(some)
    return GroupIndex(np.concatenate(entries), tuple(row_groups), "key", {})


def make_set(content: str, weight: float = 1.0) -> LabelSet:
    shard = ShardEntry("shards/a.parquet", 1, 1, 1, 0, 0, 1, content)
    manifest = Manifest({"read": 1, "labelled": 1, "rejected": 0}, (shard,), (), {}, {}, {}, {}, {})
    return LabelSet(folder=None, manifest=manifest, weight=weight, row_groups=())  # type: ignore[arg-type]


def make_plan(sizes, weights=None, seed=1, per_step=4, window=3) -> Plan:
    index = make_index(sizes)
    sets = [make_set(f"set {n}", weight) for n, weight in enumerate(weights or [1.0] * len(sizes))]
    return Plan(index, np.arange(len(index.entries)), sets, seed, per_step, window)


def step_of(plan: Plan, epoch: int, step: int) -> list[int]:
    order = plan.epoch(epoch)
    return order.groups[list(order.positions(step))].tolist()


def whole(plan: Plan, epoch: int) -> list[int]:
    return [group for step in range(plan.epoch(epoch).steps) for group in step_of(plan, epoch, step)]


SIZES = st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=8), min_size=1, max_size=3)


@settings(max_examples=80)
@given(SIZES, st.integers(0, 2**40), st.integers(1, 9), st.integers(1, 5), st.integers(0, 50))
def test_every_epoch_has_each_group_exactly_once(sizes, seed, per_step, window, epoch):
    plan = make_plan(sizes, seed=seed, per_step=per_step, window=window)
    assert sorted(whole(plan, epoch)) == list(range(sum(map(sum, sizes))))
    assert {len(step_of(plan, epoch, step)) for step in range(plan.epoch(epoch).steps - 1)} <= {per_step}


@settings(max_examples=40)
@given(SIZES, st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=6))
def test_a_step_is_the_same_whatever_was_asked_before(sizes, asked):
    used, fresh = make_plan(sizes, per_step=1), make_plan(sizes, per_step=1)
    for epoch, step in asked:
        step %= used.epoch(epoch).steps
        assert step_of(used, epoch, step) == step_of(make_plan(sizes, per_step=1), epoch, step)
    assert whole(used, 2) == whole(fresh, 2)


def test_order_is_written_down_once():
    # A change here gives every resumed run other groups: raise a version and say so before changing it.
    plan = make_plan([[3, 2, 3, 4]], seed=7, per_step=4, window=2)
    assert [step_of(plan, 0, step) for step in range(3)] == [[8, 9, 11, 4], [3, 10, 5, 6], [2, 0, 1, 7]]


def test_seed_and_epoch_change_the_order():
    orders = [tuple(whole(make_plan([[5] * 6], seed=seed), epoch)) for seed in (1, 2) for epoch in (0, 1)]
    assert len(set(orders)) == 4


def test_a_window_of_row_groups_is_used_up_before_the_next():
    plan = make_plan([[4] * 9], window=3, per_step=1)
    row_groups = plan.index.entries["row_group"][whole(plan, 0)]
    windows = [set(row_groups[start : start + 12].tolist()) for start in (0, 12, 24)]
    assert [len(window) for window in windows] == [3, 3, 3]
    assert not windows[0] & windows[1]
    assert row_groups[:12].tolist() != sorted(row_groups[:12].tolist())  # shuffled inside


def test_visits_name_a_row_group_of_one_pass():
    plan = make_plan([[4] * 5], weights=[2.0], per_step=3)
    order = plan.epoch(0)
    row_groups = plan.index.entries["row_group"][order.groups]
    assert len(order.groups) == 40
    assert len(set(order.visits.tolist())) == 10
    for visit in set(order.visits.tolist()):
        chosen = order.groups[order.visits == visit]
        assert len(set(row_groups[order.visits == visit].tolist())) == 1
        assert len(set(chosen.tolist())) == len(chosen)


def test_weight_two_passes_twice_and_a_half_goes_on_in_the_next_epoch():
    plan = make_plan([[4, 3], [5, 4]], weights=[2.0, 0.5], per_step=5)
    first, second = whole(plan, 0), whole(plan, 1)
    for epoch in (first, second):
        assert all(epoch.count(group) == 2 for group in range(7))
    halves = [[group for group in epoch if group >= 7] for epoch in (first, second)]
    assert [len(half) for half in halves] == [4, 5]  # 9 groups, every one once in two epochs
    assert sorted(halves[0] + halves[1]) == list(range(7, 16))


@settings(max_examples=40)
@given(st.floats(0.05, 3.0), st.integers(1, 20))
def test_passes_are_whole_for_any_weight(weight, groups):
    plan = make_plan([[groups], [3]], weights=[weight, 1.0])
    seen = [group for epoch in range(30) for group in whole(plan, epoch) if group < groups]
    assert len(seen) == 30 * round(weight * 1e6) * groups // 10**6
    counts = np.bincount(seen, minlength=groups) if seen else np.zeros(groups)
    assert counts.max() - counts.min() <= 1


def test_steps_are_counted_without_ordering_an_epoch():
    plan = make_plan([[4, 3], [5, 4], [1]], weights=[2.0, 0.5, 0.3], per_step=5)
    assert [plan.steps(epoch) for epoch in range(6)] == [4, 4, 4, 4, 4, 4]  # 18 to 20 groups
    assert [plan.epoch(epoch).steps for epoch in range(6)] == [4, 4, 4, 4, 4, 4]
    single = make_plan([[9]], weights=[0.5], per_step=2)
    assert [single.steps(epoch) for epoch in range(4)] == [2, 3, 2, 3]  # 4, 5, 4, 5 groups
    assert [single.epoch(epoch).steps for epoch in range(4)] == [2, 3, 2, 3]


def test_label_sets_are_mixed_evenly():
    plan = make_plan([[10] * 9, [10] * 3], per_step=1)
    sources = plan.index.sources[whole(plan, 0)]
    for quarter in np.split(sources, 4):
        assert 6 <= np.count_nonzero(quarter) <= 9  # 30 of 120 groups, evenly spread: 7.5 in each quarter


def test_another_label_set_leaves_the_order_of_the_first_alone():
    alone, beside = make_plan([[3, 4, 5]]), make_plan([[3, 4, 5], [6, 2]])
    assert [group for group in whole(beside, 0) if group < 12] == whole(alone, 0)


def test_evaluation_takes_the_same_groups_in_file_order():
    index = make_index([[4, 4], [4]])
    some = file_order(index, np.arange(12), per_step=5, limit=6)
    assert some.steps == 2
    assert some.groups.tolist() == sorted(some.groups.tolist())
    keys = index.entries["key"]
    assert max(keys[some.groups]) < min(keys[np.setdiff1d(np.arange(12), some.groups)])
    assert file_order(index, np.arange(12), 5, 99).groups.tolist() == list(range(12))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"per_step": 0}, "--groups-per-step 0"),
        ({"seed": -1}, "--seed -1"),
        ({"weights": [0.01]}, "less than one prompt group"),
    ],
)
def test_options_that_cannot_work_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        make_plan([[5]], **change)


def test_index_of_one_label_set_gives_no_group_of_another():
    index = make_index([[2, 2]])
    plan = Plan(dataclasses.replace(index), np.array([1, 3]), [make_set("x")], 0, 2)
    assert sorted(whole(plan, 0)) == [1, 3]
