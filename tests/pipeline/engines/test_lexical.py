"""What the verifier `lexical` says of claims."""

import gc
import random
import time

import pytest

from pipeline.engines.lexical import LexicalVerifier, name_spans
from pipeline.engines.lexical_model import CLAUSE_MODEL, NEUTRAL_BAND
from pipeline.engines.linear import ClaimModel
from pipeline.engines.rules import RulesExtractor
from pipeline.engines.words import tokenize
from schemas.records import CONTRADICTED, NO_CONTEXT, OK, SUPPORTED, UNMATCHED, UNSUPPORTED, Claim, Passage, Sample

PASSAGES = (
    Passage(
        "p1", "The Harbour Bridge opened on 19 March 1932 after eight years of work. It carries eight lanes of traffic."
    ),
    Passage("p2", "Painting the steel takes a crew of one hundred people. The bridge does not close at night."),
)


def verify(response: str, context=PASSAGES):
    record = Sample("s", "g", "Tell me about the bridge.", context, response)
    return LexicalVerifier().verify(record, RulesExtractor().extract(record))


def verify_text(text: str, context=PASSAGES) -> Claim:
    record = Sample("s", "g", "Tell me about the bridge.", context, "It is old.")
    (claim,) = LexicalVerifier().verify(record, (Claim("c1", text, alignment=UNMATCHED),))
    return claim


def test_what_the_context_says_is_supported_with_its_sentence_as_evidence():
    (claim,) = verify("The Harbour Bridge opened on 19 March 1932 after eight years of work.")
    assert (claim.verdict, claim.status, claim.verifier) == (SUPPORTED, OK, "lexical/11")
    assert (claim.score or 0) > 0.8
    (evidence,) = claim.evidence
    assert PASSAGES[0].text[evidence.start : evidence.end].startswith("The Harbour Bridge opened")
    assert evidence.passage_id == "p1"


def test_what_the_context_does_not_know_is_unsupported():
    response = "The bridge opened on 19 March 1932. Additionally, tourists may enjoy oysters, sunset yoga and kayaking."
    first, second = verify(response)
    assert first.verdict == SUPPORTED
    assert second.verdict == UNSUPPORTED
    assert second.error_spans == ()
    assert "oysters" in second.reason


def test_a_wrong_number_in_a_found_statement_is_contradicted_and_named():
    response = "The Harbour Bridge opened on 19 March 1934 after eight years of work."
    (claim,) = verify(response)
    assert claim.verdict == CONTRADICTED
    assert [response[span.start : span.end] for span in claim.error_spans] == ["1934"]
    assert claim.reason == "number 1934 is not in the context"
    assert 0 <= (claim.score or 0) < 0.2


def test_new_names_are_joined_and_named_only_when_every_new_word_is_a_name():
    text = "Here Jørn Utzon met Anna gladly"
    tokens = tokenize(text)
    spans = name_spans(tokens, 0, [1, 2, 4])
    assert [text[span.start : span.end] for span in spans] == ["Jørn Utzon", "Anna"]
    assert name_spans(tokens, 0, [1, 2, 4, 5]) == ()
    assert name_spans(tokens, 1, [1, 2]) == ()  # a sentence's first word is capitalised anyway


def test_a_number_in_other_words_or_rounded_is_no_error():
    context = (Passage("p", "The city of Perth has 1,234,567 people and 15 bridges."),)
    (claim,) = verify("The city of Perth has about 1.2 million people and fifteen bridges.", context)
    assert claim.verdict == SUPPORTED


def test_the_opposite_of_a_context_sentence_is_contradicted():
    (claim,) = verify("The bridge does close at night.")
    assert claim.verdict == CONTRADICTED
    assert "opposite" in claim.reason


def test_reworded_claims_are_judged_by_their_text():
    assert verify_text("The Harbour Bridge opened in March 1932.").verdict == SUPPORTED
    assert verify_text("The architect Jørn Utzon won a Pritzker Prize.").verdict == UNSUPPORTED
    assert verify_text("The Harbour Bridge opened in 1950.").verdict != SUPPORTED


def test_without_any_context_there_is_a_status_and_no_verdict():
    (claim,) = verify("The bridge opened on 19 March 1932.", ())
    assert (claim.verdict, claim.status, claim.score, claim.evidence) == (None, NO_CONTEXT, None, ())


def test_a_context_of_empty_passages_is_none():
    (claim,) = verify("The bridge opened on a sunny morning in March.", (Passage("p", ""), Passage("q", " \n")))
    assert (claim.verdict, claim.status) == (None, NO_CONTEXT)


def test_claims_keep_their_order_ids_and_places():
    record = Sample("s", "g", "?", PASSAGES, "It carries eight lanes. The steel is painted, while whales sing opera.")
    claims = RulesExtractor().extract(record)
    verified = LexicalVerifier().verify(record, claims)
    assert [(c.claim_id, c.text, c.spans, c.extractor) for c in verified] == [
        (c.claim_id, c.text, c.spans, c.extractor) for c in claims
    ]


def test_a_response_equal_to_its_context_is_supported():
    text = " ".join(passage.text for passage in PASSAGES)
    assert {claim.verdict for claim in verify(text)} == {SUPPORTED}


@pytest.mark.parametrize("seed", range(3))
def test_any_text_gives_valid_answers(seed):
    rng = random.Random(seed)
    words = [
        "Bridge",
        "opened",
        "1932",
        "3.5",
        "not",
        ", which",
        ";",
        ".",
        "\n",
        "* ",
        "\x00",
        "\U0001f600",
        "中文",
        "²",
        "٣",
    ]
    for _ in range(100):
        response = " ".join(rng.choices(words, k=rng.randrange(40)))
        passages = tuple(
            Passage(str(i), " ".join(rng.choices(words, k=rng.randrange(30))) + ".") for i in range(rng.randrange(1, 4))
        )
        for claim in verify(response, passages):
            (span,) = claim.spans
            assert claim.status == OK
            assert 0 <= (claim.score if claim.score is not None else -1) <= 1
            assert all(span.start <= error.start < error.end <= span.end for error in claim.error_spans)
            for evidence in claim.evidence:
                text = next(p.text for p in passages if p.passage_id == evidence.passage_id)
                assert 0 <= evidence.start < evidence.end <= len(text)


def test_time_is_linear_in_the_length_of_the_response():
    def seconds(copies: int) -> float:
        response = "The bridge opened in 1932, which helped 4,711 traders; it is red.\n" * copies
        start = time.process_time()
        verify(response)
        return time.process_time() - start

    def least(copies: int) -> float:
        return min(seconds(copies) for _ in range(3))

    gc.collect()
    gc.disable()  # a full collection walks over everything that other tests have loaded
    try:
        assert least(4000) < 40 * least(400)  # a quadratic step would make it 100 times
    finally:
        gc.enable()


def test_a_claim_of_which_the_context_has_no_word_is_not_called_supported_however_its_neighbours_fare():
    context = "The Harbour Bridge opened on 19 March 1932. It took eight years of work. It is 503 metres long."
    response = f"{context} Penguins juggle marmalade sandwiches. {context}"
    sample = Sample("1", "1", "question", (Passage("1", context),), response)
    claims = {claim.text: claim for claim in LexicalVerifier().verify(sample, tuple(RulesExtractor().extract(sample)))}
    claim = claims["Penguins juggle marmalade sandwiches."]
    assert claim.verdict == UNSUPPORTED
    assert (claim.score or 0.0) <= 0.5


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("Passengers juggle while quartets serenade the ferry.", "doubtful: the context has 1 of its 5 content words"),
        ("Quartets serenade the ferry.", "doubtful: the context has 1 of its 3 content words"),
        ("The ferry takes quartets in 35 minutes.", "80% of its words are in one sentence of p1"),
        ("Ferry quartets.", "50% of its words are in one sentence of p1"),
    ],
)
def test_claim_of_strange_words_is_too_doubtful_for_a_label(said, reason):
    sample = Sample("r1", "g", "q", (Passage("p1", "The ferry takes 35 minutes."),), said)
    (claim, *_) = LexicalVerifier(ClaimModel(CLAUSE_MODEL.linear, 0, 0, -3.0, 0.5)).verify(
        sample, RulesExtractor().extract(sample)
    )
    assert (claim.verdict, claim.reason) == (SUPPORTED, reason)
    assert (claim.score < NEUTRAL_BAND[1]) == reason.startswith("doubtful")


def test_reason_writes_words_as_they_stand():
    (claim,) = verify("The SuperBoat and TicTac sail on ArchiPelago lakes with WaterProof LapTop radios.")
    assert claim.verdict == UNSUPPORTED
    assert claim.reason == "not in the context: SuperBoat, TicTac, sail, ArchiPelago, lakes"
