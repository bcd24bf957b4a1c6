"""Changes that are told against their own numbers."""

import pytest

from pipeline.engines.lexical import LexicalVerifier
from pipeline.engines.numerals.changes import impossible_change
from pipeline.engines.numerals.claimed_numbers import claimed_numbers
from pipeline.engines.rules import RulesExtractor
from pipeline.engines.words import tokenize
from schemas.records import CONTRADICTED, Passage, Sample


@pytest.mark.parametrize(
    ("claim", "verb"),
    [
        ("The ratio declined from 115 % to 117 %.", "declined"),
        ("Sales rose from $54 million to $31 million.", "rose"),
        ("The price fell to 12 euros from 10 euros.", "fell"),
        ("The ratio rose from 115 % to 117 %.", None),
        ("Output fell from 5,000 tons to 4,000 tons.", None),
        ("It grew from 1990 to 1985.", None),  # years say when
        ("It fell from number 2 to number 5.", None),  # of ranks the larger is the lower
        ("It dropped from 2nd to 5th.", None),
        ("It grew from 9 March to 2 May.", None),
        ("It rose from 900 g to 1 kg.", None),  # not of one unit
        ("It rose from 54 to 31 million.", None),  # 54 of what?
    ],
)
def test_a_change_against_its_own_numbers(claim, verb):
    tokens = tokenize(claim)
    at = impossible_change(tokens, 0, len(tokens), claimed_numbers(claim, tokens))
    assert (None if at is None else tokens.words[at]) == verb


def test_it_is_contradicted_and_the_verb_is_the_error():
    claim = "The ratio declined from 115 % to 117 %."
    sample = Sample("s", "g", "", (Passage("p", "The ratio went from 115 % to 117 % within a year."),), claim)
    (one,) = LexicalVerifier().verify(sample, RulesExtractor().extract(sample))
    assert (one.verdict, [claim[s.start : s.end] for s in one.error_spans]) == (CONTRADICTED, ["declined"])
