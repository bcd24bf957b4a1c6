"""Fields of a data record that hold a number: "Reviews: 128", {"price_eur": 349}, and what a text makes of them.

All numbers of a record stand in the context, so "349 reviews" lacks nothing: a number is held against the field that
it is told of. It is told of the field whose name stands before it, with function words between, or right behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from pipeline.engines.numerals.heads import without_unit
from pipeline.engines.numerals.number_index import NumberIndex, is_borne
from pipeline.engines.numerals.numbers import EXACTLY, UNITS, Number, find_numbers
from pipeline.engines.records.denial import Denial
from pipeline.engines.records.key_words import keys_told_by
from pipeline.engines.records.tables import numbers_of
from pipeline.engines.words import CONTENT, Tokens, stem, tokenize
from schemas.records import Passage

_NUMBER: Final = r"(?P<sign>[$\u20ac\u00a3\u00a5]?)(?P<value>\d{1,15}(?:[.,]\d{1,15}){0,4}+)(?![\d:/-])"
_IN_OBJECT: Final = re.compile(rf"""["'](?P<key>[\w .-]{{1,60}})["']\s{{0,4}}:\s{{0,4}}["']?{_NUMBER}""")
_IN_LINE: Final = re.compile(
    rf"^[ \t]{{0,20}}(?:[-*][ \t]{{1,4}})?\*{{0,2}}(?P<key>[^\W\d_][\w ()/.-]{{1,40}})\*{{0,2}}:\*{{0,2}}[ \t]{{1,4}}"
    rf"{_NUMBER}",
    re.MULTILINE,
)
_BEHIND: Final = re.compile(r"\s?%|\s?[^\W\d_]{1,15}\b")
_DATE: Final = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")
_HUMP: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|[_.-]")
_MIN_FIELDS: Final = 2  # one alone may be prose: "Note: 3 of them"
_MOST_WORDS: Final = 4  # of a key
_MAX_FIELDS: Final = 400
_MONEY: Final = frozenset(map(stem, ("eur", "usd", "gbp", "chf", "euros", "dollars", "pounds")))
_REACH: Final = 3  # function words between a field's name and its number: "price of about"
_BEHIND_IT: Final = 2  # content words behind a number among which the name may be: "3,500 parking spaces"
_TOLD: Final = 40  # characters


@dataclass(frozen=True, slots=True, eq=False)
class NumberField:
    """The values of one key.   words: the stems of its content words.   passage, start: where it is first.

    values: written in the context.   index: the same, to look numbers up.
    """

    label: str
    words: frozenset[str]
    passage: int
    start: int
    values: frozenset[float | str]
    index: NumberIndex


@dataclass(frozen=True, slots=True, eq=False)
class NumberFields:
    """by_word: the fields that have a stem in their key.   values: all numbers of fields and dates.   elsewhere: those
    that the context has beside them."""

    by_word: dict[str, list[NumberField]]
    values: frozenset[float | str]
    elsewhere: frozenset[float | str]


class WrongNumber(NamedTuple):
    """A denial, and the field that it is by."""

    denial: Denial
    field: NumberField


def read_number_fields(passages: Iterable[Passage]) -> NumberFields | None:
    """The fields of a context that hold numbers; None when it is no record."""
    matches = [(at, passage.text, [*_matches(passage.text)]) for at, passage in enumerate(passages)]
    if sum(len(some) for *_, some in matches) < _MIN_FIELDS:
        return None
    found: dict[tuple[str, ...], list[tuple[str, int, int, str]]] = {}
    elsewhere: set[float | str] = set()
    values: set[float | str] = set()
    for at, text, some in matches:
        taken: set[int] = set()
        for match in some:
            words = _words_of(match["key"])
            if words and len(found) < _MAX_FIELDS:
                found.setdefault(words, []).append((match["key"], at, match.start("key"), _rest(text, match)))
                taken.add(match.start("value"))
        of_dates, others = _other_numbers(text, taken)
        values |= of_dates
        elsewhere |= others
    if sum(map(len, found.values())) < _MIN_FIELDS:
        return None
    by_word: dict[str, list[NumberField]] = {}
    for words, places in found.items():
        key, passage_at, start, _ = places[0]
        index = numbers_of(" ; ".join(text for *_, text in places))
        field = NumberField(_HUMP.sub(" ", key), frozenset(words), passage_at, start, frozenset(index.exact), index)
        values |= field.values
        for word in field.words:
            by_word.setdefault(word, []).append(field)
    return NumberFields(by_word, frozenset(values), frozenset(elsewhere))


def _matches(text: str) -> Iterator[re.Match[str]]:
    yield from _IN_OBJECT.finditer(text) if text.lstrip()[:1] in ("{", "[") else _IN_LINE.finditer(text)


def _rest(text: str, match: re.Match[str]) -> str:
    """The number with what is behind it, a unit or a scale, and the unit of the key."""
    behind = _BEHIND.match(text, match.end("value"))
    unit = _HUMP.sub(" ", match["key"]).split()[-1]
    return f"{match['sign']}{match['value']}{behind[0] if behind else ''} {unit}"


def _words_of(key: str) -> tuple[str, ...]:
    """The stems of a key's content words, without a unit at its end; () when it has none, or too many."""
    words = tokenize(without_unit(_HUMP.sub(" ", key))).content_stems()
    while len(words) > 1 and (words[-1] in UNITS or words[-1] in _MONEY):
        words.pop()
    return tuple(sorted(set(words))) if len(words) <= _MOST_WORDS else ()


def _other_numbers(text: str, taken: set[int]) -> tuple[set[float | str], set[float | str]]:
    """The numbers of dates, and all others but times and those that begin at some places."""
    tokens = tokenize(text)
    dates = {at for match in _DATE.finditer(text) for at in range(*match.span())}
    found = [(tokens.starts[number.first], number) for number in find_numbers(text, tokens) if not number.clock]
    return (
        {number.value for start, number in found if start in dates},
        {number.value for start, number in found if start not in dates and start not in taken},
    )


def wrong_number(
    fields: NumberFields, tokens: Tokens, first: int, last: int, numbers: Sequence[Number]
) -> WrongNumber | None:
    """The first number of the claim in words [first, last) that is another field's than the one it is told of.

    numbers: that the claim states.
    """
    stems = frozenset(tokens.stems[first:last])
    for number in numbers:
        if number.clock or number.ordinal or number.bound != EXACTLY or number.approximate:
            continue
        if number.value not in fields.values or number.value in fields.elsewhere:
            continue
        beside = {tokens.stems[at] for at in _names_beside(tokens, first, last, number)}
        told = [key for word in beside for key in (word, *keys_told_by(word))]
        near = [field for key in dict.fromkeys(told) for field in fields.by_word.get(key, ())]
        told_of = [field for field in near if field.words <= stems.union(told)]
        named = (field for word in stems for field in fields.by_word.get(word, ()) if field.words <= stems)
        if told_of and not any(is_borne(number, tokens, field.index) for field in (*near, *named)):
            field = told_of[0]
            return WrongNumber(Denial(number.first, number.last + 1, _told(field)), field)
    return None


def _names_beside(tokens: Tokens, first: int, last: int, number: Number) -> Iterator[int]:
    """The content word before a number, with function words between, and those right behind it, or behind its unit."""
    for at in range(number.first - 1, max(first, number.first - 1 - _REACH) - 1, -1):
        if tokens.kinds[at] >= CONTENT:
            if tokens.kinds[at] == CONTENT and not _is_part(tokens, at):
                yield at
            break
    at = number.last + 1
    while at < last and (tokens.stems[at] in UNITS or tokens.stems[at] in _MONEY):
        at += 1
    for behind in range(at, min(last, at + _BEHIND_IT)):
        if tokens.kinds[behind] != CONTENT or _is_part(tokens, behind):
            break
        yield behind


def _is_part(tokens: Tokens, at: int) -> bool:
    """Whether a word is written in one with its neighbour: "Wash" of "WashPro"."""
    ahead = tokens.starts[at + 1] == tokens.ends[at] if at + 1 < len(tokens) else False
    return ahead or (at > 0 and tokens.ends[at - 1] == tokens.starts[at])


def _told(field: NumberField) -> str:
    values = sorted(value for value in field.values if isinstance(value, float))[:3]
    return f"the context says {field.label[:_TOLD]}: {', '.join(f'{value:g}' for value in values)}"
