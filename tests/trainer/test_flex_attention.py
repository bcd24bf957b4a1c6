"""Flex attention computes what two calls per group compute; its kernel is a GPU's, its mask and its blocks are ours."""

import logging

import pytest
import torch
from torch.nn.attention import flex_attention as torch_flex
from torch.nn.attention.flex_attention import create_mask

from schemas.errors import ConfigError
from tests.trainer.test_packed_logprobs import ARCHITECTURES, gradients, some_groups
from tests.trainer.tiny_models import tiny_model
from tests.trainer.tiny_runs import label_folder, model_folder, tiny_config
from trainer import flex_attention, self_test
from trainer.attention import use_shared_prefix_attention
from trainer.flex_attention import BLOCK, Reach, block_mask, reach_of
from trainer.logprobs import TokenLogprobs
from trainer.packing import lay_out
from trainer.self_test import choose_layout
from trainer.train import train

# rows of less than a block, and of several, some of them whole blocks of one prompt
SHAPES = (((19, (5, 14, 1)), (3, (7,)), (26, (2, 0, 9))), ((300, (130, 0, 60)), (5, (33,)), (140, (1, 200))))


def attends(shapes, window=None):
    """(L, L) bool, token by token from the definition: own prompt, and own response up to oneself, in the window."""
    owners = []  # (group, response or None, position)
    for group, (prompt, responses) in enumerate(shapes):
        owners += [(group, None, position) for position in range(prompt)]
        owners += [(group, number, prompt + at) for number, length in enumerate(responses) for at in range(length)]
    return torch.tensor(
        [
            [
                g == h
                and s in (None, r)
                and p >= q
                and (window is None or p - q < window)
                and (r is not None or s is None)
                for h, s, q in owners
            ]
            for g, r, p in owners
        ]
    )


def reach_in(shapes, window=None) -> Reach:
    return reach_of(lay_out(some_groups(shapes=shapes), "packed").groups or (), window)


@pytest.mark.parametrize("window", [None, 1, 12, 150])
@pytest.mark.parametrize("shapes", SHAPES)
def test_a_token_reads_its_prompt_and_its_own_response(shapes, window):
    reach = reach_in(shapes, window)
    length = len(reach.own_from)
    found = create_mask(reach.as_mask(), 1, 1, length, length, device="cpu")[0, 0]
    assert torch.equal(found, attends(shapes, window))


@pytest.mark.parametrize("window", [None, 150])
@pytest.mark.parametrize("shapes", SHAPES)
def test_blocks_are_computed_where_somebody_reads_and_masked_where_not_everybody_does(shapes, window):
    found = block_mask(reach_in(shapes, window))
    seen = attends(shapes, window)
    length, blocks = len(seen), -(-len(seen) // BLOCK)
    for query in range(blocks):
        full = set(found.full_kv_indices[0, 0, query, : found.full_kv_num_blocks[0, 0, query]].tolist())
        partial = set(found.kv_indices[0, 0, query, : found.kv_num_blocks[0, 0, query]].tolist())
        tile = seen[query * BLOCK : (query + 1) * BLOCK].split(BLOCK, dim=1)
        assert full == {key for key, part in enumerate(tile) if part.shape[1] == BLOCK and part.all()}
        assert partial == {key for key, part in enumerate(tile) if part.any()} - full
    assert found.seq_lengths == (length, length)


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logprobs_and_gradients_equal_those_of_ordinary_calls(name, shapes, monkeypatch):
    """Unfused, on the CPU; torch refuses gradients there, although the sum that it computes has them."""
    monkeypatch.setattr(torch_flex, "_validate_device", lambda *_: None)
    monkeypatch.setattr(torch_flex, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)
    model = tiny_model(name)
    use_shared_prefix_attention(model)
    scorer = TokenLogprobs(model)
    rows = lay_out(some_groups(shapes=shapes), "packed")
    expected = scorer(rows).logprobs
    expected_gradients = gradients(model, expected)
    scorer.attention = "flex"
    found = scorer(rows).logprobs
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)
    largest = max(float(gradient.abs().max()) for gradient in expected_gradients.values())
    for parameter, gradient in gradients(model, found).items():
        allowed = 1e-4 * float(expected_gradients[parameter].abs().max()) + 1e-6 * largest
        torch.testing.assert_close(gradient, expected_gradients[parameter], rtol=0, atol=allowed, msg=parameter)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # inductor, when it is loaded
@pytest.mark.parametrize("name", ["llama", "gemma2"])
def test_two_compiled_kernels_serve_rows_of_all_lengths(name, monkeypatch):
    """The fused kernel for CPUs, which has no backward pass: one for the first length, one for all others."""
    kernel = torch.compile(torch_flex.flex_attention, dynamic=True)
    monkeypatch.setattr(flex_attention, "_kernel", lambda _: kernel)
    model = tiny_model(name).requires_grad_(False)
    use_shared_prefix_attention(model)
    scorer = TokenLogprobs(model)
    for prompt in (210, 300, 400, 50):
        rows = lay_out(some_groups(shapes=((prompt, (130, 66)), (9, (33,)))), "packed")
        scorer.attention = "calls"
        expected = scorer(rows).logprobs
        scorer.attention = "flex"
        with torch.compiler.set_stance("default" if prompt in (210, 300) else "fail_on_recompile"):
            torch.testing.assert_close(scorer(rows).logprobs, expected, rtol=1e-5, atol=1e-4)


def test_self_test_uses_flex_attention_where_it_is_right():
    scorer = TokenLogprobs(tiny_model("llama"))
    scorer.attention = "flex"
    assert (choose_layout(scorer, some_groups()), scorer.attention) == ("packed", "flex")


def test_self_test_falls_back_to_ordinary_calls_where_flex_attention_is_wrong(monkeypatch, caplog):
    monkeypatch.setattr(flex_attention.torch, "sigmoid", lambda scores: torch.ones_like(scores))  # sinks forgotten
    scorer = TokenLogprobs(tiny_model("gpt-oss"))
    scorer.attention = "flex"
    monkeypatch.setattr(self_test, "FLOOR", 1e-6)
    with caplog.at_level(logging.WARNING, "trainer"):
        assert (choose_layout(scorer, some_groups()), scorer.attention) == ("packed", "calls")
    assert "no flex attention, using two ordinary calls per group: log-probabilities differ by" in caplog.text


def test_flex_attention_without_a_gpu_is_refused(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    config = tiny_config(
        model_folder(tmp_path / "model"), label_folder(tmp_path / "labels"), tmp_path / "run", attention="flex"
    )
    with pytest.raises(ConfigError, match="--attention flex: torch trains with it on GPUs only"):
        train(config)
    assert not (tmp_path / "run" / "config.yaml").exists()
