"""The words that the responses to one prompt share, and the verdicts that rest on them."""

import dataclasses

import pytest

from pipeline.engines.context_index import index_context
from pipeline.engines.features import CLAUSE_FEATURES, GROUP_FEATURES, Reading, clause_features
from pipeline.engines.group_words import group_words
from pipeline.engines.lexical import LexicalVerifier
from pipeline.engines.linear import ClaimModel, LinearModel
from pipeline.engines.rules import RulesExtractor
from pipeline.engines.words import stem
from schemas.records import Passage, Sample

OWN = "The ferry takes 35 minutes and serves espresso."
OTHERS = (
    "The ferry needs 35 minutes; coffee and espresso are sold.",
    "It takes 35 minutes, with a stop at the lighthouse.",
)
CONTEXT = (Passage("p1", "The ferry takes 35 minutes."),)


@pytest.mark.parametrize(
    ("word", "chance"),
    [("ferry", 0.25), ("espresso", 0.25), ("minutes", 0.0), ("serves", 1.0), ("nowhere", 1.0)],
)
def test_chance_that_two_other_responses_lack_a_word(word, chance):
    words = group_words((OWN, *OTHERS))
    assert words is not None
    assert words.others == 2
    assert words.unechoed(stem(word)) == pytest.approx(chance)


@pytest.mark.parametrize(
    "responses", [(), (OWN,), (OWN, OWN.upper()), (OWN, "Espresso: the ferry serves; takes 35 minutes."), (OWN, "!")]
)
def test_response_without_another_one_has_no_group(responses):
    """One that says the same words again is no second witness, nor is one without words."""
    assert group_words(responses) is None


def test_copies_and_order_of_the_responses_change_nothing():
    words, again = group_words((OWN, *OTHERS)), group_words((OTHERS[1], OWN, OWN.lower(), OTHERS[0]))
    assert words is not None
    assert again is not None
    assert (words.counts, words.others) == (again.counts, again.others)


@pytest.mark.parametrize(("others", "names"), [((), CLAUSE_FEATURES), (OTHERS, GROUP_FEATURES)])
def test_a_feature_for_every_name(others, names):
    reading = Reading(OWN, index_context(CONTEXT), group_words((OWN, *others)))
    features = clause_features(reading, 0, 0, len(reading.analysis.tokens))
    assert len(features) == len(names)


def test_word_of_the_context_needs_no_echo():
    said = "The ferry takes 35 minutes."
    reading = Reading(said, index_context(CONTEXT), group_words((said, "Espresso is sold aboard.")))
    assert clause_features(reading, 0, 0, 5)[GROUP_FEATURES.index("unechoed")] == 0.0


def sample_with(*others: str) -> Sample:
    return Sample("r1", "g", "How long?", CONTEXT, OWN, group_responses=(OWN, *others) if others else ())


def scores(sample: Sample, verifier: LexicalVerifier | None = None) -> list[float]:
    claims = (verifier or LexicalVerifier()).verify(sample, RulesExtractor().extract(sample))
    return [claim.score for claim in claims if claim.score is not None]


def test_what_the_other_responses_say_too_is_likelier_supported():
    lone = scores(sample_with("It takes 35 minutes.", "The crossing lasts 35 minutes."))
    echoed = scores(sample_with("It takes 35 minutes and serves espresso.", "Espresso is served aboard."))
    assert all(a < b for a, b in zip(lone, echoed, strict=True))


def test_other_responses_never_bear_a_number():
    wrong = dataclasses.replace(
        sample_with(), response="It takes 99 minutes.", group_responses=("It takes 99 minutes.", "99 minutes long.")
    )
    (claim,) = LexicalVerifier().verify(wrong, RulesExtractor().extract(wrong))
    assert claim.verdict != "supported"
    assert "99" in claim.reason


def always(threshold: float, names: tuple[str, ...]) -> ClaimModel:
    """A model that gives every claim a probability of one half."""
    return ClaimModel(LinearModel(names, (0.0,) * len(names), 0.0), 0.0, 0.0, 0.0, threshold)


def test_each_kind_of_response_has_its_model():
    verifier = LexicalVerifier(always(0.4, CLAUSE_FEATURES), group_model=always(0.6, GROUP_FEATURES))
    for sample, verdict in ((sample_with(), "unsupported"), (sample_with(*OTHERS), "supported")):
        claims = verifier.verify(sample, RulesExtractor().extract(sample))
        assert {claim.verdict for claim in claims} == {verdict}


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ((), "not in the context: bridge, painted, storms"),
        (("It was painted.",), "not in the context, nor in another response: bridge, storms"),
        (("Storms: painted bridge!", "Painted."), "not in the context: bridge, painted, storms"),
    ],
)
def test_reason_names_the_words_that_nobody_else_has(others, reason):
    said = "It takes 35 minutes. But the bridge was painted during storms."
    sample = Sample("r1", "g", "How long?", CONTEXT, said, group_responses=(said, *others) if others else ())
    finding_of = LexicalVerifier(always(0.4, CLAUSE_FEATURES), group_model=always(0.4, GROUP_FEATURES))
    claims = finding_of.verify(sample, RulesExtractor().extract(sample))
    assert claims[-1].reason == reason
