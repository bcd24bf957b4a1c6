import math
from dataclasses import replace

import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from schemas.errors import ConfigError
from schemas.records import CUT, STOPPED
from trainer.generation import sampling
from trainer.generation.sampling import SamplingParams, choose_tokens, sample_responses

V = 61
SIZES = {
    "vocab_size": V,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
STOPS = frozenset({0, 1, 2})
MODELS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)),
    "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(**SIZES, head_dim=8, sliding_window=12)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=12)),
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=V, n_embd=32, n_layer=2, n_head=4, bos_token_id=None, eos_token_id=None)
    ),
}


@pytest.fixture(params=MODELS, scope="module")
def model(request):
    torch.manual_seed(0)
    model = MODELS[request.param]().eval()
    for weight in model.parameters():
        weight.data.mul_(3)  # a policy with preferences: a flat one would hide a wrong position or mask
    return model


def some_prompts():
    torch.manual_seed(1)
    return [(f"group {i}", torch.randint(3, V, (length,)).tolist()) for i, length in enumerate((5, 31, 18))]


def test_logprobs_are_those_of_a_plain_forward_pass(model):
    prompts = some_prompts()
    groups = sample_responses(model, prompts, SamplingParams(4, 20, temperature=0.8, top_p=0.9), STOPS)
    checked = 0
    for (_, prompt), responses in zip(prompts, groups, strict=True):
        for response in responses:
            with torch.no_grad():
                logits = model(torch.tensor([[*prompt, *response.token_ids]])).logits[0].float()
            logprobs = torch.log_softmax(logits, -1)
            for at, (token, logprob) in enumerate(zip(response.token_ids, response.logprobs, strict=True)):
                # float32: another order of summation, over 50 positions of a model with logits in the tens
                assert logprob == pytest.approx(logprobs[len(prompt) - 1 + at, token].item(), abs=1e-4)
                checked += 1
    assert checked > 50


def test_a_response_does_not_depend_on_its_batch(model):
    prompts, params = some_prompts(), SamplingParams(4, 20)
    together = sample_responses(model, prompts, params, STOPS)
    for prompt, responses in zip(prompts, together, strict=True):
        for number, response in enumerate(responses):
            alone = sample_responses(model, [prompt], replace(params, num_samples=1, first_sample=number), STOPS)
            assert alone[0][0].token_ids == response.token_ids
            assert alone[0][0].finish_reason == response.finish_reason


def test_a_response_ends_at_its_stop_token_or_at_the_limit(model):
    groups = sample_responses(model, some_prompts(), SamplingParams(8, 20), STOPS)
    reasons = set()
    for response in (response for group in groups for response in group):
        assert not STOPS.intersection(response.token_ids[:-1])
        assert (response.token_ids[-1] in STOPS) == (response.finish_reason == STOPPED)
        assert response.finish_reason == STOPPED or len(response.token_ids) == 20
        reasons.add(response.finish_reason)
    assert reasons == {STOPPED, CUT}


def test_another_seed_gives_other_responses(model):
    first = sample_responses(model, some_prompts(), SamplingParams(4, 10, seed=0), STOPS)
    second = sample_responses(model, some_prompts(), SamplingParams(4, 10, seed=1), STOPS)
    assert first != second


def test_tokens_are_drawn_with_their_probability():
    probs = torch.tensor([0.5, 0.0, 0.3, 0.2])
    uniforms = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    tokens = choose_tokens(probs.log().expand(1000, 4), uniforms, 1.0, 1.0)
    assert torch.bincount(tokens, minlength=4).tolist() == [500, 0, 300, 200]


def test_temperature_sharpens_and_zero_takes_the_likeliest():
    logits = torch.tensor([[1.0, 2.0, 1.5]]).expand(1000, 3)
    uniforms = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    halved = torch.bincount(choose_tokens(logits, uniforms, 0.5, 1.0), minlength=3) / 1000
    assert halved.tolist() == pytest.approx(torch.softmax(logits[0] * 2, -1).tolist(), abs=1e-3)
    assert set(choose_tokens(logits, uniforms, 0.0, 1.0).tolist()) == {1}


def test_nucleus_keeps_the_fewest_tokens_that_hold_its_mass():
    logits = torch.tensor([0.5, 0.1, 0.3, 0.1]).log().expand(1000, 4)
    uniforms = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    counts = torch.bincount(choose_tokens(logits, uniforms, 1.0, 0.7), minlength=4)
    assert counts.tolist() == [625, 0, 375, 0]


@pytest.mark.parametrize("top_p", [0.1, 0.7, 0.95])
def test_tokens_of_a_nucleus_are_those_of_a_sort_of_the_whole_vocabulary(top_p, monkeypatch):
    """Rows whose four likeliest tokens hold the nucleus, rows where they do not, and ties on its edge."""
    torch.manual_seed(0)
    logits = torch.cat([torch.randn(200, V) * spread for spread in (1, 4, 16)]).round()  # whole numbers tie
    uniforms = torch.rand(600, dtype=torch.float64)
    monkeypatch.setattr(sampling, "LIKELY", V)
    expected = choose_tokens(logits, uniforms, 1.0, top_p)
    monkeypatch.setattr(sampling, "LIKELY", 4)
    assert torch.equal(choose_tokens(logits, uniforms, 1.0, top_p), expected)


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_samples": 0},
        {"max_new_tokens": 0},
        {"temperature": -1.0},
        {"top_p": 0.0},
        {"top_p": math.inf},
    ],
)
def test_impossible_parameters_are_refused(wrong):
    with pytest.raises(ConfigError, match="must be"):
        SamplingParams(**wrong)


def test_several_samples_of_the_likeliest_tokens_are_refused():
    with pytest.raises(ConfigError, match="--temperature 0 with --samples 2: .* give --samples 1"):
        SamplingParams(num_samples=2, temperature=0.0)
    assert SamplingParams(num_samples=1, temperature=0.0).temperature == 0


def test_a_long_batch_says_how_far_it_is(model, caplog, monkeypatch):
    monkeypatch.setattr(sampling, "LOG_EVERY_S", -1.0)
    with caplog.at_level("INFO"):
        sample_responses(model, some_prompts(), SamplingParams(2, 3), frozenset())
    assert [record.getMessage() for record in caplog.records] == [
        f"decoding | 3 prompts together | token {step} of at most 3 | 6 of 6 responses going on" for step in (1, 2, 3)
    ]
