"""Reading what a model wrote: wrapped in whatever, but one object of the expected form, or nothing."""

import json

import pytest

from pipeline.engines.llm.answers import ClaimAnswers, ExtractedClaims, UnusableAnswerError, read_answer

GOOD = {"claims": [{"sentences": [1], "quotes": ["in 1932"], "claim": "It opened in 1932."}]}
TEXT = json.dumps(GOOD)


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"```json\n{TEXT}\n```",
        f"Here is the list you asked for:\n\n{TEXT}\n\nLet me know {{if}} it helps.",
        f"<think>first {json.dumps({'claims': []})} no</think>\n{TEXT}",
        json.dumps({**GOOD, "comment": "besides"}),
        json.dumps({"claims": [{"sentences": 1, "quotes": "in 1932", "claim": "It opened in 1932."}]}),
        json.dumps({"claims": [{"sentences": ["1"], "quotes": ["in 1932"], "claim": " It opened in 1932. "}]}),
        f"{TEXT}\n{TEXT}",
    ],
)
def test_wrapping_and_slips_of_form_are_forgiven(text):
    (claim,) = read_answer(text, ExtractedClaims).claims
    assert (claim.sentences, claim.quotes, claim.claim) == ([1], ["in 1932"], "It opened in 1932.")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no JSON object"),
        ("I could not find any claim.", "no JSON object"),
        (TEXT[:-2], "not of the form"),  # cut: the object inside is whole, but it is not the one asked for
        ("[]", "no JSON object"),
        (json.dumps({"claims": None}), "not of the form"),
        (json.dumps({"claims": [{"quotes": ["x"]}]}), "claims.0.claim: missing"),
        (json.dumps({"claims": [{"claim": "  "}]}), "claims.0.claim"),
        (json.dumps({"claims": [{"claim": ["x"]}]}), "claims.0.claim: string_type"),
        (json.dumps({"claims": ["x"]}), "not of the form"),
        (f'{TEXT} or {{"claims": []}}', "several JSON objects that differ"),
        ('{"claims": [], "claims": []}', "no JSON object"),
        ('{"claims": [{"claim": "half a pair \\ud83d"}]}', "no JSON object"),
        ('{"claims": [{"claim": NaN}]}', "not of the form|no JSON object"),
        ("[" * 100_000, "no JSON object"),
        ('{"a":' * 100_000, "no JSON object"),
        ("{" * 2_000_001, "more than 2000000 characters"),
    ],
)
def test_anything_else_is_no_answer(text, why):
    with pytest.raises(UnusableAnswerError, match=why):
        read_answer(text, ExtractedClaims)


def test_the_message_repeats_no_word_of_the_model():
    with pytest.raises(UnusableAnswerError) as caught:
        read_answer('{"claims": [{"claim": 5, "SECRET": "SECRET"}], "SECRET": 1}', ExtractedClaims)
    assert "SECRET" not in str(caught.value)


def test_the_end_of_thinking_inside_a_string_ends_nothing():
    text = json.dumps({"claims": [{"sentences": [1], "quotes": [], "claim": '</think> {"claims": []}'}]})
    for answer in (text, f"```\n{text}\n```", f"<think>{json.dumps({'claims': []})}</think> {text}"):
        assert len(read_answer(answer, ExtractedClaims).claims) == 1


def test_a_verdict_is_read_as_written():
    (answer,) = read_answer('{"answers": [{"id": "a", "verdict": "incorrect"}]}', ClaimAnswers).answers
    assert answer.verdict == "incorrect"
