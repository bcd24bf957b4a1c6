"""Where the claims of a response stand in it: quotes and claim texts -> character spans.

An extractor says which sentences a claim was taken from and quotes the words; some extractors give a reworded claim
and nothing else. Each claim runs down a cascade, and `alignment` records where it stopped:

    exact      every quote as it is, as whole words: in the cited sentences, next to them, or anywhere
    folded     the same after folding typography, case and white space
    fuzzy      the quote's words in order, or the claim's own words in one sentence; numbers, negations and names
               must all be there
    unmatched  none of these: the claim labels no token, and is counted

A claim that several places fit gets the next one that the same claim does not have yet, so that repeated sentences
are told apart. Spans are the smallest pieces that carry the claim: trimmed, sorted and disjoint.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

from pipeline.location.locate_quotes import Located, Used, locate_quote
from pipeline.location.locate_reworded import locate_reworded
from pipeline.location.prepare_response import PreparedResponse
from schemas.records import EXACT, FOLDED, FUZZY, UNMATCHED, Claim, Span


def locate_claims(response: str, claims: Sequence[Claim], sentences: Sequence[Span]) -> tuple[Claim, ...]:
    """All claims of a response with spans and alignment; claims that have spans already are left alone."""
    prepared = PreparedResponse(response, sentences)
    used: Used = set()
    previous = 0
    located: list[Claim] = []
    for claim in claims:
        if claim.spans:
            located.append(claim)
            continue
        (spans, alignment), previous = _locate(prepared, claim, used, previous)
        located.append(replace(claim, spans=spans, alignment=alignment))
    return tuple(located)


def _locate(response: PreparedResponse, claim: Claim, used: Used, previous: int) -> tuple[Located, int]:
    """Where the claim stands, and the sentence to go on from."""
    cited = sorted({i for i in claim.sentence_ids if 0 <= i < len(response.sentences)})
    quoted = _locate_quotes(response, claim.text, [quote for quote in claim.quotes if quote.strip()], cited, used)
    if quoted is not None:
        return quoted, bisect_right(response.sentences, quoted[0][0].start, key=lambda span: span.start) - 1
    found = locate_reworded(response, claim.text, cited, used, previous)
    return found or (((), UNMATCHED), previous)


def _locate_quotes(
    response: PreparedResponse, text: str, quotes: Sequence[str], cited: Sequence[int], used: Used
) -> Located | None:
    """All quotes or nothing, because part of a claim is another claim. The alignment is that of the worst quote."""
    spans: list[Span] = []
    alignments: list[str] = []
    for quote in quotes:
        located = locate_quote(response, text, quote, cited, used)
        if located is None:
            return None
        spans += located[0]
        alignments.append(located[1])
    if not spans:
        return None
    return _disjoint(spans), max(alignments, key=(EXACT, FOLDED, FUZZY).index)


def _disjoint(spans: Sequence[Span]) -> tuple[Span, ...]:
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        if merged and span.start < merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return tuple(merged)
