"""FActScore as published, and with contexts, -> Samples; and its malformed records -> rejections."""

from __future__ import annotations

import json
from pathlib import Path

import orjson

from pipeline.corpora import open_corpus
from schemas.records import Passage
from tests.pipeline.corpus_files import read_all, rejections, samples, write


def test_factscore_with_contexts(tmp_path: Path):
    sentences = [
        {
            "sentence": "Ada is a poet.",
            "start": 0,
            "end": 14,
            "model_atomic_facts": ["Ada is a poet."],
            "human_atomic_facts": [{"text": "Ada is a poet.", "label": "NS"}],
        }
    ]
    record = {
        "id": "ChatGPT:Ada",
        "model": "ChatGPT",
        "prompt": "Question: Tell me a bio of Ada.",
        "topic": "Ada",
        "context": ["Ada is a count####SPECIAL####SEPARATOR####ess.", "Works."],
        "response": "Ada is a poet.",
        "sentences": sentences,
    }
    path = write(tmp_path / "f.jsonl", record)
    sample = samples(path)[0]
    assert open_corpus([path])[0].format == "factscore"
    assert (sample.id, sample.policy, sample.gold_spans) == ("ChatGPT:Ada", "ChatGPT", None)
    assert sample.context == (Passage("p1", "Ada is a countess."), Passage("p2", "Works."))
    assert sample.meta == {"topic": "Ada", "factscore_sentences": orjson.dumps(sentences).decode()}
    assert len(sample.group_id) == 32


PUBLISHED = {
    "input": "Question: Tell me a bio of Ada.",
    "output": "Ada sang. Ada sang. She is old.",
    "topic": "Ada",
    "cat": ["very rare", "North America"],
    "annotations": [
        {
            "text": "Ada sang.",
            "is-relevant": True,
            "model-atomic-facts": [{"text": "Ada sang."}],
            "human-atomic-facts": [{"text": "Ada sang.", "label": "S"}],
        },
        {"text": "Ada sang.", "is-relevant": False, "model-atomic-facts": [], "human-atomic-facts": None},
        {"text": "She was old.", "is-relevant": True, "model-atomic-facts": [], "human-atomic-facts": []},
    ],
}


def test_factscore_as_published(tmp_path: Path):
    sample = samples(write(tmp_path / "ChatGPT.jsonl", PUBLISHED))[0]
    assert (sample.id, sample.policy, sample.context) == ("ChatGPT:1", None, ())
    assert sample.prompt == "Question: Tell me a bio of Ada."
    assert sample.response == "Ada sang. Ada sang. She is old."
    assert (sample.meta["topic"], sample.meta["cat"]) == ("Ada", "very rare, North America")
    found = json.loads(sample.meta["factscore_sentences"])
    assert [(s["start"], s["end"], s["is_relevant"]) for s in found] == [
        (0, 9, True),
        (10, 19, False),
        (None, None, True),
    ]
    assert found[0]["model_atomic_facts"] == ["Ada sang."]
    assert [s["human_atomic_facts"] for s in found] == [[{"text": "Ada sang.", "label": "S"}], [], []]


def test_factscore_without_annotations(tmp_path: Path):
    sample = samples(write(tmp_path / "f.jsonl", {**PUBLISHED, "annotations": None, "cat": None}))[0]
    assert sample.meta == {"topic": "Ada"}


def test_factscore_bad_record_is_rejected(tmp_path: Path):
    path = write(tmp_path / "f.jsonl", {**PUBLISHED, "annotations": [3]}, {**PUBLISHED, "output": None}, PUBLISHED)
    assert rejections(read_all(path)) == [
        (1, "annotations[0]: expected an object, found the number 3"),
        (2, "output: expected a string, found null"),
    ]
