"""Scores against a table reckoned by hand, and their intervals against a plain loop."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from pipeline.score import interval, mean_scores, prompt_scores, reference_counts, score_difference, score_tables
from pipeline.score.tables import Drawing
from pipeline.stats import scan_labels
from schemas.errors import ConfigError
from tests.pipeline.label_sets import row, write_label_set

# K of g1: median of 3 and 1 = 2; of g2: median of 2, 0 (no claims), 0 = 0, so 1; g3: all unverified
BASE = [
    row("r1", "g1", "sssu", "+" * 10, policy="a"),
    row("r2", "g1", "sc", "+" * 20, policy="b"),
    row("r3", "g2", "ss", "+" * 30, policy="a"),
    row("r4", "g2", "", "." * 4, policy="b"),
    row("r5", "g2", "u?", "-" * 6, policy="b"),
    row("r6", "g3", "??", "." * 8, policy="a"),
]


def scored(table: pl.DataFrame, column: str = "value") -> dict[str, float]:
    return dict(table.select("score", column).iter_rows())


@pytest.fixture
def base(tmp_path) -> str:
    return write_label_set(tmp_path / "base", BASE)


def test_reference_count_is_the_median_of_supported_claims_but_at_least_one(base):
    frame = reference_counts(scan_labels([base])).sort("group_id")
    assert frame.rows() == [("g1", 2.0), ("g2", 1.0)]


def test_scores_of_a_table_reckoned_by_hand(base):
    # r1: F 3/4, I 1, Q 6/7.  r2: F 1/2, I 1/2, Q 1/2.  g1: F 5/8, I 3/4, Q 19/28
    # r3: F 1, I 1, Q 1.  r4: no claims.  r5: F 0, I 0, Q 0.  g2: F 1/2, I 1/2, Q 1/2, with r4 as 0: Q 1/3
    # g3 has no verdict: in no score, but in the lengths
    means = mean_scores(prompt_scores(scan_labels([base])))
    value = scored(means)
    assert value["faithfulness"] == pytest.approx((5 / 8 + 1 / 2) / 2)
    assert value["informativeness"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert value["q_score"] == pytest.approx((19 / 28 + 1 / 2) / 2)
    assert value["q_score_all"] == pytest.approx((19 / 28 + 1 / 3) / 2)
    assert value["without_claims_rate"] == pytest.approx((0 + 1 / 3 + 0) / 3)
    assert value["characters"] == pytest.approx((15 + 40 / 3 + 8) / 3)
    assert value["tokens"] == value["characters"]
    assert scored(means, "prompts")["q_score"] == 2
    assert scored(means, "prompts")["tokens"] == 3


def test_given_reference_count_holds_for_every_prompt(base):
    # K = 4: I of r1 3/4, r2 1/4, r3 1/2, r5 0
    value = scored(mean_scores(prompt_scores(scan_labels([base]), 4.0)))
    assert value["informativeness"] == pytest.approx(((3 / 4 + 1 / 4) / 2 + (1 / 2 + 0) / 2) / 2)


def test_reference_count_comes_from_the_base(base, tmp_path):
    tuned = write_label_set(tmp_path / "tuned", [row("t1", "g1", "s", "+"), row("t2", "g9", "sss", "+++")])
    # g1: K 2 of the base, I 1/2; g9, which the base lacks: K 3 of its own, I 1
    tables = score_tables([tuned], [base])
    assert scored(tables["scores"])["informativeness"] == pytest.approx((1 / 2 + 1) / 2)
    # the difference is over g1 alone: 1/2 against 3/4
    difference = tables["against the base"].row(by_predicate=pl.col("score") == "informativeness", named=True)
    assert (difference["value"], difference["base"], difference["prompts"], difference["paired"]) == (
        0.5,
        0.75,
        1,
        True,
    )
    assert difference["difference"] == pytest.approx(-0.25)
    assert difference["low"] is None  # one prompt says nothing about others


def test_scores_by_policy_and_their_counts(base):
    tables = score_tables([base], by=["policy"])
    values = tables["scores by policy"].filter(pl.col("score") == "faithfulness").select("policy", "value").rows()
    assert values == [("a", pytest.approx((3 / 4 + 1) / 2)), ("b", pytest.approx((1 / 2 + 0) / 2))]
    columns = ["policy", "prompts", "responses", "judged", "without_claims", "unverified"]
    assert tables["counts by policy"].columns == columns
    assert tables["counts by policy"].rows() == [("a", 3, 3, 2, 0, 1), ("b", 2, 3, 2, 1, 0)]
    assert tables["counts"].rows() == [(3, 6, 4, 1, 1)]


def test_differences_by_policy_take_the_same_policy_or_the_whole_base(base, tmp_path):
    samples = [dataclasses.replace(one.sample, policy=name) for one, name in zip(BASE, "axaxxa", strict=True)]
    rows = [dataclasses.replace(one, sample=sample) for one, sample in zip(BASE, samples, strict=True)]
    tables = score_tables([write_label_set(tmp_path / "x", rows)], [base], by=["policy"])
    table = tables["against the base by policy"].filter(pl.col("score") == "faithfulness")
    assert table.select("policy", "against").rows() == [("a", "the same"), ("x", "the whole base")]
    # a against a: both prompts equal. x in g1: 1/2 against the base's 5/8; in g2: 0 against 1/2
    assert table["difference"].to_list() == [0.0, pytest.approx((1 / 2 - 5 / 8 + 0 - 1 / 2) / 2)]


def test_tokens_of_two_tokenizers_are_not_compared(tmp_path, base):
    other = write_label_set(tmp_path / "other", BASE, fingerprint="other")
    for mine, compared in ((base, True), (other, False)):
        tables = score_tables([mine], [base], by=["policy"])
        assert "tokens" in scored(tables["scores"])
        for title in ("against the base", "against the base by policy"):
            assert ("tokens" in set(tables[title]["score"])) == compared


def test_label_set_against_itself_differs_by_nothing(base):
    table = score_tables([base], [base])["against the base"]
    assert table.select("difference", "low", "high").unique().rows() == [(0.0, 0.0, 0.0)]


def test_without_common_prompts_the_means_are_taken_apart(base, tmp_path):
    rows = [row(f"t{n}", f"other{n}", "su", "+-") for n in range(3)]
    other = prompt_scores(scan_labels([write_label_set(tmp_path / "x", rows)]))
    table = score_difference(other, prompt_scores(scan_labels([base])))
    assert not table["paired"].any()
    assert scored(table, "difference")["faithfulness"] == pytest.approx(1 / 2 - 9 / 16)


def test_interval_equals_a_loop_over_the_same_resamples():
    rng = np.random.default_rng(3)
    values = rng.random((40, 1))
    low, high = interval(values, lambda sums: sums / 40, resamples=200, seed=11)
    draws = np.random.default_rng(11).integers(0, 40, (200, 40))
    means = [values[draw, 0].mean() for draw in draws]
    assert low[0] == pytest.approx(np.quantile(means, 0.025))
    assert high[0] == pytest.approx(np.quantile(means, 0.975))


def test_interval_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        low, high = interval(rng.normal(size=(60, 1)), lambda sums: sums / 60, resamples=300, seed=trial)
        hits += low[0] <= 0 <= high[0]
    assert 180 <= hits <= 198  # 95 % of 200 is 190; the percentile interval of 60 is a little narrow


def test_same_seed_gives_the_same_interval_and_blocks_do_not_matter(monkeypatch):
    values = np.random.default_rng(3).random((40, 1))

    def bounds(seed: int) -> tuple[float, float]:
        low, high = interval(values, lambda sums: sums / 40, 100, seed)
        return low[0], high[0]

    first = bounds(5)
    assert bounds(5) == first != bounds(6)
    monkeypatch.setattr("pipeline.score.bootstrap._WEIGHTS_AT_ONCE", 7 * 40)
    assert bounds(5) == pytest.approx(first)


def test_reference_count_below_one_is_refused(base):
    with pytest.raises(ConfigError, match="--k 0.5: the reference count"):
        score_tables([base], k=0.5)


def test_by_column_of_too_many_values_is_refused(base, monkeypatch):
    monkeypatch.setattr("pipeline.stats.figure.MAX_VALUES", 5)
    with pytest.raises(ConfigError, match="--by id: more than 5 values"):
        score_tables([base], by=["id"])


def test_terminal_shows_scores_by_policy_in_one_line_each(base):
    table = score_tables([base], by=["policy"], drawing=Drawing(50, 1), brief=True)["scores by policy"]
    assert table.columns == ["policy", "faithfulness", "informativeness", "q_score", "q_score_all", "characters"]
    assert table["faithfulness"][0].startswith("0.88 (")
