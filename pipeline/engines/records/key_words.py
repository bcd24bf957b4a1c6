"""What texts call the things that keys of records name: a price is what something costs.

A word that tells a key is no invention where the context has the key, and a number beside it is told of that key.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from pipeline.engines.words import stem

# Keys, and the words that tell them.
_TOLD: Final = """
price prices cost fee fare rate: costs cost costing priced price pay pays charge charges
weight: weighs weigh weighing heavy light
height: tall high
length: long
width: wide
depth: deep
capacity seats max_guests: holds hold seats sleeps accommodates fits carries capacity
age: old aged years
duration time: lasts takes long
min minimum: least
max maximum limit: most limit limited
rating stars score: rated rating ratings stars score
address city location: located situated location address
hours opening open: opens open closes close closing closed opening
reviews review: reviewer reviewers customer customers reviews
warranty guarantee: warranty guarantee
phone email telephone: call contact reach
storage memory: storage memory space
speed: fast speed
notice: cancel notice
"""


def _pairs() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for line in _TOLD.strip().splitlines():
        keys, _, words = line.partition(": ")
        for key in keys.split():
            found.setdefault(stem(key), set()).update(map(stem, words.split()))
    return {key: frozenset(words) for key, words in found.items()}


TELLING: Final = _pairs()


def words_telling(keys: Collection[str]) -> frozenset[str]:
    """The stems of the words that tell some keys, given as stems."""
    return frozenset().union(*(TELLING[key] for key in TELLING.keys() & set(keys)))


def keys_told_by(word: str) -> list[str]:
    """The keys that a word may tell of; both are stems."""
    return [key for key, words in TELLING.items() if word in words]
