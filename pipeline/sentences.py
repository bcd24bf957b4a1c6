"""Sentences of a text as character spans: the units that extractors number and claims point at.

A span is a sentence, a list item or a line: trimmed, in order, never overlapping. Line ends split unless the next line
goes on in lower case (hard-wrapped prose). One compiled regex finds the candidates; each candidate is judged by a few
characters around it, so the time is linear in the length of the text.
"""

from __future__ import annotations

import re

from schemas.records import Span

_MARKS = ".!?\u2026\u203d\u061f\u06d4\u0964\u3002\uff01\uff1f\uff0e"
_CLOSERS = "\"')\\]\u2019\u201d\u00bb*\u300d\u300f\uff09"
_SMALL = "a-z\u00df-\u00f6\u00f8-\u00ff"
_CAPITAL = "A-Z\u00c0-\u00d6\u00d8-\u00de"
# It begins with one character class, because the regex engine scans for a class at full speed. The group tells the
# common case apart, which needs no judging: four small letters, the mark, one other character and a capital letter.
_CANDIDATE = re.compile(
    rf"[{_MARKS}\n\r\u2028\u2029](?:(?<=[{_SMALL}]{{4}}[{_MARKS}])(?=[^{_MARKS}{_CLOSERS}][{_CAPITAL}])())?"
)
# More marks, then the quotes and brackets that close the sentence.
_TAIL = re.compile(rf"[.!?\u2026\u3002\uff01\uff1f\uff0e]*[{_CLOSERS}]*")
_NEEDS_NO_SPACE = "\u3002\uff01\uff1f\uff0e"
_LINE_ENDS = "\n\r\u2028\u2029"
_OPENERS = "\"'([{\u201c\u2018\u00ab*_#"
_WORD_BEFORE = re.compile(r"[\w.&]*$")
_MARKER_ONLY = re.compile(r"\s*(?:[-*\u2022\u2023\u25e6\u2013]\s*)?\*{0,2}(?:\(?(?:\d{1,3}|[A-Za-z]|[ivx]{1,4})[.)])?$")
_LIST_ITEM = re.compile(r"[ \t]*(?:[-*+\u2022\u2023\u25e6]\s|\(?(?:\d{1,3}|[A-Za-z])[.)]\s)")
_KEY = re.compile(r"[^\W\d][\w ()/-]{0,60}: \S")  # a line of a data record, "hours Monday: 9:00-17:00"
_NEVER_ENDS = """
mr mrs ms dr prof rev hon st gen col lt sgt capt gov sen rep pres mt ft v vs approx dept est fig eq ed eds vol pp cf
ca i.e e.g ie eg jan feb mar apr jun jul aug sep sept oct nov dec
mio mrd bzw vgl ggf evtl inkl zzgl mme mlle sra z.b d.h u.a o.\u00e4
"""
_BEFORE_NUMBERS = frozenset(("no", "nos", "nr", "sec", "para", "chap", "p", "art", "abs"))  # "no." is mostly a word
_OF_TWO_LETTERS = re.compile(r"(?<!\w)[a-z]\. ?[A-Za-z]\.")  # "z. B."
_GERMAN_DAY = re.compile(
    r"(?<!\d)\d\d?\. (?:Januar|Februar|M\u00e4rz|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember)\b"
)
_SOMETIMES_ENDS = "etc inc ltd co corp bros al a.m p.m u.s u.k u.n d.c jr sr ph.d"  # what follows decides
_MAY_END = frozenset(_SOMETIMES_ENDS.split())
_ABBREVIATIONS = frozenset(_NEVER_ENDS.split()) | _MAY_END
_LONG_ABBREVIATIONS = frozenset(word[-4:] for word in _ABBREVIATIONS if len(word) >= 4)
_STARTS_SENTENCE = re.compile(
    r"\s*(?:[\n\r]|$|[\"'(\u201c]*(?:The|He|She|It|They|We|You|I|In|On|At|This|That|These|There|His|Her|Its|A|An|However"
    r"|But|And|If)\b)"
)
_TIME_OF_DAY = frozenset(("a.m", "p.m"))
_AFTER_TIME = re.compile(  # a capital that begins no day, month or time zone
    r"\s+(?!(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?\b"
    r"|(?:January|February|March|April|May|June|July|August|September|October|November|December)\b"
    r"|(?:Eastern|Central|Mountain|Pacific|Greenwich|Local)\b)[A-Z][a-z]"
)


def split_sentences(text: str) -> list[Span]:
    """Trimmed, ordered, non-overlapping spans that hold every character of `text` except white space between them."""
    spans: list[Span] = []
    start = end = 0
    for match in _CANDIDATE.finditer(text):
        at = match.start()
        if at < end:
            continue  # inside the tail of the sentence before
        if match.lastindex and text[at - 4 : at] not in _LONG_ABBREVIATIONS:
            end = at + 1
        elif text[at] in _LINE_ENDS:
            if _is_soft_wrap(text, start, at):
                continue
            end = at + 1
        else:
            end = at + 1 if text[at + 1 : at + 2] == " " else _TAIL.match(text, at + 1).end()  # type: ignore[union-attr]
            if not _ends_sentence(text, start, at, end):
                continue
        _append_trimmed(spans, text, start, end)
        start = end
    _append_trimmed(spans, text, start, len(text))
    return spans


def _ends_sentence(text: str, start: int, at: int, end: int) -> bool:
    """Whether the mark at `at`, with its tail up to `end`, ends the sentence that began at `start`."""
    mark = text[at]
    if mark in _NEEDS_NO_SPACE:
        return True
    if not text[end : end + 1].isspace():
        return False
    if mark == ".":
        return not _is_inside_sentence(text, start, at, end)
    return mark not in "!?\u2026" or not _goes_on_in_lower_case(text, end)


def _append_trimmed(spans: list[Span], text: str, start: int, end: int) -> None:
    piece = text[start:end].rstrip()
    if piece:
        right = start + len(piece)
        spans.append(Span(right - len(piece.lstrip()), right))


def _is_soft_wrap(text: str, start: int, line_end: int) -> bool:
    """A line end inside hard-wrapped prose: a long line that has not finished, and the next starts in lower case.

    Not between two lines of a data record ("key: value").
    """
    after = line_end + 1
    following = text[after : after + 1]
    if not following.islower() or line_end - start < 40 or text[line_end - 1] in ":.;!?":
        return False
    if _KEY.match(text, after) and _KEY.match(text, max(start, text.rfind("\n", start, line_end) + 1)):
        return False
    return not _LIST_ITEM.match(text[after : after + 8])


def _is_inside_sentence(text: str, start: int, dot: int, end: int) -> bool:
    """A full stop that ends no sentence: a list marker, an initial, an abbreviation, or lower case goes on after it."""
    lead = text[max(start, dot - 24) : dot]
    if dot - start <= 8 and _MARKER_ONLY.match(text[start : dot + 1]):
        return True
    word_match = _WORD_BEFORE.search(lead)
    word = word_match.group().lower() if word_match else ""
    if len(word) == 1 and word.isalpha() and lead[-1:].isupper():
        # A letter alone is no initial, nor is one before a word that begins sentences: "4.5 A. You", "Plan C. The"
        may_be = lead[-2:-1] in (" ", ".", "") and dot - start != 1
        return may_be and not _STARTS_SENTENCE.match(text, end)
    if _is_written_with_a_stop(text, dot, word):
        return True
    following = _next_character(text, end)
    if word in _BEFORE_NUMBERS:
        return following.isdigit()
    if following.isdigit() and lead.rfind("(") > lead.rfind(")"):
        return True  # "(b. 1902 in Graz)"
    if word in _TIME_OF_DAY and _AFTER_TIME.match(text, end):
        return False
    if word in _ABBREVIATIONS and not (len(word) == 2 and lead[-2:].isupper()):  # "CA." is no circa
        return word not in _MAY_END or not _STARTS_SENTENCE.match(text, end)
    return _goes_on_in_lower_case(text, end)


def _is_written_with_a_stop(text: str, dot: int, word: str) -> bool:
    """The "z" of "z. B.", or the day of "3. Mai"."""
    if len(word) == 1 and word.isalpha():
        return _OF_TWO_LETTERS.match(text, dot - 1) is not None
    return word.isdigit() and len(word) <= 2 and _GERMAN_DAY.match(text, dot - len(word)) is not None


def _next_character(text: str, end: int) -> str:
    return text[end : end + 8].lstrip(" \t").lstrip(_OPENERS)[:1]


def _goes_on_in_lower_case(text: str, end: int) -> bool:
    gap = text[end : end + 2]
    return not any(mark in gap for mark in _LINE_ENDS) and _next_character(text, end).islower()
