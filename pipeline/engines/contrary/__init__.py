"""Signs that a claim turns round the context sentence that it is made of.

One word replaced by its opposite or by another of its kind, a negation put in or left out, a number or a name where the
context has another, two numbers or words told the other way round, done for planned, all for some. Signs, no more: of
models' claims that people have labelled, three in four that show one are right. Such a claim stays what the verifier
says it is, but is doubtful, so that it labels nothing: benchmarks/changed_facts.py shows how many changed facts the
signs find, and what they cost. What denies a whole sentence is in negation.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pipeline.engines.contrary.crossed import crossed_names, crossed_nouns, crossed_numbers
from pipeline.engines.contrary.denials import turned_denial
from pipeline.engines.contrary.displaced import displaced_fact
from pipeline.engines.contrary.elsewhere import name_elsewhere
from pipeline.engines.contrary.kinds import other_of_its_kind
from pipeline.engines.contrary.opposites import OPPOSITES, is_other_word, opposites_of
from pipeline.engines.contrary.planned import done_of_planned
from pipeline.engines.contrary.small_words import turned_small_word
from pipeline.engines.contrary.wholes import all_of_some, always_of_no_rule
from pipeline.engines.likeness import ALIKE, Likeness
from pipeline.engines.numerals.numbers import Number
from pipeline.engines.words import CONTENT, NEGATION, NUMBER, Tokens

_MIN_WORDS: Final = 2  # content words and numbers that a claim shares with a sentence


def find_contrary(like: Likeness | None, tokens: Tokens, first: int, last: int, numbers: Sequence[Number]) -> str:
    """The first sign that the claim in words [first, last) turns the context round, in words for people; "" for none.

    like: the context against all words of the claim.   numbers: that the claim states.
    """
    if like is None:
        return "no word of it is in the context" if CONTENT in tokens.kinds[first:last] else ""
    index, kinds = like.index, tokens.kinds[first:last]
    content = {word for word, kind in zip(tokens.stems[first:last], kinds, strict=True) if kind == CONTENT}
    if NUMBER in kinds:
        like = Likeness.of(index, content)
    if like is None:
        return ""
    start = first + 1 if tokens.stems[first] == "no" else first  # the "No" that answers a question
    alike = index.sentences[like.best].negated == (NEGATION in tokens.kinds[start:last])  # else "not open" is "closed"
    turned = _opposite(like, content, tokens, first, last) if alike else ""
    asked = {word for word, kind in zip(tokens.stems[first:last], kinds, strict=True) if kind >= CONTENT}
    if turned or len(index.sentences[like.best].stems & asked) < _MIN_WORDS:
        return turned
    return (
        always_of_no_rule(like, tokens, first, last)
        or all_of_some(like, tokens, first, last)
        or (turned_small_word(like, tokens, first, last) if alike else "")
        or other_of_its_kind(like, tokens, first, last)
        or done_of_planned(like, tokens, first, last)
        or turned_denial(like, tokens, first, last)
        or displaced_fact(like, tokens, first, last, numbers)
        or crossed_numbers(like, tokens, first, last, numbers)
        or crossed_names(like, tokens, first, last)
        or crossed_nouns(like, tokens, first, last)
        or name_elsewhere(like, content, tokens, first, last)
    )


def _opposite(like: Likeness, content: set[str], tokens: Tokens, first: int, last: int) -> str:
    """A word of the claim of which the best sentence has the opposite instead."""
    turnable = OPPOSITES.keys() & content
    if not turnable:
        return ""
    theirs = like.index.sentences[like.best]
    for at in range(first, last):
        word = tokens.stems[at]
        if word not in turnable:
            continue
        turned = opposites_of(tokens.words[at], word) & theirs.stems
        if not turned or word in theirs.stems or not OPPOSITES[word].isdisjoint(content):
            continue
        alike = {other for one in turned for other in OPPOSITES[one]}  # "increases" beside "grows"
        others = content - {word}
        if alike & theirs.stems or not others or len(theirs.stems & others) < max(ALIKE * len(others), 1):
            continue
        _, read = like.words()
        for written, one in zip(read.words, read.stems, strict=True):
            if one in turned and not is_other_word(written) and written[0].isupper() <= tokens.words[at][0].isupper():
                return f"the context says “{written}” where the claim says “{tokens.words[at]}”"
    return ""
