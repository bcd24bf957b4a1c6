"""The time of the embedded engine grows with the length of a text, not with its square: whatever the text."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

import pytest

from pipeline.engines.context_index import index_context
from pipeline.engines.features import Reading
from pipeline.engines.findings import find_in_response
from pipeline.engines.lexical import LexicalVerifier
from pipeline.engines.numerals.claimed_numbers import claimed_numbers
from pipeline.engines.rules import RulesExtractor
from pipeline.engines.words import tokenize
from schemas.records import OK, Passage, Sample, Span

SHORT = (
    "Alice Smith met Bob Jones in Paris on 2024-03-05. Prices are 12 euros for members and 15 for others. "
    "It takes 2 hours and 30 minutes. Half of the rooms are closed. Not all of them are open on Monday."
)
LENGTH = 4_000  # characters; enough that the square shows
MOST = 9  # times as long for four times the text: 4 if linear, 16 if quadratic

# One sentence without an end, or very many short ones.
RESPONSES = {
    "numbers": "word 12 ",
    "dates": "2024-01-01 ",
    "fractions": "1/2 of 3 in 4 ",
    "hours and minutes": "3 hours and 20 minutes ",
    "percentages": "37 % fewer of them ",
    "words": "aaa bbb ccc ",
    "names": "Anna Berg, ",
    "new names": "the Zorblax went. ",
    "references": "passage 1, ",
    "list items": "- The house of Berg costs 340 euros\n",
    "missing numbers": "The price is 13 euros and 77 kg. ",
    "states": "He saw California there. ",
}
CONTEXTS = {
    "hours": "Monday: 9:00-17:00\nSunday: closed\n",
    "names": "Alice Berg and Tom Lind live in Zorblax. ",
    "numbers": "word 12 and 77 euros, 3 hours. ",
    "ranges": "from 1 to 9 kg, 20-30 euros. ",
    "one negated sentence": "the house of Berg is not open at 12 ",
}


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """A full collection walks over everything that other tests have loaded."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def seconds(response: str, context: str) -> float:
    sample = Sample("s", "g", "What?", (Passage("p", context),), response)
    index_context.cache_clear()
    begun = time.process_time()
    claims = LexicalVerifier().verify(sample, RulesExtractor().extract(sample))
    taken = time.process_time() - begun
    assert all(claim.status == OK for claim in claims)
    return taken


def growth(response: str, context: str) -> float:
    """How many times as long four times the text takes.   response, context: repeated up to LENGTH characters."""

    def least(times: int) -> float:
        texts = [text if text == SHORT else text * (times * LENGTH // len(text)) for text in (response, context)]
        return min(seconds(texts[0], texts[1]) for _ in range(3))

    return least(4) / max(least(1), 0.001)


@pytest.mark.parametrize("response", RESPONSES.values(), ids=RESPONSES)
def test_time_is_linear_in_the_length_of_a_response_whatever_it_says(response: str):
    assert growth(response, SHORT) < MOST


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
@pytest.mark.parametrize("response", ["numbers", "new names", "list items", "missing numbers"])
def test_time_is_linear_where_response_and_context_grow_together(response: str, context: str):
    assert growth(RESPONSES[response], context) < MOST


def test_a_prompt_with_four_times_the_responses_takes_four_times_as_long():
    def least(responses: int) -> float:
        texts = tuple(f"The house number {at} of Berg is red. It has {at} rooms." for at in range(responses))
        samples = [Sample(str(at), "g", "What?", (Passage("p", SHORT),), text, group_responses=texts)
                   for at, text in enumerate(texts)]  # fmt: skip
        begun = time.process_time()
        for sample in samples:
            LexicalVerifier().verify(sample, RulesExtractor().extract(sample))
        return time.process_time() - begun

    least(10)
    assert least(800) < MOST * least(200)


def test_of_a_claim_with_very_many_numbers_none_is_taken_for_borne_because_it_stands_far_behind():
    text = "Rooms of " + " m, ".join(str(number) for number in range(1001, 1600))
    reading = Reading(text, index_context((Passage("p", SHORT),)))
    finding = find_in_response(reading, Span(0, len(text)))
    assert [span.end for span in finding.missing][-500:] == [
        text.index(str(number)) + 4 for number in range(1100, 1600)
    ]


def test_numbers_of_sections_are_told_in_linear_time():
    def seconds_for(times: int) -> float:
        text = "and 1.1 The fee " * times
        tokens = tokenize(text)
        start = time.process_time()
        assert len(claimed_numbers(text, tokens)) == times
        return time.process_time() - start

    short = seconds_for(10_000)
    assert seconds_for(40_000) < MOST * short  # copying what stands before each took 16 times as long
