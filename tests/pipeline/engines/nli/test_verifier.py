"""Claims of many records through the engine `nli`, with a model whose answers are known."""

import numpy as np
import pytest

from pipeline.engines.nli.verifier import EMPTY, NO_SCORE, TOO_LONG
from schemas.records import CONTRADICTED, NO_CONTEXT, OK, SUPPORTED, UNSUPPORTED, Evidence
from tests.pipeline.engines.nli.tiny_nli_models import KnowingModel, open_fake, sample_of, verifier_with

BRIDGE = "The bridge opened in 1932. It is long."


def test_claim_that_the_evidence_entails_is_supported_with_its_sentence():
    [claim] = verifier_with(open_fake(KnowingModel())).verify(*sample_of([BRIDGE], "The bridge opened in 1932"))
    assert (claim.verdict, claim.status, claim.score) == (SUPPORTED, OK, 0.9)
    assert claim.evidence == (Evidence("p1", 0, 26),)
    assert claim.verifier == "nli/1:fake@000000000000"


def test_claim_that_nothing_entails_is_unsupported():
    [claim] = verifier_with(open_fake(KnowingModel())).verify(*sample_of([BRIDGE], "The tower opened in 1932"))
    assert (claim.verdict, claim.score) == (UNSUPPORTED, 0.2)


def test_claim_that_the_evidence_denies_is_contradicted():
    [claim] = verifier_with(open_fake(KnowingModel())).verify(*sample_of(["It is not red."], "red"))
    assert (claim.verdict, claim.score) == (CONTRADICTED, 0.1)


def test_any_evidence_text_is_enough():
    filler = "Nothing of interest was seen in this long and very quiet street today. "
    # 30 words of room beside 32 for the claim: the two passages do not fit into one text
    verifier = verifier_with(open_fake(KnowingModel(), window=67))
    [claim] = verifier.verify(*sample_of([filler * 2, BRIDGE], "The bridge opened in 1932"))
    assert claim.verdict == SUPPORTED
    assert claim.evidence == (Evidence("p2", 0, 26),)


def test_evidence_far_down_in_a_long_context_is_found_by_its_words():
    filler = " ".join(f"Sentence number {number} speaks of other things entirely." for number in range(200))
    verifier = verifier_with(open_fake(KnowingModel(), window=67), evidence_windows=1)
    [claim] = verifier.verify(*sample_of([f"{filler} {BRIDGE} {filler}"], "The bridge opened in 1932"))
    assert claim.verdict == SUPPORTED


def test_claims_of_all_records_are_scored_together_and_come_back_to_their_own():
    model = KnowingModel()
    asked = [sample_of([f"Fact {n} holds here."], f"Fact {n}", f"Fact {n + 1}", record=f"r{n}") for n in range(20)]
    answers = verifier_with(open_fake(model)).verify_many(asked)
    assert [[claim.verdict for claim in claims] for claims in answers] == [[SUPPORTED, UNSUPPORTED]] * 20
    assert len(model.batches) == 1


def test_record_without_claims_and_record_without_context():
    answers = verifier_with(open_fake(KnowingModel())).verify_many([sample_of([BRIDGE]), sample_of([], "red")])
    assert answers[0] == ()
    assert (answers[1][0].verdict, answers[1][0].status) == (None, NO_CONTEXT)


@pytest.mark.parametrize(
    ("context", "text", "status"),
    [([" \n "], "red", NO_CONTEXT), ([BRIDGE], "", EMPTY), ([BRIDGE], "word " * 31, TOO_LONG)],
)
def test_claim_that_cannot_be_asked_is_unverified(context, text, status):
    [claim] = verifier_with(open_fake(KnowingModel())).verify(*sample_of(context, text))
    assert (claim.verdict, claim.status, claim.score) == (None, status, None)


def test_claim_without_a_number_from_the_model_is_unverified():
    class Broken:
        def predict(self, inputs, **options):
            return np.full((len(inputs), 3), np.nan)

    [claim] = verifier_with(open_fake(Broken())).verify(*sample_of([BRIDGE], "The bridge opened in 1932"))
    assert (claim.verdict, claim.status) == (None, NO_SCORE)


def test_embeddings_find_evidence_without_shared_words_and_read_each_context_once():
    class Topics:
        """Two dimensions: speaks of cars; speaks of anything else."""

        def __init__(self):
            self.seen = []

        def encode(self, sentences, **options):
            self.seen += sentences
            return np.array([[1.0, 0.0] if "automobile" in s or "car" in s else [0.0, 1.0] for s in sentences])

    class Paraphrases(KnowingModel):
        @staticmethod
        def _row(evidence, claim):
            return (0.05, 0.9, 0.05) if "automobile" in evidence else (0.1, 0.2, 0.7)

    filler = " ".join(f"Sentence number {number} speaks of other things entirely." for number in range(100))
    context, topics = [f"{filler} He drove his automobile. {filler}"], Topics()
    asked = [sample_of(context, "A man sat in a car", record=f"r{n}") for n in range(3)]
    with_words = verifier_with(open_fake(Paraphrases(), window=67), evidence_windows=1)
    with_both = verifier_with(open_fake(Paraphrases(), window=67, embedder=topics), evidence_windows=1)
    assert [claims[0].verdict for claims in with_words.verify_many(asked)] == [UNSUPPORTED] * 3
    assert [claims[0].verdict for claims in with_both.verify_many(asked)] == [SUPPORTED] * 3
    assert topics.seen.count("He drove his automobile.") == 1
