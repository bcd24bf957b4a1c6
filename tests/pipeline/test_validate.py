"""What a record must satisfy to be labelled, and the reason it is given when it does not."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from pipeline.validate import validate_sample
from schemas.errors import RecordError
from schemas.records import GoldSpan, Passage, Sample

GOOD = Sample(
    id="r1",
    group_id="g1",
    prompt="Who?",
    context=(Passage("p1", "Ada."), Passage("p2", "Bob.")),
    response="Ada did.",
    response_token_ids=(5, 6),
    response_logprobs=(-0.5, 0.0),
    tokenizer="t1",
    gold_spans=(GoldSpan(0, 8, "unsupported"),),
)


def reason(sample: Sample, **limits: int) -> str:
    with pytest.raises(RecordError) as caught:
        validate_sample(sample, **limits)
    assert caught.value.stage == "validate"
    return caught.value.reason


def test_good_sample_is_returned_itself():
    assert validate_sample(GOOD) is GOOD


def test_empty_response_is_valid():
    sample = Sample(
        "r1", "g1", "Who?", (), "", response_token_ids=(), response_logprobs=(), tokenizer="t", gold_spans=()
    )
    assert validate_sample(sample) is sample


def test_prompt_without_response_is_refused():
    assert (
        reason(replace(GOOD, response=None))
        == "no response: the record is a prompt only, and `balto generate` writes responses; "
        "where another field holds it, --fields response=NAME names that"
    )


def test_empty_id_is_refused():
    assert reason(replace(GOOD, id="")) == "id: is empty; give every record its own"


@pytest.mark.parametrize(("start", "end"), [(0, 9), (-1, 3), (3, 3), (4, 3), (8, 9)])
def test_gold_span_outside_the_response_or_empty_is_refused(start: int, end: int):
    spans = (GoldSpan(0, 3, "x"), GoldSpan(start, end, "x"))
    assert reason(replace(GOOD, gold_spans=spans)) == (
        f"gold_spans[1]: [{start}, {end}) is empty or outside the response of 8 characters"
    )


def test_logprobs_of_another_length_are_refused():
    assert reason(replace(GOOD, response_logprobs=(-1.0,))) == "response_logprobs: 1 for 2 response_token_ids"


def test_logprobs_without_token_ids_are_refused():
    assert reason(replace(GOOD, response_token_ids=None)) == (
        "response_logprobs: given without the response_token_ids they belong to"
    )


@pytest.mark.parametrize("value", [0.0011, 1.0, math.inf])
def test_positive_logprob_is_refused(value: float):
    assert reason(replace(GOOD, response_logprobs=(-1.0, value))) == (
        f"response_logprobs[1]: {value} is positive; the log of a probability is at most 0"
    )


@pytest.mark.parametrize("value", [math.nan, -math.inf, 0.001, -0.0])
def test_unknown_and_rounded_logprobs_are_valid(value: float):
    sample = replace(GOOD, response_logprobs=(-1.0, value))
    assert validate_sample(sample) is sample


@pytest.mark.parametrize("tokenizer", [None, ""])
def test_token_ids_without_a_tokenizer_are_refused(tokenizer: str | None):
    assert reason(replace(GOOD, tokenizer=tokenizer)) == (
        "tokenizer: missing; response_token_ids mean nothing without the name of their tokenizer"
    )


def test_two_passages_of_one_id_are_refused():
    sample = replace(GOOD, context=(Passage("p1", "a"), Passage("p1", "b")))
    assert reason(sample) == "context: two passages are called 'p1'; evidence could not name one of them"


def test_limits_bound_response_and_context():
    assert validate_sample(GOOD, max_response_chars=8, max_context_chars=8) is GOOD
    assert reason(GOOD, max_response_chars=7) == "response: 8 characters, more than the limit of 7"
    assert reason(GOOD, max_context_chars=7) == "context: 8 characters, more than the limit of 7"
