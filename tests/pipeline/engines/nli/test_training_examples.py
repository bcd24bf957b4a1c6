"""What a verifier learns from: label sets, held-out groups, changed facts; and what calibrating makes of scores."""

import random

import numpy as np
import pytest

from pipeline.engines.nli.training.calibrate import best_threshold, calibrate, calibration_error, measured_out_of_fold
from pipeline.engines.nli.training.corruptions import corrupt, names_in
from pipeline.engines.nli.training.examples import FINE, UNKNOWN, WRONG, Example, LabelledClaim, example_of, held_out
from pipeline.engines.nli.training.train_verifier import called_unsupported, token_threshold
from pipeline.gold_labels import gold_claims
from schemas.records import Claim, GoldSpan, LabelledResponse, LabelSpan, Passage, Sample, Span, TokenLabels

EMPTY = TokenLabels(*(np.zeros(0, dtype=np.int32) for _ in range(3)), np.zeros(0, dtype=np.int8))


def row(response, gold, label_spans, group="g"):
    sample = Sample("r", group, "q", (Passage("p", "Some context."),), response, gold_spans=gold)
    return LabelledResponse(sample, gold_claims(sample).claims, label_spans, EMPTY, "labelled")


def test_clauses_of_human_spans_are_judged_by_their_characters():
    response = "The bridge is red. The tower is very old."
    example = example_of(
        row(response, (GoldSpan(0, 18, "Evident Baseless Info"),), (LabelSpan(0, 18, -1), LabelSpan(19, 41, 1)))
    )
    assert [(one.claim.text, one.supported) for one in example.claims] == [
        ("The bridge is red.", False),
        ("The tower is very old.", True),
    ]
    assert example.marks.tolist() == [WRONG] * 18 + [UNKNOWN] + [FINE] * 22


def test_clause_with_a_few_marked_words_teaches_tokens_but_no_claim():
    response = "The bridge is red and the tower is very old indeed"
    example = example_of(row(response, (GoldSpan(14, 17, "x"),), (LabelSpan(14, 17, -1),)))
    assert "The bridge is red" not in [one.claim.text for one in example.claims]
    assert (example.marks == WRONG).sum() == 3


def test_no_prompt_group_is_on_both_sides():
    examples = [example_of(row("The bridge is red.", (), (), group=f"g{n % 7}")) for n in range(40)]
    training, kept_back = held_out(examples, 0.3, seed=0)
    groups = [{one.sample.group_id for one in side} for side in (training, kept_back)]
    assert len(groups[1]) == 2
    assert not groups[0] & groups[1]
    assert len(training) + len(kept_back) == 40


@pytest.mark.parametrize(
    "text", ["It opened in 1932", "He met Ada Lovelace there", "The bridge is long", "In 1932 he met Ada and was glad"]
)
def test_a_changed_fact_is_where_it_is_said_to_be(text):
    made = corrupt(text, ["Alan Turing"], random.Random(3))
    assert made.text != text
    changed = made.text[made.span.start : made.span.end]
    assert made.text[: made.span.start] == text[: made.span.start]
    assert text.endswith(made.text[made.span.end :])
    assert changed == "Alan Turing" or changed.endswith(" not") or changed.isdigit()


def test_text_without_a_fact_is_not_changed():
    assert corrupt("hello there", [], random.Random(0)) is None


def test_names_that_open_a_sentence_are_no_names():
    assert names_in(["We met Ada Lovelace. Then she left London."]) == ["Ada Lovelace", "London"]


def test_calibration_tells_apart_what_the_score_tells_apart():
    values = [{"claim": -2.0}] * 30 + [{"claim": 2.0}] * 10
    wrong = np.array([False] * 30 + [True] * 10)
    [calibration] = calibrate(values, wrong, np.ones(40))
    assert calibration.features == ("claim",)
    assert calibration.unsupported({"claim": 2.0}) >= calibration.threshold > calibration.unsupported({"claim": -2.0})


def test_no_calibration_from_claims_of_one_kind():
    assert calibrate([{"claim": 1.0}] * 5, np.zeros(5, dtype=bool), np.ones(5)) == ()


def test_threshold_of_best_f1():
    probabilities = np.array([0.1, 0.2, 0.3, 0.8, 0.9])
    assert 0.3 < best_threshold(probabilities, np.array([False, False, False, True, True])) <= 0.8


def test_long_claims_weigh_more_for_the_threshold():
    values = [{"claim": value} for value in (-3.0, 0.0, 3.0) for _ in range(20)]
    wrong = np.array([False] * 20 + [True, False] * 10 + [True] * 20)
    strict, lenient = (calibrate(values, wrong, np.where(wrong, 1.0, right))[0].threshold for right in (100.0, 0.01))
    assert lenient < strict


def one_of_two(wrong_words: str) -> tuple[Example, np.ndarray]:
    """Two claims of which the second is called unsupported, and character scores: .9 for "cat", .4 for other words."""
    text = "A dog ran. The cat sat."
    claims = tuple(
        LabelledClaim(Claim(str(at), text[start:end], spans=(Span(start, end),)), supported)
        for at, (start, end, supported) in enumerate([(0, 10, True), (11, 23, False)])
    )
    marks = np.full(len(text), FINE, dtype=np.int8)
    marks[text.index(wrong_words) : text.index(wrong_words) + len(wrong_words)] = WRONG
    scores = np.full(len(text), 0.4)
    scores[15:18] = 0.9
    return Example(Sample("s", "g", "p", (Passage("1", text),), text), claims, marks), scores


def test_words_are_named_as_people_mark_them():
    example, scores = one_of_two("cat")
    assert token_threshold([example], [scores], [False, True]) > 0.4
    example, scores = one_of_two("The cat sat.")  # all of it, although most characters of the response are fine
    assert token_threshold([example], [scores], [False, True]) <= 0.4


def test_where_nothing_is_called_no_word_is_named():
    example, scores = one_of_two("cat")
    assert token_threshold([example], [scores], [False, False]) == 1.0
    assert token_threshold([example], [None], [False, True]) == 1.0


def test_claims_that_no_calibration_fits_are_not_called():
    values = [{"claim": -2.0}] * 30 + [{"claim": 2.0}] * 10
    fitted = calibrate(values, np.array([False] * 30 + [True] * 10), np.ones(40))
    assert called_unsupported(fitted, [{"claim": 2.0}, {"claim": -2.0}, {}]) == [True, False, False]


def test_calibration_error_by_hand():
    # two claims said .2, one wrong: gap .3; two said .9, both wrong: gap .1; (2 * .3 + 2 * .1) / 4
    error = calibration_error(np.array([0.2, 0.2, 0.9, 0.9]), np.array([True, False, True, True]))
    assert error == pytest.approx(0.2)


def test_figures_come_from_groups_that_were_not_calibrated_on():
    rng = np.random.default_rng(0)
    wrong = rng.random(400) < 0.3
    values = [{"claim": float(value)} for value in rng.normal(0, 1, 400)]  # says nothing
    measured = measured_out_of_fold(values, wrong, np.ones(400), [f"g{n % 10}" for n in range(400)], seed=0)
    assert measured["claims"] == 400
    assert 0.4 < measured["balanced_accuracy"] < 0.6
