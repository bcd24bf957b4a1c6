import json

import pytest

from rounds.ablate_context import Ablation, ablate_contexts
from schemas.errors import ConfigError
from schemas.records import Passage, Sample


def prompts(count=200, passages=3):
    return [
        Sample(
            f"s{i}",
            f"g{i}",
            "question",
            tuple(Passage(f"p{j}", f"text {i}/{j}") for j in range(passages)),
            None,
            meta={"task": "qa"},
        )
        for i in range(count)
    ]


def test_without_ablation_nothing_changes():
    assert list(ablate_contexts(prompts(), Ablation())) == prompts()


def test_passages_are_dropped_and_swapped_at_the_asked_rates_and_recorded():
    dropped = swapped = 0
    for before, after in zip(prompts(), ablate_contexts(prompts(), Ablation(drop=0.3, swap=0.2, seed=5)), strict=True):
        done = json.loads(after.meta.get("ablated", '{"dropped": [], "swapped": []}'))
        dropped += len(done["dropped"])
        swapped += len(done["swapped"])
        texts = {passage.passage_id: passage.text for passage in before.context}
        for passage in after.context:
            assert (passage.text != texts[passage.passage_id]) == (passage.passage_id in done["swapped"])
        kept = {passage.passage_id for passage in after.context}
        assert kept | set(done["dropped"]) == set(texts)
        assert (after == before) == (not done["dropped"] and not done["swapped"])
        assert (after.group_id == before.group_id) == (after == before)
        assert after.meta["task"] == "qa"
    assert 150 < dropped < 210  # of 600, expected 180; five standard deviations are 56
    assert 85 < swapped < 155  # expected 120


def test_the_same_seed_does_the_same_and_another_does_not():
    first = list(ablate_contexts(prompts(), Ablation(drop=0.5)))
    assert first == list(ablate_contexts(prompts(), Ablation(drop=0.5)))
    assert first != list(ablate_contexts(prompts(), Ablation(drop=0.5, seed=1)))


@pytest.mark.parametrize("wrong", [{"drop": -0.1}, {"swap": 1.1}, {"drop": 0.6, "swap": 0.6}])
def test_impossible_rates_are_refused(wrong):
    with pytest.raises(ConfigError, match=r"--(drop|swap)-passages"):
        Ablation(**wrong)
