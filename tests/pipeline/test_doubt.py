from dataclasses import replace

import numpy as np
import pytest

from pipeline.config import LabelConfig
from pipeline.doubt import Doubt, hold_to, least_sure, shared_wording
from pipeline.engines.lexical import LexicalVerifier
from pipeline.engines.rules import RulesExtractor
from pipeline.label_tokens import label_draft
from pipeline.stages import Draft
from pipeline.weigh_scores import NeutralBand
from schemas.errors import ConfigError, RecordError
from schemas.records import SUPPORTED, UNSUPPORTED, Claim, Passage, Sample, Span, TokenLabels
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
    held = hold_to(Doubt(0.5), claims, CONTEXT, BAND)
    assert held[0] == replace(
        sure, score=pytest.approx(0.69), reason="doubtful: 40% of its runs of 3 words stand in the context; r"
    )
    assert BAND.is_doubtful(held[0])
    assert held[1:] == claims[1:]
    assert hold_to(Doubt(), claims, CONTEXT, BAND) == claims
    assert hold_to(Doubt(0.5), claims, CONTEXT, None) == claims


def tokens_of_words(text):
    """One token a word, with the space in front of it."""
    ends = np.array([at for at, letter in enumerate(text) if letter == " "] + [len(text)], dtype=np.int32)
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int32)
    return TokenLabels(np.arange(len(ends), dtype=np.int32), starts, ends, np.zeros(len(ends), dtype=np.int8))


def test_only_supported_claims_that_the_policy_was_sure_of_label():
    text = "Petra Lind painted it. Carl Dahl paid."
    tokens, logprobs = tokens_of_words(text), np.array([-0.5, -0.1, -3.0, -1.0, -6.0, -0.2, -9.0])
    first = Claim("a", text[:22], spans=(Span(0, 22),), verdict=SUPPORTED, status="ok", score=0.95, reason="r")
    second = replace(first, claim_id="b", text=text[23:], spans=(Span(23, 38),))
    nowhere = replace(first, claim_id="c", spans=())
    assert least_sure(first, tokens, logprobs) == pytest.approx(-1.5)
    assert least_sure(second, tokens, logprobs) == pytest.approx(-15.2 / 3)
    assert least_sure(nowhere, tokens, logprobs) == 0
    held = hold_to(Doubt(certainty=-2.5), (first, second, nowhere), CONTEXT, BAND, tokens, logprobs.tolist())
    assert held == (first, replace(second, score=pytest.approx(0.69), reason=held[1].reason), nowhere)
    assert held[1].reason == "doubtful: the policy was not sure of it (-5.1 nats a token at its 3 least likely); r"


@pytest.mark.parametrize("unknown", [np.nan, -np.inf])
def test_a_claim_of_which_a_log_probability_is_not_known_is_doubtful(unknown):
    text = "Petra Lind painted it."
    claim = Claim("a", text, spans=(Span(0, 22),), verdict=SUPPORTED, status="ok", score=0.95, reason="r")
    (held,) = hold_to(
        Doubt(certainty=-2.5), (claim,), CONTEXT, BAND, tokens_of_words(text), [-0.1, unknown, -0.1, -0.1]
    )
    assert held.score == pytest.approx(0.69)
    assert held.reason == "doubtful: how sure the policy was of it is not known; r"


def test_certainty_is_read_from_the_log_probabilities_of_the_sampled_tokens():
    tokenizer = load_tokenizer("bytes")
    text = "Petra Lind painted the bridge in Malmo. Carl Dahl paid the painters of Lund."
    ids = tuple(tokenizer.encode(text)[0].tolist())
    logprobs = tuple(-0.1 if at < 40 else -4.0 for at in tokenizer.encode(text)[1].tolist())
    sample = Sample(
        *("s", "g", "Who painted?", CONTEXT, text),
        response_token_ids=ids,
        response_logprobs=logprobs,
        tokenizer=tokenizer.fingerprint,
    )
    claims = LexicalVerifier().verify(sample, RulesExtractor().extract(sample))

    def labelled(of, doubt):
        return label_draft(Draft(of, claims), tokenizer, "neutral", None, BAND, doubt)

    assert [(span.start, span.end) for span in labelled(sample, Doubt()).label_spans] == [(0, 39), (40, 76)]
    assert [(span.start, span.end) for span in labelled(sample, Doubt(certainty=-2.5)).label_spans] == [(0, 39)]
    assert labelled(sample, Doubt(certainty=-4.5)).doubtful == 0
    for lacking in (replace(sample, response_logprobs=None), replace(sample, tokenizer="another")):
        with pytest.raises(RecordError, match="no log-probabilities of this tokenizer, which --certainty asks for"):
            labelled(lacking, Doubt(certainty=-2.5))


def test_a_doubted_claim_labels_no_token_and_is_counted():
    sample = Sample(
        "s", "g", "Who painted?", CONTEXT, "Carl Dahl painted the bridge. Petra Lind painted the bridge in Malmo."
    )
    draft = Draft(sample, LexicalVerifier().verify(sample, RulesExtractor().extract(sample)))
    loose, held = (
        label_draft(draft, load_tokenizer("bytes"), "neutral", None, BAND, Doubt(share)) for share in (0.0, 0.6)
    )
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
        ({"certainty": 0.5}, "--certainty 0.5: is a log-probability, at most 0"),
        ({"certainty": -2.5, "labels": "gold"}, "--certainty: verdicts of people"),
        ({"certainty": -2.5, "neutral_band": "none"}, "--certainty: makes claims doubtful, so it wants"),
    ],
)
def test_options_that_cannot_work_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        LabelConfig(num_shards=1, **options)
