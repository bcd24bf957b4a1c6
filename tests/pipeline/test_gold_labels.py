import pytest

from pipeline.gold_labels import gold_claims
from schemas.errors import RecordError
from schemas.records import GoldSpan
from tests.rows import make_sample

TEXT = "It opened in 1932. It is red and long. Yes."


def claims_of(*spans: GoldSpan):
    draft = gold_claims(make_sample(response=TEXT, gold_spans=spans))
    return [(claim.text, claim.verdict) for claim in draft.claims]


def test_marked_words_are_wrong_and_the_rest_of_every_sentence_is_supported():
    assert claims_of(GoldSpan(13, 17, "Evident Conflict"), GoldSpan(25, 28, "Subtle Baseless Info")) == [
        ("It opened in", "supported"),
        ("1932", "contradicted"),
        ("It is", "supported"),
        ("red", "unsupported"),
        ("and long.", "supported"),
        ("Yes.", "supported"),
    ]


@pytest.mark.parametrize("label", ["Evident Conflict", "contradicted", "Contradiction"])
def test_spans_that_conflict_with_the_context_are_contradicted(label):
    assert claims_of(GoldSpan(13, 17, label))[1] == ("1932", "contradicted")


def test_clean_response_is_supported_sentence_by_sentence():
    assert [verdict for _, verdict in claims_of()] == ["supported"] * 3


def test_span_over_two_sentences_leaves_their_other_words():
    assert claims_of(GoldSpan(10, 26, "baseless")) == [
        ("It opened", "supported"),
        ("in 1932. It is r", "unsupported"),
        ("ed and long.", "supported"),
        ("Yes.", "supported"),
    ]


def test_overlapping_spans_leave_only_what_no_span_marks():
    assert claims_of(GoldSpan(0, 30, "x"), GoldSpan(20, 43, "x")) == [
        (TEXT[0:30], "unsupported"),
        (TEXT[20:43], "unsupported"),
    ]


def test_record_that_nobody_annotated_is_refused():
    with pytest.raises(RecordError, match="nobody annotated"):
        gold_claims(make_sample(gold_spans=None))


def test_empty_response_has_no_claims():
    assert gold_claims(make_sample(response="", gold_spans=())).claims == ()
