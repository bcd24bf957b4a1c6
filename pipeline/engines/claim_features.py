"""What the lexical verifier looks at in a claim that is not in the response's own words: a statement on its own.

Such claims (an LLM's, or a person's) have no position and no neighbours; what counts is whether one place of the
context has their words.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, log1p
from typing import Final

from pipeline.engines.features import read_signals, word_means, word_sums
from pipeline.engines.numbers import Number, claimed_numbers, missing_numbers
from pipeline.engines.words import CONTENT, NEGATION, NUMBER, Tokens, tokenize
from pipeline.gather_evidence import ContextIndex, neighbourhood, rank_sentences

TEXT_FEATURES: Final = (
    "familiar", "paired",  # as in features.py, over the whole claim
    "familiar_rare",  # familiar, each word weighted by its IDF: the claim's topic counts little
    "covered",  # share of the claim's IDF mass in the best context sentence
    "covered_near",  # the same with the sentences beside it
    "rarest_uncovered",  # the highest IDF among the words that the best sentence lacks, 0 to 1
    "new_words",  # content words that the context lacks (log)
    "new_names",  # of those, capitalised ones (0, 1, 2)
    "number_elsewhere",  # a number that is not near the best sentence
    "missing_number",  # a number that the context does not bear
    "negated",
    "length",  # content words (log)
    "context_length",  # words of the context (log)
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class ClaimReading:
    """A claim's text read against a context. best: the context sentence that shares most with it, or None.

    asked: its content stems and numbers with their IDF.   new_words: tokens.   missing: numbers the context lacks.
    """

    tokens: Tokens
    features: tuple[float, ...]
    best: int | None
    asked: dict[str, float]
    new_words: list[int]
    missing: list[Number]


def read_claim(text: str, index: ContextIndex) -> ClaimReading:
    """TEXT_FEATURES of a claim's text, and what the verdict's reason is made of."""
    tokens = tokenize(text)
    stems, kinds, idf = tokens.stems, tokens.kinds, index.idf
    highest = log(1 + max(1, len(index.sentences)))
    weights = {stem: idf.get(stem, highest) for stem, kind in zip(stems, kinds, strict=True) if kind >= CONTENT}
    mass = sum(weights.values()) or 1.0
    ranked = rank_sentences(index, weights, 1)
    here = index.sentences[ranked[0][0]].stems if ranked else frozenset()
    near = neighbourhood(index, ranked[0][0]) if ranked else frozenset()
    covered = ranked[0][1] / mass if ranked else 0.0
    content = [at for at, kind in enumerate(kinds) if kind == CONTENT]
    new_words = [at for at in content if stems[at] not in idf]
    missing = missing_numbers(claimed_numbers(text, tokens), tokens, index.numbers)
    familiar, paired, _ = word_means(word_sums(read_signals(tokens, index), 0, len(tokens)))
    content_mass = sum(weights[stems[at]] for at in content) or 1.0
    features = (
        familiar,
        paired,
        sum(weights[stems[at]] * index.familiarity[stems[at]] for at in content) / content_mass,
        covered,
        sum(weight for stem, weight in weights.items() if stem in near) / mass,
        max((weight for stem, weight in weights.items() if stem not in here), default=0.0) / highest,
        log1p(len(new_words)),
        float(min(2, sum(at > 0 and tokens.words[at][0].isupper() for at in new_words))),
        float(any(kind == NUMBER and stem not in near for stem, kind in zip(stems, kinds, strict=True))),
        float(bool(missing)),
        float(NEGATION in kinds),
        log1p(len(content)),
        log1p(index.words),
    )
    return ClaimReading(tokens, features, ranked[0][0] if ranked else None, weights, new_words, missing)
