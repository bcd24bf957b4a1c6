"""Options that cannot work, and an endpoint that will not do: one line before anything is touched."""

import pytest

from tests.llm_runs.commands import BOTH, KEY, MODEL, SAMPLE, balto, behaviour, label
from tests.llm_server import LlmServer
from tests.llm_server.claim_answers import answer_by_rule
from tests.rows import small_corpus, write_jsonl

BAD = [
    (("--extractor", "llm"), 2, "--model: missing"),
    (("--model", "m"), 2, "--model m: nobody asks it"),
    ((*BOTH, "--labels", "gold", "--model", "m"), 2, "--labels gold: takes human spans"),
    ((*BOTH, "--model", "m", "--claims-per-call", "0"), 2, "--claims-per-call 0"),
    ((*BOTH, "--model", "m", "--canaries", "2"), 2, "--canaries 2"),
    ((*BOTH, "--model", "m", "--context-window", "4096"), 2, "--context-window 4096: too small"),
    ((*BOTH, "--model", "m"), 2, "no API key for https://api.openai.com/v1"),
    ((*BOTH, "--model", "m", "--base-url", "http://u:secret@h/v1"), 2, "--base-url"),
    ((*BOTH, "--model", "m", "--base-url", "http://127.0.0.1:9/v1"), 2, "cannot be reached"),
    ((*BOTH, "--model", "none", "--base-url", "{url}"), 2, "--model none: not known"),
    ((*BOTH, "--model", MODEL, "--base-url", "{url}", "--cache", "memory"), 2, "--cache memory"),
    ((*BOTH, "--model", MODEL, "--base-url", "{url}", "--cache", "redis://127.0.0.1:9"), 2, "--cache redis"),
    ((*BOTH, "--model", MODEL, "--base-url", "{url}", "--prices", "none.json"), 2, "--prices none.json"),
    ((*BOTH, "--model", MODEL, "--base-url", "{url}", "--max-cost", "1"), 2, "--max-cost"),
    (("--estimate",), 2, "--estimate: nothing is asked"),
]


@pytest.mark.parametrize(("args", "code", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_settings_are_one_line_before_anything_is_touched(args, code, message, server, tmp_path):
    corpus = write_jsonl(tmp_path / "a.jsonl", small_corpus(1))
    args = [arg.format(url=server.base_url) for arg in args]
    key = KEY if server.base_url in args else ""
    error = balto("label", corpus, "--out", tmp_path / "out", *args, code=code, key=key)
    assert message in error
    assert error.startswith("balto: ")
    assert error.count("\n") == 1
    assert "secret" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_an_occupied_output_is_refused_before_the_endpoint_is_asked(labels, server):
    before = len(server.received)
    assert "already holds a finished label set" in label(server, SAMPLE, labels, code=2)
    assert len(server.received) == before


def test_a_window_larger_than_the_server_s_is_refused_before_the_corpus_is_touched(tmp_path):
    corpus = write_jsonl(tmp_path / "a.jsonl", small_corpus(1))
    with LlmServer(behaviour(window=8_192), answer_by_rule) as small:
        error = label(small, corpus, tmp_path / "out", code=2)
        assert "reads 8192 tokens" in error
        assert error.count("\n") == 1
        assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]
        label(small, corpus, tmp_path / "out", "--context-window", 8_192)
