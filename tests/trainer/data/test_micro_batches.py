from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.micro_batches import deal


def test_longest_first_onto_the_emptiest_rank():
    # 9 | 8 -> 7 joins 8 (8 < 9), 3 joins 9 (9 < 15), 2 joins 9 + 3 (12 < 15)
    assert deal([3, 9, 2, 8, 7], world_size=2, token_budget=100) == [[[1, 0, 2]], [[3, 4]]]


def test_micro_batches_keep_the_budget():
    assert deal([6, 5, 4, 3, 2], world_size=1, token_budget=10) == [[[0, 2], [1, 3, 4]]]


def test_group_above_the_budget_stands_alone():
    assert deal([50, 3, 4], world_size=1, token_budget=10) == [[[0], [2, 1]]]


def test_rank_with_fewer_micro_batches_cuts_its_largest():
    # rank 0 holds one long group and rank 1 three short ones; two micro-batches there, so the other would have one
    dealt = deal([9, 9, 5, 5, 4], world_size=2, token_budget=10)
    assert sorted(len(batches) for batches in dealt) == [2, 2]


def test_groups_without_tokens_are_cut_apart_too():
    assert deal([0, 0, 0, 2, 2, 4], world_size=2, token_budget=1) == [[[5], [0], [1]], [[3], [4], [2]]]


def test_rank_without_groups_gets_empty_micro_batches():
    assert deal([4, 3], world_size=3, token_budget=10) == [[[0]], [[1]], [[]]]
    assert deal([], world_size=2, token_budget=10) == [[], []]


@settings(max_examples=200)
@given(st.lists(st.integers(0, 60), max_size=40), st.integers(1, 6), st.integers(1, 100))
def test_every_group_once_within_the_budget_and_as_many_micro_batches_on_every_rank(tokens, world_size, budget):
    dealt = deal(tokens, world_size, budget)
    assert len(dealt) == world_size
    assert sorted(at for rank in dealt for batch in rank for at in batch) == list(range(len(tokens)))
    assert len({len(rank) for rank in dealt}) == 1
    for rank in dealt:
        for batch in rank:
            assert len(batch) <= 1 or sum(tokens[at] for at in batch) <= budget
        if sum(map(len, rank)) >= len(rank):
            assert all(rank)  # an empty micro-batch only where there are too few groups
    loads = [sum(tokens[at] for batch in rank for at in batch) for rank in dealt]
    assert max(loads, default=0) - min(loads, default=0) <= max(tokens, default=0)
