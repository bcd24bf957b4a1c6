"""Batches of pairs: equal scores whatever is computed together, and what happens when memory runs out."""

import numpy as np
import pytest

from pipeline.engines.nli.batches import LengthBatches
from pipeline.engines.nli.heads import Head
from pipeline.engines.nli.loading import load_cross_encoder
from pipeline.engines.nli.scoring import Pair, PairScorer
from tests.pipeline.engines.nli.tiny_nli_models import HEAD, KnowingModel, make_model


def pairs(count):
    return [Pair(f"fact {n} " + "and so on " * n, f"fact {n}", 5 + 3 * n) for n in range(count)]


def test_scores_equal_those_of_the_library_one_record_at_a_time(tmp_path):
    model = load_cross_encoder("tiny", make_model(tmp_path / "m"), "cpu", "float32")
    asked = [Pair("the bridge was opened in 1932 . " * n, "it is 1149 metres long", 8 * n + 8) for n in range(1, 9)]
    together = PairScorer(model, Head(supported=1, outputs=3, contradicted=0), LengthBatches(128)).score(asked)
    alone = [model.predict([(one.evidence, one.claim)], apply_softmax=True)[0] for one in asked]
    np.testing.assert_allclose(together, np.array(alone)[:, [1, 0]], atol=2e-6)


def test_single_logit_is_turned_into_a_probability(tmp_path):
    model = load_cross_encoder("tiny", make_model(tmp_path / "m", labels=("supported",)), "cpu", "float32")
    scores = PairScorer(model, Head(supported=0, outputs=1), LengthBatches(4096)).score(
        [Pair("the bridge", "a tower", 8)]
    )
    assert 0 < scores[0, 0] < 1
    assert scores[0, 1] == 0


def test_batches_hold_pairs_of_about_one_length_within_the_budget():
    model = KnowingModel()
    PairScorer(model, HEAD, LengthBatches(64)).score(pairs(12))
    sizes = [len(batch) for batch in model.batches]
    assert sizes == [1, 1, 2, 2, 3, 3]  # lengths 38 | 35 | 32 29 | 26 23 | 20 17 14 | 11 8 5: 64 // longest each


def test_equal_pairs_are_computed_once():
    model = KnowingModel()
    scores = PairScorer(model, HEAD, LengthBatches(4096)).score(
        [Pair("a b", "a", 6), Pair("c", "a", 6), Pair("a b", "a", 6)]
    )
    assert [len(batch) for batch in model.batches] == [2]
    assert scores[:, 0].tolist() == [0.9, 0.2, 0.9]


def test_out_of_memory_halves_the_batch_and_loses_nothing(caplog):
    model = KnowingModel(largest=2)
    scorer = PairScorer(model, HEAD, LengthBatches(4096))
    scores = scorer.score(pairs(8))
    assert scores[:, 0].tolist() == [0.9] * 8
    assert max(len(batch) for batch in model.batches) == 2
    assert scorer.batches.batch_tokens < 4096
    assert "out of memory" in caplog.text


def test_pair_that_does_not_fit_alone_has_no_score():
    scores = PairScorer(KnowingModel(largest=0), HEAD, LengthBatches(4096)).score(pairs(2))
    assert np.isnan(scores).all()


def test_other_errors_of_the_model_are_not_taken_for_a_lack_of_memory():
    class Broken:
        def predict(self, inputs, **options):
            raise RuntimeError("index out of range")

    with pytest.raises(RuntimeError, match="index out of range"):
        PairScorer(Broken(), HEAD, LengthBatches(4096)).score(pairs(2))
