"""The objective: hand-worked numbers, a slow float64 reference for values and gradients, invariance to the cut."""

import math

import pytest
import torch

from tests.trainer.losses import loss_of
from trainer.credit import FORMS, advantages, count_blocks
from trainer.loss import (
    ANCHORS,
    KINDS,
    PULLS,
    add_sums,
    anchor_mask,
    behaviour_or_reference,
    step_metrics,
)

LOG2 = math.log(2.0)
WIDE = {"clip_low": math.inf, "clip_high": math.inf}


def test_loss_by_hand():
    # token      A     r     clipped r   min(rA, cA)    d      d^2/2
    # supported  .5    2     1.2         .6 (cut)       ln 2   .2402265
    # unsupp.   -.5    .5    .8          -.4 (cut)     -ln 2   .2402265
    # neutral    0     1     1           0              0      0
    ref = torch.tensor([-2.0, -1.0, -3.0])
    logprobs = ref + torch.tensor([LOG2, -LOG2, 0.0])
    loss, sums = loss_of(
        logprobs,
        ref,
        ref,
        torch.tensor([0.5, -0.5, 0.0]),
        clip_low=0.2,
        clip_high=0.2,
        beta=0.3,
        num_active_blocks=1,
        num_anchor_tokens=3,
        labels=torch.tensor([1, -1, 0]),
        is_stop=torch.tensor([False, False, True]),
    )
    half_square = LOG2**2 / 2
    assert loss.item() == pytest.approx(-(0.6 - 0.4) + 0.3 * 2 * half_square / 3, abs=1e-6)
    metrics = step_metrics(sums)
    assert metrics["mass_moved"] == pytest.approx(LOG2)  # .5 ln 2 + -.5 * -ln 2
    assert metrics["clip_share"] == 1.0
    assert metrics["log_ratio_supported"] == pytest.approx(LOG2)
    assert metrics["log_ratio_unsupported"] == pytest.approx(-LOG2)
    assert metrics["log_ratio_stop"] == 0.0
    assert "log_ratio_neutral" not in metrics
    assert metrics["neutral_tokens"] == 0
    assert metrics["mean_ratio"] == pytest.approx(1.25)
    assert metrics["effective_tokens"] == pytest.approx(2.5**2 / 4.25)
    assert metrics["anchor"] == pytest.approx(2 * half_square / 3)
    assert metrics["rms_log_ratio"] == pytest.approx(math.sqrt(2 * LOG2**2 / 3))


def test_asymmetric_clip_by_hand():
    # r = 1.5 and .5; clip to [.6, 1.4]: A = +1 gains 1.4, A = -1 gives min(-.5, -.6) = -.6; K = 2
    logprobs = torch.tensor([math.log(1.5), math.log(0.5)])
    loss, _ = loss_of(
        logprobs,
        torch.zeros(2),
        torch.zeros(2),
        torch.tensor([1.0, -1.0]),
        clip_low=0.4,
        clip_high=0.4,
        beta=0.0,
        num_active_blocks=2,
        num_anchor_tokens=0,
        labels=torch.tensor([1, -1]),
    )
    assert loss.item() == pytest.approx(-(1.4 - 0.6) / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("pull", "gain", "slopes"),
    [
        ("ratio", 0.5 * 0.25 + 0.5 * 1.4 - 0.25, [0.125, 0.0, -0.25]),
        ("log", 0.5 * (1 - 2 * LOG2) + 0.7 - 0.25, [0.5, 0.0, -0.25]),
    ],
)
def test_log_pull_does_not_fade_for_a_supported_token_that_has_sunk(pull, gain, slopes):
    # supported at r = 1/4 and at 2 (beyond the clip, 1.4), unsupported at r = 1/4 (inside the clip): A = 1/2, 1/2, -1
    logprobs = torch.tensor([-2 * LOG2, LOG2, -2 * LOG2]).requires_grad_()
    zero = torch.zeros(3)
    loss, _ = loss_of(
        logprobs,
        zero,
        zero,
        torch.tensor([0.5, 0.5, -1.0]),
        clip_low=0.9,
        clip_high=0.4,
        pull=pull,
        beta=0.0,
        num_active_blocks=1,
        num_anchor_tokens=0,
        labels=torch.tensor([1, 1, -1]),
    )
    loss.backward()
    assert loss.item() == pytest.approx(-gain)
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == pytest.approx([-slope for slope in slopes])


def test_log_pull_does_not_fade_however_far_a_token_has_sunk():
    # d = -19, -25, -90: gain 1/2 (1 + d), slope 1/2; the ratio itself is clamped where it is exponentiated
    logprobs = torch.tensor([-19.0, -25.0, -90.0]).requires_grad_()
    zero = torch.zeros(3)
    credit = torch.full((3,), 0.5)
    options = {"beta": 0.0, "num_active_blocks": 1, "num_anchor_tokens": 0, "labels": torch.ones(3)}
    loss, _ = loss_of(logprobs, zero, zero, credit, clip_low=0.9, clip_high=0.4, pull="log", **options)
    loss.backward()
    assert loss.item() == pytest.approx((18 + 24 + 89) / 2)
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == [-0.5, -0.5, -0.5]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        # log-probs of +1 -1 +1 0 have moved by ln 2 each, no clip, so r = 2 and L = -2 sum A
        ("balanced", 0.0),
        ("token", -2 * (1 / 3)),
        ("supported", -2 * 1.0),
        ("response", 0.0),  # z = +1, -1 over G L = 2*2: 1/4 1/4 -1/4 -1/4
    ],
)
def test_every_form_by_hand(form, expected):
    labels, block_of = torch.tensor([1, -1, 1, 0]), torch.zeros(4, dtype=torch.long)
    responses = {"response_of": torch.tensor([0, 0, 1, 1]), "faithfulness": torch.tensor([0.5, 1.0])}
    credit = advantages(labels, block_of, form=form, **responses)
    loss, _ = loss_of(
        torch.full((4,), LOG2),
        torch.zeros(4),
        torch.zeros(4),
        credit,
        **WIDE,
        beta=0.0,
        num_active_blocks=1,
        num_anchor_tokens=4,
        labels=labels,
    )
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_behaviour_where_finite_else_reference():
    behaviour = torch.tensor([-1.0, math.nan, -math.inf])
    ref = torch.tensor([-9.0, -2.0, -3.0])
    assert behaviour_or_reference(behaviour, ref).tolist() == [-1.0, -2.0, -3.0]
    assert behaviour_or_reference(None, ref) is ref


def slow_loss(
    logprobs, old, ref, labels, block_of, anchored, odds, ref_odds, *, low, high, pull, beta, stop_beta, form
):
    """One token at a time in float64, straight from the docstring's formula."""
    total = torch.zeros((), dtype=torch.float64)
    blocks = sorted(set(block_of.tolist()))
    active = 0
    for block in blocks:
        inside = [t for t in range(len(labels)) if block_of[t] == block]
        p = sum(1 for t in inside if labels[t] == 1)
        n = sum(1 for t in inside if labels[t] == -1)
        weight = {}
        if form == "balanced" and p and n:
            weight = {1: 1 / p, -1: -1 / n}
        elif form == "token" and p + n:
            weight = {1: 1 / (p + n), -1: -1 / (p + n)}
        elif form == "supported" and p:
            weight = {1: 1 / p}
        active += bool(weight)
        for t in inside:
            a = weight.get(int(labels[t]), 0.0)
            r = torch.exp(logprobs[t] - old[t])
            clipped = torch.clamp(r, 1 - low, 1 + high)
            sunk = pull == "log" and a > 0 and r < 1
            total = total + (a * (1 + torch.log(r)) if sunk else torch.minimum(r * a, clipped * a))
    drift = sum(((logprobs[t] - ref[t]) ** 2 / 2 for t in range(len(labels)) if anchored[t]), torch.zeros(()).double())
    stops = torch.zeros((), dtype=torch.float64)
    for ours, theirs in zip(odds, ref_odds, strict=True):
        p, q = 1 / (1 + torch.exp(-ours)), 1 / (1 + torch.exp(-theirs))
        stops = stops + q * torch.log(q / p) + (1 - q) * torch.log((1 - q) / (1 - p))
    held = beta * drift / max(int(anchored.sum()), 1) + stop_beta * stops / len(labels)
    return -total / max(active, 1) + held


def a_step(seed: int, tokens: int = 60):
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(-1, 2, (tokens,), generator=random)
    block_of = torch.randint(0, 6, (tokens,), generator=random)
    labels[block_of == 5] = 1  # a single-class block
    ref = -torch.rand(tokens, generator=random) * 4
    old = ref + 0.3 * torch.randn(tokens, generator=random)
    logprobs = ref + 0.4 * torch.randn(tokens, generator=random)
    return labels, block_of, ref, old, logprobs


def some_odds(seed: int, tokens: int = 60):
    """Log-odds of stopping, of the policy and of the reference."""
    random = torch.Generator().manual_seed(seed)
    ref = 3 * torch.randn(tokens, generator=random) - 2
    return ref + 0.5 * torch.randn(tokens, generator=random), ref


@pytest.mark.parametrize("form", [form for form in FORMS if form != "response"])
@pytest.mark.parametrize("anchor", ANCHORS)
@pytest.mark.parametrize("pull", PULLS)
def test_value_and_gradient_equal_a_slow_float64_reference(form, anchor, pull):
    labels, block_of, ref, old, logprobs = a_step(seed=3)
    anchored = anchor_mask(labels, anchor)
    credit = advantages(labels, block_of, form=form)
    odds, ref_odds = some_odds(seed=4)
    fast_input, fast_odds = logprobs.clone().requires_grad_(), odds.clone().requires_grad_()
    fast, _ = loss_of(
        fast_input,
        old,
        ref,
        credit,
        clip_low=0.2,
        clip_high=0.3,
        pull=pull,
        beta=0.1,
        num_active_blocks=count_blocks(labels, block_of, credit).active,
        num_anchor_tokens=int(anchored.sum()),
        labels=labels,
        anchored=anchored,
        stop_odds=fast_odds,
        ref_stop_odds=ref_odds,
        stop_beta=0.7,
        num_stop_places=60,
    )
    fast.backward()
    slow_input, slow_odds = logprobs.double().requires_grad_(), odds.double().requires_grad_()
    slow = slow_loss(
        slow_input,
        old.double(),
        ref.double(),
        labels,
        block_of,
        anchored,
        slow_odds,
        ref_odds.double(),
        low=0.2,
        high=0.3,
        pull=pull,
        beta=0.1,
        stop_beta=0.7,
        form=form,
    )
    slow.backward()
    torch.testing.assert_close(fast.double(), slow, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(fast_input.grad.double(), slow_input.grad, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(fast_odds.grad.double(), slow_odds.grad, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("pieces", [2, 7, 60])
def test_micro_batches_add_up_to_the_step(pieces):
    labels, block_of, ref, old, logprobs = a_step(seed=5)
    credit = advantages(labels, block_of)
    odds, ref_odds = some_odds(seed=6)
    options = {"clip_low": 0.2, "clip_high": 0.2, "beta": 0.1, "num_active_blocks": 5, "num_anchor_tokens": 60}
    options |= {"stop_beta": 0.5, "num_stop_places": 60}

    def gradient(indices):
        values, stops = logprobs.clone().requires_grad_(), odds.clone().requires_grad_()
        sums: dict[str, torch.Tensor] = {}
        for chosen in indices:
            loss, metrics = loss_of(
                values[chosen],
                old[chosen],
                ref[chosen],
                credit[chosen],
                labels=labels[chosen],
                stop_odds=stops[chosen],
                ref_stop_odds=ref_odds[chosen],
                **options,
            )
            loss.backward()
            sums = add_sums(sums, metrics)
        return torch.stack([values.grad, stops.grad]), step_metrics(sums)

    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    whole, whole_metrics = gradient([torch.arange(60)])
    cut, cut_metrics = gradient(order.tensor_split(pieces))
    torch.testing.assert_close(cut[0], whole[0], rtol=0, atol=0)  # no sum crosses tokens: bit-equal
    torch.testing.assert_close(cut[1], whole[1], rtol=1e-6, atol=1e-9)  # but for a vectorised sigmoid's last bit
    assert cut_metrics == pytest.approx(whole_metrics, rel=1e-5, abs=1e-6)


def test_step_zero_has_ratio_one_and_no_drift():
    labels, block_of, ref, _, _ = a_step(seed=7)
    logprobs = ref.clone().requires_grad_()
    credit = advantages(labels, block_of)
    loss, sums = loss_of(
        logprobs,
        ref,
        ref,
        credit,
        clip_low=0.2,
        clip_high=0.2,
        beta=1.0,
        num_active_blocks=5,
        num_anchor_tokens=60,
        labels=labels,
    )
    loss.backward()
    metrics = step_metrics(sums)
    assert metrics["mean_ratio"] == 1.0
    assert metrics["clip_share"] == metrics["rms_log_ratio"] == metrics["mass_moved"] == 0.0
    assert metrics["effective_tokens"] == pytest.approx(metrics["credit_tokens"])
    torch.testing.assert_close(logprobs.grad, -credit / 5)  # the anchor has no gradient here: the credit alone
    assert sum(metrics[f"{kind}_tokens"] for kind in KINDS) == 60


def test_utter_disagreement_with_the_behaviour_stays_finite():
    logprobs = torch.tensor([-0.1, -300.0], requires_grad=True)
    loss, _ = loss_of(
        logprobs,
        torch.tensor([-300.0, -0.1]),
        torch.tensor([-0.1, -300.0]),
        torch.tensor([-0.5, 0.5]),
        **WIDE,
        beta=0.1,
        num_active_blocks=1,
        num_anchor_tokens=2,
        labels=torch.tensor([-1, 1]),
    )
    loss.backward()
    assert loss.isfinite()
    assert logprobs.grad.isfinite().all()


def test_no_tokens_no_blocks_is_zero_not_nan():
    empty = torch.zeros(0, requires_grad=True)
    loss, sums = loss_of(
        empty,
        empty,
        empty,
        empty,
        clip_low=0.2,
        clip_high=0.2,
        beta=0.1,
        num_active_blocks=0,
        num_anchor_tokens=0,
        labels=empty,
    )
    assert loss.item() == 0.0
    assert step_metrics(sums)["clip_share"] == 0.0


def test_unknown_pull_is_refused():
    zero = torch.zeros(1)
    with pytest.raises(ValueError, match="pull 'linear': must be one of"):
        loss_of(*(zero,) * 4, **WIDE, pull="linear", beta=0.0, num_active_blocks=1, num_anchor_tokens=1, labels=zero)


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match="shapes differ"):
        loss_of(
            torch.zeros(2),
            torch.zeros(3),
            torch.zeros(2),
            torch.zeros(2),
            **WIDE,
            beta=0.0,
            num_active_blocks=1,
            num_anchor_tokens=1,
            labels=torch.zeros(2),
        )
