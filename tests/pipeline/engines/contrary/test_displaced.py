"""Numbers and names of a claim in another's place."""

import pytest

from pipeline.engines.context_index import index_context
from pipeline.engines.contrary.displaced import FEATURES, displaced_fact, fact_slots
from pipeline.engines.contrary.displaced_model import NAME_MODEL, NUMBER_MODEL
from pipeline.engines.fact_slots import NEXT, FactSlots, words_around
from pipeline.engines.likeness import Likeness
from pipeline.engines.numerals.claimed_numbers import claimed_numbers
from pipeline.engines.words import CONTENT, Tokens, stem, tokenize
from schemas.records import Passage

REPORT = (
    "The harbour of Lund had 410 ships in the summer of 2019. Malmo rebuilt its quays in 2021 for 730 yachts. "
    "The mayor of Lund, Anna Berg, opened a museum of tides. In spring Carl Dahl painted the bridge of Malmo."
)


MIXED = "The mayor of Lund, Carl Dahl, opened 730 museums."


def asked(claim: str, *passages: str) -> tuple[Likeness, Tokens]:
    index = index_context(tuple(Passage(f"p{at}", text) for at, text in enumerate(passages)))
    tokens = tokenize(claim)
    content = [word for word, kind in zip(tokens.stems, tokens.kinds, strict=True) if kind == CONTENT]
    like = Likeness.of(index, content)
    assert like is not None
    return like, tokens


def sign(claim: str, *passages: str) -> str:
    like, tokens = asked(claim, *passages)
    return displaced_fact(like, tokens, 0, len(tokens), claimed_numbers(claim, tokens))


@pytest.mark.parametrize(
    ("claim", "instead", "written"),
    [
        ("The harbour of Lund had 730 ships.", "410", "730"),
        ("Malmo rebuilt its quays in 2019.", "2021", "2019"),
        ("The mayor of Lund, Carl Dahl, opened a museum.", "Anna Berg", "Carl Dahl"),
    ],
)
def test_a_fact_of_another_place_is_named_with_what_stands_there(claim, instead, written):
    assert sign(claim, REPORT) == f"near the same words the context has “{instead}”, not “{written}”"


@pytest.mark.parametrize(
    "claim",
    [
        "The harbour of Lund had 410 ships in 2019.",
        "In 2019, 410 ships lay in the harbour of Lund.",
        "Quays for 730 yachts were rebuilt in Malmo.",
        "A museum of tides was opened by Anna Berg, the mayor of Lund.",
        "Carl Dahl painted the bridge in spring.",
        "It opened in 1850.",  # the context lacks it: that is an error of another kind
    ],
)
def test_a_fact_in_its_place_shows_no_sign(claim):
    assert sign(claim, REPORT) == ""


def test_every_feature_has_a_weight_and_rows_have_every_feature():
    assert FEATURES == NUMBER_MODEL.names == NAME_MODEL.names
    like, tokens = asked(MIXED, REPORT)
    slots = [*fact_slots(like, tokens, 0, len(tokens), claimed_numbers(MIXED, tokens))]
    assert slots
    assert {len(slot.features) for slot in slots} == {len(FEATURES)}


def test_names_have_a_capital_inside_sentences_and_no_small_letter_anywhere():
    text = (
        "Reports come from Lund. Ships anchor there: Reports say so. The ships of Malmo, Carl-Axel Dahl and Ystad left."
    )
    slots = FactSlots((Passage("a", text),))
    names = [text[fact.start : fact.end] for fact in slots.facts]
    assert names == ["Lund", "Malmo", "Carl-Axel Dahl", "Carl-Axel Dahl", "Carl-Axel Dahl", "Ystad"]


def test_nothing_stands_around_a_fact_across_passages():
    slots = FactSlots((Passage("a", "Lights of Lund"), Passage("b", "Of Ystad bells"), Passage("c", "7 bells")))
    (seven,) = slots.by_value[7.0]
    assert slots.around(seven) == {stem("bells"): NEXT}


def test_words_around_have_their_nearest_place_and_their_side():
    words = ["red", "bell", "", "old", "FACT", "bell", "new", "old"]
    around = words_around(words, 4, 5)
    assert (around["old"], around["bell"]) == (-NEXT, NEXT)
    assert -NEXT < around["red"] < 0 < around["new"] < NEXT
    assert [*words_around(words, 0, 1)] == ["bell", "old", "FACT", "new"]
