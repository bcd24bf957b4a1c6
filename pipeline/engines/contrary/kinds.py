"""Words of which one holds and the others do not: "the third pass" of "the second", "silver" of "bronze", "a day" of
"a week before".

A sign where the claim has a word of a kind, the sentence that it is made of has another, and neither that sentence, nor
one beside it, nor one about as like the claim has the claim's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pipeline.engines.likeness import ALIKE, Likeness
from pipeline.engines.words import Tokens, stem, word_set

_KINDS: Final = (
    "first second third fourth fifth sixth seventh eighth ninth tenth",
    "gold silver bronze",
    "red blue green yellow black white orange purple pink brown grey gray",
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "January February March April May June July August September October November December",
    "spring summer autumn winter",
    "morning afternoon evening night",
    "hourly daily weekly monthly quarterly annual annually yearly",
    "wood wooden stone glass steel iron paper straw plastic concrete brick leather cotton wool silk",
    "dog cat horse cow sheep goat pig rabbit",
    "arm leg hand foot knee shoulder elbow wrist ankle hip neck chest",
    "beef chicken pork lamb turkey shrimp salmon tuna tofu",
    "coffee tea beer wine",
    "football basketball baseball hockey tennis cricket rugby golf volleyball",
    "car truck van bus tram motorcycle bicycle train helicopter ferry",
    "pianist cellist violinist guitarist drummer bassist flautist trumpeter saxophonist harpist organist soprano tenor",
    "mathematician physicist chemist biologist geologist astronomer botanist zoologist economist historian philosopher",
    "father mother brother sister son daughter uncle aunt cousin nephew niece grandfather grandmother patron",
)
_ALIKE: Final = {"wooden": "wood", "gray": "grey", "annually": "annual", "yearly": "annual"}
_KIND: Final = {word: words for words in _KINDS for word in words.split()}
_PERIODS: Final = word_set("second minute hour day week fortnight month quarter year decade century")
_ONE: Final = word_set("a an per each every one")
_STEMS: Final = frozenset(key for word in (*_KIND, *_PERIODS) for key in (word.lower(), stem(word.lower())))
_FROM_THEN: Final = word_set("before after later earlier ago from")
_MOST_SENTENCES: Final = 12


def other_of_its_kind(like: Likeness, tokens: Tokens, first: int, last: int) -> str:
    """Which word of the claim in words [first, last) the sentence has another one for; "" if there is none."""
    if _STEMS.isdisjoint(tokens.stems[first:last]):
        return ""
    ours = dict(_of_kinds(tokens, first, last))
    if not ours or like.share() < ALIKE:
        return ""
    _, read = like.words()
    theirs = dict(_of_kinds(read, 0, len(read)))
    for (kind, word), at in ours.items():
        others = [place for (other, one), place in theirs.items() if other == kind and (kind, one) not in ours]
        if others and (kind, word) not in theirs and not _is_beside(like, word):
            return f"the context says “{read.words[others[0]]}” where the claim says “{tokens.words[at]}”"
    return ""


def _of_kinds(tokens: Tokens, first: int, last: int) -> Iterator[tuple[tuple[str, str], int]]:
    """((kind, word), place); names of days and months are words with a capital.

    A period is of one kind with another in the same use: "a week before", "14 euros a year".
    """
    for at in range(first, last):
        written = tokens.words[at]
        word = written if written in _KIND else written.lower()
        if word in _KIND:
            yield (_KIND[word], _ALIKE.get(word, word)), at
        if word in _PERIODS and first < at < last - 1 and tokens.words[at - 1].lower() in _ONE:
            behind = tokens.words[at + 1].lower()
            if behind in _FROM_THEN:
                yield (f"a period {behind}", word), at
        if word in _PERIODS and at > first + 1 and tokens.words[at - 1].lower() in _ONE:
            yield (f"{tokens.stems[at - 2]} per period", word), at


def _is_beside(like: Likeness, word: str) -> bool:
    """Whether a sentence beside the best one, or about as like the claim, has the word."""
    index = like.index
    places = {at for at in (like.best - 1, like.best + 1, *like.near()) if 0 <= at < len(index.sentences)}
    return any(word.lower() in index.text_of(at).lower() for at in sorted(places)[:_MOST_SENTENCES])
