"""Quotes that a verifier gives as evidence, altered as models alter them: how many are still found in the context?

    python -m benchmarks.llm_evidence --factscore FILE --quotes 1500

Every quote is a run of 6 to 12 words of a sentence of a context. What must be found: the quote as it is, with a light
word dropped or added, with another ending. What must not: with another number or name, or in another document.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.corpora import open_corpus, read_corpus_file
from pipeline.engines.llm.evidence import locate_evidence
from pipeline.sentences import split_sentences
from schemas.records import Passage, Sample

LIGHT = frozenset(["the", "a", "an", "of", "in", "on", "was", "is", "his", "her"])
Quote = tuple[str, tuple[Passage, ...]]


def contexts(path: Path) -> list[tuple[Passage, ...]]:
    """The different contexts of a FActScore file."""
    records = (record for file in open_corpus([str(path)], "factscore") for record in read_corpus_file(file))
    return list(dict.fromkeys(record.context for record in records if isinstance(record, Sample) and record.context))


def quotes(documents: list[tuple[Passage, ...]], rng: random.Random) -> Iterator[Quote]:
    """Runs of words of random sentences, without end."""
    while True:
        document = rng.choice(documents)
        text = rng.choice(document).text
        spans = split_sentences(text)
        span = rng.choice(spans) if spans else None
        words = text[span.start : span.end].split() if span else []
        if len(words) >= 12:
            start = rng.randrange(len(words) - 5)
            yield " ".join(words[start : start + rng.randint(6, 12)]), document


def altered(quote: str, rng: random.Random) -> Iterator[tuple[str, str]]:
    """(what was done, the quote after it) for everything that can be done to this quote."""
    words = quote.split()
    yield "as it is", quote
    at = rng.randrange(len(words))
    yield "light word added", " ".join([*words[:at], "the", *words[at:]])
    for kind, chosen, change in (
        ("light word dropped", [i for i, word in enumerate(words) if word.lower() in LIGHT], lambda _: ""),
        ("other ending", [i for i, word in enumerate(words) if word.endswith("ed")], lambda word: word[:-2] + "ing"),
        ("other number", [i for i, word in enumerate(words) if word.strip(",.").isdigit()], lambda _: "1077"),
        ("other name", [i for i, word in enumerate(words) if i and word[0].isupper()], lambda _: "Zorkley"),
    ):
        if chosen:
            at = rng.choice(chosen)
            yield kind, " ".join([*words[:at], *change(words[at]).split(), *words[at + 1 :]])


def measure(documents: list[tuple[Passage, ...]], wanted: Iterable[Quote], rng: random.Random) -> dict[str, str]:
    """Per kind of alteration: share found, and of how many."""
    tried: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for quote, document in wanted:
        other = rng.choice([one for one in documents if one is not document])
        cases = [(kind, text, document) for kind, text in altered(quote, rng)] + [("other document", quote, other)]
        for kind, text, where in cases:
            tried[kind] += 1
            found[kind] += locate_evidence(where, [text]) is not None
    return {kind: f"{found[kind] / tried[kind]:.1%} of {tried[kind]}" for kind in tried}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--factscore", type=Path, required=True)
    parser.add_argument("--quotes", type=int, default=1_500)
    options = parser.parse_args()
    rng = random.Random(0)
    documents = contexts(options.factscore)
    drawn = quotes(documents, rng)
    result = measure(documents, [next(drawn) for _ in range(options.quotes)], rng)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
