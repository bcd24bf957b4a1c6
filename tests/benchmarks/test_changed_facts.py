"""Claims changed in one fact."""

import random

from benchmarks.changed_facts import UNCHANGED, changed, changed_samples
from schemas.records import GoldSpan, Passage, Sample, Span

CONTEXT = (
    "It was John Bradfield who designed the Harbour Bridge, opened in 1932. In London Tower Bridge opened in 1894."
)


def test_each_kind_of_change_changes_one_place():
    claim = "The bridge was opened by John Bradfield in 1932."
    assert [*changed(claim, CONTEXT, random.Random(0))] == [
        ("name", "The bridge was opened by Harbour Bridge in 1932.", (Span(25, 39),)),
        ("name nearby", "The bridge was opened by Harbour Bridge in 1932.", (Span(25, 39),)),
        ("number", "The bridge was opened by John Bradfield in 1894.", (Span(43, 47),)),
        ("number nearby", "The bridge was opened by John Bradfield in 1894.", (Span(43, 47),)),
        ("negation", "The bridge was not opened by John Bradfield in 1932.", (Span(14, 18),)),
    ]
    assert [*changed("It didn't open.", CONTEXT, random.Random(0))] == [
        ("negation left out", "It did open.", (Span(6, 6),))
    ]


def test_two_facts_of_a_claim_change_places():
    claim = "It was Lee of Rome in 1990, Kim of Bern in 200."
    (swapped,) = [one for one in changed(claim, "", random.Random(0)) if one.kind == "two names"]
    assert sorted(swapped.text) == sorted(claim)
    assert swapped.text != claim
    assert {swapped.text[span.start : span.end] for span in swapped.spans} <= {"Lee of Rome", "Kim of Bern"}
    assert not [one for one in changed(claim, "", random.Random(0)) if one.kind == "two numbers"]  # not of one length


def test_claims_keep_their_places_and_wrong_ones_are_left_out():
    response = "The bridge was opened in 1932. London is wet. It was designed by Bradfield."
    gold = (GoldSpan(31, 45, "made up"),)
    sample = Sample("a", "a", "Who?", (Passage("p1", CONTEXT),), response, gold_spans=gold)
    found = list(changed_samples([sample]))
    assert {number for _, _, _, number, _ in found} == {0, 2}
    assert sum(kind == UNCHANGED for kind, *_ in found) == 2
    for _, one, claims, _, _ in found:
        assert [one.response[claim.spans[0].start : claim.spans[0].end] for claim in claims] == [c.text for c in claims]
