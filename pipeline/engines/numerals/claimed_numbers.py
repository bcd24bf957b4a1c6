"""The numbers that a text states, of those that stand in it: no list marks, citations, references, parts of names."""

from __future__ import annotations

import re

from pipeline.engines.numerals.implied_numbers import PARTS
from pipeline.engines.numerals.numbers import ORDINAL_ENDINGS, Number, find_numbers, has_currency, key_set
from pipeline.engines.numerals.shares import find_fractions, find_ratios
from pipeline.engines.words import UNSPACED, Tokens, stem, word_set

_REFERENCES = word_set("passage passages step steps method methods option options part figure table example") | key_set(
    "source sources page pages document documents p pp"  # not a law's section or a book's chapter: those are facts
)
_JOINERS = ("and", "or", "to")
_CITED_BEFORE, _CITED_BEHIND = re.compile(r"\[[\d,; \u2013-]*\Z"), re.compile(r"[\d,; \u2013-]*\]")
_CITED_CHARS = 40
_DATED = re.compile(r"[/-](?<=\d.)\d\d?[/-]\d")
_DIGIT_DATE = re.compile(r"(?<![\d/-])(?:\d{4}-\d{1,2}-\d{1,2}|\d{1,2}/\d{1,2}/(?:\d{4}|\d{2}))(?![\d/-])")
# Letters that stand right behind a number as its unit ("400mg"); not those that scale it or name a thing ("5M", "4K").
_GLUED_UNIT = re.compile(
    r"(?:[kmµ\u03bc]?g|mcg|[mcd]?[lL]|[kcmnµ\u03bc]m|ms|h|hrs?|mins?|[kMG]?Wh?|[km]?V|m?Ah|[kMG]?Hz|[kKMGT]B|[kMG]bps|dB"
    r"|[CF]|lbs?|oz|ft|mph|kmh|rpm|ppm|kcal|k?Pa|mmHg|IU)(?![^\W_])"
)
_GLUED_AMOUNT = re.compile(r"(?:bn|[kKmMpc])(?![^\W_])")  # of money or people, "p" and "c" of pence and cents
_NAME_BEFORE = re.compile(r"(?<![^\W_])([A-Z][A-Za-z]*)-\Z")
_NAME_CHARS = 24
_SECTION = re.compile(  # "1.1 The", "2.3. How"; no "1.5 Million"
    r"\d{1,2}(?:\.\d{1,2}){1,3}[.)]? ?(?:[AI]|(?!(?:[MBT]r?illi|Mio|Mrd|Percent|Euro|Dollar|Pound))[A-Z][a-z]{1,30}) "
)
_SENTENCE_BEFORE = re.compile(r"(?:\n[ \t(*#-]*|[.!?:,;] \(?)\Z")
_BLANK = re.compile(r"\s*+")
_ITEM_CHARS = 1_000  # of a list in one line
_PREFIXES = word_set("under over top mid pre post early late sub non")
_SPELLED_ON = re.compile(rf"[^\W\d_{UNSPACED}]")  # a letter that belongs to one word with its neighbours
_CENTURY = stem("century")


def claimed_numbers(text: str, tokens: Tokens) -> list[Number]:
    """The numbers a text states: not list markers, "passages 1 and 3", "20th century", or digits inside names."""
    stated: list[Number] = []
    in_dates = (
        {at for match in _DIGIT_DATE.finditer(text) for at in range(*match.span())} if _DATED.search(text) else ()
    )
    shares: dict[int, float] = {}  # by character
    for left, right, share in find_fractions(text):
        shares.update(dict.fromkeys(range(left, right), share))
    for first, last, share in find_ratios(tokens):
        for at in range(first, last + 1):
            shares.setdefault(tokens.starts[at], share)
    referring = -9  # the last word of a reference such as "passages 1, 2 and 3"
    for number in find_numbers(text, tokens):
        start, end = tokens.starts[number.first], tokens.ends[number.last]
        before = tokens.stems[number.first - 1] if number.first else ""
        after = tokens.stems[number.last + 1 : number.last + 3]
        gap = number.first - referring
        if before in _REFERENCES or gap == 1 or (gap == 2 and before in _JOINERS):
            referring = number.last
        elif not (
            _is_citation(text, start, end)
            or _is_list_marker(text, start, end)
            or _is_inside_name(text, start, end)
            or _CENTURY in after
        ):
            if after[:1] and after[0] in PARTS and isinstance(number.value, float):  # "two thirds"
                shares.setdefault(start, number.value / PARTS[after[0]])
            if start in in_dates or start in shares:
                number = number._replace(in_date=start in in_dates, fraction=shares.get(start))  # noqa: PLW2901
            stated.append(number)
    return stated


def _is_citation(text: str, start: int, end: int) -> bool:
    """ "[1]", and each number of "[1, 3-5]"."""
    return _CITED_BEFORE.search(text, max(0, start - _CITED_CHARS), start) is not None and bool(
        _CITED_BEHIND.match(text, end, end + _CITED_CHARS)
    )


def _is_list_marker(text: str, start: int, end: int) -> bool:
    """ "1." and "(2)" that begin a line, "2. Then" and "2) then" between items of a list in one line, and "1.1 The fee"
    that begins a line or a sentence."""
    if "." in text[start:end] and _SECTION.match(text, start):
        return (
            _BLANK.fullmatch(text, 0, start) is not None
            or _SENTENCE_BEFORE.search(text, max(0, start - 8), start) is not None
        )
    if text[end : end + 1] not in (".", ")"):
        return False
    lead = text[max(0, start - 4) : start]
    if not lead.rpartition("\n")[2].strip(" \t(*-") and ("\n" in lead or start < 4):
        return True
    begins = text[end] == ")" or _SENTENCE_BEFORE.search(text, max(0, start - 8), start) is not None
    return begins and _is_counted_on(text, start, end)


def _is_counted_on(text: str, start: int, end: int) -> bool:
    """Whether the number before stands in front of this one as a mark of the same form ("1. Mix. 2. Bake"); or, of a
    first one, the number behind it."""
    written = text[start:end]
    if not (written.isascii() and written.isdigit() and len(written) <= 2):
        return False
    if written == "1":
        return f" 2{text[end]} " in text[end : end + _ITEM_CHARS]
    mark = re.compile(rf"(?<![\d.]){int(written) - 1}{re.escape(text[end])}\s")
    return mark.search(text, max(0, start - _ITEM_CHARS), start) is not None


def _is_inside_name(text: str, start: int, end: int) -> bool:
    """Whether letters make one word with the digits ("A320", "4K", "COVID-19"): no ordinal, no unit, no script without
    spaces."""
    if start and (_SPELLED_ON.match(text, start - 1) or _is_numbered(text, start)):
        return True
    if _SPELLED_ON.match(text, end) is None or text[end : end + 2] in ORDINAL_ENDINGS or _GLUED_UNIT.match(text, end):
        return False
    is_amount = has_currency(text, start) or "." in text[start:end] or text.startswith("bn", end)
    return not (is_amount and _GLUED_AMOUNT.match(text, end))


def _is_numbered(text: str, start: int) -> bool:
    """Whether a hyphen joins digits to a name in front of them: "COVID-19", not "mid-1990s" or "Top-10"."""
    name = _NAME_BEFORE.search(text, max(0, start - _NAME_CHARS), start) if text[start - 1] == "-" else None
    return name is not None and name[1].lower() not in _PREFIXES
