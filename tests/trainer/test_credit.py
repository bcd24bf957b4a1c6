"""Credit: hand-worked numbers, and the invariants on arbitrary blocks."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainer.credit import FORMS, MASSES, advantages, count_blocks

LABELS = torch.tensor([1, 1, 1, -1, 0], dtype=torch.int8)  # P = 3, N = 1, n = 4, one neutral
ONE_BLOCK = torch.zeros(5, dtype=torch.long)


def close(actual: torch.Tensor, expected: list[float]) -> None:
    torch.testing.assert_close(actual, torch.tensor(expected), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("mass", "moved"),
    [("sqrt", math.sqrt(3) / 4), ("harmonic", 2 * 3 * 1 / 16), ("unit", 1.0)],
)
def test_balanced_credit_by_hand(mass, moved):
    close(advantages(LABELS, ONE_BLOCK, mass=mass), [moved / 3, moved / 3, moved / 3, -moved, 0.0])


def test_harmonic_mass_is_labels_minus_their_mean():
    # labels 1 1 1 -1, mean 0.5: 0.5 0.5 0.5 -1.5, over n = 4
    close(advantages(LABELS, ONE_BLOCK, mass="harmonic"), [0.125, 0.125, 0.125, -0.375, 0.0])


def test_token_and_supported_baselines_by_hand():
    close(advantages(LABELS, ONE_BLOCK, form="token"), [0.25, 0.25, 0.25, -0.25, 0.0])
    close(advantages(LABELS, ONE_BLOCK, form="supported"), [1 / 3, 1 / 3, 1 / 3, 0.0, 0.0])


def test_response_baseline_by_hand():
    # group 0: F = 1.0 and 0.5, mean .75, std .25: z = +1, -1; lengths 2 and 1, G = 2: z/(G L) = 1/4 1/4 -1/2.
    # group 1: equally faithful. group 2: one response without claims beside one with: a group of one, z = 0.
    response_of = torch.tensor([0, 0, 1, 2, 3, 4, 5])
    block_of = torch.tensor([0, 0, 0, 1, 1, 2, 2])
    faithfulness = torch.tensor([1.0, 0.5, 0.1 + 0.2, 0.3, math.nan, 0.4])
    credit = advantages(torch.zeros(7), block_of, form="response", response_of=response_of, faithfulness=faithfulness)
    close(credit, [0.25, 0.25, -0.5, 0.0, 0.0, 0.0, 0.0])


def test_cap_lowers_both_classes_and_keeps_the_sum_zero():
    # sqrt: n|A| of the rare token is 4 * sqrt(3)/4 = 1.73; capped at 1: M = 1 * min(P, N)/n = 1/4
    close(advantages(LABELS, ONE_BLOCK, mass="sqrt", cap=1.0), [1 / 12, 1 / 12, 1 / 12, -0.25, 0.0])
    close(advantages(LABELS, ONE_BLOCK, mass="sqrt", cap=2.0), advantages(LABELS, ONE_BLOCK, mass="sqrt").tolist())


def test_blocks_are_counted_by_kind():
    labels = torch.tensor([1, -1, 1, 1, 0, 0])
    block_of = torch.tensor([0, 0, 1, 1, 3, 3])  # block 2 has no token at all and is not there
    balanced = count_blocks(labels, block_of, advantages(labels, block_of))
    assert (balanced.active, balanced.single_class, balanced.unlabelled) == (1, 1, 1)
    assert count_blocks(labels, block_of, advantages(labels, block_of, form="token")).active == 2


def test_no_tokens_at_all():
    empty = torch.zeros(0, dtype=torch.long)
    assert advantages(empty, empty).shape == (0,)
    assert count_blocks(empty, empty, advantages(empty, empty)).active == 0


@pytest.mark.parametrize(
    "options",
    [{"form": "magic"}, {"mass": "dark"}, {"form": "token", "cap": 1.0}, {"cap": 0.0}, {"form": "response"}],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError):
        advantages(LABELS, ONE_BLOCK, **options)


tokens = st.lists(st.tuples(st.sampled_from([-1, 0, 1]), st.integers(0, 4)), min_size=1, max_size=200)
masses = st.sampled_from(MASSES)
caps = st.one_of(st.none(), st.floats(0.1, 10))


def split(pairs) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([label for label, _ in pairs]), torch.tensor([block for _, block in pairs])


def per_block(values: torch.Tensor, block_of: torch.Tensor) -> torch.Tensor:
    return torch.zeros(5, dtype=torch.float64).index_add_(0, block_of, values.double())


@given(tokens, masses, caps)
def test_credit_of_every_block_sums_to_zero(pairs, mass, cap):
    labels, block_of = split(pairs)
    credit = advantages(labels, block_of, mass=mass, cap=cap)
    # float32 rounds each of up to 200 values of at most 1 by 6e-8
    assert per_block(credit, block_of).abs().max() < 200 * 6e-8
    assert credit[labels == 0].abs().sum() == 0
    if cap is not None:
        n = per_block((labels != 0).double(), block_of)[block_of]
        assert (n * credit.double()).abs().max() <= cap * (1 + 1e-6)


@given(tokens)
def test_square_sum_of_sqrt_mass_is_one_over_n(pairs):
    labels, block_of = split(pairs)
    squares = per_block(advantages(labels, block_of, mass="sqrt") ** 2, block_of)
    p, n = per_block(labels > 0, block_of), per_block(labels < 0, block_of)
    expected = torch.where((p > 0) & (n > 0), 1 / (p + n).clamp(min=1), 0.0)
    torch.testing.assert_close(squares, expected, rtol=1e-5, atol=1e-9)


@given(tokens, masses, st.integers(2, 4))
def test_copying_every_token_leaves_the_mass_of_a_block(pairs, mass, times):
    labels, block_of = split(pairs)

    def mass_of(credit: torch.Tensor, blocks: torch.Tensor) -> torch.Tensor:
        return per_block(credit.clamp(min=0), blocks)

    once = mass_of(advantages(labels, block_of, mass=mass), block_of)
    labels, block_of = labels.repeat(times), block_of.repeat(times)
    torch.testing.assert_close(mass_of(advantages(labels, block_of, mass=mass), block_of), once, rtol=1e-5, atol=1e-7)


@given(tokens, st.sampled_from(FORMS), st.randoms())
def test_order_of_tokens_and_names_of_blocks_do_not_matter(pairs, form, random):
    labels, block_of = split(pairs)
    rename, order = torch.tensor(random.sample(range(5), 5)), torch.tensor(random.sample(range(len(pairs)), len(pairs)))
    scores = torch.tensor([random.random() for _ in range(5)])
    renamed_scores = torch.zeros(5).index_copy_(0, rename, scores)
    # responses are blocks here: groups of one, so the response form is 0; its order is tested by hand above
    credit = advantages(labels, block_of, form=form, response_of=block_of, faithfulness=scores)
    moved = rename[block_of][order]
    again = advantages(labels[order], moved, form=form, response_of=moved, faithfulness=renamed_scores)
    torch.testing.assert_close(again, credit[order], rtol=1e-6, atol=1e-8)
