"""Which words of an unsupported claim are named: by leaving words out, and by token scores."""

import dataclasses

import numpy as np
import pytest

from pipeline.engines.nli.refine import named_part, parts_of, without
from pipeline.engines.nli.trained import named_words, token_features
from schemas.records import SUPPORTED, UNSUPPORTED, Sample, Span
from tests.pipeline.engines.nli.tiny_nli_models import KnowingModel, open_fake, sample_of, verifier_with


def texts(text, spans):
    return [text[span.start : span.end] for span in spans]


def test_parts_are_numbers_content_words_and_names_in_one_piece():
    text = "It opened near New York City in 1932"
    assert texts(text, parts_of(text)) == ["opened", "New York City", "1932"]


def test_a_claim_of_one_part_is_not_taken_apart():
    assert parts_of("It is 1932") == []


def test_leaving_out_closes_the_white_space():
    assert without("opened in 1932 again", Span(10, 14)) == "opened in again"


@pytest.mark.parametrize(
    ("score", "scores", "named"),
    [
        (0.1, [0.2, 0.9, 0.3], 1),
        (0.1, [0.2, 0.4, 0.3], None),  # without any of them it is still unsupported
        (0.45, [0.2, 0.6, 0.3], None),  # the score hardly moved
        (0.1, [0.2, np.nan, 0.9], None),  # one was not computed
    ],
)
def test_the_part_whose_absence_makes_the_claim_supported_is_named(score, scores, named):
    parts = [Span(0, 1), Span(2, 3), Span(4, 5)]
    assert named_part(score, parts, np.array(scores)) == (None if named is None else parts[named])


class WordsKnown(KnowingModel):
    """Entails a claim all of whose words stand in the evidence."""

    @staticmethod
    def _row(evidence, claim):
        return (0.05, 0.9, 0.05) if set(claim.split()) <= set(evidence.split()) else (0.1, 0.2, 0.7)


def asked(response, *claims):
    sample, made = sample_of(["The long bridge opened in the year 1932 ."], *claims)
    placed = [
        dataclasses.replace(
            claim, spans=(Span(response.find(claim.text), response.find(claim.text) + len(claim.text)),)
        )
        for claim in made
    ]
    return dataclasses.replace(sample, response=response), tuple(placed)


def test_wrong_word_is_named_in_its_place_and_a_supported_claim_is_left_alone():
    response = "So: The bridge opened in 1999 . The bridge opened"
    one, two = verifier_with(open_fake(WordsKnown())).verify(
        *asked(response, "The bridge opened in 1999", "The bridge opened")
    )
    assert (one.verdict, texts(response, one.error_spans)) == (UNSUPPORTED, ["1999"])
    assert (two.verdict, two.error_spans) == (SUPPORTED, ())


def test_whole_claims_on_request():
    response = "The bridge opened in 1999"
    [claim] = verifier_with(open_fake(WordsKnown()), refine=False).verify(*asked(response, response))
    assert (claim.verdict, claim.error_spans) == (UNSUPPORTED, ())


def test_reworded_claim_is_not_taken_apart():
    sample, claims = asked("It was 1999 when it opened", "The bridge opened in 1999")
    [claim] = verifier_with(open_fake(WordsKnown())).verify(
        Sample("r", "g", "q", sample.context, "It was 1999"), claims
    )
    assert (claim.verdict, claim.error_spans) == (UNSUPPORTED, ())


def test_words_with_a_high_score_are_named_whole_without_their_full_stop():
    text = "It opened in New York, in 1932."
    scores = np.full(len(text), 0.1)
    scores[15:18] = 0.9  # inside "New"
    scores[19:21] = 0.9  # inside "York"
    scores[-1] = 0.8
    named = named_words(text, scores, (Span(0, len(text)),), 0.5)
    assert texts(text, named) == ["New York", "1932"]


def test_words_outside_the_claim_or_never_scored_are_not_named():
    text = "One two three"
    scores = np.array([np.nan] * 4 + [0.1] * 4 + [0.9] * 5)
    assert named_words(text, scores, (Span(0, 7),), 0.5) == ()


def test_token_features_are_log_odds_of_the_worst_and_of_the_mean():
    features = token_features(np.array([0.5, 0.5, np.nan, 0.5]), (Span(0, 4),))
    assert features == {"token_max": 0.0, "token_mean": 0.0}
    assert token_features(np.array([np.nan]), (Span(0, 1),)) == {}
    assert token_features(np.array([0.5]), ()) == {}
