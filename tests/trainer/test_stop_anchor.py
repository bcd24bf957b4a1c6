"""The stop anchor: the choice to stop or go on, held where it is made."""

import math

import pytest
import torch

from tests.trainer.losses import loss_of
from trainer.loss import step_metrics, stop_choice_kl


def test_stop_anchor_by_hand():
    # P(stop) of the policy 1/2, 1/4; of the reference 1/2, 3/4: KL 0 and 3/4 ln 3 + 1/4 ln(1/3) = ln(3)/2; T = 4
    odds = torch.tensor([0.0, -math.log(3.0)], requires_grad=True)
    loss, sums = loss_of(
        torch.zeros(2),
        torch.zeros(2),
        torch.zeros(2),
        torch.zeros(2),
        clip_low=math.inf,
        clip_high=math.inf,
        beta=0.0,
        num_active_blocks=1,
        num_anchor_tokens=2,
        labels=torch.zeros(2),
        stop_odds=odds,
        ref_stop_odds=torch.tensor([0.0, math.log(3.0)]),
        stop_beta=2.0,
        num_stop_places=4,
    )
    loss.backward()
    assert loss.item() == pytest.approx(2.0 * (math.log(3.0) / 2) / 4, abs=1e-6)
    assert step_metrics(sums)["stop_anchor"] == pytest.approx(math.log(3.0) / 8, abs=1e-6)
    assert odds.grad.tolist() == pytest.approx([0.0, 2.0 * (1 / 4 - 3 / 4) / 4])  # stop_beta (p - q) / T


def test_stop_anchor_is_zero_where_the_policies_agree_and_grows_both_ways():
    odds = torch.linspace(-60, 60, 25)
    assert stop_choice_kl(odds, odds).tolist() == [0.0] * 25
    assert (stop_choice_kl(odds + 1, odds) >= 0).all()
    assert stop_choice_kl(torch.tensor([-2.0, -1.0, 1.0, 2.0]), torch.zeros(4)).tolist() == pytest.approx(
        [0.433781, 0.120115, 0.120115, 0.433781],
        abs=1e-5,  # ln(cosh(odds / 2))
    )


def test_utter_disagreement_about_stopping_stays_finite():
    odds = torch.tensor([90.0, -90.0, 0.0], requires_grad=True)
    stop_choice_kl(odds, torch.tensor([-90.0, 90.0, 200.0])).sum().backward()
    assert odds.grad.tolist() == pytest.approx([1.0, -1.0, -0.5])
