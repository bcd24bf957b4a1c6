"""Which passages and sentences speak about a claim."""

from pipeline.engines.context_index import index_context, rank_sentences
from pipeline.engines.words import stem, tokenize
from schemas.records import Passage

PASSAGES = (
    Passage("a", "Ticks live in tall grass. Remove them with tweezers."),
    Passage("b", "Dogs like to run. Tweezers should be cleaned with alcohol."),
)


def texts(claim: str, limit: int = 3) -> list[str]:
    index = index_context(PASSAGES)
    return [index.text_of(sentence) for sentence, _ in rank_sentences(index, tokenize(claim).stems, limit)]


def test_the_sentence_with_the_rarest_shared_words_comes_first():
    assert texts("Clean the tweezers with alcohol.")[0] == "Tweezers should be cleaned with alcohol."
    assert texts("A tick lives in grass.", limit=1) == ["Ticks live in tall grass."]


def test_no_shared_word_gives_no_evidence():
    assert texts("Violins sound nice.") == []


def test_function_words_find_nothing():
    assert texts("It is in the with.") == []


def test_equal_scores_go_to_the_earlier_sentence():
    index = index_context((Passage("a", "Red wine. Red wine."), Passage("b", "Red wine.")))
    assert [sentence for sentence, _ in rank_sentences(index, ["red", "win"])] == [0, 1, 2]


def test_rare_words_weigh_more_than_frequent_ones():
    index = index_context(PASSAGES)
    assert index.idf["alcohol"] > index.idf["tweez"]


def test_the_index_of_a_context_is_built_once():
    assert index_context(PASSAGES) is index_context(tuple(Passage(p.passage_id, p.text) for p in PASSAGES))


def test_the_sentences_of_a_printed_object_go_from_key_to_key():
    record = '{"name": "Sol", "hours": {"Monday": "8:0-16:30"}, "review": "Good soup. No view."}'
    index = index_context((Passage("a", record),))
    assert [record[one.start : one.end] for one in index.sentences] == [
        "{",
        '"name": "Sol",',
        '"hours": {',
        '"Monday": "8:0-16:30"},',
        '"review": "Good soup.',
        'No view."}',
    ]


def test_a_date_of_digits_has_the_word_of_its_month():
    index = index_context((Passage("a", "Opened 2024-03-05. Closed."), Passage("b", "Gebaut am 1.12.1990.")))
    assert index.postings[stem("march")] == [0]
    assert index.postings[stem("december")] == [2]
    assert stem("january") not in index.postings


def test_weekdays_in_short_are_their_names_unless_one_may_be_a_star():
    index = index_context((Passage("a", "Thurs: 9-17. Sat: closed."), Passage("b", "Sat in the Sun at noon.")))
    assert index.postings["thursda"] == [0]
    assert index.postings["saturda"] == [1, 2]
    assert "sunda" not in index_context((Passage("a", "The Sun rises."),)).postings
