"""Agreement of two label sets against scikit-learn and against labels painted character by character."""

import random

import pytest
from sklearn.metrics import cohen_kappa_score

from pipeline.score import agreement, label_confusion
from tests.pipeline.label_sets import row, write_label_set

VALUE = {"+": 1, "-": -1, ".": 0}


def two_sets(folder, sharded=(2, 2), fingerprints=("f", "f"), seed=1):
    """Two label sets of 30 common responses with random labels; their labels per character."""
    rng = random.Random(seed)
    texts = [["".join(rng.choice("+++-.") for _ in range(rng.randint(0, 12))) for _ in range(30)]]
    texts.append(["".join(rng.choice("+-.") if rng.random() < 0.3 else sign for sign in text) for text in texts[0]])
    folders = []
    for number, (labels, shards) in enumerate(zip(texts, sharded, strict=True)):
        rows = [row(f"r{n:02}", f"g{n}", "", signs, policy=None) for n, signs in enumerate(labels)]
        parts = [[one for n, one in enumerate(rows) if n % shards == part] for part in range(shards)]
        folders.append(write_label_set(folder / f"set{number}", *parts, fingerprint=fingerprints[number]))
    return folders, [[VALUE[sign] for text in side for sign in text] for side in texts], texts


def kappa_of(table, level):
    (one,) = (row for row in table.to_dicts() if row["level"] == level)
    return one


@pytest.mark.parametrize("sharded", [(1, 1), (3, 3), (2, 3)])
@pytest.mark.parametrize("fingerprints", [("f", "f"), ("f", "other")])
def test_kappa_is_cohens_however_the_sets_are_sharded(tmp_path, sharded, fingerprints):
    (first, second), labels, texts = two_sets(tmp_path, sharded, fingerprints)
    table = agreement(first, second)
    unit = kappa_of(table, "token" if fingerprints[0] == fingerprints[1] else "character")
    assert unit["kappa"] == pytest.approx(cohen_kappa_score(*labels))
    assert unit["agree"] == pytest.approx(sum(a == b for a, b in zip(*labels, strict=True)) / len(labels[0]))
    assert (unit["responses"], unit["compared"]) == (30, len(labels[0]))
    flawed = [["-" in text for text in side] for side in texts]
    assert kappa_of(table, "response")["kappa"] == pytest.approx(cohen_kappa_score(*flawed))


def test_parts_of_a_large_shard_add_up(tmp_path, monkeypatch):
    (first, second), *_ = two_sets(tmp_path)
    whole = label_confusion(first, second)
    monkeypatch.setattr("pipeline.score.kappa.ROWS_AT_ONCE", 4)
    assert label_confusion(first, second).equals(whole)


def test_only_responses_of_the_same_id_and_text_are_compared(tmp_path):
    first = write_label_set(tmp_path / "x", [row("r1", "g1", labels="+-"), row("r2", "g1", labels="++")])
    second = write_label_set(
        tmp_path / "y",
        [row("r1", "g1", labels="+-"), row("r2", "g1", labels="++", text="bb"), row("r3", "g1", labels="-")],
    )
    table = agreement(first, second)
    assert (kappa_of(table, "token")["responses"], kappa_of(table, "token")["compared"]) == (1, 2)


def test_sets_without_a_common_response_have_no_agreement(tmp_path):
    first = write_label_set(tmp_path / "x", [row("r1", "g1", labels="+")])
    second = write_label_set(tmp_path / "y", [row("r2", "g1", labels="+")])
    assert len(agreement(first, second)) == 0


def test_chance_that_agrees_on_everything_leaves_kappa_undefined(tmp_path):
    first, second = (write_label_set(tmp_path / name, [row("r1", "g1", labels="++")]) for name in "xy")
    assert kappa_of(agreement(first, second), "token")["kappa"] is None
