"""Yes/no fields of a data record, and what a text makes of them."""

import json
import time

import pytest

from pipeline.corpora.flatten_object import flatten_object
from pipeline.engines.lexical import LexicalVerifier
from pipeline.engines.records.field_mentions import mentioned_fields
from pipeline.engines.records.fields import read_fields
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
    assert names["takeout"][:3] == ("takeout", "", "yes")
    assert names["garage"][:3] == ("garage", "parking", "no")
    assert names["wifi"].value == "not stated"
    assert names["tv"].value == "yes"


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
        ("It does not take cash.", []),  # "take out" is something else
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
    assert verdicts("Roma Grill is open on Monday from 11 AM to 9 PM.") == [(CONTRADICTED, ["9 PM"])]


@pytest.mark.parametrize("text", [json.dumps(OBJECT), json.dumps(OBJECT, indent=2), str(OBJECT)])
def test_a_printed_object_has_the_same_fields_as_its_lines(text):
    assert read_fields((Passage("1", f"Data:\n{text}"),)) == read_fields((RECORD,))


def test_a_small_printed_object_has_fields_and_several_that_disagree_have_none():
    fields = read_fields((Passage("1", '{"title": "Backpack", "waterproof": false, "rain_cover": "yes"}'),))
    assert [field[:3] for field in fields] == [("waterproof", "", "no"), ("raincover", "", "yes")]
    dishes = '[{"dish": "Toast", "vegan": false, "spicy": true}, {"dish": "Soup", "vegan": true, "spicy": true}]'
    assert {field.name for field in read_fields((Passage("1", dishes),))} == {"spicy"}


HOTEL = json.dumps(
    {
        "hotel": "Sea View",
        "pets_allowed": False,
        "has_pool": False,
        "hip_belt_removable": False,
        "goodForKids": True,
        "smoking_allowed": False,
        "breakfast": "Not included",
        "bar": True,
        "Alcohol": "none",
        "WiFi": "free",
        "sauna": None,
        "byAppointmentOnly": False,
        "HasTV": True,
    }
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Pets are allowed.", ["Pets"]),
        ("Pets are not allowed.", []),
        ("The hotel allows no pets.", []),
        ("It has a pool.", ["pool"]),
        ("There is neither a pool nor a sauna.", []),  # the record names none
        ("There is a sauna.", ["sauna"]),
        ("The pool is missing.", []),
        ("There is a bar instead of a pool.", []),
        ("There is a pool rather than a bar.", ["pool", "bar"]),
        ("If you need a pool, look elsewhere.", []),
        ("The hip belt is removable.", ["hip belt is removable"]),
        ("The hip belt is not removable.", []),
        ("A removable hip belt", ["removable hip belt"]),
        ("The hip is free, and a belt is removable.", []),  # words of the key, but of other things
        ("It is not good for kids.", ["good for kids"]),
        ("It is good for the kids.", []),
        ("Smoking is prohibited in this non-smoking hotel.", []),
        ("Breakfast is included.", ["Breakfast"]),
        ("Breakfast is not included.", []),
        ("There is a barbecue but no bar.", ["bar"]),
        ("Alcohol is served.", ["Alcohol"]),
        ("There is no WiFi.", ["WiFi"]),
        ("There is free Wi-Fi.", []),
        ("It requires an appointment.", ["appointment"]),
        ("There is no TV.", ["TV"]),
        ("Pets, pools and smoking are not allowed.", []),
        ("Pools and bars are not available.", ["bars"]),
        ("It does not have a pool, but a bar.", []),
        ("There are no pets here, but there is a pool.", ["pool"]),
        ("Whether there is a sauna is not specified.", []),
        ("The bar opens when guests arrive and pools are not there.", []),
    ],
)
def test_keys_of_several_words_qualifiers_and_values_in_words(text, expected):
    tokens = tokenize(text)
    found = mentioned_fields(tokens, 0, len(tokens), read_fields((Passage("1", HOTEL),)))
    assert [text[tokens.starts[at.first] : tokens.ends[at.last - 1]] for at in found if at.is_wrong] == expected


def test_several_short_lines_are_a_record_and_pythons_none_states_nothing():
    lines = "Amenities\npool: no\n- Free parking: Yes\nbreakfast: included\nsauna: None"
    assert [(field.label, field.value) for field in read_fields((Passage("1", lines),))] == [
        ("pool", "no"),
        ("Free parking", "yes"),
        ("breakfast", "yes"),
        ("sauna", "not stated"),
    ]
    python = read_fields((Passage("1", "{'pool': None, 'music': 'none', 'bar': \"None\"}"),))
    assert [(field.label, field.value) for field in python] == [("pool", "not stated"), ("music", "no"), ("bar", "no")]


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


PLACE = {
    "name": "Roma Grill",
    "attributes": {
        "WiFi": "free",
        "in_stock": True,
        "BusinessParking": {"garage": False, "street": True, "lot": False, "valet": True},
        "Ambience": {"romantic": False, "upscale": False, "casual": True, "classy": False},
    },
    "review": "It was romantic, in its way.",
}


@pytest.mark.parametrize("context", [json.dumps(PLACE), next(flatten_object(PLACE))["text"]])
@pytest.mark.parametrize(
    ("claim", "errors"),
    [
        ("There is a lot of street parking.", []),
        ("It has a parking lot.", ["lot"]),
        ("Valet parking is not available.", ["Valet"]),
        ("Valet parking is available.", []),
        ("It is a casual and upscale restaurant.", ["upscale"]),
        ("The vibe is classy.", ["classy"]),
        ("A classy crowd came.", []),  # of the ambience nothing is said
        ("It is a romantic place.", []),  # a review says so
        ("WiFi is available for a fee.", ["WiFi"]),
        ("WiFi is free, without any fee.", []),
        ("It is out of stock.", ["stock"]),
    ],
)
def test_groups_costs_and_turns_of_phrase(context, claim, errors):
    sample = Sample("s", "g", "Describe the business.", (Passage("p", context),), claim)
    found = LexicalVerifier().verify(sample, RulesExtractor().extract(sample))
    assert [
        claim[at.start : at.end] for one in found if one.verdict == CONTRADICTED for at in one.error_spans
    ] == errors


def test_the_reason_says_what_it_costs():
    sample = Sample("s", "g", "?", (Passage("p", json.dumps(PLACE)),), "WiFi is available for a fee.")
    (claim,) = LexicalVerifier().verify(sample, RulesExtractor().extract(sample))
    assert claim.reason == "the context says Wi Fi: free"


@pytest.mark.parametrize(
    ("context", "claim", "verdict"),
    [
        ('{"BusinessAcceptsBitcoin": false}', "They accept Bitcoin.", CONTRADICTED),
        ("Sauna: not included\nTowels: $2 each", "The sauna is included.", CONTRADICTED),
        ("Sauna: included\nTowels: $2 each", "The sauna is included.", SUPPORTED),
    ],
)
def test_prefixes_of_keys_and_single_fields_among_other_lines(context, claim, verdict):
    sample = Sample("s", "g", "?", (Passage("p", context),), claim)
    (judged,) = LexicalVerifier().verify(sample, RulesExtractor().extract(sample))
    assert judged.verdict == verdict


@pytest.mark.parametrize(
    ("context", "claim", "labels"),
    [
        ('{"parking": {"available": true, "fee_usd": 15}}', "Parking is free.", False),
        ('{"wifi": true, "pool": false}', "Wi-Fi is free.", False),
        ('{"wifi": "free", "pool": false}', "Wi-Fi is free.", True),
        ("Towels: $2 each\nSauna: 10 euros", "Towels are free.", False),
        ("Entry costs nothing. Towels are sold.", "Entry is free.", None),
        ('{"parking": {"available": true}, "capacity": 3500}', "There is parking for 3,500 cars.", None),
    ],
)
def test_that_something_is_free_is_more_than_that_it_is_there(context, claim, labels):
    sample = Sample("s", "g", "?", (Passage("p", context),), claim)
    (judged,) = LexicalVerifier().verify(sample, RulesExtractor().extract(sample))
    assert judged.reason != "a record of the context says so" or labels
    if labels is not None:
        assert (judged.verdict == SUPPORTED and judged.score >= 0.7) == labels


VENUE = json.dumps(
    {
        "attributes": {
            "RestaurantsReservations": False,
            "GoodForKids": False,
            "DogsAllowed": True,
            "BYOB": False,
            "BusinessParking": {"garage": False, "street": True, "lot": False},
            "Music": {"dj": False, "live": False, "no_music": False, "jukebox": True},
            "GoodForMeal": {"breakfast": True, "lunch": True, "dinner": False},
        },
        "review_info": [{"review_text": "A cat sat on the bar and slept."}],
    }
)


@pytest.mark.parametrize(
    ("claim", "wrong"),
    [
        ("Guests can make reservations.", ["reservations"]),  # of RestaurantsReservations, alone with its opening
        ("The place is suitable for children.", ["suitable for children"]),
        ("Guests may bring their own bottle.", ["bring their own"]),
        ("It has no parking.", ["parking"]),
        ("There is no parking available.", ["parking"]),
        ("Parking is not available.", ["Parking"]),
        ("It is a popular choice for dinner.", ["dinner"]),
        ("Live bands perform there.", ["Live"]),
        ("A DJ plays on weekends.", ["DJ"]),
    ],
)
def test_groups_and_other_names_of_fields(claim, wrong):
    sample = Sample("s", "g", "Describe the business.", (Passage("p", VENUE),), claim)
    (one,) = LexicalVerifier().verify(sample, RulesExtractor().extract(sample))
    assert (one.verdict, [claim[s.start : s.end] for s in one.error_spans]) == (CONTRADICTED, wrong)


@pytest.mark.parametrize(
    "claim",
    [
        "It has no parking garage.",
        "There is no valet parking.",
        "There is no parking fee for guests.",
        "The bar has music.",  # "no_music" denies nothing
        "It is good for breakfast and lunch.",
        "They serve dinner to guests.",  # not what it is good for
    ],
)
def test_what_groups_do_not_deny(claim):
    tokens = tokenize(claim)
    found = mentioned_fields(tokens, 0, len(tokens), read_fields((Passage("p", VENUE),)))
    assert not [at for at in found if at.is_wrong]


def test_what_a_reviewer_says_is_not_borne_by_a_field():
    claim = "A reviewer mentioned a dog named Tolstoy."
    sample = Sample("s", "g", "Describe the business.", (Passage("p", VENUE),), claim)
    (one,) = LexicalVerifier().verify(sample, RulesExtractor().extract(sample))
    assert one.reason != "a record of the context says so"
