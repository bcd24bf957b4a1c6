"""Names of a claim that nobody else has, neither the context nor the question: "Santa Monica" of Santa Barbara.

Of models' claims that are supported by all else, people mark one in six of those with such a name, and one in fifty
of the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import takewhile
from typing import Final

from pipeline.engines.context_index import ContextIndex
from pipeline.engines.numerals.dates import DAYS_AND_MONTHS
from pipeline.engines.words import CONTENT, Tokens, stem, tokenize, word_set
from schemas.records import Passage

_NO_NAMES: Final = frozenset(
    map(stem, ("fahrenheit", "celsius", "kelvin", "am", "pm", "usd", "eur", "gbp", "tv", "ceo", "ph", "us"))
)
_DEGREES: Final = frozenset("cfk")
# The last word of a state's name, and its letters in addresses.
_STATE_LETTERS: Final = """
alabama AL alaska AK arizona AZ arkansas AR california CA colorado CO connecticut CT delaware DE florida FL georgia GA
hawaii HI idaho ID illinois IL indiana IN iowa IA kansas KS kentucky KY louisiana LA maine ME maryland MD
massachusetts MA michigan MI minnesota MN mississippi MS missouri MO montana MT nebraska NE nevada NV hampshire NH
jersey NJ mexico NM york NY carolina NC carolina SC dakota ND dakota SD ohio OH oklahoma OK oregon OR pennsylvania PA
island RI tennessee TN texas TX utah UT vermont VT virginia VA virginia WV washington WA washington DC wisconsin WI
wyoming WY
"""
_NAMES_AND_LETTERS: Final = _STATE_LETTERS.split()
_STATES: Final = [*zip(map(stem, _NAMES_AND_LETTERS[::2]), _NAMES_AND_LETTERS[1::2], strict=True)]
_OPENERS: Final = frozenset(".:!?*\"\u201c\u2018'|#-\u2013\u2022\n")  # what follows is capitalised anyhow
_LARGE_NOUNS: Final = 0.4  # share of capitalised content words from which a text writes all nouns, or titles, so
_ALL_LARGE: Final = 0.8  # share from which it is a title, whatever its language
_ENGLISH: Final = word_set(
    "the a an of and to is was are were by with for as that his her their it he she they at from on"
)
_MANY_SMALL: Final = 0.2  # share of such words in English prose: 0.25 to 0.4; in other languages hardly any
_ROOT: Final = 4  # letters
_OF_PEOPLES: Final = ("an", "ese", "ish", "ch")
_LONGEST: Final = 6  # letters of what is spelled out
_MIN_WORDS: Final = 20  # content words that tell how a text writes


def strange_name(text: str, tokens: Tokens, new: Iterable[int], index: ContextIndex, question: str) -> str:
    """The first name among the words `new` of a text, in words for people; "" for none.

    new: those that neither the context nor another response has, without the first of the claim.
    """
    for at in new:
        word, key = tokens.words[at], tokens.stems[at]
        if not word[0].isupper() or key in DAYS_AND_MONTHS or _is_sign(text, tokens, at) or _opens(text, tokens, at):
            continue
        known = key in _stems_of(question) or _is_spelled_out(tokens, at, index) or _is_state(tokens, at, index)
        known = known or key[:_ROOT] in (_roots(index)[key.endswith(_OF_PEOPLES)])
        if not known and not _writes_nouns_large(text):
            return f"“{word}” is a name that the context lacks"
    return ""


@lru_cache(maxsize=4)
def _stems_of(question: str) -> frozenset[str]:
    return frozenset(tokenize(question).stems)


@lru_cache(maxsize=4)
def _roots(index: ContextIndex) -> tuple[frozenset[str], frozenset[str]]:
    """What the names of peoples in a context begin with, and what all its names do: "Norway" is known where it has
    "Norwegian", "Norwegian" where it has "Norway"."""
    names = {fact.value for fact in index.fact_slots().facts if isinstance(fact.value, str)}
    of_peoples = frozenset(name[:_ROOT] for name in names if name.endswith(_OF_PEOPLES))
    return of_peoples, frozenset(name[:_ROOT] for name in names)


def _opens(text: str, tokens: Tokens, at: int) -> bool:
    """Whether a sentence, a quotation or a list item begins with a word, or it is the second half of one: "WiFi"."""
    gap = text[tokens.ends[at - 1] : tokens.starts[at]]
    return not gap or not _OPENERS.isdisjoint(gap)


def _is_sign(text: str, tokens: Tokens, at: int) -> bool:
    """Whether a word is a sign such as "PM", the "F" of "79 F", or a single letter that one mark joins to another
    ("B&B", "AT&T")."""
    word, start, end = tokens.words[at], tokens.starts[at], tokens.ends[at]
    if tokens.stems[at] in _NO_NAMES or text[start - 1 : start] == "&" or text[end : end + 1] == "&":
        return True
    return word.lower() in _DEGREES and at > 0 and tokens.words[at - 1][0].isdigit()


def _is_state(tokens: Tokens, at: int, index: ContextIndex) -> bool:
    """Whether a word belongs to the name of a state that the context has as two letters: "California" of CA."""
    letters = [one for key, one in _STATES if key in tokens.stems[at : at + 2]]
    return any(_has_word(index.passages, one) for one in letters)


@lru_cache(maxsize=64)
def _has_word(passages: tuple[Passage, ...], word: str) -> bool:
    return any(re.search(rf"\b{word}\b", passage.text) for passage in passages)


def _is_spelled_out(tokens: Tokens, at: int, index: ContextIndex) -> bool:
    """Whether a name is a part of what letters of the context stand for: "National Insurance contributions" of NICs."""

    def capital(it: int) -> bool:
        return tokens.words[it][0].isupper()

    start = at - len([*takewhile(capital, range(at - 1, max(-1, at - 1 - _LONGEST), -1))])
    words = takewhile(capital, range(start, min(len(tokens), start + _LONGEST)))
    initials = "".join(tokens.words[it][0] for it in words).lower()
    return len(initials) > 1 and (
        initials in _beginnings(index) or any(initials[:length] in index.idf for length in range(2, len(initials)))
    )


@lru_cache(maxsize=4)
def _beginnings(index: ContextIndex) -> frozenset[str]:
    """What the words of a context begin with, as far as it may be letters that are spelled out."""
    return frozenset(known[:length] for known in index.idf for length in range(2, _LONGEST + 1))


@lru_cache(maxsize=32)
def _writes_nouns_large(text: str) -> bool:
    """Whether a text writes all nouns or titles with a capital; a text full of names that is English does not."""
    tokens = tokenize(text)
    content = [word[0].isupper() for word, kind in zip(tokens.words, tokens.kinds, strict=True) if kind == CONTENT]
    if len(content) < _MIN_WORDS or sum(content) <= _LARGE_NOUNS * len(content):
        return False
    small_words = sum(word in _ENGLISH for word in tokens.words)
    return small_words < _MANY_SMALL * len(tokens) or sum(content) > _ALL_LARGE * len(content)
