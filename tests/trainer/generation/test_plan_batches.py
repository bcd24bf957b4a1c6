from hypothesis import given
from hypothesis import strategies as st

from trainer.generation.plan_batches import plan_batches


@given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 8), st.integers(1, 50), st.integers(1, 5000))
def test_every_prompt_is_in_one_batch_and_batches_fit_the_cache(lengths, samples, new, cached):
    batches = list(plan_batches(enumerate(lengths), samples, new, cached))
    assert sorted(prompt for batch in batches for prompt in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[prompt] for prompt in batch)
        assert len(batch) == 1 or samples * len(batch) * (longest + new) <= cached


def test_similar_lengths_go_together():
    lengths = [10, 200, 11, 210, 12]
    assert list(plan_batches(enumerate(lengths), 1, 10, 420)) == [[0, 2, 4], [1], [3]]
