"""What a context says, ready for look-ups, and where it speaks about a claim: an IDF-weighted word overlap.

In: the passages of a sample. Out: a `ContextIndex` (words, sentences, neighbouring words, numbers), built once per
context and kept in a small cache because several responses share one; and the sentences that share most words with a
claim. The verifier `lexical` uses all of it, `nli` the sentences and the overlap. On FActScore this overlap names the
right sentence for 98 % of the claims, so finding evidence needs no embedding.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from math import log, sqrt
from operator import attrgetter
from typing import Final, NamedTuple

from pipeline.engines.fact_slots import FactSlots
from pipeline.engines.markup import without_markup
from pipeline.engines.numerals.dates import words_of_dates
from pipeline.engines.numerals.implied_numbers import ImpliedNumbers
from pipeline.engines.numerals.number_index import NumberIndex
from pipeline.engines.numerals.numbers import Number, find_numbers
from pipeline.engines.records.fields import Field, read_fields
from pipeline.engines.records.key_words import words_telling
from pipeline.engines.records.number_fields import NumberFields, read_number_fields
from pipeline.engines.records.opening_hours import COUNTED_DAYS, OpeningHours, read_hours
from pipeline.engines.records.tables import Tables, read_tables
from pipeline.engines.word_places import WordPlaces
from pipeline.engines.words import NEGATION, Tokens, tokenize
from pipeline.sentences import split_sentences
from schemas.records import Evidence, Passage, Span

_first_word = attrgetter("first")
_MAX_READ = 2000  # characters of a sentence that are read again as words
_MAX_POSTINGS = 64  # a word in more sentences than this says nothing about which one; it also bounds the time per word


class Familiarity(dict[str, float]):
    """Stem -> how much it looks like words of the context: the square root of the share of its letter 4-grams there.

    1 for a word of the context, about 0.7 for a derivation of one, 0 for an unrelated word. Filled as words are asked.
    """

    def __init__(self, stems: Iterable[str]) -> None:
        super().__init__(dict.fromkeys(stems, 1.0))
        joined = f" {' '.join(self)} "  # 4-grams across two words hold an inner space: no word asks for them
        self._grams = {joined[at : at + 4] for at in range(len(joined) - 3)}

    def __missing__(self, stem: str) -> float:
        padded = f" {stem} "
        grams = [padded[at : at + 4] for at in range(max(1, len(padded) - 3))]
        value = sqrt(sum(gram in self._grams for gram in grams) / len(grams))
        if len(self) < 1 << 14:
            self[stem] = value
        return value


class ContextSentence(NamedTuple):
    """One sentence of a passage: characters [start, end) of it, its content stems and numbers, the numbers' values."""

    passage: int
    start: int
    end: int
    stems: frozenset[str]
    negated: bool
    values: frozenset[float | str]


_OBJECT: Final = re.compile(r"""\s*+\[?\s*+\{\s*+["']""")
_NEXT_KEY: Final = re.compile(r"""(?<=[,{])\s*+["'][^"'\n]{1,60}["']\s{0,4}:""")


@dataclass(slots=True, eq=False)
class ContextIndex:
    """What the context says, ready for look-ups.

    passages: without markup, so that characters stand where they do in the sample's.
    idf: stem -> log(1 + sentences / sentences with it).   postings: stem -> sentences with it, in order.
    pairs: neighbouring words as stems.   familiarity: see `Familiarity`.   words: how many words the context has.
    fields: yes/no fields, when the context is a data record; number_fields: those with numbers.   tables, hours: when
    it has any.
    told: words that tell the keys of a record.   places: of content words; slots: of numbers and names; both made when
    asked for.   read: text and words of sentences that were asked for.
    """

    passages: tuple[Passage, ...]
    sentences: list[ContextSentence]
    idf: dict[str, float]
    postings: dict[str, list[int]]
    pairs: set[tuple[str, str]]
    familiarity: Familiarity
    numbers: NumberIndex
    words: int
    fields: tuple[Field, ...]
    tables: Tables | None
    hours: OpeningHours | None
    number_fields: NumberFields | None
    told: frozenset[str] = frozenset()
    read: dict[int, tuple[str, Tokens]] = field(default_factory=dict)
    places: WordPlaces | None = None
    slots: FactSlots | None = None

    def fact_slots(self) -> FactSlots:
        """The numbers and names of the context; made once."""
        if self.slots is None:
            self.slots = FactSlots(self.passages)
        return self.slots

    def sentence_at(self, passage: int, place: int) -> int:
        """The sentence of a passage that a character is in."""
        return bisect_right(self.sentences, (passage, place), key=lambda one: (one.passage, one.start)) - 1

    def text_of(self, sentence: int) -> str:
        """A sentence of the context, up to _MAX_READ characters."""
        found = self.sentences[sentence]
        return self.passages[found.passage].text[found.start : min(found.end, found.start + _MAX_READ)]

    def words_of(self, sentence: int) -> tuple[str, Tokens]:
        """(text, tokens) of a sentence, up to _MAX_READ characters; the same objects whenever it is asked for."""
        known = self.read.get(sentence)
        if known is None:
            text = self.text_of(sentence)
            known = self.read[sentence] = (text, tokenize(text))
        return known


@lru_cache(maxsize=32)
def index_context(passages: tuple[Passage, ...]) -> ContextIndex:
    """The index of a context; the same tuple of passages gives the same object while it stays in the cache."""
    passages = tuple(Passage(passage.passage_id, without_markup(passage.text)) for passage in passages)
    read = _Read()
    for position, passage in enumerate(passages):
        read.add(position, passage.text)
    tables, hours = read_tables(passages), read_hours(passages)
    if tables:
        read.implied.in_rows += tables.numbers()
        read.implied.lists.update(tables.sizes())
    if hours and hours.open_days():
        read.implied.counts.add((float(hours.open_days()), COUNTED_DAYS))
    fields, number_fields = read_fields(passages), read_number_fields(passages)
    told = words_telling(read.postings) if fields or number_fields or tables else frozenset[str]()
    return ContextIndex(
        passages=passages,
        sentences=read.sentences,
        idf={stem: log(1 + len(read.sentences) / len(where)) for stem, where in read.postings.items()},
        postings=read.postings,
        pairs=read.pairs,
        familiarity=Familiarity((*read.postings, *told)),
        numbers=NumberIndex(read.numbers, read.implied),
        words=read.words,
        fields=fields,
        tables=tables,
        hours=hours,
        number_fields=number_fields,
        told=told,
    )


class _Read:
    """What is read of one passage after the other; as in `ContextIndex`."""

    def __init__(self) -> None:
        self.sentences: list[ContextSentence] = []
        self.postings: dict[str, list[int]] = {}
        self.pairs: set[tuple[str, str]] = set()
        self.numbers: list[Number] = []
        self.implied = ImpliedNumbers()
        self.words = 0

    def add(self, position: int, text: str) -> None:
        """Read the passage at a position."""
        tokens = tokenize(text)
        found = find_numbers(text, tokens)
        self.numbers += found
        self.implied.add(text, tokens)
        self.words += len(tokens)
        self.pairs.update(pairwise(tokens.stems))
        dates = deque(words_of_dates(text))
        behind = 0  # the numbers of the sentences before
        for span, first, last in _sentence_words(text, tokens):
            stems = dict.fromkeys(tokens.content_and_number_stems(first, last))
            while dates and dates[0][0] < span.end:
                stems[dates.popleft()[1]] = None
            for stem in stems:
                self.postings.setdefault(stem, []).append(len(self.sentences))
            before, behind = behind, bisect_left(found, last, behind, key=_first_word)
            values = frozenset(number.value for number in found[before:behind])
            negated = NEGATION in tokens.kinds[first:last]
            self.sentences.append(ContextSentence(position, span.start, span.end, frozenset(stems), negated, values))


def _sentence_words(text: str, tokens: Tokens) -> Iterator[tuple[Span, int, int]]:
    """(span, first, last) of each sentence: its words are tokens [first, last)."""
    first = 0
    for span in _units(text):
        last = bisect_left(tokens.starts, span.end, first)
        yield span, first, last
        first = last


def _units(text: str) -> Iterator[Span]:
    """The sentences of a text; of a printed object, the pieces from key to key, and the sentences in them."""
    if _OBJECT.match(text) is None:
        yield from split_sentences(text)
        return
    start = 0
    for cut in [*(match.start() for match in _NEXT_KEY.finditer(text)), len(text)]:
        yield from (Span(start + one.start, start + one.end) for one in split_sentences(text[start:cut]))
        start = cut


def rank_sentences(index: ContextIndex, stems: Collection[str], limit: int = 3) -> list[tuple[int, float]]:
    """(sentence, shared IDF mass) of the `limit` context sentences that share most with `stems`, best first.

    Ties go to the earlier sentence, so the answer does not depend on the order of a set.
    """
    scores = shared_mass(index, stems)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:limit]


def shared_mass(index: ContextIndex, stems: Collection[str]) -> dict[int, float]:
    """Sentence -> IDF mass of the stems that it has, for sentences that have any."""
    scores: dict[int, float] = {}
    postings, idf, score_of = index.postings, index.idf, scores.get
    for stem in dict.fromkeys(stems):
        where = postings.get(stem)
        if where is None:
            continue
        weight = idf[stem]
        for sentence in where if len(where) <= _MAX_POSTINGS else where[:_MAX_POSTINGS]:
            scores[sentence] = score_of(sentence, 0.0) + weight
    return scores


def evidence_of(index: ContextIndex, sentence: int) -> Evidence:
    """A sentence of the index as evidence."""
    found = index.sentences[sentence]
    return Evidence(index.passages[found.passage].passage_id, found.start, found.end)
