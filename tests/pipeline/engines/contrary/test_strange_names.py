"""Names that nobody but the claim has."""

import pytest

from pipeline.engines.context_index import index_context
from pipeline.engines.contrary.names import strange_name
from pipeline.engines.lexical import LexicalVerifier
from pipeline.engines.rules import RulesExtractor
from pipeline.engines.words import tokenize
from schemas.records import Passage, Sample

CONTEXT = (
    "The office is in Santa Barbara, CA, at 31 W Carrillo Street. Employers pay NICs. It opened on 3 Aug 2019, at 79"
    " degrees. It is open to all members of the club."
)


def doubts(response: str, *others: str, question: str = "Where is it?") -> list[str]:
    """The reasons of the claims that a new name makes doubtful."""
    sample = Sample("s", "g", question, (Passage("p", CONTEXT),), response, group_responses=(response, *others))
    claims = LexicalVerifier().verify(sample, RulesExtractor().extract(sample))
    return [one.reason for one in claims if "is a name" in one.reason and one.score is not None and one.score < 0.7]


@pytest.mark.parametrize(
    ("claim", "name"),
    [
        ("The office is in Santa Monica, CA.", "Monica"),
        ("The office is at 31 E Carrillo Street.", "E"),
        ("The office in Santa Barbara is open to all members of the Rotary club.", "Rotary"),
    ],
)
def test_a_new_name_makes_a_claim_doubtful(claim, name):
    assert doubts(claim) == [f"doubtful: \u201c{name}\u201d is a name that the context lacks"]


@pytest.mark.parametrize(
    "claim",
    [
        "The office is in Santa Barbara, CA.",
        "Employers pay National Insurance contributions.",  # the NICs
        "It opened in August, at 79 degrees Fahrenheit.",
        "The office in Santa Barbara, California, is open to all.",  # CA
        "It opened at 79 F at 5 PM.",
        "Located in Santa Barbara, CA, it is open to all members of the club.",  # a sentence begins so
        "It is open to all: Members of the club pay NICs.",
    ],
)
def test_what_is_no_new_name(claim):
    assert doubts(claim) == []


def test_a_name_of_the_question_or_of_another_response_is_none():
    claim = "The office is in Santa Monica, CA."
    assert doubts(claim, question="Is it in Santa Monica?") == []
    assert doubts(claim, "The office is in Santa Monica, near the club.") == []


def test_a_text_that_capitalises_its_nouns_has_none():
    german = "Das Haus in Santa Barbara hat einen Balkon. " + "Der Klub hat dort ein Haus mit Garten und Tor. " * 6
    english = "The office in Santa Barbara has a Balkon. " + "It is open to all members of the club every day. " * 6
    index = index_context((Passage("p", CONTEXT),))
    for text, name in ((german, ""), (english, "\u201cBalkon\u201d is a name that the context lacks")):
        tokens = tokenize(text)
        assert strange_name(text, tokens, [tokens.words.index("Balkon")], index, "") == name
