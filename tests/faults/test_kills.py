"""A few of the kills of `benchmarks.kill_suite`, and kills in front of every change at the end of a run."""

import random

import pytest

from tests.faults.kills import Toll, kill_and_resume, measure, random_moments
from tests.faults.process_tree import EVERYBODY

NAMES = ("label", "label-workers", "label-llm", "project", "generate", "train", "round", "report")


@pytest.mark.parametrize("name", NAMES)
def test_killed_at_random_moments_and_resumed_it_ends_as_if_undisturbed(name, balto, inputs, scenarios, folder):
    toll = Toll()
    cost = measure(balto, inputs, scenarios[name], folder / "killed")
    for seed in range(2):
        rng = random.Random(f"{name} {seed}")
        moments = random_moments(cost, rng, kills=2, victims=scenarios[name].victims)
        kill_and_resume(balto, inputs, scenarios[name], cost, folder / "killed", moments, toll)
    assert toll.problems == []
    assert toll.kills >= 1


@pytest.mark.parametrize("name", ["label", "generate"])
def test_killed_in_front_of_each_of_its_last_changes_nothing_is_lost_or_left_over(
    name, balto, inputs, scenarios, folder
):
    cost = measure(balto, inputs, scenarios[name], folder / "killed")
    toll = Toll()
    for back in range(min(6, cost.operations)):
        moment = {"kill_at": cost.operations - back, "victim": EVERYBODY}
        kill_and_resume(balto, inputs, scenarios[name], cost, folder / "killed", [moment], toll)
    assert toll.problems == []
    assert toll.kills == toll.runs
