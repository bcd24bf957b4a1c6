"""A response prepared once for locating all its claims: words, folded text, and which sentence holds which word.

Everything is computed on first use, because most quotes are verbatim and need none of it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property
from math import log
from typing import Final

from pipeline.location.align_words import has_unclaimed_negation, join_pieces
from pipeline.location.fold_text import FoldedText, fold_text
from pipeline.location.split_words import CONTENT, NEGATION, Words, split_words
from schemas.records import Span

# A name among the first words of a sentence is taken for its subject.
_OPENING_WORDS: Final = 4
# "did not win" and "was never a member": a negation this many words before a word belongs to it.
_NEGATION_REACH: Final = 2


class PreparedResponse:
    """Lookups over one response and its sentences. Immutable after construction, apart from what is computed lazily."""

    def __init__(self, text: str, sentences: Sequence[Span]):
        self.text = text
        self.sentences = sentences

    @cached_property
    def words(self) -> Words:
        return split_words(self.text)

    @cached_property
    def folded(self) -> FoldedText:
        return fold_text(self.text)

    @cached_property
    def word_bounds(self) -> list[tuple[int, int]]:
        """Per sentence, the half-open interval of its words."""
        return [self.words_between(sentence.start, sentence.end) for sentence in self.sentences]

    def words_between(self, start: int, end: int) -> tuple[int, int]:
        """Words that begin in characters [start, end)."""
        return bisect_left(self.words.starts, start), bisect_left(self.words.starts, end)

    @cached_property
    def positions(self) -> dict[str, list[int]]:
        """Key -> the words that have it."""
        positions: dict[str, list[int]] = {}
        for i, key in enumerate(self.words.keys):
            positions.setdefault(key, []).append(i)
        return positions

    @cached_property
    def postings(self) -> dict[str, list[int]]:
        """Key -> the sentences it stands in."""
        postings: dict[str, list[int]] = {}
        for i, (start, end) in enumerate(self.word_bounds):
            for key in set(self.words.keys[start:end]):
                postings.setdefault(key, []).append(i)
        return postings

    def rarity(self, key: str) -> float:
        """Inverse sentence frequency of a key that stands in the response."""
        return log(1 + len(self.sentences) / len(self.postings[key]))

    @cached_property
    def subjects(self) -> set[str]:
        """Capitalised words that open sentences: what the pronouns of other sentences may stand for."""
        subjects: set[str] = set()
        for start, end in self.word_bounds:
            for i in range(start, min(start + _OPENING_WORDS, end)):
                if self.words.kinds[i] == CONTENT:
                    if not self.is_capitalised(i):
                        break  # the verb: names behind it are no subjects
                    subjects.add(self.words.keys[i])
        return subjects

    def is_capitalised(self, word: int) -> bool:
        return self.text[self.words.starts[word]].isupper()

    def is_negated(self, positions: Sequence[int], kinds: Sequence[int]) -> bool:
        """Whether the response negates the aligned words while the quote or claim (its `kinds`) negates nothing."""
        return NEGATION not in kinds and has_unclaimed_negation(positions, self.words, _NEGATION_REACH)

    def spans_of(self, positions: Sequence[int], content_gap: int = 0) -> tuple[Span, ...]:
        """The smallest pieces that hold the words at `positions`."""
        pieces = join_pieces(positions, self.words, content_gap)
        return tuple(Span(self.words.starts[first], self.words.ends[last]) for first, last in pieces)
