"""Sentences of a text as character spans: the units that extractors number and claims point at.

A span is a sentence, a list item or a line: trimmed, in order, never overlapping. Line ends split unless the next line goes
on in lower case (hard-wrapped prose). One compiled regex finds the candidates; each candidate is judged by its neighbours,
so the time is linear in the length of the text.
"""

from __future__ import annotations

import re

from schemas.records import Span

# A run of sentence-final marks with the quotes or brackets that close it, or a line end.
_BOUNDARY = re.compile(
    r"[.!?\u2026\u203d\u061f\u06d4\u0964]+[\"')\]\u2019\u201d\u00bb*]*(?=\s)"
    r"|[\u3002\uff01\uff1f\uff0e]+[\u300d\u300f\u201d\u2019\uff09)\"']*"
    r"|[\n\r\u2028\u2029]"
)
_LINE_ENDS = "\n\r\u2028\u2029"
_OPENERS = "\"'([{\u201c\u2018\u00ab*_#"
_WORD_BEFORE = re.compile(r"[\w.&]*$")
_MARKER_ONLY = re.compile(r"\s*(?:[-*\u2022\u2023\u25e6\u2013]\s*)?(?:\(?(?:\d{1,3}|[A-Za-z]|[ivx]{1,4})[.)])?$")
_LIST_ITEM = re.compile(r"[ \t]*(?:[-*+\u2022\u2023\u25e6]\s|\(?(?:\d{1,3}|[A-Za-z])[.)]\s)")
_ABBREVIATIONS = frozenset(
    ["mr", "mrs", "ms", "dr", "prof", "rev", "hon", "st", "sr", "jr", "gen", "col", "lt", "sgt", "capt", "gov", "sen", "rep", "pres", "mt", "ft", "no", "nos", "vs", "etc", "al", "approx", "dept", "est", "fig", "eq", "ed", "eds", "vol", "pp", "inc", "ltd", "co", "corp", "bros", "cf", "ca", "i.e", "e.g", "ie", "eg", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec", "u.s", "u.k", "u.n", "a.m", "p.m", "ph.d", "d.c"]
)
# Abbreviations that also end sentences: what follows decides.
_MAY_END = frozenset(["etc", "inc", "ltd", "co", "corp", "bros", "al", "a.m", "p.m", "u.s", "u.k", "u.n", "d.c", "jr", "sr", "ph.d"])

_STARTS_SENTENCE = re.compile(
    r"\s*(?:[\n\r]|$|[\"'(\u201c]*(?:The|He|She|It|They|We|You|I|In|On|At|This|That|These|There|His|Her|Its|A|An|However|But|And|If)\b)"
)


def split_sentences(text: str) -> list[Span]:
    """Trimmed, ordered, non-overlapping spans that hold every character of `text` except white space between them."""
    spans: list[Span] = []
    start = 0
    for match in _BOUNDARY.finditer(text):
        end = match.end()
        if text[match.start()] in _LINE_ENDS:
            if _is_soft_wrap(text, start, match.start(), end):
                continue
        elif (text[match.start()] == "." and _is_inside_sentence(text, start, match.start(), end)) or (match.end() - match.start() and text[end - 1] not in _LINE_ENDS and _goes_on_in_lower_case(text, end)):
            continue
        _append_trimmed(spans, text, start, end)
        start = end
    _append_trimmed(spans, text, start, len(text))
    return spans


def _append_trimmed(spans: list[Span], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    left = start + len(piece) - len(piece.lstrip())
    right = start + len(piece.rstrip())
    if left < right:
        spans.append(Span(left, right))


def _is_soft_wrap(text: str, start: int, line_end: int, after: int) -> bool:
    """A line end inside hard-wrapped prose: the line is long, has not finished, and the next one starts in lower case."""
    following = text[after : after + 1]
    if not following.islower() or line_end - start < 40 or text[line_end - 1] in ":.;!?":
        return False
    return not _LIST_ITEM.match(text[after : after + 8])


def _is_inside_sentence(text: str, start: int, dot: int, end: int) -> bool:
    """A full stop that ends no sentence: a list marker, an initial, an abbreviation, or prose going on in lower case."""
    lead = text[max(start, dot - 24) : dot]
    if dot - start <= 8 and _MARKER_ONLY.match(text[start : dot + 1]):
        return True
    word_match = _WORD_BEFORE.search(lead)
    word = word_match.group().lower() if word_match else ""
    if len(word) == 1 and word.isalpha() and lead[-1:].isupper():
        return lead[-2:-1] in (" ", ".", "") and text[start : dot + 1] != lead[-1:] + "."
    if word in _ABBREVIATIONS:
        return word not in _MAY_END or not _STARTS_SENTENCE.match(text, end)
    return _goes_on_in_lower_case(text, end)


def _next_character(text: str, end: int) -> str:
    return text[end : end + 8].lstrip(" \t").lstrip(_OPENERS)[:1]


def _goes_on_in_lower_case(text: str, end: int) -> bool:
    gap = text[end : end + 2]
    return not any(mark in gap for mark in _LINE_ENDS) and _next_character(text, end).islower()
