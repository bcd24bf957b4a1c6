"""What the lexical verifier looks at in a claim that stands on its own."""

import pytest

from pipeline.engines.claim_features import TEXT_FEATURES, read_claim, topic_of
from pipeline.engines.context_index import index_context
from schemas.records import Message, Passage, Sample

INDEX = index_context((Passage("1", "Ada Lovelace wrote notes in 1843. Charles Babbage built engines in London."),))


def features(text: str, topic: frozenset[str] = frozenset()) -> dict[str, float]:
    return dict(zip(TEXT_FEATURES, read_claim(text, INDEX, topic).features, strict=True))


def sample(prompt: str | tuple[Message, ...]) -> Sample:
    return Sample("s", "g", prompt, (), "x")


def test_words_of_the_question_support_nothing():
    topic = topic_of(sample("Who was Ada Lovelace?"))
    assert features("Ada Lovelace sang opera.", topic)["familiar_beyond_topic"] < 0.3
    assert features("Ada Lovelace sang opera.")["familiar_beyond_topic"] > 0.4
    assert features("Ada Lovelace wrote notes.", topic)["familiar_beyond_topic"] == 1.0


def test_the_topic_is_the_last_message_and_no_long_prompt():
    assert topic_of(sample((Message("system", "Be brief."), Message("user", "Who was Ada?")))) == topic_of(
        sample("Who was Ada?")
    )
    assert topic_of(sample("Answer from the passages: " + "Ada wrote notes. " * 40)) == frozenset()
    assert topic_of(sample(())) == frozenset()


@pytest.mark.parametrize(
    ("text", "elsewhere", "missing"),
    [("Ada wrote notes in 1843.", 0, 0), ("Ada wrote notes in 1850.", 0, 1), ("No number here.", 0, 0)],
)
def test_numbers_near_the_best_sentence(text, elsewhere, missing):
    row = features(text)
    assert (row["number_elsewhere"], row["missing_number"]) == (elsewhere, missing)


def test_a_number_of_another_place_is_elsewhere():
    passages = tuple(
        Passage(str(at), text) for at, text in enumerate(("Ada wrote notes.", "It rained.", "Engines ran in 1843."))
    )
    row = dict(
        zip(TEXT_FEATURES, read_claim("Ada wrote notes in 1843.", index_context(passages)).features, strict=True)
    )
    assert row["number_elsewhere"] == 1
    assert row["missing_number"] == 0


def test_a_claim_without_words_is_read():
    assert len(read_claim("...", INDEX).features) == len(TEXT_FEATURES)
