"""Yes/no fields of a data record, and what a text makes of them."""

import json
import time

import pytest

from pipeline.corpora.flatten_object import flatten_object
from pipeline.engines.fields import Field, mentioned_fields, read_fields
from pipeline.engines.lexical import LexicalVerifier
from pipeline.engines.rules import RulesExtractor
from pipeline.engines.words import tokenize
from schemas.records import CONTRADICTED, SUPPORTED, UNSUPPORTED, Passage, Sample

OBJECT = {
    "name": "Roma Grill",
    "categories": "Italian, Restaurants",
    "hours": {"Monday": "11:0-22:0"},
    "attributes": {
        "OutdoorSeating": False,
        "WiFi": None,
        "RestaurantsTakeOut": True,
        "RestaurantsDelivery": False,
        "RestaurantsReservations": True,
        "BusinessParking": {"garage": False, "street": True, "lot": False},
        "TV": True,
    },
    "reviews": [{"stars": 4, "text": "Good {pasta}, 'no': wine."}],
}
RECORD = Passage(**next(flatten_object(OBJECT)))


def wrong(text: str) -> list[str]:
    tokens = tokenize(text)
    found = mentioned_fields(tokens, 0, len(tokens), read_fields((RECORD,)))
    return [text[tokens.starts[at.first] : tokens.ends[at.last - 1]] for at in found if at.is_wrong]


def verdicts(response: str) -> list[tuple[str | None, list[str]]]:
    sample = Sample("s", "g", "Describe the business.", (RECORD,), response)
    claims = LexicalVerifier().verify(sample, RulesExtractor().extract(sample))
    return [(one.verdict, [response[s.start : s.end] for s in one.error_spans]) for one in claims]


def test_keys_are_read_without_the_opening_that_many_share():
    names = {field.name: field for field in read_fields((RECORD,))}
    assert names["takeout"] == Field("takeout", "", "yes")
    assert names["garage"] == Field("garage", "parking", "no")
    assert names["wifi"].value == "not stated"
    assert "tv" not in names  # too short to be told from parts of other words


def test_keys_with_dots_are_read_as_well():
    text = "a.OutdoorSeating: true\na.WiFi: null\na.RestaurantsTakeOut: false"
    assert [field.value for field in read_fields((Passage("p", text),))] == ["yes", "not stated", "no"]
    assert read_fields((Passage("p", text),))[0].name == "outdoorseating"


def test_prose_has_no_fields():
    assert read_fields((Passage("p", "Is it open?\nThe answer is: yes"),)) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It has outdoor seating.", ["outdoor seating"]),
        ("It does not have outdoor seating.", []),
        ("It offers take-out and delivery.", ["delivery"]),
        ("It offers takeout but no delivery.", []),
        ("Takeout is not available.", ["Takeout"]),
        ("It offers takeout, while reservations are not accepted.", ["reservations"]),
        ("Free Wi-Fi is there.", ["Wi-Fi"]),
        ("There is a parking garage and street parking.", ["garage"]),
        ("It stands on Main Street beside a garage.", []),  # nothing says that parking is meant
        ("A storage garages business with parking", ["garages"]),
    ],
)
def test_what_a_text_gets_wrong(text, expected):
    assert wrong(text) == expected


def test_the_wrong_field_is_named_as_the_error():
    assert verdicts("Roma Grill offers takeout and outdoor seating.") == [(CONTRADICTED, ["outdoor seating"])]
    assert verdicts("Roma Grill has free WiFi.") == [(UNSUPPORTED, ["WiFi"])]
    assert verdicts("Roma Grill is open on Monday from 11 AM to 10 PM.") == [(SUPPORTED, [])]
    assert verdicts("Roma Grill is open on Monday from 11 AM to 9 PM.") == [(UNSUPPORTED, ["9 PM"])]


@pytest.mark.parametrize("text", [json.dumps(OBJECT), json.dumps(OBJECT, indent=2), str(OBJECT)])
def test_a_printed_object_has_the_same_fields_as_its_lines(text):
    assert read_fields((Passage("1", f"Data:\n{text}"),)) == read_fields((RECORD,))


def test_a_small_printed_object_has_fields_and_several_that_disagree_have_none():
    assert read_fields((Passage("1", '{"title": "Backpack", "waterproof": false, "rain_cover": "yes"}'),)) == (
        Field("waterproof", "", "no"),
        Field("raincover", "", "yes"),
    )
    dishes = '[{"dish": "Toast", "vegan": false, "spicy": true}, {"dish": "Soup", "vegan": true, "spicy": true}]'
    assert {field.name for field in read_fields((Passage("1", dishes),))} == {"spicy"}


def test_prose_with_braces_has_no_fields():
    assert read_fields((Passage("1", "Use {braces} and 'quotes': no problem. {'a': 1}"),)) == ()


@pytest.mark.parametrize(
    "text",
    [
        '{"a": ' * 50_000,
        '{"a":"' + '\\"' * 100_000,
        '{"a":true' + " " * 200_000,
        ('{"a":true' + " " * 500) * 500,
        "{'a':" + "{" * 500_000,
    ],
    ids=["nested", "quotes", "spaces", "many spaces", "braces"],
)
def test_an_object_that_never_ends_takes_time_by_its_length(text):
    started = time.process_time()
    assert read_fields((Passage("1", text),)) == ()
    assert time.process_time() - started < 5  # minutes, if every quote or space was tried as a beginning


def test_a_claim_that_says_what_a_field_says_is_supported():
    assert verdicts("The restaurant does not offer any delivery.") == [(SUPPORTED, [])]
    record = Sample(
        "1", "1", "", (Passage("1", '{"title": "Tent", "wifi": true, "pool": false}'),), "It comes with WiFi."
    )
    (claim,) = LexicalVerifier().verify(record, RulesExtractor().extract(record))
    assert claim.verdict == SUPPORTED
