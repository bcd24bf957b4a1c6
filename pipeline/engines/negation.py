"""Whether a sentence of the context says the opposite of a claim: one of the two is negated. By words alone.

Asked only of a claim whose words nearly all stand in the sentence. "The code is not available" against "Code is
available at our site"; "the code is available" against "The code is not available yet".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pipeline.engines.context_index import ContextIndex
from pipeline.engines.words import CONTENT, NEGATION, NUMBER, Tokens, stem, word_set

_ABOUT_AS_LONG: Final = 0.9  # share of the sentence's words that a claim has when the two say one thing
_REACH: Final = 3  # words behind a negation in which the first content word is what it denies
# With one of these a negation, or the lack of one, may mean something else: "not allowed without", "no more than",
# "nothing but", "not since 1987" and "last in 1987"; and what a data record denies it does not deny by a word:
# "waterproof: false".
_CONDITIONS: Final = word_set(
    "without unless until except only rather instead but if than hardly barely though yes true false null none"
    " since last"
) | frozenset(
    map(stem, word_set("prohibited forbidden unable lacks fails refuses avoids stops prevents denies unlikely ruled"))
)
_BOUNDS: Final = word_set("over under above below more less fewer")  # "free over $50" and "not free under $50"
_OTHER_PARTS: Final = ";:{"  # behind or in front of which a negation may belong to something else
_OF_NOUNS: Final = word_set("no none nothing nobody neither nowhere")  # "no fee for members" denies more than the fee


def says_opposite(index: ContextIndex, sentence: int | None, tokens: Tokens, first: int, last: int) -> bool:
    """Whether a context sentence denies the claim in words [first, last), or the claim the sentence.

    In a sentence much longer than the claim a negation may belong to something that the claim does not speak of: there
    the denied word itself has to be one that both have.
    """
    if sentence is None:
        return False
    found = index.sentences[sentence]
    kinds, stems = tokens.kinds[first:last], tokens.stems[first:last]
    negated = NEGATION in kinds
    if found.negated == negated:
        return False
    asked = set(tokens.content_and_number_stems(first, last))
    text, theirs = index.words_of(sentence)
    if not _CONDITIONS.isdisjoint(theirs.stems) or not _CONDITIONS.isdisjoint(stems):
        return False
    if bounds(theirs.stems, theirs.kinds) != bounds(stems, kinds):
        return False
    if any(mark in text for mark in _OTHER_PARTS):
        return False
    if len(asked) >= _ABOUT_AS_LONG * len(found.stems):
        return True
    if negated:
        return not found.stems.isdisjoint(_denied(stems, kinds))
    return any(word in asked and theirs.stems.count(word) == 1 for word in _denied(theirs.stems, theirs.kinds))


def bounds(stems: Sequence[str], kinds: Sequence[int]) -> set[str]:
    """The words such as "over" and "less" behind which a number stands."""
    return {word for at, word in enumerate(stems) if word in _BOUNDS and NUMBER in kinds[at + 1 : at + 3]}


def _denied(stems: Sequence[str], kinds: Sequence[int]) -> list[str]:
    """The first content word behind each negation of a verb."""
    denied = []
    for at, kind in enumerate(kinds):
        if kind == NEGATION and stems[at] not in _OF_NOUNS:
            behind = zip(stems[at + 1 : at + 1 + _REACH], kinds[at + 1 : at + 1 + _REACH], strict=True)
            denied += [word for word, other in behind if other == CONTENT][:1]
    return denied
