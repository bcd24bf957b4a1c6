"""A corpus of any size with the shape of RAG answers: about 670 characters of response, 1,350 of context.

Six responses share a prompt. Each repeats facts of its context in other words or order; about one sentence in eight
is altered (another number or name) or belongs to no passage. The same seed gives the same bytes.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import orjson

from pipeline.corpora import open_corpus, read_corpus_file
from schemas.records import Sample
from schemas.samples import sample_to_json

RESPONSES_PER_GROUP = 6
SENTENCES_PER_CONTEXT = 14
SENTENCES_PER_RESPONSE = 7
ALTERED = 0.125
VOCABULARY = 20_000
_SYLLABLES = [consonant + vowel for consonant in "bdfghklmnrstv" for vowel in "aeio"]
_FRAMES = (
    "The {a} of {name} was {v} in {year} by the {b} and the {c}.",
    "{name} has {n} {a} that are {v} every year in the {b}.",
    "About {n} percent of the {a} in {name} can be {v} with a {b}.",
    "In {year}, the {a} {v} near {name} because of its {b} and {c}.",
    "A {a} is a {b} that people in {name} use when the {c} is {v}.",
)


def groups(records: int, seed: int = 0) -> Iterator[list[dict]]:
    """Records in the balto format, a prompt group at a time, `records` in all."""
    rng = random.Random(seed)
    words = _Words(rng)
    made = 0
    while made < records:
        group = made // RESPONSES_PER_GROUP
        name = f"{words.draw().title()} {words.draw().title()}"
        facts = [_sentence(rng, words, name) for _ in range(SENTENCES_PER_CONTEXT)]
        context = [
            {"passage_id": f"p{n}", "text": " ".join(facts[n * 5 : n * 5 + 5])} for n in range(-(-len(facts) // 5))
        ]
        count = min(RESPONSES_PER_GROUP, records - made)
        yield [_record(rng, words, group, n, name, facts, context) for n in range(count)]
        made += count


class _Words:
    """Made-up words, drawn by Zipf's law as in a language: the n-th most frequent one with weight 1/n."""

    def __init__(self, rng: random.Random):
        self.words = sorted({"".join(rng.choices(_SYLLABLES, k=rng.randint(2, 4))) for _ in range(VOCABULARY)})
        rng.shuffle(self.words)
        self.weights = list(accumulate(1 / rank for rank in range(1, len(self.words) + 1)))
        self.rng = rng

    def draw(self) -> str:
        return self.rng.choices(self.words, cum_weights=self.weights)[0]


def _sentence(rng: random.Random, words: _Words, name: str) -> str:
    fill = {key: words.draw() for key in "abcv"}
    return rng.choice(_FRAMES).format(name=name, year=rng.randint(1800, 2020), n=rng.randint(2, 99), **fill)


def _record(rng: random.Random, words: _Words, group: int, n: int, name: str, facts: list[str], context: list) -> dict:
    said = rng.sample(facts, SENTENCES_PER_RESPONSE)
    said = [_sentence(rng, words, name) if rng.random() < ALTERED else fact for fact in said]
    opening = f"Based on the given passages, here is what is known about {name}: "
    return {
        "id": f"{group}-{n}",
        "group_id": f"{group}",
        "prompt": f"What is known about {name}?",
        "context": context,
        "response": opening + " ".join(said) + " This is a summary of the most important points from the passages.",
        "policy": f"model-{n}",
    }


def write_corpus(path: Path, records: int) -> None:
    """Write `records` records as JSON lines."""
    with open(path, "wb") as file:
        for group in groups(records):
            file.writelines(orjson.dumps(record) + b"\n" for record in group)


def write_repeated(path: Path, corpus: str, records: int) -> None:
    """Write a real corpus over and over, with new ids and groups each time, up to `records` records."""
    samples = [one for file in open_corpus([corpus]) for one in read_corpus_file(file) if isinstance(one, Sample)]
    with open(path, "wb") as file:
        for number in range(records):
            turn, at = divmod(number, len(samples))
            sample = samples[at]
            record = sample_to_json(replace(sample, id=f"{turn}-{sample.id}", group_id=f"{turn}-{sample.group_id}"))
            file.write(orjson.dumps(record) + b"\n")


def main() -> None:
    """Command line: OUT --records N."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--records", type=int, default=10_000)
    options = parser.parse_args()
    write_corpus(options.out, options.records)


if __name__ == "__main__":
    main()
