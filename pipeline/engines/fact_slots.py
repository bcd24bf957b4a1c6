"""The numbers and names of a context, and which words stand around each of them."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from math import exp
from typing import Final, NamedTuple

from pipeline.engines.numerals.numbers import Number, find_numbers
from pipeline.engines.words import CONTENT, Tokens, tokenize
from schemas.records import Passage

REACH: Final = 12  # content words on either side that stand around a fact
_DECAY: Final = [exp(-distance / 3) for distance in range(1, REACH + 1)]
NEXT: Final = _DECAY[0]
PARTED: Final = 1  # words that a comma or a full stop counts for
NAME: Final = ("name",)
_PARTED: Final = [""] * PARTED
_OPENERS: Final = frozenset(".:;!?*\"\u201c\u201d\u2018'|#\u2013\u2022\n{[")
_YEARS: Final = (1000, 2100)
Kind = tuple[object, ...]


class Fact(NamedTuple):
    """A number, or a word of a name, at words [first, last) of a text.

    kind: facts of one kind may stand in each other's place.   value: of a number, or the stem of a name's word; a
    name's words all have the place of the whole name.
    """

    kind: Kind
    value: float | str
    first: int
    last: int


class PlacedFact(NamedTuple):
    """A fact of the context: characters [start, end) of a passage.

    first, last: its place among the content words of all passages.   left, right: the words beside it, as stems; None
    at the end of a passage.
    """

    kind: Kind
    value: float | str
    first: int
    last: int
    passage: int
    start: int
    end: int
    left: str | None
    right: str | None


class FactSlots:
    """facts: of a context.   by_value, by_kind: their places in `facts`.   sentences: that they are in, one for each;
    made when asked for."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.facts: list[PlacedFact] = []
        self.sentences: list[int] = []
        self.by_value: dict[float | str, list[int]] = {}
        self.by_kind: dict[Kind, list[int]] = {}
        self._words = [""] * REACH  # content words, as stems; nothing reaches from one passage to the next
        self._around: dict[int, dict[str, float]] = {}
        read = [tokenize(passage.text) for passage in passages]
        names = _names([passage.text for passage in passages], read)
        for number, (passage, tokens) in enumerate(zip(passages, read, strict=True)):
            words, places = content_words(tokens, 0, len(tokens))
            offset = len(self._words)
            for fact in find_facts(tokens, 0, len(tokens), find_numbers(passage.text, tokens), names):
                place = len(self.facts)
                self.facts.append(
                    PlacedFact(
                        fact.kind,
                        fact.value,
                        offset + places[fact.first],
                        offset + places[fact.last],
                        number,
                        tokens.starts[fact.first],
                        tokens.ends[fact.last - 1],
                        tokens.stems[fact.first - 1] if fact.first else None,
                        tokens.stems[fact.last] if fact.last < len(tokens) else None,
                    )
                )
                self.by_value.setdefault(fact.value, []).append(place)
                self.by_kind.setdefault(fact.kind, []).append(place)
            self._words += words + [""] * REACH

    def around(self, place: int) -> dict[str, float]:
        """What `words_around` finds around a fact of the context."""
        known = self._around.get(place)
        if known is None:
            fact = self.facts[place]
            known = self._around[place] = words_around(self._words, fact.first, fact.last)
        return known


def find_facts(
    tokens: Tokens, first: int, last: int, numbers: Sequence[Number], names: Container[object]
) -> Iterator[Fact]:
    """The facts in words [first, last).   names: stems of words that are names where they have a capital."""
    for number in numbers:
        yield Fact(_kind_of(number), number.value, number.first, number.last + 1)
    words, kinds, stems = tokens.words, tokens.kinds, tokens.stems
    capital = [at for at in range(first, last) if kinds[at] == CONTENT and words[at][0].isupper()]
    start = 0
    for end in range(1, len(capital) + 1):
        at = capital[end - 1] + 1
        if end == len(capital) or capital[end] != at or _is_parted(tokens, at):
            for word in capital[start:end]:
                if stems[word] in names:
                    yield Fact(NAME, stems[word], capital[start], at)
            start = end


def _is_parted(tokens: Tokens, at: int) -> bool:
    """Whether more than a space or a hyphen stands in front of a word."""
    return at < len(tokens) and tokens.starts[at] - tokens.ends[at - 1] > 1


def _kind_of(number: Number) -> Kind:
    is_year = isinstance(number.value, float) and _YEARS[0] <= number.value <= _YEARS[1] and not number.unit
    is_year = is_year and not number.clock  # 7 PM is minute 1140
    return number.percent, number.unit, number.clock, number.ordinal, is_year


def _names(texts: Sequence[str], read: Sequence[Tokens]) -> set[str]:
    """Stems that have a capital inside sentences and nowhere a small letter."""
    names: set[str] = set()
    common: set[str] = set()
    for text, tokens in zip(texts, read, strict=True):
        for at, (stem, kind, word) in enumerate(zip(tokens.stems, tokens.kinds, tokens.words, strict=True)):
            if kind == CONTENT and stem not in common:
                if not word[0].isupper():
                    common.add(stem)
                elif stem not in names and not _opens(text, tokens, at):
                    names.add(stem)
    return names - common


def _opens(text: str, tokens: Tokens, at: int) -> bool:
    """Whether a word stands where any has a capital: at the beginning, behind a full stop, a colon, a list mark; or in
    the middle of a key, as "Fi" in "WiFi"."""
    between = text[tokens.ends[at - 1] if at else 0 : tokens.starts[at]]
    return not at or not between or not _OPENERS.isdisjoint(between)


def content_words(tokens: Tokens, first: int, last: int) -> tuple[list[str], list[int]]:
    """The stems of the content words and numbers in words [first, last); for each word, and the end, how many of them
    stand in front."""
    words: list[str] = []
    places: list[int] = []
    stems, kinds, starts = tokens.stems, tokens.kinds, tokens.starts
    before = tokens.ends[first] if first < last else 0
    for at in range(first, last):
        if starts[at] - before > 1:
            words += _PARTED
        before = tokens.ends[at]
        places.append(len(words))
        if kinds[at] >= CONTENT:
            words.append(stems[at])
    places.append(len(words))
    return words, places


def words_around(words: Sequence[str], first: int, last: int) -> dict[str, float]:
    """Stem -> how near it stands to the words [first, last), negative in front of them: NEXT beside them, less with
    each word between. The nearest place of each, up to REACH."""
    found: dict[str, float] = {}
    before = words[first - 1 :: -1][:REACH] if first else ()
    for weight, word in zip(_DECAY, before, strict=False):
        found.setdefault(word, -weight)
    for weight, word in zip(_DECAY, words[last : last + REACH], strict=False):
        if weight > abs(found.get(word, 0.0)):
            found[word] = weight
    found.pop("", None)
    return found
