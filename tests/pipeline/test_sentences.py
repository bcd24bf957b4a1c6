"""Where sentences end, and where they do not."""

import random
import time
from itertools import pairwise

import pytest

from pipeline.sentences import split_sentences


def pieces(text: str) -> list[str]:
    return [text[span.start : span.end] for span in split_sentences(text)]


def test_splits_after_full_stop_question_and_exclamation_mark():
    assert pieces("It rains. Does it? Yes! Good.") == ["It rains.", "Does it?", "Yes!", "Good."]


def test_abbreviations_initials_and_decimals_stay_inside():
    text = "Dr. Smith paid $3.5 million to J. R. R. Tolkien, e.g. in the U.S. Army. He left."
    assert pieces(text) == [text[:-9], "He left."]


def test_abbreviation_may_end_a_sentence_when_a_new_one_starts():
    assert pieces("He left at 5 p.m. The shop was closed.") == ["He left at 5 p.m.", "The shop was closed."]


def test_a_time_of_day_ends_a_sentence_unless_its_day_or_zone_follows():
    assert pieces("Open till 2 p.m. Students pay 5 euros.") == ["Open till 2 p.m.", "Students pay 5 euros."]
    whole = "It opens at 9 a.m. Monday, at 5 p.m. EST and at 3 p.m. Pacific time."
    assert pieces(whole) == [whole]


def test_an_abbreviation_before_a_number_or_between_parties_ends_nothing():
    for whole in (
        "Ada Berg (b. 1902 in Graz) painted.",
        "See Nr. 5, sec. 4 and p. 12 of it.",
        "In Roe v. Wade it was decided.",
        "Der Umsatz stieg am 3. Mai um 12 Mio. Euro, z. B. in Bonn, d. h. nach Art. 5.",
        "Mme. Leroy habite \u00e0 Paris.",
    ):
        assert pieces(whole) == [whole]
    assert pieces("It rose (slowly) in 2001. 5 people left.") == ["It rose (slowly) in 2001.", "5 people left."]


def test_list_items_keep_their_markers():
    text = "Steps:\n1. Open the lid. Wait.\n2. Close it\n* Done\n- Over"
    assert pieces(text) == ["Steps:", "1. Open the lid.", "Wait.", "2. Close it", "* Done", "- Over"]
    assert pieces("**1.** Open it. **2.** Close it.") == ["**1.** Open it.", "**2.** Close it."]


def test_carriage_returns_are_trimmed():
    assert pieces("One.\r\n\r\nTwo\r\nThree") == ["One.", "Two", "Three"]


def test_closing_quotes_and_brackets_belong_to_their_sentence():
    assert pieces('He said "no." (Really.) Then he left.') == ['He said "no."', "(Really.)", "Then he left."]


def test_question_inside_a_quotation_goes_on():
    assert pieces('"Really?" she asked. "Yes."') == ['"Really?" she asked.', '"Yes."']


def test_hard_wrapped_prose_is_one_sentence():
    text = "This line is long enough to have been wrapped by\nan editor at its margin."
    assert pieces(text) == [text]


def test_lines_of_a_data_record_are_sentences():
    text = "categories: Bars, Breakfast & Brunch, American (New)\nhours Monday: 17:00-22:00 (5 PM to 10 PM)\nstars: 4"
    assert pieces(text) == text.split("\n")


def test_a_state_is_no_abbreviation():
    assert pieces("It is in Santa Monica, CA. Parking is free.") == ["It is in Santa Monica, CA.", "Parking is free."]
    assert pieces("It was built ca. 1900 by St. Anne's.") == ["It was built ca. 1900 by St. Anne's."]


def test_cjk_marks_need_no_space():
    assert pieces("他来了。他走了！好") == ["他来了。", "他走了！", "好"]


def test_ellipsis_goes_on_in_lower_case():
    assert pieces("Wait... what? Yes.") == ["Wait... what?", "Yes."]


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\t\r\n"])
def test_nothing_gives_no_sentence(text):
    assert split_sentences(text) == []


def test_any_text_gives_trimmed_ordered_spans_that_lose_no_character():
    rng = random.Random(0)
    alphabet = "aB1 .!?\n\r\t\"'()*-\x00\u3002\u2026\U0001f600\u00e9"
    for _ in range(500):
        text = "".join(rng.choices(alphabet, k=rng.randrange(60)))
        spans = split_sentences(text)
        assert all(text[span.start : span.end].strip() == text[span.start : span.end] != "" for span in spans)
        assert all(left.end <= right.start for left, right in pairwise(spans))
        assert "".join(text[s.start : s.end] for s in spans).replace(" ", "") == "".join(pieces(text)).replace(" ", "")
        between = text
        for span in reversed(spans):
            between = between[: span.start] + between[span.end :]
        assert between.strip() == ""


def test_time_is_linear_in_the_length():
    def seconds(text: str) -> float:
        start = time.process_time()
        split_sentences(text)
        return time.process_time() - start

    for unit in ("A b c. ", " ", "\n", ".", '"', "a"):
        seconds(unit * 1000)
        assert seconds(unit * 100_000) < 200 * max(seconds(unit * 5_000), 1e-3)


def test_a_single_capital_ends_a_sentence_where_the_next_word_begins_one():
    assert pieces("It draws 4.5 A. You can run it dry.") == ["It draws 4.5 A.", "You can run it dry."]
    assert pieces("See Plan C. The year was fine.") == ["See Plan C.", "The year was fine."]
    assert pieces("George W. Bush read J. R. R. Tolkien.") == ["George W. Bush read J. R. R. Tolkien."]
