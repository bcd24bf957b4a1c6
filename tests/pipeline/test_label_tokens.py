import dataclasses

import pytest

from pipeline.label_tokens import LabelTokens, label_draft, sampled_ids, status_of
from pipeline.stages import Draft
from schemas.records import OK, SUPPORTED, Claim
from schemas.tokens import load_tokenizer
from tests.rows import full_row, make_sample

VERIFIED = Claim("c1", "x", verdict=SUPPORTED, status=OK)
UNANSWERED = Claim("c2", "x", status="unverified: no answer")


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ((), "no_claims"),
        ((VERIFIED,), "labelled"),
        ((VERIFIED, UNANSWERED), "partial"),
        ((UNANSWERED,), "unverified"),
    ],
)
def test_status_says_what_became_of_the_response(claims, status):
    assert status_of(claims) == status


def test_claim_without_verdict_labels_no_token():
    claim = dataclasses.replace(full_row().claims[1], verdict=None, status="unverified: timeout")
    row = label_draft(Draft(full_row().sample, (claim,)), load_tokenizer("bytes"), "neutral")
    assert row.tokens.labels.tolist() == [0] * 44


def test_wrong_words_are_labelled_and_the_rest_of_the_claim_is_not():
    row = label_draft(Draft(full_row().sample, full_row().claims[:1]), load_tokenizer("bytes"), "neutral")
    assert [int(i) for i in range(44) if row.tokens.labels[i] == -1] == [21, 22, 23, 24]
    assert row.tokens.labels.max() == 0


def test_sampled_ids_are_used_for_their_own_tokenizer_only():
    tokenizer = load_tokenizer("bytes")
    assert sampled_ids([1, 2], "bytes", tokenizer) == [1, 2]
    assert sampled_ids([1, 2], tokenizer.fingerprint, tokenizer) == [1, 2]
    assert sampled_ids([1, 2], "another", tokenizer) is None


def test_behaviour_logprobs_stay_with_the_ids_they_belong_to():
    kept = label_draft(Draft(full_row().sample, ()), load_tokenizer("bytes"), "neutral")
    assert kept.behaviour_logprobs == full_row().sample.response_logprobs
    other = dataclasses.replace(full_row().sample, tokenizer="another")
    assert label_draft(Draft(other, ()), load_tokenizer("bytes"), "neutral").behaviour_logprobs is None


def test_empty_response_is_a_row_without_tokens():
    row = label_draft(Draft(make_sample(response=""), ()), load_tokenizer("bytes"), "neutral")
    assert (len(row.tokens), row.status) == (0, "no_claims")


def test_step_loads_its_tokenizer_where_it_runs():
    step = LabelTokens("bytes", "neutral")
    assert step._tokenizer is None  # nothing heavy is pickled to the workers
    step.setup()
    assert step(Draft(full_row().sample, full_row().claims)).label_spans == full_row().label_spans
    step.teardown()
    assert step._tokenizer is None
