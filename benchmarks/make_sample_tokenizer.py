"""Trains data/sample/tokenizer.json, the tokenizer of the sample corpus: `python benchmarks/make_sample_tokenizer.py`.

A byte-level BPE of 1,500 tokens with the parts of today's large models (byte alphabet, regular-expression split, no
normaliser), small enough to commit. The same corpus gives the same bytes: rerun it after a change to the corpus.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from pipeline.corpora import open_corpus, read_corpus_file
from schemas.records import Sample

VOCAB_SIZE = 1500
SPECIAL_TOKENS = ["<pad>", "<eos>"]
SAMPLE_DIR = Path(__file__).resolve().parents[1] / "data" / "sample"


def train_tokenizer(texts: list[str]) -> Tokenizer:
    """A byte-level BPE; every text of any language encodes and decodes to itself."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def sample_texts(corpus: Path) -> list[str]:
    """Every text of the corpus in file order."""
    return [
        text
        for file in open_corpus([str(corpus)])
        for sample in read_corpus_file(file)
        if isinstance(sample, Sample)
        for text in _texts(sample)
    ]


def _texts(sample: Sample) -> Iterator[str]:
    if isinstance(sample.prompt, str):
        yield sample.prompt
    else:
        yield from (message.content for message in sample.prompt)
    yield from (passage.text for passage in sample.context)
    yield sample.response or ""


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the tokenizer of the sample corpus.")
    parser.add_argument("--corpus", type=Path, default=SAMPLE_DIR / "corpus.jsonl")
    parser.add_argument("--out", type=Path, default=SAMPLE_DIR / "tokenizer.json")
    options = parser.parse_args()
    train_tokenizer(sample_texts(options.corpus)).save(str(options.out), pretty=True)


if __name__ == "__main__":
    main()
