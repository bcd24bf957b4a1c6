"""What the verifier quotes -> where it stands: evidence in the passages, wrong words in the claim's own spans.

A quote counts when it stands there as it is, or folded (typography, case, white space, Markdown), as whole words.
Evidence also counts when all its content words, numbers and negations stand close together in the passage in the
quote's order: models change about one quote in ten, mostly articles and endings, and a verdict should not be lost to
that. A quote that was made up does not pass: at least three such words must be there, none may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from pipeline.location.fold_text import FoldedText, fold_text
from pipeline.location.locate_quotes import locate_quote
from pipeline.location.prepare_response import PreparedResponse
from pipeline.location.split_words import CONTENT, NUMBER, cuts_word, split_words
from schemas.records import Evidence, Passage, Span

_EDGE: Final = " .,;:!?'()[]-*_"
_ELLIPSIS: Final = re.compile(r"\s*(?:\[\s*)?(?:\.{3,}|\u2026)(?:\s*\])?\s*")


def locate_evidence(passages: tuple[Passage, ...], quotes: Sequence[str]) -> tuple[Evidence, ...] | None:
    """Where the quotes stand in the passages. None when one of them stands nowhere, or none says anything.

    A quote with "..." in the middle is taken for the parts around it.
    """
    found: dict[Evidence, None] = {}
    for quote in quotes:
        if not quote.strip():
            continue
        places = _places(passages, [quote]) or _places(passages, _ELLIPSIS.split(quote))
        if not places:
            return None
        found.update(dict.fromkeys(places))
    return tuple(found) or None


def _places(passages: tuple[Passage, ...], parts: Sequence[str]) -> list[Evidence]:
    """The first place of every part, or none at all."""
    places: list[Evidence] = []
    for part in parts:
        if not part.strip(_EDGE):
            continue  # the ellipsis stood at the end of the quote
        place = _place(passages, part.strip())
        if place is None:
            return []
        places.append(place)
    return places


def _place(passages: tuple[Passage, ...], quote: str) -> Evidence | None:
    if not {CONTENT, NUMBER} & set(split_words(quote).kinds):
        return None  # "the", or a full stop: it stands everywhere and shows nothing
    for find in (find_exactly, find_folded, find_in_order):
        for passage in passages:
            span = find(passage.text, quote)
            if span is not None:
                return Evidence(passage.passage_id, span.start, span.end)
    return None


def locate_wrong_words(response: str, spans: Sequence[Span], quotes: Sequence[str]) -> tuple[tuple[Span, ...], int]:
    """(where the wrong words stand inside the claim's spans, how many of the quotes do not stand there)."""
    found: set[tuple[int, int]] = set()
    missing = 0
    for quote in quotes:
        place = next((place for span in spans if (place := _inside(response, span, quote.strip()))), None)
        if place is None:
            missing += 1
        else:
            found.add((place.start, place.end))
    return tuple(_disjoint(found)), missing


def common_spans(all_spans: Sequence[Sequence[Span]]) -> tuple[Span, ...]:
    """The characters that every one of several lists of disjoint spans holds."""
    common = list(all_spans[0])
    for spans in all_spans[1:]:
        pairs = [(max(a.start, b.start), min(a.end, b.end)) for a in common for b in spans]
        common = [Span(start, end) for start, end in pairs if start < end]
    return tuple(common)


def _disjoint(found: set[tuple[int, int]]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(found):
        if merged and start < merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, end))
        else:
            merged.append(Span(start, end))
    return merged


def _inside(response: str, span: Span, quote: str) -> Span | None:
    if not any(char.isalnum() for char in quote):
        return None
    text = response[span.start : span.end]
    place = find_exactly(text, quote) or find_folded(text, quote)
    return None if place is None else Span(span.start + place.start, span.start + place.end)


def find_exactly(text: str, quote: str) -> Span | None:
    """The first place where `quote` stands in `text` as whole words, character by character."""
    at = _find_words(text, quote)
    return None if at < 0 else Span(at, at + len(quote))


def find_folded(text: str, quote: str) -> Span | None:
    """The same after folding both; punctuation at the quote's edges may differ too."""
    folded = _folded(text)
    wanted = fold_text(quote).text.strip()
    for form in dict.fromkeys((wanted, wanted.strip(_EDGE))):
        at = _find_words(folded.text, form)
        if at >= 0:
            return Span(*folded.original(at, at + len(form)))
    return None


def find_in_order(text: str, quote: str) -> Span | None:
    """Where all words of `quote` that carry meaning stand in its order with little between them."""
    found = locate_quote(_prepared(text), "", quote, (), set())
    return None if found is None else Span(found[0][0].start, found[0][-1].end)


def _find_words(text: str, wanted: str) -> int:
    at = text.find(wanted) if wanted else -1
    while at >= 0 and (cuts_word(text, at) or cuts_word(text, at + len(wanted))):
        at = text.find(wanted, at + 1)
    return at


@lru_cache(maxsize=256)
def _folded(text: str) -> FoldedText:
    """Several claims and responses share a passage."""
    return fold_text(text)


@lru_cache(maxsize=256)
def _prepared(text: str) -> PreparedResponse:
    return PreparedResponse(text, ())
