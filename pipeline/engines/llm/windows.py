"""What fits into one call: token estimates, and splitting at sentences so that nothing is ever cut off.

No tokenizer is asked: the model may be any. A token is taken for three bytes of UTF-8, which overstates English by a
third, Cyrillic text and Chinese about as much; an overstatement only makes calls a little smaller.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.engines.llm.sealed_data import json_line
from pipeline.sentences import split_sentences
from schemas.records import Passage, Span

BYTES_PER_TOKEN: Final = 3
PIECE_TOKENS: Final = 400  # a longer "sentence" is a table or a line without end; it is numbered in pieces
_OVERLAP_SENTENCES: Final = 2  # that two neighbouring chunks of a context share: what "it" and "there" stand for
_LINE_TOKENS: Final = 8  # of the JSON around one line of data


def token_bound(text: str) -> int:
    """At least as many tokens as common tokenizers make of `text`."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def data_tokens(text: str) -> int:
    """The same for one line of data, with its escapes and the JSON around it."""
    return token_bound(json_line({"": text})) + _LINE_TOKENS


@dataclass(frozen=True, slots=True)
class Unit:
    """One numbered piece of a response: a sentence, or part of a very long one. sentence: its 0-based id."""

    span: Span
    sentence: int
    tokens: int


def units_of(text: str, sentences: Sequence[Span]) -> list[Unit]:
    """The sentences of a response in order, very long ones in pieces; together they hold all of it."""
    return [
        Unit(piece, sentence, data_tokens(text[piece.start : piece.end]))
        for sentence, span in enumerate(sentences)
        for piece in _pieces(text, span)
    ]


def fill_windows(units: Sequence[Unit], max_tokens: int) -> list[tuple[int, int]]:
    """Units as [first, last) ranges of at most `max_tokens`; a unit that is larger by itself stands alone."""
    windows: list[tuple[int, int]] = []
    first = tokens = 0
    for here, unit in enumerate(units):
        if here > first and tokens + unit.tokens > max_tokens:
            windows.append((first, here))
            first, tokens = here, 0
        tokens += unit.tokens
    return [*windows, (first, len(units))] if units else []


@dataclass(frozen=True, slots=True)
class ContextPiece:
    """Characters of one passage that are shown in a call. number: of the passage, from 1."""

    number: int
    text: str


def context_chunks(passages: Sequence[Passage], max_tokens: int) -> list[tuple[ContextPiece, ...]]:
    """The context in as few chunks as fit: whole passages if possible, else cut at sentences that overlap."""
    whole = [ContextPiece(number, passage.text) for number, passage in enumerate(passages, start=1)]
    chunks: list[tuple[ContextPiece, ...]] = []
    chunk: list[ContextPiece] = []
    tokens = 0
    for piece in (part for passage in whole for part in _passage_parts(passage, max_tokens)):
        size = data_tokens(piece.text)
        if chunk and tokens + size > max_tokens:
            chunks.append(tuple(chunk))
            chunk, tokens = [], 0
        chunk.append(piece)
        tokens += size
    return [*chunks, tuple(chunk)] if chunk else chunks


def _passage_parts(passage: ContextPiece, max_tokens: int) -> Iterator[ContextPiece]:
    """The passage, or overlapping runs of its sentences that each fit."""
    if data_tokens(passage.text) <= max_tokens:
        yield passage
        return
    text = passage.text
    spans = [piece for span in split_sentences(text) for piece in _pieces(text, span, max_tokens // 4)]
    first = 0
    while first < len(spans):
        last, tokens = first + 1, data_tokens(text[spans[first].start : spans[first].end])
        while last < len(spans):
            tokens += data_tokens(text[spans[last - 1].end : spans[last].end]) - _LINE_TOKENS
            if tokens > max_tokens:
                break
            last += 1
        yield ContextPiece(passage.number, text[spans[first].start : spans[last - 1].end])
        if last == len(spans):
            return
        first = max(first + 1, last - _OVERLAP_SENTENCES)


def _pieces(text: str, span: Span, max_tokens: int = PIECE_TOKENS) -> Iterator[Span]:
    """The span, or pieces of it that end at white space where there is some; no character but white space is lost."""
    start = span.start
    while token_bound(text[start : min(span.end, start + (max_tokens + 1) * BYTES_PER_TOKEN)]) > max_tokens:
        end = start + chars_within(text[start : start + max_tokens * BYTES_PER_TOKEN], max_tokens)
        cut = max(text.rfind(white, start + 1, end + 1) for white in (" ", "\n", "\t"))
        end = cut if cut > start else end
        yield Span(start, end)
        while end < span.end and text[end].isspace():
            end += 1
        start = end
    if start < span.end:
        yield Span(start, span.end)


def chars_within(text: str, max_tokens: int) -> int:
    """How many leading characters of `text` stay within `max_tokens`; at least one."""
    kept = text.encode("utf-8", "surrogatepass")[: max_tokens * BYTES_PER_TOKEN]
    return max(1, len(kept.decode("utf-8", "ignore")))
