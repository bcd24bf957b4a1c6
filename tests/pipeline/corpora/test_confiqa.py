"""ConFiQA's items -> two Samples each; and its malformed items -> rejections."""

from __future__ import annotations

import json
from pathlib import Path

import orjson

from pipeline.corpora import open_corpus
from schemas.records import Passage
from tests.pipeline.corpus_files import read_all, rejections, samples, write

CONFIQA = {
    "orig_path": ["Q1", "P1", "Q2"],
    "orig_path_labeled": [["Ada", "country", "Britain"]],
    "orig_triple": ["Q1", "P27", "Q145"],
    "question": "Of which country is Ada a citizen?",
    "orig_context": "Ada is British.",
    "orig_answer": "Britain",
    "orig_alias": ["UK", "GB"],
    "cf_context": "Ada is French.",
    "cf_answer": "France",
    "cf_alias": [],
}


def test_confiqa_item_gives_two_prompts(tmp_path: Path):
    path = write(tmp_path / "ConFiQA-QA.json", json.dumps([CONFIQA, CONFIQA], indent=4).encode())
    assert open_corpus([path])[0].format == "confiqa"
    found = samples(path)
    assert [s.id for s in found] == [f"ConFiQA-QA-{row}-{variant}" for row in (1, 2) for variant in ("orig", "cf")]
    assert [s.source_row for s in found] == [1, 1, 2, 2]
    assert (found[0].prompt, found[0].context, found[0].response) == (
        "Of which country is Ada a citizen?",
        (Passage("p1", "Ada is British."),),
        None,
    )
    assert found[0].meta == {
        "variant": "original",
        "answer": "Britain",
        "aliases": '["UK","GB"]',
        "other_answer": "France",
    }
    assert found[1].context == (Passage("p1", "Ada is French."),)
    assert found[1].meta == {
        "variant": "counterfactual",
        "answer": "France",
        "aliases": "[]",
        "other_answer": "Britain",
    }
    assert found[0].group_id != found[1].group_id


def test_confiqa_bad_item_is_one_rejection(tmp_path: Path):
    bad = {**CONFIQA, "cf_context": 3}
    items = read_all(write(tmp_path / "c.json", orjson.dumps([bad, {**CONFIQA, "cf_alias": "x"}, CONFIQA])))
    assert rejections(items) == [
        (1, "cf_context: expected a string, found the number 3"),
        (2, 'cf_alias: expected a list of strings, found the string "x"'),
    ]
    assert len(items) == 4


def test_confiqa_several_answers_are_kept_as_json(tmp_path: Path):
    found = samples(
        write(tmp_path / "c.json", orjson.dumps([{**CONFIQA, "orig_answer": ["A", "B"], "orig_alias": None}]))
    )
    assert (found[0].meta["answer"], found[0].meta["aliases"]) == ('["A","B"]', "[]")
