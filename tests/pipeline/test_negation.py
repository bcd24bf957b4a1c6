"""Whether a sentence says the opposite of a claim."""

import pytest

from pipeline.engines.negation import says_opposite
from pipeline.engines.words import tokenize
from pipeline.gather_evidence import index_context
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
        ("Pets are allowed with consent.", "Pets are not allowed without the landlord's written consent."),
        ("It is water, not bowel movements.", "Water, rather than bowel movements, decides what the scales show."),
        ("The code is available.", "Code is available at our site, which is not hosted by a company."),
        ("The code is available.", "Code is available; the data is not available to everybody who asks."),
    ],
)
def test_a_negation_of_something_else_or_under_a_condition_is_not(claim, sentence):
    assert not opposite(claim, sentence)
