"""The committed sample corpus and tokenizer are what data/README.md says."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from pipeline.corpora import open_corpus, read_corpus_file
from pipeline.validate import validate_sample
from schemas.records import Sample

ROOT = Path(__file__).parents[1]
CORPUS = ROOT / "data" / "sample" / "corpus.jsonl"
TOKENIZER = ROOT / "data" / "sample" / "tokenizer.json"


@pytest.fixture(scope="module")
def corpus() -> dict[str, Sample]:
    items = [item for file in open_corpus([str(CORPUS)]) for item in read_corpus_file(file)]
    return {item.id: validate_sample(item) for item in items if isinstance(item, Sample)}


def marked(sample: Sample) -> list[str]:
    assert sample.response is not None
    assert sample.gold_spans is not None
    return [sample.response[span.start : span.end] for span in sample.gold_spans]


def test_every_record_is_valid_and_annotated(corpus: dict[str, Sample]):
    assert len(corpus) == len(CORPUS.read_text(encoding="utf-8").splitlines()) == 45
    assert all(sample.gold_spans is not None for sample in corpus.values())
    assert Counter(sample.group_id for sample in corpus.values()) == {s.group_id: 3 for s in corpus.values()}
    assert len({sample.group_id for sample in corpus.values()}) == 15


def test_counts_are_those_of_the_readme(corpus: dict[str, Sample]):
    flawed = [sample for sample in corpus.values() if sample.gold_spans]
    labels = {span.label for sample in flawed for span in sample.gold_spans or ()}
    assert (len(flawed), sum(len(s.gold_spans or ()) for s in flawed)) == (19, 40)
    assert labels == {"contradicted", "unsupported"}
    assert Counter(sample.policy for sample in flawed) == {"basalt-1b": 15, "heron-3b": 4}


def test_group_shares_prompt_and_context(corpus: dict[str, Sample]):
    for sample in corpus.values():
        first = corpus[f"{sample.group_id}-orchid"]
        assert (sample.prompt, sample.context) == (first.prompt, first.context)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("ferry-basalt", ["45 minutes", "16"]),
        ("botanist-basalt", ["Vienna", "1817", "She won the Linnean Medal in 1921."]),
        ("street-festival-basalt", ["Sunday", "Twelve", "food trucks from ten countries 🌮"]),
        ("tea-house-basalt", ["1936年", "染坊", "还提供免费点心"]),
        ("lift-service-basalt", ["The brake was replaced.", "replaced"]),
        ("router-basalt", ["yellow", "green", "Download the Norrsken app."]),
        ("planets-orchid", []),
    ],
)
def test_spans_mark_exactly_the_wrong_words(corpus: dict[str, Sample], record: str, words: list[str]):
    assert marked(corpus[record]) == words


def test_difficult_cases_are_there(corpus: dict[str, Sample]):
    responses = {key: sample.response or "" for key, sample in corpus.items()}
    assert responses["warranty-heron"] == ""
    assert "\r\n" in responses["router-orchid"]
    assert any(unicodedata.combining(char) for char in responses["cafe-zoe-orchid"])
    assert not any(unicodedata.combining(char) for char in responses["cafe-zoe-basalt"])
    assert responses["lift-service-basalt"].count("The brake was replaced.") == 3
    assert isinstance(corpus["allotment-orchid"].prompt, tuple)
    assert {len(sample.context) for sample in corpus.values()} == {2, 3, 4, 5}


def test_tokenizer_reproduces_every_response(corpus: dict[str, Sample]):
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    assert (tokenizer.get_vocab_size(), tokenizer.token_to_id("<pad>"), tokenizer.token_to_id("<eos>")) == (1500, 0, 1)
    for sample in corpus.values():
        assert tokenizer.decode(tokenizer.encode(sample.response or "").ids) == sample.response


def test_tokenizer_is_the_one_its_script_makes(tmp_path: Path):
    out = tmp_path / "tokenizer.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "make_sample_tokenizer.py"), "--out", str(out)]
    subprocess.run(command, check=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": ""})
    assert out.read_bytes() == TOKENIZER.read_bytes()
