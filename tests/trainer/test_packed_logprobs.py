"""Packed = padded = single, values and gradients, on every architecture; and the self-test that says so."""

import logging
import math

import numpy as np
import pytest
import torch
from torch import nn

from schemas.errors import ConfigError
from tests.trainer.tiny_models import CONFIGS, MORE_CONFIGS, VOCABULARY, tiny_model
from trainer import attention, self_test
from trainer.attention import ATTENTION, use_shared_prefix_attention
from trainer.data.groups import PromptGroup, ResponseRow
from trainer.distributed import compile_blocks
from trainer.logprobs import LogitTransform, TokenLogprobs, token_scores
from trainer.packing import lay_out
from trainer.self_test import choose_layout, groups_to_test

ARCHITECTURES = [*CONFIGS, *MORE_CONFIGS]


def some_groups(seed: int = 0, shapes=((19, (5, 14, 1)), (3, (7,)), (26, (2, 0, 9)))):
    """Prompts longer and shorter than the sliding windows (12), responses of several lengths, an empty one."""
    random = torch.Generator().manual_seed(seed)

    def ids(length):
        return torch.randint(3, VOCABULARY, (length,), generator=random).tolist()

    return [(ids(prompt), [ids(length) for length in responses]) for prompt, responses in shapes]


def single_logprobs(model, groups):
    """Full logits of the model's own forward, one response at a time: independent of everything of ours."""
    found = []
    for prompt, responses in groups:
        for response in responses:
            if response:
                logits = model(input_ids=torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
                found.append(logits.log_softmax(-1)[torch.arange(len(response)), torch.tensor(response)])
    return torch.cat(found)


def gradients(model, logprobs):
    model.zero_grad()
    weights = torch.sin(torch.arange(len(logprobs)))  # every token another weight
    (logprobs * weights).sum().backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("layout", ["packed", "padded"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logprobs_and_gradients_equal_single_rows(name, layout):
    groups = some_groups()
    model = tiny_model(name).eval()
    expected = single_logprobs(model, groups)
    expected_gradients = gradients(model, expected)
    model = tiny_model(name)
    use_shared_prefix_attention(model)
    logprobs = TokenLogprobs(model)(lay_out(groups, layout)).logprobs
    # float32 sums in another order: eps 1e-7 times sizes of about 20, a few layers
    torch.testing.assert_close(logprobs, expected, rtol=1e-5, atol=1e-4)
    found = gradients(model, logprobs)
    assert found.keys() == expected_gradients.keys()
    largest = max(float(gradient.abs().max()) for gradient in expected_gradients.values())
    for parameter, gradient in expected_gradients.items():
        # the gradient of a bias of keys is 0 but for the rounding of all others
        allowed = 1e-4 * float(gradient.abs().max()) + 1e-6 * largest
        torch.testing.assert_close(found[parameter], gradient, rtol=0, atol=allowed, msg=parameter)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_gradient_checkpointing_changes_nothing(name):
    groups = some_groups()
    rows = lay_out(groups, "packed")
    model = tiny_model(name)
    use_shared_prefix_attention(model)
    plain = gradients(model, TokenLogprobs(model)(rows).logprobs)
    model.activation_checkpointing_enable()
    again = gradients(model, TokenLogprobs(model)(rows).logprobs)
    for parameter in plain:
        torch.testing.assert_close(again[parameter], plain[parameter], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_autocast_gives_attention_one_precision_and_about_the_same_logprobs(name, monkeypatch):
    """Rotary embeddings leave float32 beside bfloat16; a causal bias, which a GPU is given, refuses the mixture."""
    exact = attention._lower_right

    def as_on_a_gpu(queries, keys, device, window=None):
        bias = torch.nn.attention.bias.causal_lower_right(queries, keys)
        return bias if window is None and name not in ("gemma2", "gpt-oss") else exact(queries, keys, device, window)

    rows = lay_out(some_groups(), "packed")
    model = tiny_model(name, spread=0.1)
    use_shared_prefix_attention(model)
    expected = TokenLogprobs(model)(rows).logprobs
    monkeypatch.setattr(attention, "_lower_right", as_on_a_gpu)
    with torch.autocast("cpu", torch.bfloat16):
        found = TokenLogprobs(model)(rows).logprobs
    assert found.dtype == torch.float32
    # bfloat16 keeps 8 bits: a few 2^-8 of logits of size 5
    torch.testing.assert_close(found, expected, rtol=0, atol=0.12)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # torch's tracer looks at it
def test_compiled_blocks_are_made_once_for_all_shapes_of_groups():
    model = tiny_model("llama")
    use_shared_prefix_attention(model)
    score = TokenLogprobs(model)
    shapes = [((19, (5, 14, 1)), (3, (7,))), ((9, (3, 4)),), ((11, (3, 4, 8)), (4, (2,))), ((25, (9,)),)]
    rows = [lay_out(some_groups(shapes=shape), "packed") for shape in shapes]
    expected = [score(one).logprobs for one in rows]
    compile_blocks(score, backend="aot_eager")
    torch._dynamo.utils.counters.clear()
    graphs = []
    for one, wanted in zip(rows, expected, strict=True):
        torch.testing.assert_close(score(one).logprobs, wanted, rtol=1e-5, atol=1e-5)
        graphs.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    assert graphs == [graphs[0]] * len(rows)
    assert graphs[0] > 0


def test_order_of_groups_and_responses_does_not_matter():
    groups = some_groups(shapes=((9, (4, 6)), (5, (3, 2))))
    model = tiny_model("llama")
    use_shared_prefix_attention(model)
    score = TokenLogprobs(model)
    forward = score(lay_out(groups, "packed")).logprobs
    turned = [(prompt, responses[::-1]) for prompt, responses in groups[::-1]]
    backward = score(lay_out(turned, "packed")).logprobs
    a, b, c, d = forward.split([4, 6, 3, 2])
    torch.testing.assert_close(backward, torch.cat([d, c, b, a]), rtol=1e-5, atol=1e-5)


def test_only_needed_tokens_are_scored():
    rows = lay_out(some_groups(), "packed")
    score = TokenLogprobs(tiny_model("llama"))
    use_shared_prefix_attention(score.causal_lm)
    needed = torch.arange(len(rows.targets)) % 3 == 0
    torch.testing.assert_close(score(rows, needed).logprobs, score(rows).logprobs[needed], rtol=1e-6, atol=1e-6)
    assert score(rows, torch.zeros_like(needed)).logprobs.shape == (0,)


@pytest.mark.parametrize("trained", [False, True], ids=["frozen head", "trained head"])
@pytest.mark.parametrize("chunk", [1, 7, 1000])
@pytest.mark.parametrize("transform", [LogitTransform(), LogitTransform(0.5, 3.0)], ids=["plain", "scaled and capped"])
def test_head_in_chunks_equals_full_logits_in_float64(trained, chunk, transform):
    torch.manual_seed(0)
    head = nn.Linear(16, 50)
    head.requires_grad_(trained)
    targets = torch.randint(50, (20,))
    hidden = torch.randn(20, 16)
    weights = torch.randn(20)

    slow_head = nn.Linear(16, 50).double()
    slow_head.load_state_dict(head.double().state_dict())
    head.float()
    slow = hidden.double().requires_grad_()
    logits = slow_head(slow) * transform.scale
    if transform.softcap:
        logits = transform.softcap * torch.tanh(logits / transform.softcap)
    expected = logits.log_softmax(-1)[torch.arange(20), targets]
    (expected * weights).sum().backward()

    fast = hidden.clone().requires_grad_()
    found = token_scores(fast, targets, head, transform, chunk).logprobs
    (found * weights).sum().backward()
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(fast.grad.double(), slow.grad, rtol=1e-4, atol=1e-5)
    if trained:
        torch.testing.assert_close(head.weight.grad.double(), slow_head.weight.grad, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(head.bias.grad.double(), slow_head.bias.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stop_ids", [(5,), (5, 7, 30)], ids=["one stop token", "several"])
@pytest.mark.parametrize("trained", [False, True], ids=["frozen head", "trained head"])
@pytest.mark.parametrize("transform", [LogitTransform(), LogitTransform(0.5, 3.0)], ids=["plain", "scaled and capped"])
def test_stop_odds_and_their_gradient_equal_full_logits_in_float64(transform, trained, stop_ids):
    torch.manual_seed(1)
    head = nn.Linear(16, 50)
    head.bias.data[5] += 4.0  # stopping is likely at some places
    head.requires_grad_(trained)
    targets = torch.randint(50, (20,))
    targets[:4] = torch.tensor([5, 7, 30, 5])
    hidden = torch.randn(20, 16)
    weights, odds_weights = torch.randn(20), torch.randn(20)

    slow_head = nn.Linear(16, 50).double()
    slow_head.load_state_dict(head.double().state_dict())
    head.float()
    slow = hidden.double().requires_grad_()
    logits = slow_head(slow) * transform.scale
    if transform.softcap:
        logits = transform.softcap * torch.tanh(logits / transform.softcap)
    stop = logits.softmax(-1)[:, list(stop_ids)].sum(-1)
    expected_odds = stop.log() - (1 - stop).log()
    expected = logits.log_softmax(-1)[torch.arange(20), targets]
    (expected * weights + expected_odds * odds_weights).sum().backward()

    fast = hidden.clone().requires_grad_()
    found, odds = token_scores(fast, targets, head, transform, 7, torch.tensor(stop_ids))
    (found * weights + odds * odds_weights).sum().backward()
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(odds.double(), expected_odds, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(fast.grad.double(), slow.grad, rtol=1e-4, atol=2e-5)
    if trained:
        torch.testing.assert_close(head.weight.grad.double(), slow_head.weight.grad, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("stop_ids", [(5,), (5, 7, 30)], ids=["one stop token", "several"])
@pytest.mark.parametrize("odds", [-12.0, -4.0, 0.0, 4.0, 9.0], ids=lambda odds: f"odds {odds:g}")
@pytest.mark.parametrize("sure", [0.0, 14.0], ids=["any token", "an all but certain token"])
def test_bfloat16_gradients_of_a_frozen_head_are_right_however_likely_stopping_is(odds, sure, stop_ids):
    torch.manual_seed(1)
    head = nn.Linear(64, 500).bfloat16().requires_grad_(False)
    targets = torch.randint(40, 500, (24,))
    targets[:4] = torch.tensor([5, 7, 30, 5])
    own = head.weight[targets].float()
    hidden = (torch.randn(24, 64) + sure * own / own.square().sum(1, True)).bfloat16()  # adds `sure` to its logit
    head.bias.data[5] += math.log(500) + odds

    logits = head(hidden).double().requires_grad_()  # the rounding of logits is the same for everyone
    stop = logits[:, list(stop_ids)].logsumexp(1)
    go_on = logits.index_fill(1, torch.tensor(stop_ids), -torch.inf).logsumexp(1)
    chosen = logits.log_softmax(-1)[torch.arange(24), targets]
    for at, exact in enumerate((chosen, stop - go_on)):
        (slope,) = torch.autograd.grad(exact.sum(), logits, retain_graph=True)
        expected = slope @ head.weight.double()
        states = hidden.clone().requires_grad_()
        found = token_scores(states, targets, head, LogitTransform(), 7, torch.tensor(stop_ids))[at]
        (gradient,) = torch.autograd.grad(found.sum(), states)
        # 1e-6: a stop token of probability 1 - 1e-7 has a gradient of the size that float32 resolves
        assert ((gradient - expected).norm(dim=1) <= 0.01 * expected.norm(dim=1) + 1e-6).all()


def test_stop_odds_keep_their_digits_where_stopping_is_all_but_certain():
    head = nn.Linear(1, 3, bias=False).requires_grad_(False)
    head.weight.data = torch.tensor([[40.0], [0.0], [0.0]])  # P(go on) = 2 exp(-40), lost in 1 - P(stop)
    _, odds = token_scores(torch.ones(1, 1), torch.tensor([0]), head, LogitTransform(), 8, torch.tensor([0]))
    assert odds.item() == pytest.approx(40.0 - math.log(2.0))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_stop_odds_are_the_same_packed_and_padded(name):
    model = tiny_model(name)
    use_shared_prefix_attention(model)
    score = TokenLogprobs(model, stop_ids=(2, 9))
    padded, packed = (score(lay_out(some_groups(), layout)) for layout in ("padded", "packed"))
    torch.testing.assert_close(packed.stop_odds, padded.stop_odds, rtol=1e-5, atol=1e-4)
    plain = TokenLogprobs(model)(lay_out(some_groups(), "packed"))
    assert plain.stop_odds is None
    torch.testing.assert_close(packed.logprobs, plain.logprobs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_self_test_finds_packed_equal_to_single(name):
    model = tiny_model(name)
    assert choose_layout(TokenLogprobs(model), some_groups()) == "packed"
    assert model.config._attn_implementation == ATTENTION
    assert model.training


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_self_test_allows_half_precision_its_rounding(dtype):
    assert choose_layout(TokenLogprobs(tiny_model("llama", spread=0.1).to(dtype)), some_groups()) == "packed"


def test_self_test_falls_back_when_the_model_loses_the_structure(monkeypatch, caplog):
    """A model whose layers drop the keyword attends over the whole row: the difference must be seen."""
    model = tiny_model("llama")
    for layer in model.model.layers:
        forward = layer.forward
        monkeypatch.setattr(layer, "forward", lambda *a, _f=forward, shared_prefix=None, **k: _f(*a, **k))
    with caplog.at_level(logging.WARNING, "trainer"):
        assert choose_layout(TokenLogprobs(model), some_groups()) == "padded"
    assert "using padded rows" in caplog.text
    assert model.config._attn_implementation == "sdpa"
    expected = single_logprobs(model, some_groups())
    padded = TokenLogprobs(model)(lay_out(some_groups(), "padded")).logprobs
    torch.testing.assert_close(padded, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "shapes",
    [[(60, (20,))], [(2000, (1500,))], [(60, (1,)), (60, (1,))], [(1, (2,))], [(30, (0, 0)), (30, (0, 7)), (9, ())]],
    ids=["one response", "a long one", "stop tokens alone", "a prompt of one token", "empty responses"],
)
def test_self_test_sees_a_lost_structure_whatever_the_groups_are(shapes, monkeypatch):
    model = tiny_model("llama")
    groups = [prompt_group(prompt, responses) for prompt, responses in some_groups(shapes=shapes)]
    cut = groups_to_test(iter(groups))
    assert [len(responses) for _, responses in cut] == [2, 2]
    assert max(len(prompt) + len(response) for prompt, responses in cut for response in responses) <= 768 + 128
    assert choose_layout(TokenLogprobs(model), cut) == "packed"
    for layer in model.model.layers:
        forward = layer.forward
        monkeypatch.setattr(layer, "forward", lambda *a, _f=forward, shared_prefix=None, **k: _f(*a, **k))
    assert choose_layout(TokenLogprobs(model), cut) == "padded"


def test_self_test_reads_no_more_groups_than_it_needs():
    groups = iter([prompt_group(prompt, responses) for prompt, responses in some_groups()])
    groups_to_test(groups)
    assert len(list(groups)) == 1
    assert groups_to_test([]) == []


def prompt_group(prompt, responses):
    rows = [
        ResponseRow("", np.array(ids, np.int32), np.zeros(len(ids), np.int8), np.zeros(len(ids), np.float32), False)
        for ids in responses
    ]
    return PromptGroup("g", np.array(prompt, np.int32), tuple(rows))


def test_self_test_falls_back_when_attention_has_an_unknown_part(monkeypatch, caplog):
    model = tiny_model("llama")
    for layer in model.model.layers:
        forward = layer.self_attn.forward
        monkeypatch.setattr(layer.self_attn, "forward", lambda *a, _f=forward, **k: _f(*a, position_bias=1, **k))
    assert choose_layout(TokenLogprobs(model), some_groups()) == "padded"
    assert "position_bias" in caplog.text


def test_attention_in_chunks_that_short_rows_do_not_show_is_not_packed(caplog):
    model = tiny_model("llama")
    model.config.attention_chunk_size = 8192
    assert choose_layout(TokenLogprobs(model), some_groups()) == "padded"
    assert "attends in chunks" in caplog.text


def test_architecture_without_the_usual_parts_is_one_line(monkeypatch):
    score = TokenLogprobs(tiny_model("llama"))
    monkeypatch.setattr(type(score), "_hidden_states", lambda *_: torch.ones(1).no_such_part)
    with pytest.raises(ConfigError, match=r"LlamaForCausalLM: .*not supported \(AttributeError: .*no_such_part'\)$"):
        choose_layout(score, some_groups())


def test_self_test_refuses_a_head_that_it_does_not_understand(monkeypatch):
    model = tiny_model("gemma2")
    score = TokenLogprobs(model)
    score.transform = LogitTransform()  # as if soft-capping were unknown
    monkeypatch.setattr(self_test, "FLOOR", 1e-5)
    with pytest.raises(ConfigError, match="LM head"):
        choose_layout(score, some_groups())


def test_packed_row_reads_every_prompt_once():
    rows = lay_out([([5] * 1500, [[7] * 300] * 8)], "packed")
    assert rows.input_ids.shape == (1, 1500 + 8 * 300)
    assert lay_out([([5] * 1500, [[7] * 300] * 8)], "padded").input_ids.shape == (8, 1800)
    assert rows.position_ids.max() == 1799


def test_prompt_without_tokens_is_refused():
    with pytest.raises(ValueError, match="prompt without tokens"):
        lay_out([([], [[1, 2]])], "packed")
