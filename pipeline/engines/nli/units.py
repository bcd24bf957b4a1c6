"""A context in pieces of at most a sentence, each with its length in a model's tokens; made once per prompt group."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from pipeline.engines.context_index import index_context
from schemas.records import Passage

CountTokens = Callable[[Sequence[str]], list[int]]  # lengths of texts, without special tokens
JOIN_TOKENS: Final = 2  # that a tokenizer may add where two pieces meet
_MOST_CONTEXTS: Final = 64  # of which something is kept
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Unit:
    """Characters [start, end) of a passage: a sentence, or a part of one too long for a model. sentence: its number in
    the context."""

    passage: int
    start: int
    end: int
    sentence: int
    tokens: int


@dataclass(frozen=True, slots=True, eq=False)
class ContextUnits:
    """The units of a context, in order; together they hold all of its sentences."""

    passages: tuple[Passage, ...]
    units: tuple[Unit, ...]

    def text(self, unit: Unit) -> str:
        return self.passages[unit.passage].text[unit.start : unit.end]


def context_units(passages: tuple[Passage, ...], count: CountTokens, max_tokens: int) -> ContextUnits:
    """The context as units of at most `max_tokens` each, counted as `count` does plus JOIN_TOKENS."""
    sentences = index_context(passages).sentences
    lengths = count([passages[one.passage].text[one.start : one.end] for one in sentences])
    units: list[Unit] = []
    for number, (sentence, tokens) in enumerate(zip(sentences, lengths, strict=True)):
        text = passages[sentence.passage].text
        for start, end, size in _halved(text, sentence.start, sentence.end, tokens + JOIN_TOKENS, count, max_tokens):
            units.append(Unit(sentence.passage, start, end, number, size))
    return ContextUnits(passages, tuple(units))


def _halved(
    text: str, start: int, end: int, tokens: int, count: CountTokens, max_tokens: int
) -> Iterator[tuple[int, int, int]]:
    """The piece, or its halves, cut at white space near the middle, until each has at most `max_tokens`."""
    if tokens <= max_tokens or end - start <= 1:
        yield start, end, tokens
        return
    middle = (start + end) // 2
    cut = text.rfind(" ", start + 1, middle)
    cut = cut if cut > start + (end - start) // 4 else middle
    for first, last in ((start, cut), (cut, end)):
        [size] = count([text[first:last]])
        yield from _halved(text, first, last, size + JOIN_TOKENS, count, max_tokens)


class RecentContexts(Generic[Value]):
    """What was worked out about the last few contexts: the responses of a prompt group share one, and follow each
    other."""

    def __init__(self, make: Callable[[tuple[Passage, ...]], Value]):
        self.make = make
        self._values: OrderedDict[tuple[Passage, ...], Value] = OrderedDict()

    def of(self, passages: tuple[Passage, ...]) -> Value:
        if passages not in self._values:
            self._values[passages] = self.make(passages)
            if len(self._values) > _MOST_CONTEXTS:
                self._values.popitem(last=False)
        self._values.move_to_end(passages)
        return self._values[passages]
