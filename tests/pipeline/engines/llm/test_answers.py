"""Reading what a model wrote: wrapped in whatever, but one object of the expected form, or nothing."""

import json

import pytest

from pipeline.engines.llm.answers import ClaimAnswers, ExtractedClaims, UnusableAnswerError, read_answer, verdict_of
from schemas.records import CONTRADICTED, SUPPORTED, UNSUPPORTED

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
        str(GOOD),  # Python's quotes
        f"```python\n{GOOD}\n```",
        TEXT.replace("]}]}", "],},],}"),  # commas too many
        TEXT.replace('1932."', '1932.\n"'),  # a raw line break in a string
        json.dumps(GOOD["claims"]),  # the list alone
        f"Sure:\n```json\n{json.dumps(GOOD['claims'], indent=2)}\n```",
        json.dumps(GOOD["claims"][0]),  # the only item alone
        f"<think>They want [1] or {{so}}: {{'claims': [</think>{TEXT}",
        f"so, the claims are {{...\n</think>\n\n{TEXT}",  # the server's template had opened the thinking
        f"[THINK]{json.dumps({'claims': []})}[/THINK]{GOOD}",
        f'<|channel|>analysis<|message|>{{"claims": []}}?<|end|><|channel|>final<|message|>{TEXT}',
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
        ("[]", "all of it: model_type"),
        (json.dumps({"claims": None}), "not of the form"),
        (json.dumps({"claims": [{"quotes": ["x"]}]}), "claims.0.claim: missing"),
        (json.dumps({"claims": [{"claim": "  "}]}), "claims.0.claim"),
        (json.dumps({"claims": [{"claim": ["x"]}]}), "claims.0.claim: string_type"),
        (json.dumps({"claims": ["x"]}), "not of the form"),
        (f'{TEXT} or {{"claims": []}}', "several JSON objects that differ"),
        ('{"claims": [], "claims": []}', "not of the form"),
        (str(GOOD)[:-2], "not of the form|no JSON object"),
        (f"{json.dumps(GOOD['claims'][0])}\n{json.dumps(GOOD['claims'][0])[:-3]}", "not of the form"),  # cut in a list
        (json.dumps(GOOD["claims"] * 2)[:-4], "not of the form"),
        ("{'claims': [], 'claims': []}", "not of the form|no JSON object"),
        ("{'claims': __import__('os').system('true')}", "no JSON object"),
        ("{'claims': [{'claim': f'{1}'}]}", "no JSON object|not of the form"),
        ("{'claims': " + "[" * 50 + "]" * 50 + "}", "not of the form"),
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


@pytest.mark.parametrize(
    ("written", "verdict"),
    [
        ("supported", SUPPORTED),
        (" Supported.", SUPPORTED),
        ("**UNSUPPORTED**", UNSUPPORTED),
        ("not supported", UNSUPPORTED),
        ("`contradicted`", CONTRADICTED),
        ("Refuted", CONTRADICTED),
        ("incorrect", None),
        ("partially supported", None),
        ("supported or unsupported", None),
        ("", None),
    ],
)
def test_a_verdict_is_one_of_the_three_as_a_whole_or_none(written, verdict):
    text = json.dumps({"answers": [{"id": "a", "verdict": written}]})
    (answer,) = read_answer(text, ClaimAnswers).answers
    assert verdict_of(answer) == verdict


def test_an_answer_that_is_of_no_form_leaves_the_others_alone():
    text = json.dumps({"answers": [{"id": "a"}, {"id": "b", "verdict": "supported", "reason": None}, 5]})
    assert [answer.id for answer in read_answer(text, ClaimAnswers).answers] == ["b"]


def test_answers_one_after_the_other_are_a_list():
    text = '{"id": "a", "verdict": "supported"}\n{"id": "b", "verdict": "unsupported"}'
    assert [answer.id for answer in read_answer(text, ClaimAnswers).answers] == ["a", "b"]
