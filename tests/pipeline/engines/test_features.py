"""What the lexical verifier measures of a response, on hand-worked cases."""

import pytest

from pipeline.engines.context_index import index_context
from pipeline.engines.features import (
    CLAUSE_FEATURES,
    Reading,
    clause_features,
    read_signals,
    reports_on_passages,
    word_means,
    word_sums,
)
from pipeline.engines.words import tokenize
from schemas.records import Passage

INDEX = index_context((Passage("1", "Cold water makes tea. Warm milk makes foam."),))


def named(reading: Reading, number: int) -> dict[str, float]:
    clause = reading.analysis.clauses[number]
    values = clause_features(reading, clause.start, clause.first, clause.last)
    return dict(zip(CLAUSE_FEATURES, values, strict=True))


def test_signals_of_a_copied_run_and_a_new_word():
    # cold-water and water-makes are neighbours in the context, so the first three words are a copied run; "xyzq" is new
    signals = read_signals(tokenize("cold water makes xyzq"), INDEX)
    assert signals.content == [0, 1, 2, 3, 4]
    assert signals.familiar == [0, 1, 2, 3, 3]
    assert signals.paired == [0, 1, 2, 3, 3]
    assert signals.copied == [0, 1, 2, 3, 3]
    assert word_means(word_sums(signals, 0, 4)) == (0.75, 0.75, 0.75)


def test_a_pair_alone_is_no_copied_run():
    assert read_signals(tokenize("cold water"), INDEX).copied == [0, 0, 0]


def test_no_words_are_familiar_but_not_copied():
    assert word_means((0, 0.0, 0, 0, 0)) == (1.0, 0.0, 0.0)


def test_neighbours_count_half():
    # clause 1 has no familiar word, clause 0 three of three: (0 + 3/2) / (3 + 3/2) = 1/3
    reading = Reading("Cold water makes. Xyzq xyzv xyzw.", INDEX)
    assert named(reading, 1)["familiar"] == 0.0
    assert named(reading, 1)["familiar_near"] == pytest.approx(1 / 3)


def test_cues_of_place_and_discourse():
    reading = Reading("Tea is cold.\n* Milk may not foam.\nHowever, tea is warm.\nTherefore drink tea.", INDEX)
    cues = [named(reading, number) for number in range(4)]
    assert [row["list_item"] for row in cues] == [0, 1, 0, 0]
    assert [row["caveat"] for row in cues] == [0, 1, 0, 0]
    assert [row["negated"] for row in cues] == [0, 1, 0, 0]
    assert [row["adds"] for row in cues] == [0, 0, 1, 0]
    assert [row["concludes"] for row in cues] == [0, 0, 0, 1]
    assert cues[0]["late"] == 0.0 < cues[1]["late"] < cues[3]["late"] < 1.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Passage 2 describes tea", True), ("While the text says", True), ("Tea is in passage 2", False), ("", False)],
)
def test_reports_on_passages(text, expected):
    assert reports_on_passages(tokenize(text).stems) is expected


def test_new_names_are_capitalised_words_inside_a_sentence_that_the_context_lacks():
    reading = Reading("Kettles sing. Cold Water makes tea in Zurich for Anna Smith. 1. Boil it.", INDEX)
    assert [reading.analysis.tokens.words[at] for at in reading.new_names] == ["Zurich", "Anna", "Smith"]
    assert named(reading, 0)["new_names"] == 0  # the first word of a sentence is capitalised anyway
    assert named(reading, 1)["new_names"] == 3 / 7
