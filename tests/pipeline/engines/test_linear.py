"""Logistic regressions over the claims of a response."""

import pytest

from pipeline.engines.linear import ClaimModel, LinearModel, neighbour_means, sigmoid


def test_neighbours_are_up_to_two_claims_on_either_side():
    assert neighbour_means([1.0, 2.0, 4.0, 8.0]) == [3.0, 13 / 3, 11 / 3, 3.0]


def test_a_claim_alone_is_its_own_neighbour():
    assert neighbour_means([2.5]) == [2.5]
    assert neighbour_means([]) == []


def test_doubtful_neighbours_make_a_claim_doubtful():
    model = ClaimModel(LinearModel.of((("x", 2.0),), bias=1.0), own=1.0, near=0.5, bias=-1.0, threshold=0.5)
    assert model.linear.logit((3.0,)) == 7.0
    assert model.probabilities([0.0, 2.0]) == [sigmoid(0.0), sigmoid(1.0)]  # -1 + 0 + 1 and -1 + 2 + 0


def test_sigmoid_does_not_overflow():
    assert (sigmoid(-1e6), sigmoid(0.0)) == (0.0, 0.5)
    assert sigmoid(1e6) == pytest.approx(1.0)
