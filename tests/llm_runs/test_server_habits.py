"""Servers and small models that speak the protocol in their own way."""

import json

import pytest

from schemas.manifest import read_manifest
from tests.llm_runs.commands import behaviour, label, rows
from tests.llm_server import LlmServer
from tests.llm_server.claim_answers import answer_by_rule
from tests.rows import small_corpus, write_jsonl

HABITS = {
    "no schema": {"formats": ("text",)},
    "no schema, by a 500": {"formats": ("text",), "format_status": 500},
    "prose and a fence": {"ignores_format": True},
    "Python's quotes": {"formats": ("text",), "spelling": "python"},
    "a bare list": {"formats": ("text",), "spelling": "bare_list"},
    "raw line breaks": {"formats": ("text",), "spelling": "raw_breaks"},
    "thinks inline": {"thinking": "inline"},
    "thinks in a field": {"thinking": "field"},
    "answers in the field of thinking": {"thinking": "misplaced"},
    "o-series": {"takes_temperature": False, "token_field": "max_completion_tokens", "thinking": "counted"},
    "no system message": {"takes_system": False},
}


@pytest.mark.parametrize("habit", HABITS)
def test_habits_of_servers_and_small_models_change_no_row(habit, server, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.llm.client.FIRST_WAIT_S", 0.01)
    corpus = write_jsonl(tmp_path / "a.jsonl", small_corpus(2))
    label(server, corpus, tmp_path / "plain", "--canaries", 0)
    with LlmServer(behaviour(**HABITS[habit]), answer_by_rule) as other:
        label(other, corpus, tmp_path / "labels", "--canaries", 0)
    assert rows(tmp_path / "labels").equals(rows(tmp_path / "plain"))
    assert "noticed" not in read_manifest(tmp_path / "labels").usage


@pytest.mark.parametrize("words", [{"supported": "belegt"}, {"supported": "mostly supported"}])
def test_a_verdict_in_other_words_is_none_and_the_run_says_what_is_wrong(words, tmp_path):
    others = dict.fromkeys(("unsupported", "contradicted"), "nicht belegt") | words

    def answer(body):
        value = json.loads(answer_by_rule(body))
        for one in value.get("answers", ()):
            one["verdict"] = others[one["verdict"]]
        return json.dumps(value)

    corpus = write_jsonl(tmp_path / "a.jsonl", small_corpus(1))
    with LlmServer(behaviour(), answer) as server:
        said = label(server, corpus, tmp_path / "labels", "--canaries", 0)
    claims = read_manifest(tmp_path / "labels").claims
    assert set(claims["status"]) == {"unverified: missing_ids"}
    # 6 claims, asked 3 times each
    assert "(most: unverified: missing_ids; 18 answers had another verdict than the three words)" in said
