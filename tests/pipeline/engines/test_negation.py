"""Whether a sentence says the opposite of a claim."""

import pytest

from pipeline.engines.context_index import index_context
from pipeline.engines.negation import says_opposite
from pipeline.engines.words import tokenize
from schemas.records import Passage


def opposite(claim: str, sentence: str) -> bool:
    tokens = tokenize(claim)
    return says_opposite(index_context((Passage("1", sentence),)), 0, tokens, 0, len(tokens))


@pytest.mark.parametrize(
    ("claim", "sentence"),
    [
        ("The shop does not open on Monday.", "The shop opens on Monday."),
        ("The code is not available.", "Code is available at our site under a free licence."),
        ("The code is available.", "The code is not yet available at our site under a free licence."),
        ("Der Akku ist austauschbar.", "Der Akku ist nicht austauschbar."),
        ("El museo no abre los lunes.", "El museo abre los lunes."),
        ("It is recommended under 6 years.", "It is not recommended under 6 years."),
        ("Shipping is not free over $50.", "Shipping is free over $50."),
        ("Restarting erases your data.", "Restarting the tracker takes a minute and doesn't erase your data."),
    ],
)
def test_what_one_denies_and_the_other_says_is_opposite(claim, sentence):
    assert opposite(claim, sentence)


@pytest.mark.parametrize(
    ("claim", "sentence"),
    [
        ("The code is available.", "Code is available at our site."),
        ("The code is not available.", "The code is not available at our site."),
        ("The hip belt is not removable.", '{"title": "Backpack", "hip_belt_removable": false}'),
        ("A rain cover is included.", '{"waterproof": "no", "rain_cover_included": "yes"}'),
        ("Guests may stay up to 14 nights.", "Guests may stay no more than 14 nights."),
        ("The tool is fast and free.", "The tool is not only fast but also free."),
        ("You can enter with a ticket.", "You cannot enter without a ticket."),
        ("Water may be taken.", "Nothing but water may be taken."),
        ("Non-members pay a fee of $5.", "There is no fee for members; non-members pay $5."),
        ("The device is splash-resistant.", "The answer is no: the device is splash-resistant."),
        ("Unplug the router when the light is green.", "Do not unplug the router until the light is green."),
        ("The bird was not seen since 1987.", "The bird was last seen in 1987."),
        ("Shipping is free over $50.", "Shipping is not free under $50."),
        ("Fish is sold.", "Fish is not sold under 6 euros."),
        ("Pets are allowed with consent.", "Pets are not allowed without the landlord's written consent."),
        ("It is water, not bowel movements.", "Water, rather than bowel movements, decides what the scales show."),
        ("The code is available.", "Code is available at our site, which is not hosted by a company."),
        ("The code is available.", "Code is available; the data is not available to everybody who asks."),
    ],
)
def test_a_negation_of_something_else_or_under_a_condition_is_not(claim, sentence):
    assert not opposite(claim, sentence)
