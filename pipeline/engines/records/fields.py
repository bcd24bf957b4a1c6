"""Yes/no fields of a data record in the context: keys whose value is yes, no or not stated.

A record is a text of lines ("attributes Outdoor Seating: no"), or an object in JSON or as Python prints it
({"attributes": {"OutdoorSeating": false}, "breakfast": "not included"}). What a response makes of the fields:
field_mentions.py.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from pipeline.engines.words import CONTENT, tokenize, word_set
from schemas.records import Passage

YES: Final = "yes"
NO: Final = "no"
UNKNOWN: Final = "not stated"
FREE: Final = "free"
PAID: Final = "paid"
_OFFERED = "included|available|allowed|permitted|accepted|provided|offered"
# What a key says beside the thing: "breakfast_included", "has_pool", "RestaurantsReservations".
_QUALIFIERS = frozenset(
    (*_OFFERED.split("|"), *word_set("is has have are allows accepts includes offers business restaurants"))
)
_WORDS = rf"not[ ](?:{_OFFERED})|(?:{_OFFERED})|unavailable|prohibited|forbidden|free|paid"
_FIELD = re.compile(
    rf"^[ \t]*(?:[-*][ \t]+)?([\w. ]{{3,80}}): ((?i:yes|no|not stated|true|false|null|none|{_WORDS}))$", re.MULTILINE
)
_LINE = re.compile(r"^[ \t]*(?:[-*][ \t]+)?[^\W\d_][\w -]{2,40}: \S", re.MULTILINE)
# What tells the shape of a printed object: a key with a yes/no value or an object behind it, and braces.
_KEY = r"""["'](?P<key>[\w .-]{1,60})["']\s*+:\s*+"""
_VALUE = rf"""(?P<quote>["']?)(?P<value>(?i:yes|no|true|false|null|none|{_WORDS}))(?P=quote)(?=\s*+[,}}\]])"""
_OBJECT_PARTS = re.compile(rf"""{_KEY}(?:{_VALUE}|(?P<opens>\{{))|(?P<brace>[{{}}])""")
_YES_OR_NO = re.compile(rf"(?i:yes|no|true|false|{_WORDS})")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z][a-z]{2})|[_.-]")
_OPENS_OBJECT = re.compile(r"""\{\s*["'][\w .-]{1,60}["']\s*:""")
_MOST_DEEP = 8
_VALUES = {
    **dict.fromkeys(("true", *_OFFERED.split("|")), YES),
    **dict.fromkeys(
        ("false", "unavailable", "prohibited", "forbidden", *(f"not {it}" for it in _OFFERED.split("|"))), NO
    ),
    "null": UNKNOWN,
    "none": NO,  # "Alcohol": "none"; but see `_value`
}
_SHARED_BY = 3  # so many keys that begin alike do not mean it: "Restaurants Delivery", "Restaurants Take Out", ...
_JOINING = word_set("for of to")  # what stands around them is not parted: "Good For Kids", "Good For Meal"
_MIN_CHARS = 2
_MAX_FIELDS = 400  # bounds the time per claim
_MIN_LINES = 2  # fewer may be prose that ends in ": yes"
_MOST_WORDS = 4  # of the key of such a line


class Field(NamedTuple):
    """A key with the value yes, no or not stated.

    name: its words run together.   group: the last word of the object it is in, if a text must name that as well: a
    garage is not parking, a "parking garage" is.   words: the stems of its content words.
    label: its words, for people.   cost: "free" or "paid" where the value is one of them; else "".
    members: of a group some of which are there, the names of all; "no parking" denies them.
    """

    name: str
    group: str
    value: str
    words: tuple[str, ...]
    label: str
    cost: str = ""
    members: tuple[str, ...] = ()

    @property
    def opens_with_function_word(self) -> bool:
        """As "by appointment only" does, and "take out" does not."""
        return tokenize(self.label).kinds[0] < CONTENT


def read_fields(passages: tuple[Passage, ...]) -> tuple[Field, ...]:
    """The yes/no fields of a context; () for prose."""
    found = [pair for passage in passages for pair in _pairs_of(passage.text)]
    if not found:
        return ()
    keys = [tuple(tokenize(key).words) for key, _, _ in found]
    openings = Counter(key[:length] for key in keys for length in range(1, len(key)))
    fields: list[Field] = []
    for key, (_, value, is_record) in zip(keys, found, strict=True):
        shared = [n for n in range(1, len(key)) if openings[key[:n]] >= _SHARED_BY]
        cut = max((n for n in shared if _JOINING.isdisjoint(map(str.lower, key[n - 1 : n + 1]))), default=0)
        if cut or is_record:
            fields += _field(key, cut, value)
    values: dict[tuple[str, str], set[str]] = {}
    for field in fields:
        values.setdefault((field.name, field.group), set()).add(field.value)
    # of several objects with different values a text may mean any
    single = [field for field in fields if len(values[field.name, field.group]) == 1]
    return (*single[:_MAX_FIELDS], *_groups_of(single))


def _groups_of(fields: list[Field]) -> Iterator[Field]:
    """A field for each group of which something is there."""
    members: dict[str, list[Field]] = {}
    for field in fields:
        if field.group:
            members.setdefault(field.group, []).append(field)
    for group, some in members.items():
        there = [field.label for field in some if field.value == YES]
        if there:
            words = tuple(tokenize(group).stems)
            yield Field(group, "", YES, words, f"{group} {there[0]}", members=tuple(field.name for field in some))


def field_of(key: str, value: str) -> Field | None:
    """The field of one key and a value as written; None when the value is neither yes nor no or the key too short."""
    written = value.strip().strip("\"'")
    if not _YES_OR_NO.fullmatch(written):
        return None
    return next(_field(tuple(tokenize(_HUMP.sub(" ", key)).words), 0, _value(written, is_text=True)), None)


def _field(key: tuple[str, ...], cut: int, value: str) -> Iterator[Field]:
    """The field of a key whose first `cut` words say where it stands; none when its name is too short."""
    named = [word for word in key[cut:] if word.lower() not in _QUALIFIERS] or key[cut:]
    name = "".join(named).lower().removesuffix("s")
    if len(name) >= _MIN_CHARS and named[0].lower() != "no":  # "no_music: false" tells nothing of what there is
        is_inner = cut > 1 and key[cut][0].islower() and key[cut - 1][0].isupper()  # "Business Parking garage"
        words = tuple(tokenize(" ".join(named)).content_stems())
        group = key[cut - 1].lower() if is_inner else ""
        cost = value if value in (FREE, PAID) else ""
        yield Field(name, group, YES if cost else value, words, " ".join(named), cost)


def _pairs_of(text: str) -> Iterator[tuple[str, str, bool]]:
    """The names of yes/no fields, with those of the objects they are in before them, their values, and whether they
    stand in a record for certain."""
    lines = [(match[1], _value(match[2])) for match in _FIELD.finditer(text)]
    are_many = len(lines) >= _MIN_LINES or (bool(lines) and len(_LINE.findall(text)) >= _MIN_LINES)
    yield from ((key, value, are_many and len(key.split()) <= _MOST_WORDS) for key, value in lines)
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
            yield " ".join(filter(None, names)), _value(part["value"], is_text=bool(part["quote"])), True


def _value(written: str, *, is_text: bool = False) -> str:
    """yes, no, not stated, free or paid. Python's None states nothing, the text "none" says no."""
    if written == "None" and not is_text:
        return UNKNOWN
    return _VALUES.get(written.lower(), written.lower())
