import pytest

from pipeline.engines.context_index import index_context
from pipeline.engines.contrary.dates_told import strange_date
from pipeline.engines.words import tokenize
from schemas.records import Passage


@pytest.mark.parametrize(
    ("claim", "strange"),
    [
        ("It starts on May 1.", "May 1"),
        ("It ends on 14 January.", "14 January"),
        ("It starts on January 1.", ""),
        ("It starts on 1 January.", ""),
        ("It was on the 3rd of June, and on 10 June.", ""),  # of a range
        ("It was signed on 9 March.", ""),  # in digits
        ("It was signed on July 25.", ""),  # neither the day nor the month: nothing that it could be exchanged with
        ("It may 2 people carry.", ""),
    ],
)
def test_a_date_made_of_others_is_strange(claim, strange):
    context = "Signed 2021-03-09 in May, in force from January 1; closed from 3 to 14 June."
    found = strange_date(claim, tokenize(claim).stems, index_context((Passage("p", context),)))
    assert found == (f"“{strange}” is not a date of the context" if strange else "")
