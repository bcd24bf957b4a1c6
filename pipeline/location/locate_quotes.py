"""Where a quote stands in a response: as it is, folded, or its words in order.

Quotes come from a language model that was asked to copy; about one in ten was altered on the way, and the sentence
numbers beside it may be wrong. So the cited sentences come first, then their neighbours, then the whole response.
Alterations that would change what is said are never forgiven: every number, negation and content word must match.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from pipeline.location.align_words import align_in_order
from pipeline.location.fold_text import fold_text
from pipeline.location.prepare_response import PreparedResponse
from pipeline.location.split_words import LIGHT, Words, cuts_word, split_words
from schemas.records import EXACT, FOLDED, FUZZY, Span

Located = tuple[tuple[Span, ...], str]
# (claim text, quote, first character): places that were given to a claim already.
Used = set[tuple[str, str, int]]

_EDGE_PUNCTUATION: Final = " .,;:!?'()[]-*_"
# Words in order may stretch over this many times the quote's length, or this many words if that is more.
_STRETCH: Final = 3.0
_STRETCH_WORDS: Final = 8
# Outside the cited sentences they must be several and stand close together.
_STRICT_STRETCH: Final = 1.5
_STRICT_MIN_WORDS: Final = 3
_MAX_STRICT_TRIES: Final = 64
# Places where the characters of a quote stand, in words or across them, that are looked at.
_MAX_OCCURRENCES: Final = 1_000
_MAX_USED: Final = 64  # of them, used by the same claim before


def locate_quote(response: PreparedResponse, text: str, quote: str, cited: Sequence[int], used: Used) -> Located | None:
    """Spans of one quote of the claim `text`, or None. Marks the place in `used`."""
    quote = quote.strip()
    ranges = list(_ranges(response, cited))
    folded = ""
    words: Words | None = None
    for start, end, is_cited in ranges:
        found = _find_exact(response, text, quote, start, end, used)
        if found is None:
            folded = folded or fold_text(quote).text.strip()
            found = _find_folded(response, text, folded, start, end, used)
        if found is None:
            words = words or split_words(quote)
            find = _find_words if is_cited else _find_words_strictly
            found = find(response, words, start, end)
        if found is not None:
            return found
    return None


def _ranges(response: PreparedResponse, cited: Sequence[int]) -> Iterator[tuple[int, int, bool]]:
    """Characters to search, in turn, and whether they are cited: runs of cited sentences, with neighbours, all."""
    sentences = response.sentences
    runs = runs_of(cited)
    for first, last in runs:
        yield sentences[first].start, sentences[last].end, True
    for first, last in runs:
        yield sentences[max(first - 1, 0)].start, sentences[min(last + 1, len(sentences) - 1)].end, False
    yield 0, len(response.text), False


def runs_of(cited: Sequence[int]) -> list[tuple[int, int]]:
    """Sorted sentence ids as [first, last] runs of adjacent sentences."""
    runs: list[tuple[int, int]] = []
    for i in cited:
        if runs and i == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], i)
        else:
            runs.append((i, i))
    return runs


def _find_exact(response: PreparedResponse, text: str, quote: str, start: int, end: int, used: Used) -> Located | None:
    places = (Span(place, place + len(quote)) for place in _occurrences(response.text, quote, start, end))
    span = _next_unused(text, quote, places, used)
    return None if span is None else ((span,), EXACT)


def _find_folded(response: PreparedResponse, text: str, quote: str, start: int, end: int, used: Used) -> Located | None:
    folded = response.folded
    low, high = bisect_left(folded.starts, start), bisect_right(folded.ends, end)
    for wanted in dict.fromkeys((quote, quote.strip(_EDGE_PUNCTUATION))):
        places = (
            Span(*folded.original(place, place + len(wanted))) for place in _occurrences(folded.text, wanted, low, high)
        )
        span = _next_unused(text, quote, places, used)
        if span is not None:
            return (span,), FOLDED
    return None


def _occurrences(text: str, wanted: str, start: int, end: int) -> Iterator[int]:
    """Where `wanted` stands in text[start:end] as whole words."""
    place = text.find(wanted, start, end) if wanted else -1
    for _ in range(_MAX_OCCURRENCES):
        if place < 0:
            return
        if not cuts_word(text, place) and not cuts_word(text, place + len(wanted)):
            yield place
        place = text.find(wanted, place + 1, end)


def _next_unused(text: str, quote: str, places: Iterator[Span], used: Used) -> Span | None:
    """The first place that this claim has not used for this quote, else the first of all; marked as used.

    A place is taken per claim text: other claims of the same sentence may quote it as well.
    """
    first: Span | None = None
    for place in islice(places, _MAX_USED):
        first = first or place
        if (text, quote, place.start) not in used:
            used.add((text, quote, place.start))
            return place
    return first


def _find_words(response: PreparedResponse, quote: Words, start: int, end: int) -> Located | None:
    low, high = response.words_between(start, end)
    return _align(response, quote, low, high, max(_STRETCH_WORDS, _STRETCH * len(quote)))


def _find_words_strictly(response: PreparedResponse, quote: Words, start: int, end: int) -> Located | None:
    """Only around the quote's rarest word, so that a long response costs no more than a short one."""
    required = _required(quote)
    rarest = min((response.positions.get(key, []) for key in required), key=len, default=[])
    if len(required) < _STRICT_MIN_WORDS or not rarest:
        return None
    reach = int(_STRICT_STRETCH * len(quote))
    low, high = response.words_between(start, end)
    for here in rarest[bisect_left(rarest, low) : bisect_left(rarest, high)][:_MAX_STRICT_TRIES]:
        found = _align(response, quote, max(low, here - reach), min(high, here + reach + 1), reach)
        if found is not None:
            return found
    return None


def _align(response: PreparedResponse, quote: Words, low: int, high: int, max_words: float) -> Located | None:
    required = _required(quote)
    positions = align_in_order(required, response.words, low, high) if required else None
    if positions is None or positions[-1] - positions[0] + 1 > max_words:
        return None
    if response.is_negated(positions, quote.kinds):
        return None
    return response.spans_of(positions, content_gap=1), FUZZY


def _required(quote: Words) -> list[str]:
    return [key for key, kind in zip(quote.keys, quote.kinds, strict=True) if kind != LIGHT]
