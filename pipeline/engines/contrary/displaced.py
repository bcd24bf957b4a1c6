"""A number or a name that the context has, but where the claim has it, the context has another.

"She founded a school in 2008" of "In 2008 she joined an orchestra. In 2016 she founded a school": all words are there.
What tells it is what stands around the fact. Near the places where the context has this one there is little of what the
claim has around it; near one of another of its kind there is much. How much weighs what was learned from right claims
in which one fact was exchanged for another of its context (displaced_model.py, benchmarks/fit_displaced.py). Ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from math import fsum, log
from operator import itemgetter
from typing import Final, NamedTuple

from pipeline.engines.contrary.displaced_model import NAME_MODEL, NAME_THRESHOLD, NUMBER_MODEL, NUMBER_THRESHOLD
from pipeline.engines.fact_slots import (
    NAME,
    NEXT,
    Fact,
    FactSlots,
    PlacedFact,
    content_words,
    find_facts,
    words_around,
)
from pipeline.engines.likeness import Likeness
from pipeline.engines.numerals.numbers import Number
from pipeline.engines.words import Tokens

FEATURES: Final = (
    # Log share of what stands around the fact in the claim that stands around it in the context, too; around another
    # of its kind that the claim does not state (a rival); around one that the claim states elsewhere.
    "near_own", "near_rival", "near_stated",
    "sided_own", "sided_rival", "sided_stated",  # the same of what stands on the same side of both
    "told_own", "told_rival", "told_best",  # share of the claim in a sentence with the fact, with a rival; in any
    # The word before it, behind it, is there in the context; is beside a rival. Then the same of content words.
    "left_own", "right_own", "left_rival", "right_rival",
    "before_own", "behind_own", "before_rival", "behind_rival",
    "same_kind",  # the context has it as a fact of this kind: a percentage, not a year
    "once",  # the context has it in one place
    "rivals", "words",  # log of how many rivals, and words around it, there are
)  # fmt: skip
_MOST: Final = 16  # facts of one claim that are looked at, and places of each kind: bound the time per claim
_MOST_PLACES: Final = 128
_MOST_FACTS: Final = 4096  # of one kind or value that are counted
_FLOOR: Final = 0.03  # of shares, before their logarithm


class Slot(NamedTuple):
    """A fact of a claim with FEATURES.   instead: the fact that the context has near more of the same words."""

    fact: Fact
    features: tuple[float, ...]
    instead: PlacedFact


def displaced_fact(like: Likeness, tokens: Tokens, first: int, last: int, numbers: Sequence[Number]) -> str:
    """Which number or name of the claim in words [first, last) belongs elsewhere, in words for people; "" if none does.

    like: of the claim's content words.
    """
    for fact, features, instead in fact_slots(like, tokens, first, last, numbers):
        is_name = fact.kind == NAME
        model, threshold = (NAME_MODEL, NAME_THRESHOLD) if is_name else (NUMBER_MODEL, NUMBER_THRESHOLD)
        if model.logit(features) > threshold:
            written = " ".join(tokens.words[fact.first : fact.last])
            text = like.index.passages[instead.passage].text[instead.start : instead.end]
            return f"near the same words the context has “{' '.join(text.split())}”, not “{written}”"
    return ""


def fact_slots(like: Likeness, tokens: Tokens, first: int, last: int, numbers: Sequence[Number]) -> Iterator[Slot]:
    """The facts of a claim that the context has, if another of their kind is nearer to the words around them."""
    slots = like.index.fact_slots()
    stating = find_facts(tokens, first, last, numbers[:_MOST], slots.by_value)
    facts = [*islice((fact for fact in stating if fact.value in slots.by_value), _MOST)]
    if not facts:
        return
    words, places = content_words(tokens, first, last)
    stated = {fact.value for fact in facts}.union(tokens.stems[first:last])
    for fact in facts:
        if any(slots.facts[at].value != fact.value for at in slots.by_kind.get(fact.kind, ())[:_MOST_FACTS]):
            around = words_around(words, places[fact.first - first], places[fact.last - first])
            if around:
                slot = _slot(like, slots, fact, _Surroundings(like, tokens, (first, last), fact, around), stated)
                if slot is not None:
                    yield slot


class _Surroundings:
    """What stands around a fact of a claim in words [claim) of a text.

    weights: of the words around it by their rarity and nearness, negative in front of it.   left, right: the words
    beside it, as stems; before, behind: content words beside it; "" for none.   name: stems of its own words.
    """

    def __init__(
        self, like: Likeness, tokens: Tokens, claim: tuple[int, int], fact: Fact, around: dict[str, float]
    ) -> None:
        idf, highest = like.index.idf, log(1 + len(like.index.sentences))
        self.weights = {stem: idf.get(stem, highest) * nearness for stem, nearness in around.items()}
        self.mass = fsum(map(abs, self.weights.values()))
        self.left = tokens.stems[fact.first - 1] if fact.first > claim[0] else ""
        self.right = tokens.stems[fact.last] if fact.last < claim[1] else ""
        self.before = next((stem for stem, nearness in around.items() if nearness == -NEXT), "")
        self.behind = next((stem for stem, nearness in around.items() if nearness == NEXT), "")
        self.name = {*tokens.stems[fact.first : fact.last]}

    def compare(self, slots: FactSlots, places: Sequence[int]) -> tuple[float, float, PlacedFact | None]:
        """(share of it that stands around one of these facts of the context, share on the same side, the fact with the
        largest share)."""
        near, sided, nearest = 0.0, 0.0, None
        weights, asked = self.weights, self.weights.keys()
        for place in places[:_MOST_PLACES]:
            there = slots.around(place)
            shares = [weights[stem] * there[stem] for stem in asked & there.keys()]  # positive on the same side
            found = fsum(map(abs, shares))  # of a set in any order: `sum` would depend on it
            if found > near:
                near, nearest = found, slots.facts[place]
            if found > sided:
                sided = max(sided, fsum([share for share in shares if share > 0]))
        return near / self.mass, sided / self.mass, nearest

    def beside(self, slots: FactSlots, places: Sequence[int]) -> tuple[float, float]:
        """Whether one of these facts has the same content word right before it, right behind it."""
        around = [slots.around(place) for place in places]
        return (
            float(any(there.get(self.before) == -NEXT for there in around)),
            float(any(there.get(self.behind) == NEXT for there in around)),
        )


def _slot(like: Likeness, slots: FactSlots, fact: Fact, around: _Surroundings, stated: set[float | str]) -> Slot | None:
    facts = slots.facts
    own, alike = slots.by_value[fact.value][:_MOST_FACTS], slots.by_kind[fact.kind][:_MOST_FACTS]
    elsewhere = stated - {fact.value} - around.name
    rivals = [at for at in alike if facts[at].value not in stated]
    others = [at for at in alike if facts[at].value in elsewhere]
    near_own, sided_own, _ = around.compare(slots, own)
    near_rival, sided_rival, rival = around.compare(slots, rivals)
    near_stated, sided_stated, other = around.compare(slots, others)
    nearest, instead = max((near_rival + sided_rival, rival), (near_stated + sided_stated, other), key=itemgetter(0))
    if instead is None or nearest <= near_own + sided_own:
        return None
    shares = [near_own, near_rival, near_stated, sided_own, sided_rival, sided_stated]
    features = (
        *[log(share + _FLOOR) for share in shares],
        _told(like, slots, own),
        _told(like, slots, rivals),
        like.share(),
        float(any(facts[at].left == around.left for at in own)),
        float(any(facts[at].right == around.right for at in own)),
        float(any(facts[at].left == around.left for at in rivals)),
        float(any(facts[at].right == around.right for at in rivals)),
        *around.beside(slots, own),
        *around.beside(slots, rivals),
        float(any(facts[at].kind == fact.kind for at in own)),
        float(len(own) == 1),
        log(1 + len(rivals)),
        log(len(around.weights)),
    )
    return Slot(fact, features, instead)


def _told(like: Likeness, slots: FactSlots, places: Sequence[int]) -> float:
    """The largest share of a claim in a sentence with one of these facts."""
    if not slots.sentences:
        slots.sentences = [like.index.sentence_at(fact.passage, fact.start) for fact in slots.facts]
    shared, sentences = like.shared, slots.sentences
    most = max([shared.get(sentences[at], 0.0) for at in places], default=0.0)
    return like.share() * most / shared[like.best]
