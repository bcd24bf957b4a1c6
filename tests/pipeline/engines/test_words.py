"""Words, stems and kinds."""

import pytest

from pipeline.engines.words import CONTENT, NEGATION, NUMBER, STOP, stem, tokenize


def test_offsets_point_at_the_words():
    text = "Don't stop, 12.5% of naïve 中文 – she’s in."
    tokens = tokenize(text)
    assert [text[start:end] for start, end in zip(tokens.starts, tokens.ends, strict=True)] == tokens.words
    assert tokens.words == ["Don't", "stop", "12.5", "of", "naïve", "中", "文", "she’s", "in"]


def test_kinds():
    tokens = tokenize("However, two cats never ate 3 fish.")
    assert tokens.kinds == [STOP, NUMBER, CONTENT, NEGATION, CONTENT, NUMBER, CONTENT]


@pytest.mark.parametrize(
    "forms",
    [
        "run runs running",
        "fertilize fertilizer fertilized",
        "hormone hormones hormonal",
        "study studies studied",
        "woman women",
        "take took taken takes",
        "fall fell fallen falling",
        "choose chose chosen",
        "rise rose risen",
        "pay paid pays",
    ],
)
def test_inflections_share_a_stem(forms):
    assert len({stem(form) for form in forms.split()}) == 1


def test_accents_are_folded():
    assert stem("jalapeños") == stem("jalapenos")
    assert stem("l'hôtel") == stem("hôtel")
    assert stem("women's") == stem("women")


def test_a_capital_inside_begins_a_word_and_capitals_in_a_row_stay_together():
    assert tokenize("OutdoorSeating WiFi Wi-Fi PhD NATO LLMs").words == [
        "Outdoor", "Seating", "Wi", "Fi", "Wi", "Fi", "Ph", "D", "NATO", "LLMs",
    ]  # fmt: skip


def test_plain_and_other_text_are_cut_alike():
    text = "It's 3,000 miles: well-known, isn't it? v1.2 WiFi NATO"
    assert tokenize(text).words == tokenize(text + " é").words[:-1]


@pytest.mark.parametrize("text", ["", " ", "\x00", "\U0001f600", "'''", "_"])
def test_text_without_words(text):
    assert len(tokenize(text)) == 0


def test_words_in_double_s_are_no_plurals():
    assert stem("class") == stem("classes")
    assert stem("wireless") == stem("wirelessly")
    assert stem("kindness") == stem("kind")
