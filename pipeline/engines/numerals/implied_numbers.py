"""Numbers that a context says without a number: "an hour", "tenth", "a quarter of", "two thirds", "twice", "June".

Nobody claims them as numbers: "one" is mostly a pronoun, "second" a unit, and "third" may be a share or a place. The
digits of a claim are only held against them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import compress, pairwise
from typing import Final

from pipeline.engines.numerals.clock import Time, spoken_times
from pipeline.engines.numerals.dates import MONTH_NAMES
from pipeline.engines.numerals.digits import parse_digits, parts_of_row
from pipeline.engines.numerals.heads import scale_of_head, words_of_heads
from pipeline.engines.numerals.numbers import UNITS, Number
from pipeline.engines.numerals.shares import find_fractions, find_ratios
from pipeline.engines.words import NUMBER, NUMBER_WORDS, SCALE_WORDS, Tokens, stem

_ONE: Final = ("one", "a", "an")
PARTS: Final = {
    stem(word): parts
    for parts, words in ((2, "half halves"), (3, "third thirds"), (4, "quarter quarters fourths"), (5, "fifth fifths"),
                         (8, "eighth eighths"), (10, "tenth tenths"))
    for word in words.split()
}  # fmt: skip
_PLACES: Final = """
first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth
sixteenth seventeenth eighteenth nineteenth twentieth
"""
_SCALES: Final = {stem(f"{word}s"): SCALE_WORDS[word] for word in ("thousand", "million", "billion")}
_MONTHS: Final = {
    key: float(value) for value, name in enumerate(MONTH_NAMES, start=1) for key in (name, stem(name), name[:3])
}
_ORDINALS: Final = {stem(word): float(value) for value, word in enumerate(_PLACES.split(), start=1)}
TIMES: Final = stem("times")
_MULTIPLES: Final = {
    stem(word): float(value)
    for value, words in ((1, "once"), (2, "twice double doubled"), (3, "thrice triple tripled"), (4, "quadruple"))
    for word in words.split()
}  # fmt: skip
_COUNTED: Final = {"both": 2.0, stem("couple"): 2.0, stem("pair"): 2.0, stem("single"): 1.0, stem("trio"): 3.0}
_SAY_NUMBERS: Final = frozenset(("one", *_ORDINALS, *_MONTHS, *_MULTIPLES, *_COUNTED, *_SCALES, *PARTS))
_MARKED: Final = re.compile(r"\s*(?:[-*+\u2022\u2023\u25e6]|\(?\d{1,2}[.)])\s+\S")
_MARKED_LINE: Final = re.compile(r"\n[ \t]*(?:[-*+\u2022\u2023\u25e6]|\(?\d{1,2}[.)])[ \t]")
_BRACKETED: Final = re.compile(r"\[([^\[\]{}]{1,500}+)\]")
_FORTNIGHT: Final = stem("fortnight")
_SAY_TIMES: Final = frozenset(("past", *map(stem, ("past", "noon", "midday", "midnight", "quarter"))))
_ROMAN: Final = re.compile(r"X{0,3}(?:IX|IV|V?I{0,3})")
_LETTERS: Final = {"I": 1, "V": 5, "X": 10}
_MAX_LINES: Final = 20_000
_LONGEST_LIST: Final = 20


@dataclass(slots=True)
class ImpliedNumbers:
    """amounts: of a unit.   ordinals: "tenth" is 10.   shares: "two thirds", "two in three" are 2 / 3.

    fractions: "1/2", "1½", "one and a half".   counts: (2, word) of "both hands", (2, "times") of "twice".
    lists: how many items each has.
    in_rows: those of tables, and of "2019,3.1,4", which reads as one.   months: numbers of those that are named.
    times: "noon", "half past nine".   romans: "Chapter IV" is 4.
    scales, units: of tables and keys whose heads say "in millions", "(kg)".
    """

    amounts: list[Number] = field(default_factory=list)
    ordinals: set[float] = field(default_factory=set)
    shares: set[float] = field(default_factory=set)
    fractions: set[float] = field(default_factory=set)
    scales: set[float] = field(default_factory=set)
    months: set[float] = field(default_factory=set)
    counts: set[tuple[float, str]] = field(default_factory=set)
    lists: set[float] = field(default_factory=set)
    units: set[str] = field(default_factory=set)
    times: list[Time] = field(default_factory=list)
    romans: set[float] = field(default_factory=set)
    in_rows: list[Number] = field(default_factory=list)

    def add(self, text: str, tokens: Tokens) -> None:
        """Those of a text."""
        self.fractions.update(value for _, _, value in find_fractions(text))
        self.shares.update(share for _, _, share in find_ratios(tokens))
        self.lists.update(_list_lengths(text))
        self.amounts += _amounts(tokens)
        self.romans.update(_romans(tokens))
        if not _SAY_TIMES.isdisjoint(tokens.stems):
            self.times += spoken_times(tokens)
        for head in words_of_heads(text):
            self._add_head(head)
        for word in tokens.words:
            if "," in word:
                self.in_rows += [Number(0, 0, *parse_digits(part)) for part in parts_of_row(word)]
        for at in compress(range(len(tokens)), map(_SAY_NUMBERS.__contains__, tokens.stems)):
            self._add_word(tokens, at, tokens.stems[at])

    def _add_head(self, head: str) -> None:
        scale = scale_of_head(head)
        if scale is not None:
            self.scales.add(scale)
        if stem(head) in UNITS:
            self.units.add(stem(head))

    def _add_word(self, tokens: Tokens, at: int, word: str) -> None:
        """The word at a place, one of _SAY_NUMBERS."""
        behind = tokens.stems[at + 1 : at + 4]
        if word in _ORDINALS:
            self.ordinals.add(_ORDINALS[word])
        if word in _MONTHS:
            self.months.add(_MONTHS[word])
        if word in _MULTIPLES:
            self.counts.add((_MULTIPLES[word], TIMES))
        if word in _COUNTED:
            self.counts.update((_COUNTED[word], counted) for counted in behind[1 if behind[:1] == ["of"] else 0 :][:1])
        if word == "one" and behind == ["and", "a", "half"]:
            self.fractions.add(1.5)
        if word in _SCALES and tokens.words[at].endswith("s"):
            self.scales.add(_SCALES[word])
        count = _count_of_parts(tokens.stems[at - 1] if at else "", word) if word in PARTS else 0
        if count:
            self.shares.add(count / PARTS[word])


def _romans(tokens: Tokens) -> Iterator[float]:
    """ "IV" behind a word with a capital, such as "Chapter"; not "I", which mostly is who speaks."""
    for at, word in enumerate(tokens.words):
        if at and word[0] in "IVX" and word != "I" and _ROMAN.fullmatch(word) and tokens.words[at - 1][0].isupper():
            values = [_LETTERS[letter] for letter in word]
            signed = [-one if one < following else one for one, following in pairwise([*values, 0])]
            yield float(sum(signed))


def _list_lengths(text: str) -> Iterator[float]:
    """How many items each list of the text has: lines with a mark, one after the other, and lists in brackets."""
    for match in _BRACKETED.finditer(text):
        yield float(match[1].count(",") + 1)
    if _MARKED_LINE.search(text) is None:
        return
    items = 0
    for line in text.split("\n", _MAX_LINES):
        if _MARKED.match(line):
            items += 1
        elif line.strip():  # an empty line does not end a list
            if 1 < items <= _LONGEST_LIST:
                yield float(items)
            items = 0
    if 1 < items <= _LONGEST_LIST:
        yield float(items)


def _count_of_parts(before: str, part: str) -> int:
    """How many parts the word in front of them says: "a third", "two thirds"; 0 for "the third"."""
    if before in _ONE or part == stem("half"):
        return 1
    return NUMBER_WORDS.get(before, 0)


def _amounts(tokens: Tokens) -> Iterator[Number]:
    """ "an hour", "half an hour", and "one" in front of a unit or of a range."""
    for at, word in enumerate(tokens.stems):
        if word == _FORTNIGHT:
            yield Number(at, at, 2.0, 1, unit=stem("weeks"), unit_at=at)
        if word not in _ONE:
            continue
        ahead = tokens.stems[at + 1 : at + 4]
        if word == "one" and ahead[:1] in (["to"], ["or"]):
            unit = ahead[2] if len(ahead) > 2 and tokens.kinds[at + 2] == NUMBER else ""
        else:
            unit = ahead[0] if ahead else ""
        if unit in UNITS:
            is_half = "half" in tokens.stems[max(0, at - 1) : at]
            yield Number(at, at, 0.5 if is_half else 1.0, 1, unit=unit, unit_at=at + 1)
