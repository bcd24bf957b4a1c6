from dataclasses import replace

import pytest

from pipeline.config import LabelConfig
from pipeline.engines.lexical import LexicalVerifier
from pipeline.engines.rules import RulesExtractor
from pipeline.label_tokens import label_draft
from pipeline.stages import Draft
from pipeline.weigh_scores import NeutralBand
from pipeline.wording import hold_to_wording, shared_wording
from schemas.errors import ConfigError
from schemas.records import SUPPORTED, UNSUPPORTED, Claim, Passage, Sample
from schemas.tokens import load_tokenizer

CONTEXT = (
    Passage("p1", "Petra Lind painted the bridge in Malmo."),
    Passage("p2", "Carl Dahl paid the painters of Lund."),
)
BAND = NeutralBand(0.45, 0.7)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("Petra Lind painted the bridge.", 1.0),
        ("Petra Lind paints the bridges.", 1.0),  # by stems
        ("The bridge in Malmo was painted.", 0.5),
        ("Carl Dahl painted the bridge in Lund.", 0.4),
        ("Malmo. Carl Dahl", 0.0),  # across passages
        ("the bridge", 1.0),
        ("a boat", 0.0),
        ("!", 1.0),
    ],
)
def test_share_of_runs_of_three_words_that_stand_in_a_passage(text, share):
    assert shared_wording(text, CONTEXT) == pytest.approx(share)


def test_only_sure_supported_claims_with_little_of_the_wording_become_doubtful():
    sure = Claim("c", "Carl Dahl painted the bridge in Lund.", verdict=SUPPORTED, status="ok", score=0.95, reason="r")
    claims = (
        sure,
        replace(sure, text="Petra Lind painted the bridge."),
        replace(sure, score=0.6),
        replace(sure, score=None),
        replace(sure, verdict=UNSUPPORTED, score=0.1),
    )
    held = hold_to_wording(claims, CONTEXT, 0.5, BAND)
    assert held[0] == replace(
        sure, score=pytest.approx(0.69), reason="doubtful: 40% of its runs of 3 words stand in the context; r"
    )
    assert BAND.is_doubtful(held[0])
    assert held[1:] == claims[1:]
    assert hold_to_wording(claims, CONTEXT, 0.0, BAND) == claims
    assert hold_to_wording(claims, CONTEXT, 0.5, None) == claims


def test_a_doubted_claim_labels_no_token_and_is_counted():
    sample = Sample(
        "s", "g", "Who painted?", CONTEXT, "Carl Dahl painted the bridge. Petra Lind painted the bridge in Malmo."
    )
    draft = Draft(sample, LexicalVerifier().verify(sample, RulesExtractor().extract(sample)))
    loose, held = (label_draft(draft, load_tokenizer("bytes"), "neutral", None, BAND, share) for share in (0.0, 0.6))
    assert (loose.doubtful, held.doubtful) == (0, 1)
    assert [(span.start, span.end) for span in held.label_spans] == [(30, 69)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"wording": 1.5}, "--wording 1.5: is a share"),
        ({"wording": 0.2, "labels": "gold"}, "--wording: verdicts of people"),
        ({"wording": 0.2, "verifier": "llm", "model": "m"}, "--wording: verdicts of --verifier llm"),
        ({"wording": 0.2, "neutral_band": "0:0"}, "--wording: makes claims doubtful, so it wants a --neutral-band"),
        ({"wording": 0.2, "neutral_band": "none"}, "--wording: makes claims doubtful, so it wants a --neutral-band"),
    ],
)
def test_options_that_cannot_work_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        LabelConfig(num_shards=1, **options)
