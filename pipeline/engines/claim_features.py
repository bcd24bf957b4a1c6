"""What the lexical verifier looks at in a claim that is not in the response's own words: a statement on its own.

Such claims (an LLM's, or a person's) have no position; what counts is whether one place of the context has their words,
and above all the words that are not just the topic: those of the question stand in every claim.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import fsum, log
from typing import Final

from pipeline.engines.context_index import ContextIndex, Familiarity
from pipeline.engines.contrary import find_contrary
from pipeline.engines.features import read_signals, word_means, word_sums
from pipeline.engines.likeness import Likeness
from pipeline.engines.numerals.claimed_numbers import claimed_numbers
from pipeline.engines.numerals.derived_numbers import sort_missing
from pipeline.engines.numerals.number_index import missing_numbers
from pipeline.engines.numerals.numbers import Number
from pipeline.engines.word_places import WordPlaces
from pipeline.engines.words import CONTENT, Tokens, tokenize
from schemas.records import Sample

TEXT_FEATURES: Final = (
    "familiar", "paired",  # as in features.py, over the whole claim
    "familiar_rare",  # familiar, each word weighted by its IDF: the claim's topic counts little
    "familiar_beyond_topic",  # familiar, without the words of the question
    "covered",  # share of the claim's IDF mass in the best context sentence
    "together_beyond_topic",  # share of the IDF mass beyond the question that stands in one stretch of the context
    "rarest_uncovered",  # the highest IDF among the words that the best sentence lacks, 0 to 1
    "new_names",  # capitalised content words that the context lacks (0, 1, 2)
    "number_elsewhere",  # a number that is not near the best sentence
    "contrary",  # a sign that it turns round what a sentence says: contrary/
    "missing_number",  # a number that the context does not bear
)  # fmt: skip
STRETCH: Final = 16  # content words; 12 to 20 score the same
MOST_WORDS: Final = 400  # of a claim that are held against sentences and records; whole sentences are shorter
_MAX_TOPIC_WORDS = 60  # a longer prompt is instructions or holds the context: its words say nothing of the topic


@dataclass(frozen=True, slots=True, eq=False)
class ClaimReading:
    """A claim's text read against a context. like: the context's sentences against its words, None if they have none.

    asked: its content stems and numbers with their IDF.   new_words: tokens.   missing: numbers the context lacks.
    doubtful: those that may be worked out from its numbers.   numbers: all that it states.   contrary: see
    `find_contrary`.
    """

    tokens: Tokens
    features: tuple[float, ...]
    like: Likeness | None
    asked: dict[str, float]
    new_words: list[int]
    missing: list[Number]
    doubtful: list[Number]
    numbers: list[Number]
    contrary: str


def question_of(sample: Sample) -> str:
    """The prompt, or its last message, as far as it is a question; "" for what is too long to be one."""
    prompt = sample.prompt if isinstance(sample.prompt, str) else (sample.prompt[-1].content if sample.prompt else "")
    return prompt if len(prompt) <= 12 * _MAX_TOPIC_WORDS else ""


def topic_of(sample: Sample) -> frozenset[str]:
    """The stems of the question, as far as the prompt is one."""
    tokens = tokenize(question_of(sample))
    return frozenset(tokens.stems) if len(tokens) <= _MAX_TOPIC_WORDS else frozenset()


def read_claim(text: str, index: ContextIndex, topic: frozenset[str] = frozenset(), question: str = "") -> ClaimReading:
    """TEXT_FEATURES of a claim's text, and what the verdict's reason is made of.

    topic, question: see `topic_of` and `question_of`.
    """
    tokens = tokenize(text)
    stems, idf = tokens.stems, index.idf
    highest = log(1 + max(1, len(index.sentences)))
    weights = {stem: idf.get(stem, highest) for stem in tokens.content_and_number_stems()}
    like = Likeness.of(index, weights)
    best = like.best if like else None
    here = index.sentences[best].stems if best is not None else frozenset()
    content = [at for at, kind in enumerate(tokens.kinds) if kind == CONTENT]
    beyond = {stems[at]: weights[stems[at]] for at in content if stems[at] not in topic}
    new_words = [at for at in content if stems[at] not in idf]
    numbers = claimed_numbers(text, tokens)
    missing, doubtful = sort_missing(
        missing_numbers(numbers, tokens, index.numbers), numbers, tokens, 0, len(tokens), index, question
    )
    familiar, paired, _ = word_means(word_sums(read_signals(tokens, index), 0, len(tokens)))
    contrary = find_contrary(like, tokens, 0, min(len(tokens), MOST_WORDS), numbers)
    features = (
        familiar,
        paired,
        _familiar(index.familiarity, {stems[at]: weights[stems[at]] for at in content}),
        _familiar(index.familiarity, dict.fromkeys(beyond, 1.0)),
        like.share() if like else 0.0,
        _together(index, {stem: weight for stem, weight in weights.items() if stem not in topic}),
        max((weight for stem, weight in weights.items() if stem not in here), default=0.0) / highest,
        float(min(2, sum(at > 0 and tokens.words[at][0].isupper() for at in new_words))),
        float(any(number not in missing and not _stands_near(number, index, best) for number in numbers)),
        float(bool(contrary)),
        float(bool(missing)),
    )
    return ClaimReading(tokens, features, like, weights, new_words, missing, doubtful, numbers, contrary)


def _familiar(familiarity: Familiarity, weights: Mapping[str, float]) -> float:
    """The weighted mean familiarity of stems; 1 when there are none."""
    mass = fsum(weights.values())
    return fsum(weight * familiarity[stem] for stem, weight in weights.items()) / mass if mass else 1.0


def _together(index: ContextIndex, weights: Mapping[str, float]) -> float:
    """The share of the stems' weight that stands in one stretch of the context; 1 when there are none."""
    mass = fsum(weights.values())
    if not mass:
        return 1.0
    if index.places is None:
        index.places = WordPlaces(index.passages, STRETCH)
    return index.places.gathered(weights) / mass


def _stands_near(number: Number, index: ContextIndex, best: int | None) -> bool:
    """Whether the best sentence, or one beside it, has the number's value or its words."""
    if best is None:
        return False
    return any(
        number.value in index.sentences[at].values for at in range(best - 1, best + 2) if 0 <= at < len(index.sentences)
    )
