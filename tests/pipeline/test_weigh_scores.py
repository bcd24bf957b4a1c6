"""Thresholds and the neutral band: what a verifier's probabilities are made into."""

import dataclasses

import pytest

from pipeline.config import LabelConfig
from pipeline.label_tokens import label_draft
from pipeline.resolve import resolve
from pipeline.stages import Draft
from pipeline.weigh_scores import NeutralBand, apply_threshold, read_band
from schemas.errors import ConfigError
from schemas.records import CONTRADICTED, OK, SUPPORTED, UNSUPPORTED, Claim, LabelSpan, Span
from schemas.tokens import load_tokenizer
from tests.rows import make_sample


def claim(verdict: str | None, score: float | None, start: int = 0) -> Claim:
    status = OK if verdict else "unverified: no answer"
    return Claim("c", "t", spans=(Span(start, start + 3),), verdict=verdict, status=status, score=score, reason="r")


@pytest.mark.parametrize(
    ("text", "of_verifier", "expected"),
    [
        ("auto", (0.5, 0.7), NeutralBand(0.5, 0.7)),
        ("auto", None, None),
        ("none", (0.5, 0.7), None),
        ("0.2:0.9", (0.5, 0.7), NeutralBand(0.2, 0.9)),
    ],
)
def test_band_is_the_verifiers_own_unless_said_otherwise(text, of_verifier, expected):
    assert read_band(text, of_verifier) == expected


@pytest.mark.parametrize("text", ["0.9:0.2", "0.5", "a:b", "", "0:2", "-0.1:0.5", "nan:1", "0.1:0.2:0.3"])
def test_a_band_that_is_none_is_refused_in_one_line(text):
    with pytest.raises(ConfigError, match="--neutral-band") as refused:
        read_band(text, None)
    assert "\n" not in str(refused.value)


def test_a_doubtful_claim_keeps_its_verdict_labels_nothing_and_is_counted():
    claims = (claim(UNSUPPORTED, 0.6), claim(UNSUPPORTED, 0.5, 4), claim(SUPPORTED, 0.7, 8), claim(SUPPORTED, None, 12))
    resolved = resolve(claims, "neutral", NeutralBand(0.5, 0.7))
    assert resolved.label_spans == (LabelSpan(4, 7, -1), LabelSpan(8, 11, 1), LabelSpan(12, 15, 1))  # borders are sure
    assert resolved.doubtful == 1
    row = label_draft(
        Draft(make_sample(response="one two six"), claims[:2]),
        load_tokenizer("bytes"),
        "neutral",
        band=NeutralBand(0.5, 0.7),
    )
    assert row.tokens.labels.tolist() == [0] * 4 + [-1] * 3 + [0] * 4
    assert ([one.verdict for one in row.claims], row.doubtful) == ([UNSUPPORTED] * 2, 1)


@pytest.mark.parametrize(
    ("verdict", "score", "doubtful"),
    [
        (UNSUPPORTED, 0.72, True),  # a border above the band: called unsupported, and yet believed
        (CONTRADICTED, 0.46, True),
        (SUPPORTED, 0.30, True),
        (UNSUPPORTED, 0.45, False),
        (SUPPORTED, 0.70, False),
    ],
)
def test_a_verdict_against_its_own_score_is_doubtful(verdict, score, doubtful):
    assert NeutralBand(0.45, 0.7).is_doubtful(claim(verdict, score)) is doubtful


def test_a_doubtful_claim_is_no_conflict():
    claims = (claim(UNSUPPORTED, 0.6), claim(SUPPORTED, 0.9))
    assert resolve(claims, "neutral").conflicts == 2
    assert resolve(claims, "neutral", NeutralBand(0.5, 0.7)).label_spans == (LabelSpan(0, 3, 1),)


def test_a_threshold_replaces_the_verdicts_that_the_score_does_not_bear():
    wrong = dataclasses.replace(claim(CONTRADICTED, 0.4), error_spans=(Span(1, 2),))
    low, high = (
        apply_threshold((wrong, claim(SUPPORTED, 0.6)), 0.3),
        apply_threshold((wrong, claim(SUPPORTED, 0.6)), 0.9),
    )
    assert [(one.verdict, one.error_spans) for one in low] == [(SUPPORTED, ()), (SUPPORTED, ())]
    assert [(one.verdict, one.error_spans) for one in high] == [(CONTRADICTED, (Span(1, 2),)), (UNSUPPORTED, ())]
    assert high[1].reason == "not supported at a threshold of 0.9; r"


def test_a_threshold_leaves_claims_without_score_or_verdict_alone():
    claims = (claim(UNSUPPORTED, None), claim(None, None))
    assert apply_threshold(claims, 0.5) == claims
    assert apply_threshold(claims, None) == claims


def test_config_stores_the_band_that_was_used():
    assert LabelConfig(num_shards=1, neutral_band="0.25:0.8").as_dict()["neutral_band"] == "0.25:0.8"
    assert LabelConfig(num_shards=1, neutral_band="none").as_dict()["neutral_band"] == "none"
    auto = LabelConfig(num_shards=1)
    assert auto.as_dict()["neutral_band"] == str(auto.band)
    assert LabelConfig(num_shards=1, labels="gold").as_dict()["neutral_band"] == "none"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.5}, "--threshold 1.5: is a probability"),
        ({"threshold": 0.5, "labels": "gold"}, "--threshold: verdicts of people"),
        ({"neutral_band": "0.1:0.2", "verifier": "llm", "model": "m"}, "--neutral-band: verdicts of --verifier llm"),
        ({"neutral_band": "high"}, "--neutral-band high: must be"),
    ],
)
def test_options_that_cannot_work_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        LabelConfig(num_shards=1, **options)
