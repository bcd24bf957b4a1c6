"""Signs that a claim turns round what the context says, and what is none."""

import pytest

from pipeline.engines.context_index import index_context
from pipeline.engines.contrary import find_contrary, opposites
from pipeline.engines.contrary.opposites import OPPOSITES, opposites_of
from pipeline.engines.lexical import LexicalVerifier
from pipeline.engines.likeness import Likeness
from pipeline.engines.numerals.claimed_numbers import claimed_numbers
from pipeline.engines.words import CONTENT, stem, tokenize
from pipeline.weigh_scores import NeutralBand
from schemas.records import SUPPORTED, Claim, Passage, Sample, Span

SLOPE = (
    "Bane Nor, which runs the tracks, had inspected the slope in March and rated it as low risk. A train came in May."
)
FARES = "Basic: cabin bag 18 euros at booking or 35 euros at the gate; no changes."
CAREER = (
    "In 2008 she joined the orchestra of Leeds as a cellist. In 2016 she founded a school for young players in York. "
    "Bats can enter homes and are the most common source of exposure. Dogs are vaccinated in most states."
)

TRIPS = "A bus takes 75 minutes; a taxi takes 50 minutes."
LOSSES = "Samples lost 34% of their mass at 30 °C, but only 6% at 15 °C."
MATCH = "The Falcons beat the Kings 4-2 on Saturday."


QUAKE = "It lies 40 km from the port at a depth of 28 km."


def sign(claim: str, *passages: str) -> str:
    index = index_context(tuple(Passage(f"p{at}", text) for at, text in enumerate(passages)))
    tokens = tokenize(claim)
    stems = [word for word, kind in zip(tokens.stems, tokens.kinds, strict=True) if kind >= CONTENT]
    return find_contrary(Likeness.of(index, stems), tokens, 0, len(tokens), claimed_numbers(claim, tokens))


@pytest.mark.parametrize(
    ("claim", "context", "reason"),
    [
        ("Bane Nor rated the slope as high risk.", SLOPE, "the context says “low” where the claim says “high”"),
        (
            "Net debt of the group rose.",
            "Net debt of the group fell.",
            "the context says “fell” where the claim says “rose”",
        ),
        ("The Greens upgraded the old code.", "The Greens downgraded the code.", "the context says “downgraded” where"),
        ("You can switch the machine off.", "Do not switch the machine off.", "has “switch” behind a negation"),
        ("Fees paid are refunded.", "Customers may leave; fees paid are not refunded.", "“refunded” behind a negation"),
        ("The bridge was not closed in June.", "The bridge was closed in June.", "says so without “not”"),
        ("The cabin bag can't be booked.", "The cabin bag can be booked.", "says so without “can't”"),
        (
            "She founded a school for young players in 2008.",
            CAREER,
            "the same words the context has “2016”, not “2008”",
        ),
        (
            "In 2016 she founded a school for young players in Leeds.",
            CAREER,
            "the same words the context has “York”, not “Leeds”",
        ),
        ("A cabin bag costs 35 euros at booking and 18 euros at the gate.", FARES, "has 35 and 18 the other way round"),
        (
            "Three couriers were charged.",
            "Two couriers were charged. Three days went by.",
            "near the same words the context has “Two”, not “Three”",
        ),
        ("The Kings beat the Falcons 4-2.", MATCH, "has Kings and Falcons the other way round"),
        ("It is suitable for children under 12.", "Not for children under 12.", "“children” behind a negation"),
        (
            "The Lite can be charged wirelessly.",
            "The Lite does not support wireless charging.",
            "“wirelessly” behind a negation",
        ),
        ("Return shipping is always free.", "Shipping is free for store credit.", "“always” is not in the context"),
        ("Store it above 25 °C in a dry room.", "Store it below 25 °C in a dry room.", "says “below” where the claim"),
        ("Take one tablet without food.", "Take one tablet with food.", "says “with” where the claim says “without”"),
        ("The bank cut its budget for sports.", "The bank increased its budget for sports.", "says “increased” where"),
        ("The gym is closed on Sunday.", "The gym is open on Sunday.", "says “open” where the claim says “closed”"),
        ("Leave to appeal was granted.", "Leave to appeal was refused.", "“refused” where the claim says “granted”"),
        ("It lies 28 km from the port at a depth of 40 km.", QUAKE, "28 and 40 the other way round"),
        ("It is open on Sunday.", '{"Sat": "10-15", "Sun": "closed"}', "says “closed” where the claim says “open”"),
        ("Violins were played.", SLOPE, "no word of it is in the context"),
    ],
)
def test_what_turns_a_sentence_round_shows(claim, context, reason):
    found = sign(claim, context)
    assert reason in found
    assert bool(reason) == bool(found)


@pytest.mark.parametrize(
    ("claim", "context"),
    [
        ("Bane Nor rated the slope as low risk.", SLOPE),
        ("A taxi takes 50 minutes.", TRIPS),
        ("A bus takes 75 minutes and a taxi 50 minutes.", TRIPS),
        ("At 30 °C, the loss was 34%.", LOSSES),
        ("The Kings were beaten by the Falcons 4-2.", MATCH),
        ("The Falcons beat the Kings 4-2.", MATCH),
        ("More than two couriers were charged for three days.", "Five couriers were charged. Three days went by."),
        ("The day had 20 degrees at times.", "It had 79 degrees by day, and 20 people came at all times."),
        ("The shop is not open on Monday.", "The shop is closed on Monday."),
        ("No, damage by liquids is excluded.", "The warranty does not cover damage by liquids."),
        ("Sales of tea rose while those of coffee fell.", "Sales of tea increased; those of coffee decreased."),
        ("Repairs of the bridge started in June.", "Repairs of the bridge began in June and were finished in May."),
        ("You can enter the park with a ticket.", "You cannot enter the park without a ticket."),
        ("Orders of 60 dollars ship for free.", "Shipping of orders is not free under 50 dollars."),
        ("If you do not have a brush, use a cloth.", "Use a cloth or a brush."),
        ("Weight is lost by diet, not by sleep.", "Weight is lost by diet."),
        ("Tram 6 stops at the gate.", "There is no parking; tram 6 stops at the gate."),
        ("She founded a school for young players in 2016.", CAREER),
        ("It takes 35 minutes.", "The ferry takes 35 minutes. In winter the crossing takes up to 50 minutes."),
        ("A cabin bag costs 18 euros at booking and 35 euros at the gate.", FARES),
        ("18 and 35 euros are paid at booking and at the gate, respectively.", FARES),
        ("A helmet is always included.", "Every rental includes a helmet. A helmet is worn."),
        ("Ford has won many awards.", "Ford has many awards for The Lost Ark."),
        ("", SLOPE),
    ],
)
def test_what_says_the_same_shows_no_sign(claim, context):
    assert sign(claim, context) == ""


def test_a_claim_with_a_sign_stays_supported_but_labels_nothing():
    response = "Bane Nor inspected the slope in March and rated it as high risk."
    sample = Sample("a", "a", "Was the slope safe?", (Passage("p1", SLOPE),), response)
    (claim,) = LexicalVerifier().verify(sample, (Claim("1", response, spans=(Span(0, len(response)),)),))
    assert claim.verdict == SUPPORTED
    assert claim.reason == "doubtful: the context says “low” where the claim says “high”"
    assert NeutralBand(*LexicalVerifier.neutral_band).is_doubtful(claim)


def test_opposites_are_content_words_go_both_ways_and_no_word_is_its_own():
    assert set(tokenize(opposites.LISTED.replace("|", " ")).kinds) == {CONTENT}
    for word, others in OPPOSITES.items():
        assert word not in others
        assert all(word in OPPOSITES[other] for other in others)
    assert stem("severe") == stem("several")
    assert opposites_of("severe", stem("severe"))
    assert not opposites_of("several", stem("several"))


def test_likeness_weighs_rare_words_most_and_takes_the_earliest_of_equals():
    index = index_context((Passage("a", "Red wine. Red wine. White wine from Mosel."),))
    like = Likeness.of(index, ["red", "win"])
    assert like is not None
    assert (like.best, like.near(), like.share()) == (0, [0, 1], 1.0)
    assert Likeness.of(index, ["violin"]) is None
    assert Likeness.of(index, []) is None
    partly = Likeness.of(index, ["win", "violin"])
    assert partly is not None
    assert 0 < partly.share() < 0.5
