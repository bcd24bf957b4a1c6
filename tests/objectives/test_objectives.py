"""The compared objectives: what the benchmark adds to the trainer's credit and loss."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import numpy as np  # noqa: E402

from benchmarks.objectives import variants  # noqa: E402
from benchmarks.objectives.models import Pretraining, new_model, response_logits  # noqa: E402
from benchmarks.objectives.objectives import (  # noqa: E402
    Setting,
    base_stop_odds,
    batch_of,
    dpo_loss,
    preference_pairs,
    step_loss,
    stop_odds,
)
from benchmarks.objectives.sampling import Rollouts, draw_prompts, mean_kl, sample  # noqa: E402
from benchmarks.objectives.scores import paired_difference, score  # noqa: E402
from benchmarks.objectives.training import group_order  # noqa: E402
from benchmarks.objectives.world import PADDING, PROMPT_TOKENS, STOP, verify  # noqa: E402
from tests.objectives.test_world import PROMPT, said  # noqa: E402

RESPONSE = said((0, 0, 5), (0, 1, 9))


@pytest.fixture(scope="module")
def model():
    return new_model(Pretraining(hidden=16))


@pytest.fixture(scope="module")
def rollouts(model):
    return sample(model, draw_prompts("test", 6), 4, seed=0)


def test_shared_prompt_gives_the_logits_of_whole_sequences(model, rollouts):
    shared = response_logits(model, rollouts.prompt_tokens, rollouts.tokens)
    whole = torch.cat([rollouts.prompt_tokens, rollouts.tokens[:, 1]], 1)
    assert torch.allclose(model(whole).logits[:, PROMPT_TOKENS - 1 : -1], shared[:, 1], atol=1e-5)


def test_stored_logprobs_are_those_of_the_model(model, rollouts):
    found = response_logits(model, rollouts.prompt_tokens, rollouts.tokens).log_softmax(-1)
    found = found.gather(-1, rollouts.tokens.unsqueeze(-1)).squeeze(-1)
    is_token = rollouts.tokens != PADDING
    assert torch.allclose(found[is_token], rollouts.logprobs[is_token], atol=1e-4)


def test_policy_that_is_the_base_has_no_divergence(model, rollouts):
    assert abs(mean_kl(model, model, rollouts)) < 1e-6


def test_stop_odds_are_those_of_the_stop_token(model, rollouts):
    logits = response_logits(model, rollouts.prompt_tokens, rollouts.tokens)
    stop = logits.softmax(-1)[..., STOP]
    assert torch.allclose(stop_odds(logits), stop.log() - (1 - stop).log(), atol=1e-4)
    assert torch.allclose(base_stop_odds(model, rollouts), stop_odds(logits), atol=1e-4)


def test_what_both_sides_share_cancels_and_the_block_sums_to_zero():
    labels = torch.tensor([1, 1, -1, -1])
    kinds = torch.tensor([7, 8, 7, 9])  # token 7 stands on both sides in equal shares
    found = variants.contrast_credit(labels, torch.zeros(4, dtype=torch.long), kinds, "unit")
    assert found.tolist() == [0.0, 0.5, 0.0, -0.5]


def test_claims_of_different_length_weigh_the_same():
    labels = torch.tensor([1, 1, 1, 0, 1, 0, -1, -1])
    zero = torch.zeros(8, dtype=torch.long)
    found = variants.per_claim_credit(labels, zero, zero)
    assert float(found[:3].sum()) == pytest.approx(float(found[4]))
    assert float(found.sum()) == pytest.approx(0, abs=1e-7)


def test_single_class_blocks_are_balanced_against_the_rest_of_the_step():
    labels, block_of = torch.tensor([1, -1, 1, 1]), torch.tensor([0, 0, 1, 1])
    credited = torch.tensor([0.5, -0.5, 0.0, 0.0])
    found = variants.with_single_class(credited, labels, block_of, "supported")
    assert found.tolist() == pytest.approx([0.5, -1.0, 0.25, 0.25])


def test_pairs_join_best_with_worst_and_leave_ties_out():
    better, worse, differs = preference_pairs(torch.tensor([[0.5, 1.0, 0.5, float("nan")]]))
    assert (better[0, 0].item(), worse[0, 0].item()) == (1, 3)
    assert differs.tolist() == [[True, False]]


def test_dpo_at_the_reference_is_log_two():
    assert float(dpo_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), 0.1)) == pytest.approx(np.log(2))


@pytest.mark.parametrize("method", ["balanced", "token", "response", "supported", "dpo", "kto"])
def test_every_objective_gives_a_finite_gradient(model, rollouts, method):
    setting = Setting(method, stop_beta=1.0)
    base_stop = base_stop_odds(model, rollouts)
    labels = torch.randint(-1, 2, rollouts.tokens.shape, generator=torch.Generator().manual_seed(0))
    labels[rollouts.tokens == PADDING] = 0
    batch = batch_of(rollouts, labels, torch.arange(6), base_stop)
    batch = replace(batch, faithfulness=torch.linspace(0, 1, 24).view(6, 4))  # an untrained model makes no claims
    value, _ = step_loss(model, model, batch, setting)
    gradients = torch.autograd.grad(value, list(model.parameters()))
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)
    assert any(bool((gradient != 0).any()) for gradient in gradients)


def test_every_group_is_seen_once_before_any_is_seen_twice():
    seen = torch.cat(list(group_order(10, 4, 5, seed=0))).tolist()
    assert sorted(seen[:10]) == list(range(10))
    assert sorted(seen[10:]) == list(range(10))


def test_rivals_get_the_share_of_supported_claims_not_of_tokens():
    rollouts = Rollouts([], torch.empty(0), torch.empty(0), torch.empty(0), [[verify(PROMPT, RESPONSE)]])
    assert rollouts.faithfulness.tolist() == [[0.5]]  # of the labelled tokens it would be 3/4


def test_empty_responses_have_no_faithfulness_and_no_informativeness(rollouts):
    table = score(rollouts)
    empty = np.array([[v.supported + v.unsupported == 0 for v in group] for group in rollouts.verified])
    assert np.isnan(table["f"][empty.all(1)]).all()
    assert (table["q"][empty.all(1)] == 0).all()


def test_a_clear_difference_has_an_interval_above_zero_and_a_difference_to_itself_does_not():
    values = [np.linspace(0, 1, 50) + seed / 100 for seed in range(3)]
    middle, low, high = paired_difference([v + 0.5 for v in values], values, draws=200)
    assert low > 0.4
    assert low <= middle <= high
    _, low, high = paired_difference(values, values, draws=200)
    assert low <= 0 <= high
