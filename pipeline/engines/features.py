"""What the lexical verifier looks at in a piece of a response: how much of it the context says, and how it is put.

Three signals per word, from 0 (the context does not bear the word) to 1:
  familiar  content words only: the square root of the share of the word's letter 4-grams that occur in words of the
            context, so that "fertiliser" is close to "fertilizing"
  paired    1 when the word stands next to the same neighbour in the context (one of the two a content word)
  copied    1 when the word is part of a run of three or more words copied from the context
Where the other responses to the prompt are known, a fourth one, from 0 to 1 the other way round:
  unechoed  content words only: 1 - familiar, times how seldom the other responses have the word (group_words.py)
A clause's features are the means of these over the clause itself, and over the clause with its neighbours (at half
weight) because unsupported statements come in runs; then cues of position and discourse. With prefix sums, each claim
takes constant time.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, compress, pairwise
from operator import attrgetter
from typing import Final, NamedTuple

from pipeline.engines.clauses import LIST_MARKER, analyse_response
from pipeline.engines.context_index import ContextIndex
from pipeline.engines.group_words import GroupWords
from pipeline.engines.numerals.claimed_numbers import claimed_numbers
from pipeline.engines.numerals.number_index import missing_numbers
from pipeline.engines.numerals.numbers import Number
from pipeline.engines.words import CONTENT, NEGATION, Tokens, stem, word_set
from schemas.records import Span

# The features of a clause of a response, in the order of the weights in lexical_model.py.
CLAUSE_FEATURES: Final = (
    "familiar", "paired", "copied",  # of the clause
    "familiar_near", "paired_near", "copied_near",  # of the clause and its neighbours
    "late",  # where it starts, 0 at the beginning of the response and 1 at its end
    "list_item",  # its sentence is a list item
    "caveat",  # its sentence hedges or advises: "note that", "may", "depending on" (0, 1, 2)
    "adds",  # its sentence opens with "However", "Additionally", "For example"
    "concludes",  # its sentence opens with "Therefore", "Overall"
    "reports",  # it speaks about what a passage says: "Passage 2 describes"
    "negated",
    "new_names",  # share of its content words that are capitalised inside a sentence and that the context lacks
)  # fmt: skip
# The same where the other responses of the prompt group are known: a word that they have is as good as a familiar one.
GROUP_FEATURES: Final = ("unechoed", *(name for name in CLAUSE_FEATURES if not name.startswith("familiar")))

# Function words stand as they are in the stems of a text, content words as their stem.
_CAVEATS = word_set("note noting important may might worth") | set(
    map(stem, ("vary", "varies", "depending", "depends", "remember", "sure"))
)
_ADDS = word_set("additionally however also furthermore moreover addition example instance finally")
_CONCLUDES = word_set("therefore thus overall conclusion summary so")
_PASSAGES = word_set("passage passages text texts context document documents article articles source sources")
_BEFORE_SUBJECT = word_set(
    "while although however additionally note but and finally the given provided both similarly meanwhile"
)


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """Prefix sums over the words of a text: content words, familiar, paired, copied. Entry i covers words [0, i)."""

    content: list[int]
    familiar: list[float]
    paired: list[int]
    copied: list[int]


def read_signals(tokens: Tokens, index: ContextIndex) -> Signals:
    """How the context bears each word of a text."""
    stems, kinds = tokens.stems, tokens.kinds
    is_content = [kind == CONTENT for kind in kinds]
    look_up, pairs = index.familiarity.__getitem__, index.pairs
    familiar = [look_up(word) if content else 0.0 for word, content in zip(stems, is_content, strict=True)]
    found = map(pairs.__contains__, pairwise(stems))
    paired, copied = [False] * len(stems), [False] * len(stems)
    before = -2
    for at in compress(range(len(stems)), found):
        if is_content[at] or is_content[at + 1]:
            paired[at] = paired[at + 1] = True
        if at == before + 1:
            copied[at - 1] = copied[at] = copied[at + 1] = True
        before = at
    return Signals(
        list(accumulate(is_content, initial=0)),
        list(accumulate(familiar, initial=0.0)),
        list(accumulate(paired, initial=0)),
        list(accumulate(copied, initial=0)),
    )


def unechoed_words(tokens: Tokens, index: ContextIndex, group: GroupWords) -> list[float]:
    """Prefix sums of that signal over the words of a response of the group."""
    look_up, known = index.familiarity.__getitem__, index.idf  # which are wholly familiar
    signal = [
        (1.0 - look_up(word)) * group.unechoed(word) if kind == CONTENT and word not in known else 0.0
        for word, kind in zip(tokens.stems, tokens.kinds, strict=True)
    ]
    return list(accumulate(signal, initial=0.0))


def word_sums(signals: Signals, first: int, last: int) -> tuple[float, float, int, int, int]:
    """(content words, familiar, words, paired, copied) summed over words [first, last)."""
    content, familiar, paired, copied = signals.content, signals.familiar, signals.paired, signals.copied
    return (
        content[last] - content[first],
        familiar[last] - familiar[first],
        last - first,
        paired[last] - paired[first],
        copied[last] - copied[first],
    )


def word_means(sums: Sequence[float]) -> tuple[float, float, float]:
    """(familiar, paired, copied) means. No content word: all familiar; no word: nothing copied."""
    content, familiar, words, paired, copied = sums
    words = words or 1
    return familiar / content if content else 1.0, paired / words, copied / words


class SentenceCues(NamedTuple):
    """How a sentence of the response is put."""

    list_item: float
    caveat: float
    adds: float
    concludes: float


def sentence_cues(stems: Sequence[str], list_item: bool) -> SentenceCues:
    """Cues from the words of one sentence; `stems` without the list marker."""
    opening = stems[:3]
    first = opening[0] if opening else ""
    if first in ("for", "in") and len(opening) > 1:
        first = opening[1]
    return SentenceCues(
        float(list_item), min(2.0, len(_CAVEATS.intersection(stems))), float(first in _ADDS), float(first in _CONCLUDES)
    )


def reports_on_passages(stems: Sequence[str]) -> bool:
    """True when the subject is a passage: "Passage 2 describes ...", "While the text says ..."."""
    for word in stems[:4]:
        if word not in _BEFORE_SUBJECT:
            return word in _PASSAGES
    return False


def clause_features(reading: Reading, start: int, first: int, last: int) -> tuple[float, ...]:
    """The features of the words [first, last) of a response that begin at character `start`: CLAUSE_FEATURES, or
    GROUP_FEATURES when the reading knows the prompt group."""
    tokens, clauses = reading.analysis.tokens, reading.analysis.clauses
    number = max(0, bisect_right(reading.clause_starts, start) - 1)
    sums = reading.clause_sums
    own = word_sums(reading.signals, first, last)
    before, after = sums[number], sums[number + 2]
    near = (
        own[0] + 0.5 * (before[0] + after[0]),
        own[1] + 0.5 * (before[1] + after[1]),
        own[2] + 0.5 * (before[2] + after[2]),
        own[3] + 0.5 * (before[3] + after[3]),
        own[4] + 0.5 * (before[4] + after[4]),
    )
    content = own[0] or 1
    familiar, paired, copied = word_means(own)
    familiar_near, paired_near, copied_near = word_means(near)
    if reading.group is None:
        borne = (familiar, paired, copied, familiar_near, paired_near, copied_near)
    else:
        unechoed = (reading.unechoed[last] - reading.unechoed[first]) / content
        borne = (unechoed, paired, copied, paired_near, copied_near)
    return (
        *borne,
        start / len(reading.analysis.text),
        *reading.cues_of(clauses[number].sentence),  # in the order of CLAUSE_FEATURES
        float(reports_on_passages(tokens.stems[first : first + 4])),
        float(NEGATION in tokens.kinds[first:last]),
        reading.new_names_between(first, last) / content,
    )


_first_word = attrgetter("first")
_NOTHING = (0.0, 0.0, 0.0, 0.0, 0.0)


class Reading:
    """A response read against a context, and against the other responses of its group: what every claim shares."""

    __slots__ = (
        "_cues", "analysis", "clause_starts", "clause_sums", "group", "index", "missing", "new_names", "numbers",
        "signals", "unechoed",
    )  # fmt: skip

    def __init__(self, response: str, index: ContextIndex, group: GroupWords | None = None) -> None:
        self.analysis = analyse_response(response)
        self.index = index
        self.group = group
        tokens = self.analysis.tokens
        self.signals = read_signals(tokens, index)
        self.unechoed = unechoed_words(tokens, index, group) if group else []
        self.numbers = claimed_numbers(response, tokens)
        self.missing = missing_numbers(self.numbers, tokens, index.numbers)
        sums = [word_sums(self.signals, clause.first, clause.last) for clause in self.analysis.clauses]
        self.clause_starts = [clause.start for clause in self.analysis.clauses]
        self.clause_sums = [_NOTHING, *sums, _NOTHING]  # clause i is at i + 1: its neighbours always exist
        self.new_names = self._new_names()
        self._cues: dict[int, SentenceCues] = {}

    def _new_names(self) -> list[int]:
        """Capitalised content words that the context lacks, without the first word of each sentence."""
        tokens, known = self.analysis.tokens, self.index.idf
        words, stems = tokens.words, tokens.stems
        names = [
            at
            for at, kind in enumerate(tokens.kinds)
            if kind == CONTENT and words[at][0].isupper() and stems[at] not in known
        ]
        if not names:
            return names
        starts = map(self._opening, self.analysis.sentences)
        openings = {bisect_left(tokens.starts, start) for start in starts}
        return [at for at in names if at not in openings]

    def _opening(self, sentence: Span) -> int:
        """The character behind a sentence's list marker, or its first."""
        marker = LIST_MARKER.match(self.analysis.text, sentence.start, sentence.end)
        return marker.end() if marker else sentence.start

    def new_names_between(self, first: int, last: int) -> int:
        """How many of `new_names` are among words [first, last)."""
        names = self.new_names
        return bisect_left(names, last) - bisect_left(names, first) if names else 0

    def cues_of(self, sentence: int) -> SentenceCues:
        """The cues of a sentence of the response, worked out once."""
        cues = self._cues.get(sentence)
        if cues is None:
            cues = self._cues[sentence] = self._read_cues(sentence)
        return cues

    def _read_cues(self, sentence: int) -> SentenceCues:
        span, tokens = self.analysis.sentences[sentence], self.analysis.tokens
        opening = self._opening(span)
        first = bisect_left(tokens.starts, opening)
        stems = tokens.stems[first : bisect_left(tokens.starts, span.end, first)]
        return sentence_cues(stems, list_item=opening > span.start)

    def words_between(self, start: int, end: int) -> tuple[int, int]:
        """(first, last) of the words that start in characters [start, end)."""
        starts = self.analysis.tokens.starts
        first = bisect_left(starts, start)
        return first, bisect_left(starts, end, first)

    def missing_between(self, first: int, last: int) -> list[Number]:
        """The numbers among words [first, last) that the context does not bear."""
        return _between(self.missing, first, last) if self.missing else []

    def numbers_between(self, first: int, last: int) -> list[Number]:
        """The numbers that words [first, last) state."""
        return _between(self.numbers, first, last)


def _between(numbers: list[Number], first: int, last: int) -> list[Number]:
    """Those that begin among words [first, last)."""
    left = bisect_left(numbers, first, key=_first_word)
    return numbers[left : bisect_left(numbers, last, left, key=_first_word)]
