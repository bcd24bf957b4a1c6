"""The examples in the prompts are held to what is asked of the model."""

import json

import pytest

from pipeline.engines.llm.answers import ClaimAnswers, ExtractedClaims, read_answer
from pipeline.engines.llm.evidence import locate_evidence, locate_wrong_words
from pipeline.engines.llm.examples import EXTRACTION_EXAMPLES, VERIFICATION_EXAMPLES
from pipeline.engines.llm.prompts import EXTRACT_SCHEMA, EXTRACT_SYSTEM, VERIFY_SCHEMA, VERIFY_SYSTEM
from pipeline.locate_spans import locate_claims
from pipeline.sentences import split_sentences
from schemas.records import CONTRADICTED, EXACT, SUPPORTED, UNSUPPORTED, Claim, Passage, Span
from tests.llm_server.claim_answers import read_blocks


@pytest.mark.parametrize("example", EXTRACTION_EXAMPLES, ids=lambda example: example.question)
def test_quotes_of_extraction_examples_stand_exactly_in_the_sentences_they_name(example):
    sentences = split_sentences(example.response)
    claims = [
        Claim(f"c{n}", text, quotes, tuple(number - 1 for number in numbers))
        for n, (numbers, quotes, text) in enumerate(example.claims)
    ]
    for claim in locate_claims(example.response, claims, sentences):
        assert claim.alignment == EXACT, claim
        assert tuple(example.response[span.start : span.end] for span in claim.spans) == claim.quotes
        for span in claim.spans:
            inside = [sentences[i] for i in claim.sentence_ids]
            assert any(s.start <= span.start and span.end <= s.end for s in inside), claim


def test_claims_of_an_example_own_words_that_no_other_claim_has():
    # what makes a wrong fact punishable without its neighbours
    for example in EXTRACTION_EXAMPLES:
        for _, quotes, text in example.claims:
            others = " ".join(q for _, other, t in example.claims if t != text for q in other)
            assert any(word not in others for quote in quotes for word in quote.split()), text


@pytest.mark.parametrize("example", VERIFICATION_EXAMPLES)
def test_verification_examples_quote_the_context_and_blame_words_of_the_claim(example):
    passages = tuple(Passage(f"p{n}", text) for n, text in enumerate(example.passages))
    for line, (evidence, reason, verdict, wrong) in zip(example.claims, example.answers, strict=True):
        assert bool(evidence) or verdict == UNSUPPORTED
        assert not evidence or locate_evidence(passages, evidence) is not None, evidence
        assert len(reason.split()) <= 20
        words = line.words[0] if line.words else line.text
        located, missing = locate_wrong_words(words, [Span(0, len(words))], wrong)
        assert (len(located), missing) == (len(wrong), 0), line
        assert (verdict == SUPPORTED) == (not wrong)
        assert line.words or line.text in example.background[1]
    verdicts = {verdict for _, _, verdict, _ in example.answers}
    assert verdicts == {SUPPORTED, CONTRADICTED, UNSUPPORTED}


def test_examples_are_answers_of_the_form_that_is_asked_for():
    for example, model, schema in [(e, ExtractedClaims, EXTRACT_SCHEMA) for e in EXTRACTION_EXAMPLES] + [
        (e, ClaimAnswers, VERIFY_SCHEMA) for e in VERIFICATION_EXAMPLES
    ]:
        message, answer = example.shown()
        assert read_blocks(message)
        read = read_answer(json.dumps(answer), model)
        (name,) = schema["properties"]
        assert len(getattr(read, name)) == len(answer[name])
        for one in answer[name]:
            assert list(one) == schema["properties"][name]["items"]["required"]  # in the order that is asked for


def test_every_example_is_shown_and_the_fields_are_explained():
    for system, examples, schema in (
        (EXTRACT_SYSTEM, EXTRACTION_EXAMPLES, EXTRACT_SCHEMA),
        (VERIFY_SYSTEM, VERIFICATION_EXAMPLES, VERIFY_SCHEMA),
    ):
        assert all(example.shown()[0] in system for example in examples)
        (name,) = schema["properties"]
        assert all(f"\n{field}: " in system for field in schema["properties"][name]["items"]["required"])
