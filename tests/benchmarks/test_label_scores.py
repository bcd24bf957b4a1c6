"""The arithmetic of the label quality benchmark, on hand-worked cases."""

import numpy as np
import pytest

from benchmarks.calibration import Reliability, calibration, expected_calibration_error, reliability
from benchmarks.flagged_claims import WRONG, read_judgements, shares
from benchmarks.label_noise import aim
from benchmarks.label_scores import by_kind, claim_outcomes, span_scores
from schemas.records import SUPPORTED, UNSUPPORTED, Claim, GoldSpan, Passage, Sample, Span


def sample(name: str, *gold: tuple[int, int, str]) -> Sample:
    spans = tuple(GoldSpan(*one) for one in gold)
    return Sample(name, f"group of {name}", "?", (Passage("p", "x"),), "x" * 20, gold_spans=spans)


def test_bins_hold_equally_many_claims_and_ece_is_their_mean_distance():
    table = reliability(np.array([0.9, 0.1, 0.3, 0.7]), np.array([True, False, False, False]), bins=2)
    assert table == [Reliability(2, pytest.approx(0.2), 0.0), Reliability(2, pytest.approx(0.8), 0.5)]
    assert expected_calibration_error(table) == pytest.approx((0.2 + 0.3) / 2)
    assert calibration(np.array([]), np.array([], dtype=bool))["ece"] == 0.0


def test_span_scores_are_the_official_ones():
    samples = [sample("a", (0, 10, "k")), sample("b"), sample("c", (0, 4, "k"))]
    scores = span_scores(samples, [[Span(5, 15)], [Span(0, 2)], []])
    # responses: 1 of 2 predicted is flawed, 1 of 2 flawed is found; characters: 5 of 12 predicted, 5 of 14 gold
    assert (scores["response"]["precision"], scores["response"]["recall"]) == (50, 50)
    assert scores["span"]["f1"] == pytest.approx(100 * 2 * 5 / (12 + 14))
    assert scores["span"]["low"] <= scores["span"]["f1"] <= scores["span"]["high"]


def test_recall_by_kind_counts_spans_and_characters():
    samples = [sample("a", (0, 4, "bare"), (10, 14, "conflict")), sample("b", (0, 4, "bare"))]
    table = by_kind(samples, [[Span(2, 6)], []], [[], []])
    assert table["bare"] == {"spans": 2, "touched": 50.0, "recall": 25.0, "labelled": 0.0}
    assert table["conflict"]["touched"] == 0.0


def test_a_claim_is_sound_when_less_than_half_of_it_is_marked():
    claims = (
        Claim("1", "t", spans=(Span(0, 4),), verdict=UNSUPPORTED, score=0.2),
        Claim("2", "t", spans=(Span(3, 9),), verdict=SUPPORTED, score=0.9),
        Claim("3", "t", verdict=SUPPORTED, score=0.9),  # without a place nobody knows
    )
    scores, sound = claim_outcomes([sample("a", (0, 4, "k"))], [claims])
    assert (scores.tolist(), sound.tolist()) == ([0.2, 0.9], [False, True])


def test_aim_is_one_for_true_labels_and_minus_one_for_the_opposite():
    marked, group = np.array([True, False, False, False]), np.array([0, 0, 1, 1])
    right = aim(np.array([-1, 1, 1, 1]), marked, group)  # group 1 has one sign only: no credit
    assert (right["aim"], right["push_down_right"], right["push_up_wrong"]) == (100, 100, 0)
    assert (right["groups_with_marks"], right["groups_without"]) == (100, 0)
    assert aim(np.array([1, -1, 1, 1]), marked, group)["aim"] == -100


def test_the_list_of_judgements_says_what_it_says_of_itself():
    rows = read_judgements()
    assert len(rows) >= 50
    assert {row["judgement"] for row in rows} <= {*WRONG, "supported"}
    assert all(0 <= float(row["score"]) <= 1 and int(row["start"]) < int(row["end"]) for row in rows)
    assert shares(rows)["claims unsupported or partly"] == sum(row["judgement"] in WRONG for row in rows) / len(rows)
