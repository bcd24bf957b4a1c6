"""Yes/no fields of a data record in the context, and what a response makes of them.

A record is a text of lines ("attributes Outdoor Seating: no"), or an object in JSON or as Python prints it
({"attributes": {"OutdoorSeating": false}}).

Words alone cannot tell "has outdoor seating" from the field's "no": both sides name the same things. A field is found
in a text by the words of its key run together, so that "takeout", "take-out" and "take out" are one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from pipeline.engines.words import NEGATION, Tokens, tokenize, word_set
from schemas.records import Passage

YES: Final = "yes"
NO: Final = "no"
UNKNOWN: Final = "not stated"
_FIELD = re.compile(r"^([\w. ]{4,80}): (yes|no|not stated|true|false|null|none)$", re.MULTILINE)
# What tells the shape of a printed object: a key with a yes/no value or an object behind it, and braces.
_KEY = r"""["'](?P<key>[\w .-]{1,60})["']\s*+:\s*+"""
_VALUE = r"""(?P<quote>["']?)(?P<value>(?i:yes|no|true|false|null|none))(?P=quote)(?=\s*+[,}\]])"""
_OBJECT_PARTS = re.compile(rf"""{_KEY}(?:{_VALUE}|(?P<opens>\{{))|(?P<brace>[{{}}])""")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z][a-z]{2})|[_.-]")
_OPENS_OBJECT = re.compile(r"""\{\s*["'][\w .-]{1,60}["']\s*:""")
_MOST_DEEP = 8
_VALUES = {"true": YES, "false": NO, "null": UNKNOWN, "none": UNKNOWN}
_LACKS = word_set("without lack lacks lacking neither nor unavailable isn't aren't doesn't don't")
_PREDICATES = word_set("is are was were isn't aren't wasn't not unavailable")
_SHARED_BY = 3  # so many keys that begin alike do not mean it: "Restaurants Delivery", "Restaurants Take Out", ...
_MIN_CHARS = 4
_REACH = 6  # words before the field's name in which a negation is about it
_REACH_AFTER = 4


class Field(NamedTuple):
    """A key with the value yes, no or not stated.

    name: its words run together.   group: the last word of the object it is in, if a text must name that as well: a
    garage is not parking, a "parking garage" is.
    """

    name: str
    group: str
    value: str


class FieldMention(NamedTuple):
    """Words [first, last) of a text that name a field, and whether the text denies it."""

    field: Field
    first: int
    last: int
    denied: bool

    @property
    def is_wrong(self) -> bool:
        """Whether the text says something else than the field."""
        return self.field.value != (NO if self.denied else YES)


def read_fields(passages: tuple[Passage, ...]) -> tuple[Field, ...]:
    """The yes/no fields of a context; () for prose."""
    found = [pair for passage in passages for pair in _pairs_of(passage.text)]
    if not found:
        return ()
    keys = [tuple(tokenize(key).words) for key, _, _ in found]
    openings = Counter(key[:length] for key in keys for length in range(1, len(key)))
    fields: list[Field] = []
    for key, (_, value, of_object) in zip(keys, found, strict=True):
        cut = max((n for n in range(1, len(key)) if openings[key[:n]] >= _SHARED_BY), default=0)
        name = "".join(key[cut:]).lower().removesuffix("s")
        is_inner = cut > 1 and key[cut][0].islower() and key[cut - 1][0].isupper()  # "Business Parking garage"
        if (cut or of_object) and len(name) >= _MIN_CHARS:  # a line on its own that ends in ": yes" may be prose
            fields.append(Field(name, key[cut - 1].lower() if is_inner else "", _VALUES.get(value, value)))
    values: dict[tuple[str, str], set[str]] = {}
    for field in fields:
        values.setdefault((field.name, field.group), set()).add(field.value)
    # of several objects with different values a text may mean any
    return tuple(field for field in fields if len(values[field.name, field.group]) == 1)


def _pairs_of(text: str) -> Iterator[tuple[str, str, bool]]:
    """The names of yes/no fields, with those of the objects they are in before them, their values, and whether they
    stand in a printed object."""
    yield from ((match[1], match[2], False) for match in _FIELD.finditer(text))
    if _OPENS_OBJECT.search(text) is None:
        return
    path: list[str] = []
    for part in _OBJECT_PARTS.finditer(text):
        if part["brace"] == "}":
            path = path[:-1]
        elif part["brace"]:
            path.append("")  # in a list, or the whole object: it has no name
        elif part["opens"]:
            path.append(_HUMP.sub(" ", part["key"]))
        elif part["value"]:
            names = [*path[:_MOST_DEEP], _HUMP.sub(" ", part["key"])]
            yield " ".join(filter(None, names)), part["value"].lower(), True


def mentioned_fields(tokens: Tokens, first: int, last: int, fields: tuple[Field, ...]) -> Iterator[FieldMention]:
    """The fields that words [first, last) of a text name, in the order of the fields."""
    words = [word.lower() for word in tokens.words[first:last]]
    joined = "".join(words)
    for field in fields:
        at = joined.find(field.name)
        if at < 0 or (field.group and field.group not in joined):
            continue
        begin, end = _words_at(words, at, at + len(field.name))
        if begin >= 0:
            denied = _is_denied(tokens, words, first, begin, end)
            yield FieldMention(field, first + begin, first + end, denied)


def _words_at(words: list[str], start: int, end: int) -> tuple[int, int]:
    """[begin, end) of the words that hold characters [start, end) of the joined words; begin -1 if not from a word's
    beginning, as "rage" in "garage"."""
    begin, at = -1, 0
    for number, word in enumerate(words):
        if at == start:
            begin = number
        at += len(word)
        if at >= end:
            return begin, number + 1
    return -1, -1


def _is_denied(tokens: Tokens, words: list[str], first: int, begin: int, end: int) -> bool:
    """Whether a negation stands shortly before the field's name, with no "but" between, or right after it."""
    for at in range(begin - 1, max(-1, begin - 1 - _REACH), -1):
        if words[at] in ("but", "and", "with") and at < begin - 1:
            break
        if tokens.kinds[first + at] == NEGATION or words[at] in _LACKS:
            return True
    if end == len(words) or words[end] not in _PREDICATES:
        return False
    after = range(end, min(len(words), end + _REACH_AFTER))
    return any(tokens.kinds[first + at] == NEGATION or words[at] in _LACKS for at in after)
