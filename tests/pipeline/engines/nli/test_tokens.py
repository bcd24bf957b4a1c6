"""A token classifier over (context, response): runs of sentences, and scores at the right characters."""

import numpy as np
import pytest

from pipeline.engines.nli.batches import LengthBatches
from pipeline.engines.nli.tokens import TOKEN_LABELS, TokenScorer, score_responses, token_inputs
from pipeline.engines.nli.units import context_units
from schemas.records import Passage
from tests.pipeline.engines.nli.tiny_nli_models import make_encoder, words_of

CONTEXT = (Passage("p1", "The bridge was opened in 1932."), Passage("p2", "It is long."))


def inputs(response, window=64, context=CONTEXT):
    return token_inputs(context, response, context_units(context, words_of, 16), words_of, window)


def test_short_response_is_one_run_over_the_whole_context():
    [one] = inputs("It opened. It is red.")
    assert (one.evidence, one.run, one.start) == (
        "The bridge was opened in 1932.\nIt is long.",
        "It opened. It is red.",
        0,
    )


def test_long_response_is_read_in_runs_of_whole_sentences_that_lose_nothing():
    response = " ".join(f"Sentence {n} has five words." for n in range(10))
    runs = inputs(response, window=40)
    assert len(runs) == 4  # 20 tokens a run: three sentences of six
    assert all(response[one.start : one.start + len(one.run)] == one.run for one in runs)
    assert " ".join(one.run for one in runs) == response


def test_nothing_to_read():
    assert inputs("  ") == []
    assert inputs("It opened.", context=()) == []


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    folder = make_encoder(tmp_path_factory.mktemp("m") / "encoder")
    model = AutoModelForTokenClassification.from_pretrained(folder, num_labels=len(TOKEN_LABELS)).eval()
    return TokenScorer(model, AutoTokenizer.from_pretrained(folder), LengthBatches(256), 128)


def test_every_character_of_a_word_has_a_probability_and_white_space_none(scorer):
    response = "the bridge was red ."
    [scores] = score_responses(scorer, [inputs(response)], [len(response)])
    assert np.isnan(scores).tolist() == [char == " " for char in response]
    assert np.nanmin(scores) > 0
    assert np.nanmax(scores) < 1


def test_scores_do_not_depend_on_what_is_computed_together(scorer):
    responses = ["the bridge was red .", "it is long .", "a bridge of 1149 metres was opened in 1932 and is long ."]
    together = score_responses(scorer, [inputs(one) for one in responses], [len(one) for one in responses])
    for response, scores in zip(responses, together, strict=True):
        [alone] = score_responses(scorer, [inputs(response)], [len(response)])
        np.testing.assert_allclose(scores, alone, atol=1e-5)
