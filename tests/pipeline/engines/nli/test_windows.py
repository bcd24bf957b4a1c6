"""Evidence texts: nothing lost where the context fits, neighbours kept where it does not."""

from pipeline.engines.nli.units import context_units
from pipeline.engines.nli.windows import chosen_windows, whole_context
from schemas.records import Passage
from tests.pipeline.engines.nli.tiny_nli_models import words_of

TWO = (Passage("p1", "One two three. Four five six."), Passage("p2", "Seven eight nine."))


def units(passages, longest=20):
    return context_units(passages, words_of, longest)


def test_context_that_fits_is_one_text_with_its_own_white_space():
    [window] = whole_context(units(TWO), room=40, most=1)
    assert window.text == "One two three. Four five six.\nSeven eight nine."
    assert window.tokens == 15  # nine words, two more for each of three joins


def test_passages_stay_whole_where_they_can():
    # room 12: the first passage takes 10, the second 5
    assert [one.text for one in whole_context(units(TWO), 12, 2)] == [
        "One two three. Four five six.",
        "Seven eight nine.",
    ]


def test_sentence_at_a_cut_stands_in_both_texts():
    long = (Passage("p1", "A b c. D e f. G h i. J k l."),)
    assert [one.text for one in whole_context(units(long), 15, 2)] == ["A b c. D e f. G h i.", "G h i. J k l."]


def test_context_that_takes_more_texts_is_not_whole():
    assert whole_context(units(TWO), room=5, most=2) is None


def test_chosen_piece_brings_its_neighbours_and_keeps_the_order_of_the_context():
    text = " ".join(f"Word{n} a b." for n in range(9))
    [window] = chosen_windows(units((Passage("p", text),)), ranked=[4, 8], room=25, most=1)
    assert window.text == "Word3 a b. Word4 a b. Word5 a b. Word7 a b. Word8 a b."


def test_neighbour_is_never_taken_from_another_passage():
    [window] = chosen_windows(units(TWO), ranked=[2], room=10, most=1)
    assert window.text == "Seven eight nine."


def test_sentence_longer_than_the_model_is_cut_at_white_space_and_lost_nowhere():
    line = " ".join(f"w{n}" for n in range(50))
    pieces = units((Passage("p", line),), longest=20)
    assert max(unit.tokens for unit in pieces.units) <= 20
    assert "".join(pieces.text(unit) for unit in pieces.units) == line
    assert {unit.sentence for unit in pieces.units} == {0}
