"""Numbers that a context says without a number: "an hour", "tenth", "a quarter of", "two thirds", "1½", "June".

Nobody claims them as numbers: "one" is mostly a pronoun, "second" a unit, and "third" may be a share or a place. The
digits of a claim are only held against them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from pipeline.engines.numbers import UNITS, Number, find_fractions
from pipeline.engines.words import NUMBER, NUMBER_WORDS, SCALE_WORDS, Tokens, stem

_ONE: Final = ("one", "a", "an")
_PARTS: Final = {
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
    key: float(value)
    for value, name in enumerate(
        ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
         "december"), start=1)
    for key in (name, stem(name), name[:3])
}  # fmt: skip
_ORDINALS: Final = {stem(word): float(value) for value, word in enumerate(_PLACES.split(), start=1)}


@dataclass(slots=True)
class ImpliedNumbers:
    """amounts: of a unit.   ordinals: "tenth" is 10.   shares: "two thirds" is 2 / 3.

    fractions: "1/2", "1½", "one and a half".   scales: of tables whose heads say "in millions".   months: numbers of
    those that are named.
    """

    amounts: list[Number] = field(default_factory=list)
    ordinals: set[float] = field(default_factory=set)
    shares: set[float] = field(default_factory=set)
    fractions: set[float] = field(default_factory=set)
    scales: set[float] = field(default_factory=set)
    months: set[float] = field(default_factory=set)

    def add(self, text: str, tokens: Tokens) -> None:
        """Those of a text."""
        self.fractions.update(value for _, _, value in find_fractions(text))
        self.amounts += _amounts(tokens)
        for at, word in enumerate(tokens.stems):
            if word in _ORDINALS:
                self.ordinals.add(_ORDINALS[word])
            if word in _MONTHS:
                self.months.add(_MONTHS[word])
            if word == "one" and tokens.stems[at + 1 : at + 4] == ["and", "a", "half"]:
                self.fractions.add(1.5)
            if word in _SCALES and tokens.words[at].endswith("s"):
                self.scales.add(_SCALES[word])
            if word in _PARTS:
                count = _count_of_parts(tokens.stems[at - 1] if at else "", word)
                if count:
                    self.shares.add(count / _PARTS[word])


def _count_of_parts(before: str, part: str) -> int:
    """How many parts the word in front of them says: "a third", "two thirds"; 0 for "the third"."""
    if before in _ONE or part == stem("half"):
        return 1
    return NUMBER_WORDS.get(before, 0)


def _amounts(tokens: Tokens) -> Iterator[Number]:
    """ "an hour", "half an hour", and "one" in front of a unit or of a range."""
    for at, word in enumerate(tokens.stems):
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
