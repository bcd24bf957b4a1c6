"""What a response makes of the yes/no fields of a data record: "has outdoor seating" where the field says no.

Words alone cannot tell: both sides name the same things. A field is found in a text by the words of its key run
together, so that "takeout", "take-out" and "take out" are one, or by all of them with only function words between:
"the hip belt is not removable" for `hip_belt_removable`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from pipeline.engines.records.fields import FREE, NO, PAID, UNKNOWN, YES, Field
from pipeline.engines.words import CONTENT, NEGATION, Tokens, word_set

_LACKS: Final = word_set(
    "without lack lacks lacking neither nor unavailable isn't aren't doesn't don't non prohibited forbidden banned"
)
_PREDICATES: Final = word_set("is are was were isn't aren't wasn't not unavailable prohibited forbidden")
_ENDS: Final = ("", "s", "es")  # a word may have behind the name
_REACH: Final = 6  # words before the field's name in which a negation is about it
_REACH_AFTER: Final = 4
_LONGEST_LIST: Final = 6  # words between a name and the verb behind a list of names
_CONTRASTS: Final = word_set("but while although though however")
_MISSING: Final = word_set("missing absence absent lacking")  # shortly before or behind a name
_IN_PLACE_OF: Final = word_set("instead rather")  # shortly before it
_NOT_ASSERTED: Final = word_set("if want wants would could wish need needs leave apart everything whoever")
_NOT_TOLD: Final = word_set("specified stated mentioned known unknown listed clear unclear whether information")
_MOST_BETWEEN: Final = 4  # function words between those of a name
_FEES: Final = word_set("fee fees charge charges charged surcharge cost costs")
_COSTS: Final = {  # what denies it, and what says that the other is not meant
    FREE: (_FEES | {"paid"}, word_set("free no not without complimentary")),
    PAID: (word_set("free complimentary"), word_set("not no isn't aren't")),
}
# What texts call the things that fields are grouped by: "a romantic place" speaks of the ambience.
_GROUP_WORDS: Final = {
    "ambience": word_set(
        "ambiance atmosphere vibe vibes feel mood setting decor interior environment place spot venue restaurant bar"
        " cafe eatery establishment lounge pub"
    ),
    "meal": word_set(
        "good great popular suitable ideal perfect excellent recommended choice"
    ),  # "a good choice for lunch"
    "music": word_set("band bands performance performances concert concerts dj djs karaoke jukebox"),
    "parking": word_set("valet"),
}
# What texts call a field, beside its name: names run together.
_CALLED: Final = """
goodforkid: goodforchildren suitableforchildren suitableforkids greatforkids greatforchildren kidfriendly childfriendly
goodforkid: familyfriendly idealforchildren appropriateforchildren recommendedforchildren
goodforgroup: suitableforgroups greatforgroups idealforgroups goodforlargegroups accommodatesgroups
goodfordancing: suitablefordancing greatfordancing
takeout: togo carryout takeaway
tv: television televisions
wheelchairaccessible: wheelchairaccess wheelchairaccessibility accessibletowheelchair accessibletowheelchairuser
wheelchairaccessible: accessibleforwheelchair accessiblebywheelchair
outdoorseating: patioseating outdoordining outdoortable seatingoutdoors outdoorpatio
cater: catering
byob: bringyourown bringtheirown
wifi: wirelessinternet
bikeparking: bikerack bicycleparking bicyclerack
reservation: reserveatable bookatable reservetable booktable
"""
_LINES: Final = [line.partition(": ")[::2] for line in _CALLED.strip().splitlines()]
_OTHER_NAMES: Final = {
    name: [one for other, called in _LINES if other == name for one in called.split()] for name, _ in _LINES
}
_OFFERED: Final = ("available", "offered", "provided")
_HAVING: Final = word_set("have has offer offers provide provides any a its there")  # between "not" and what is denied


class FieldMention(NamedTuple):
    """Words [first, last) of a text that name a field, and whether the text denies it.

    asserted: whether it says so at all, and not only "if you need" or "guests who want".   loosely: the field's group
    is not named, but something that it may be about.   costs_else: it is told with a fee where it is free, or free.
    free: it is told to cost nothing.
    """

    field: Field
    first: int
    last: int
    denied: bool
    asserted: bool = True
    loosely: bool = False
    costs_else: bool = False
    free: bool = False

    @property
    def says_more(self) -> bool:
        """Whether it says what it costs, and the record does not."""
        return self.free and self.field.cost != FREE

    @property
    def is_wrong(self) -> bool:
        """Whether the text says something else than the field; that there is none may mean that none is stated."""
        if not self.asserted or (self.denied and self.field.value == UNKNOWN):
            return False
        return self.costs_else or self.field.value != (NO if self.denied else YES)


def mentioned_fields(tokens: Tokens, first: int, last: int, fields: tuple[Field, ...]) -> Iterator[FieldMention]:
    """The fields that words [first, last) of a text name, in the order of the fields."""
    words = [word.lower() for word in tokens.words[first:last]]
    joined = "".join(words)
    leaves_open = not _NOT_TOLD.isdisjoint(words)
    asserted = _NOT_ASSERTED.isdisjoint(words)
    stems = set(tokens.stems[first:last])
    for field in fields:
        names = [name for name in (field.name, *_OTHER_NAMES.get(field.name, ())) if name in joined]
        if not names and not (field.words and stems.issuperset(field.words)):
            continue  # as nearly always
        if leaves_open and field.value == UNKNOWN:
            continue  # "it is not specified whether" is what the record says
        if field.members:
            yield from _denied_group(field, tokens, words, joined, first)
            continue
        loosely = bool(field.group) and field.group not in joined
        if loosely and _GROUP_WORDS.get(field.group, frozenset()).isdisjoint(words):
            continue
        begin, end = next(
            (at for at in (_find_together(name, words, joined) for name in names) if at[0] >= 0), (-1, -1)
        )
        if begin < 0 and field.words and (len(field.words) > 1 or field.opens_with_function_word):
            begin, end = _find_apart(frozenset(field.words), tokens, first, last)
        if begin >= 0 and not (words[end - 1] in ("lot", "lots") and words[end : end + 1] == ["of"]):
            with_group = end + (words[end : end + 1] == [field.group])  # "valet parking is not available"
            denied = _is_denied(tokens, words, first, begin, with_group)
            yield FieldMention(
                field,
                first + begin,
                first + end,
                denied,
                asserted,
                loosely,
                not denied and _costs_else(field, words),
                not _COSTS[PAID][0].isdisjoint(words),
            )


def _denied_group(field: Field, tokens: Tokens, words: list[str], joined: str, first: int) -> Iterator[FieldMention]:
    """ "No parking", "parking is not available" where there is some, with nothing said of what kind."""
    if field.name not in words or any(member in joined for member in field.members):
        return
    at = begin = words.index(field.name)
    while begin and words[begin - 1] in _HAVING:
        begin -= 1
    behind = " ".join(words[at + 1 : at + 4]).replace("isn't", "is not")
    is_else = at + 1 < len(words) and tokens.kinds[first + at + 1] >= CONTENT and not behind.startswith(_OFFERED)
    is_denied = bool(begin) and tokens.kinds[first + begin - 1] == NEGATION and not is_else
    if is_denied or behind.startswith(tuple(f"is not {word}" for word in _OFFERED)):
        yield FieldMention(field, first + at, first + at + 1, denied=True)


def _costs_else(field: Field, words: list[str]) -> bool:
    """Whether a text has a fee for what is free, or the other way round."""
    denying, excusing = _COSTS.get(field.cost, (frozenset(), frozenset()))
    return not denying.isdisjoint(words) and excusing.isdisjoint(words)


def _find_together(name: str, words: list[str], joined: str) -> tuple[int, int]:
    """[begin, end) of the first words that are the name run together; begin -1 when there are none."""
    at = joined.find(name)
    while at >= 0:
        begin, end = _words_at(words, at, at + len(name))
        if begin >= 0:
            return begin, end
        at = joined.find(name, at + 1)
    return -1, -1


def _words_at(words: list[str], start: int, end: int) -> tuple[int, int]:
    """[begin, end) of the words that hold characters [start, end) of the joined words; begin -1 if not from a word's
    beginning to a word's end or plural, as "rage" in "garage"."""
    begin, at = -1, 0
    for number, word in enumerate(words):
        if at == start:
            begin = number
        at += len(word)
        if at >= end:
            return (begin, number + 1) if word[len(word) - (at - end) :] in _ENDS else (-1, -1)
    return -1, -1


def _find_apart(name: frozenset[str], tokens: Tokens, first: int, last: int) -> tuple[int, int]:
    """[begin, end) of the first words among [first, last), counted from `first`, that have all stems of a name and
    beside them only function words; begin -1 when there are none."""
    stems, kinds = tokens.stems, tokens.kinds
    if not name.issubset(stems[first:last]):
        return -1, -1
    for begin in range(first, last):
        if stems[begin] not in name:
            continue
        wanted, between = set(name), 0
        for at in range(begin, last):
            if stems[at] in name:
                wanted.discard(stems[at])
            elif kinds[at] >= CONTENT or between == _MOST_BETWEEN:
                break
            else:
                between += 1
            if not wanted:
                return begin - first, at + 1 - first
    return -1, -1


def _is_denied(tokens: Tokens, words: list[str], first: int, begin: int, end: int) -> bool:
    """Whether a negation stands in the field's name, or shortly before it with no "but" between, or behind it with
    nothing between but other things that are denied as well: "Takeout and delivery are not offered"."""

    def denies(at: int) -> bool:
        if tokens.kinds[first + at] != NEGATION and words[at] not in _LACKS:
            return False
        return words[at + 1 : at + 2] != ["free"] and _FEES.isdisjoint(words[at + 1 : at + 4])  # "without any fee"

    before = words[max(0, begin - _REACH_AFTER) : begin]
    if before[-2:] == ["out", "of"] or "out of" in " ".join(words[begin:end]):
        return True
    if not _MISSING.isdisjoint(before + words[end : end + _REACH_AFTER]) or not _IN_PLACE_OF.isdisjoint(before):
        return True
    for at in range(end - 1, max(-1, begin - 1 - _REACH), -1):
        if words[at] in _CONTRASTS or (words[at] in ("and", "with") and at < begin - 1):
            break
        if denies(at):
            return True
    predicate = _predicate_behind(tokens, words, first, end)
    return any(denies(at) for at in range(predicate, min(len(words), predicate + _REACH_AFTER)))


def _predicate_behind(tokens: Tokens, words: list[str], first: int, end: int) -> int:
    """The verb behind a name or a list of names that goes on with "and", as in "pools, saunas and gyms are"; else how
    many words there are."""
    joined = False
    for at in range(end, min(len(words), end + _LONGEST_LIST)):
        if words[at] in _PREDICATES:
            return at if joined or at == end else len(words)
        if words[at] in ("and", "or", "nor"):
            joined = True
        elif tokens.kinds[first + at] < CONTENT and words[at] not in ("the", "a", "an", "any"):
            break
    return len(words)
