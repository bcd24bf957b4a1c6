"""Fields of data records that hold numbers, and the numbers that a response tells of them."""

import json

import pytest

from pipeline.engines.lexical import LexicalVerifier
from pipeline.engines.records.number_fields import read_number_fields
from pipeline.engines.rules import RulesExtractor
from schemas.records import CONTRADICTED, Passage, Sample

TENT = {
    "product": "Aero tent",
    "weight_kg": 2.4,
    "price_eur": 349,
    "capacity": 3,
    "seasons": 4,
    "warranty_years": 5,
    "waterproof_rating_mm": 3000,
    "rating": 4.6,
    "reviews": 128,
    "launched": "2021-03-05",
}
LINES = (
    "Name: Aero\n- Weight: 2.4 kg\n- **Price:** 349 EUR\nCapacity: 3\nSeasons: 4\nWarranty: 5 years\nRating: 4.6\n"
    "Reviews: 128"
)
SHOPS = [{"name": "Ada's", "stars": 4, "seats": 30}, {"name": "Ben's", "stars": 5, "seats": 12}]


def fields(text: str) -> dict[str, list[float]]:
    found = read_number_fields((Passage("p", text),))
    return {one.label: sorted(one.values) for some in (found.by_word.values() if found else ()) for one in some}


def wrong(response: str, *context: str) -> list[str]:
    passages = tuple(Passage(str(at), text) for at, text in enumerate(context))
    sample = Sample("s", "g", "What about it?", passages, response)
    claims = LexicalVerifier().verify(sample, RulesExtractor().extract(sample))
    return [response[s.start : s.end] for one in claims if one.verdict == CONTRADICTED for s in one.error_spans]


def test_keys_and_their_values():
    assert fields(json.dumps(TENT)) == {
        "weight kg": [2.4], "price eur": [349], "capacity": [3], "seasons": [4], "warranty years": [5],
        "waterproof rating mm": [3000], "rating": [4.6], "reviews": [128],
    }  # fmt: skip
    assert fields(LINES)["Price"] == [349]
    assert fields(json.dumps(SHOPS)) == {"stars": [4, 5], "seats": [12, 30]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Note: 3 of them.",
        "It has 12 seats and 30 chairs.",
        "Monday: 9:00-17:00\nTuesday: 9:00-17:00",
        "Date: 2021-03-05\nAt: 10:30",
    ],
)
def test_prose_dates_and_hours_are_none(text):
    assert fields(text) == {}


@pytest.mark.parametrize("context", [json.dumps(TENT), str(TENT), LINES])
@pytest.mark.parametrize(
    ("claim", "numbers"),
    [
        ("It has 349 reviews.", ["349"]),
        ("It has a rating of 5.", ["5"]),
        ("The price is 128 EUR.", ["128"]),
        ("The capacity is 4.", ["4"]),
        ("It has a warranty of 3 years.", ["3"]),
        ("It has a rating of 4.6 from 128 reviews.", []),
        ("It has a rating of 4.6 and a 5-year warranty.", []),
        ("It has more than 100 reviews.", []),
        ("With about 130 reviews, it is well rated.", []),
        ("It has 4 colors.", []),  # of no field
        ("It costs 128 EUR.", ["128"]),  # what something costs is its price
        ("It costs 349 EUR.", []),
    ],
)
def test_a_number_of_another_field(context, claim, numbers):
    assert wrong(claim, context) == numbers


def test_the_numbers_of_dates_are_no_fields():
    context = "review stars: 4\nvisits: 5\nreview date: 2022-01-16"
    assert wrong("The review gave it 1 star.", context) == ["1"]
    assert wrong("It was written on 16 January.", context) == []


def test_a_number_that_stands_elsewhere_may_be_of_anything():
    assert wrong("It has 349 reviews.", LINES) == ["349"]
    assert wrong("It has 349 reviews.", LINES, "We counted 349 of them.") == []


def test_fields_that_share_a_word_may_each_be_meant():
    context = "business stars: 3.5\nreview stars: 4\nvisits: 5"
    assert wrong("Someone gave the business 4 stars.", context) == []
    assert wrong("The business has 5 stars.", context) == ["5"]


def test_what_decides_is_the_evidence():
    sample = Sample("s", "g", "What about it?", (Passage("p", LINES),), "It has 349 reviews.")
    (claim,) = LexicalVerifier().verify(sample, RulesExtractor().extract(sample))
    assert [LINES[one.start : one.end] for one in claim.evidence] == ["Reviews: 128"]
    assert claim.reason == "the context says Reviews: 128"


def test_half_a_name_names_no_field():
    context = json.dumps([{"model": "WashPro 5", "wash": 52, "warranty_years": 2}, {"model": "WashPro 8", "wash": 49}])
    assert wrong("It has two years, like the WashPro 5.", context) == []


def test_a_number_is_not_told_of_a_field_behind_a_preposition():
    context = "path: /healthz\ninterval_seconds: 15\ntimeout_seconds: 3"
    assert wrong("It runs every 15 seconds with a timeout of 15 seconds.", context) == ["15"]
    assert wrong("It runs every 15 seconds with a timeout of 3 seconds.", context) == []
