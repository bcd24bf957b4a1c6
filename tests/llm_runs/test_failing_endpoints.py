"""Endpoints that fail: what ends a run, what rejects a record, what is asked again."""

from collections import Counter

import pytest

from schemas.manifest import read_manifest
from tests.llm_runs.commands import BOTH, MODEL, SAMPLE, balto, behaviour, label, rows
from tests.llm_server import FAULTS, LlmServer
from tests.llm_server.claim_answers import answer_by_rule
from tests.pipeline.llm.asking import FailsOnRecords
from tests.rows import small_corpus, write_jsonl

IN_VAIN = "answered none of the run's {purpose} requests, the last failed with: "


@pytest.mark.parametrize("extractor", ["llm", "rules"])
@pytest.mark.parametrize(
    ("dead", "says"),
    [
        (behaviour(faults={"500": 1.0}), "is gone: what it is asked fails after all attempts"),
        (FailsOnRecords(models=(MODEL,)), f"{IN_VAIN}HTTP 500"),
        (behaviour(context_tokens=200), f"{IN_VAIN}HTTP 400: This model's maximum context length is 200 tokens"),
    ],
    ids=["gone", "of no use", "refuses"],
)
def test_a_small_corpus_whose_every_request_fails_is_not_finished_but_resumed(
    extractor, dead, says, tmp_path, monkeypatch
):
    monkeypatch.setattr("pipeline.llm.client.FIRST_WAIT_S", 0.01)
    corpus = write_jsonl(tmp_path / "a.jsonl", small_corpus(2))
    engines = ("--extractor", extractor, "--verifier", "llm", "--cache", f"sqlite:{tmp_path}/cache")
    with LlmServer(behaviour(), answer_by_rule) as server:
        label(server, SAMPLE, tmp_path / "before", *engines, "--max-requests", 1, code=1)
        server.behaviour = dead  # what it honours is known from now on
        message = label(server, corpus, tmp_path / "labels", *engines, code=1)
        assert says.format(purpose={"llm": "extract", "rules": "verify"}[extractor]) in message
        assert "the same command resumes" in message
        assert ("--accept-failures" in message) == says.startswith(IN_VAIN)
        assert message.count("\n") == 1
        assert not (tmp_path / "labels" / "manifest.json").exists()
        server.behaviour = behaviour()
        label(server, corpus, tmp_path / "labels", *engines)
    assert read_manifest(tmp_path / "labels").counts == {"read": 6, "labelled": 6, "rejected": 0}


def test_a_corpus_that_the_endpoint_refuses_by_its_content_is_finished_when_the_user_says_so(tmp_path):
    corpus, out = write_jsonl(tmp_path / "a.jsonl", small_corpus(2)), tmp_path / "labels"
    engines = ("--extractor", "rules", "--verifier", "llm")
    with LlmServer(behaviour(context_tokens=200), answer_by_rule) as server:
        label(server, corpus, out, *engines, code=1)
        said = label(server, corpus, out, *engines, "--accept-failures")
    assert read_manifest(out).counts == {"read": 6, "labelled": 6, "rejected": 0}
    assert set(read_manifest(out).claims["status"]) == {"unverified: api_error"}
    assert "warning: the endpoint failed" in said


@pytest.mark.parametrize("number", [0, 1])
def test_a_record_that_no_endpoint_answers_does_not_end_the_run_where_it_is_alone_in_the_first_shard(
    number, tmp_path, monkeypatch
):
    monkeypatch.setattr("pipeline.llm.client.FIRST_WAIT_S", 0.01)
    corpus, out = write_jsonl(tmp_path / "a.jsonl", small_corpus(2, responses=1)), tmp_path / "labels"
    failing = FailsOnRecords(models=(MODEL,), text=f"Bridge {number} was opened".encode())
    with LlmServer(failing, answer_by_rule) as server:
        label(server, corpus, out, "--cache", f"sqlite:{tmp_path}/cache", "--num-shards", 16, "--workers", 1)
    assert [shard.rows for shard in read_manifest(out).shards] == [1]  # the other record's
    assert read_manifest(out).counts == {"read": 2, "labelled": 1, "rejected": 1}


def test_what_the_endpoint_failed_for_is_all_that_a_run_with_overwrite_asks_again(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.llm.client.FIRST_WAIT_S", 0.01)
    corpus, out = write_jsonl(tmp_path / "a.jsonl", small_corpus(4)), tmp_path / "labels"

    def run(failing: bytes) -> tuple[str, list[str]]:
        """What was printed and what was asked."""
        with LlmServer(FailsOnRecords(models=(MODEL,), text=failing), answer_by_rule) as server:
            where = ("--base-url", server.base_url, "--model", MODEL, "--cache", f"sqlite:{tmp_path}/cache")
            said = balto("label", corpus, "--out", out, *BOTH, *where, "--canaries", 0, "--overwrite")
            asked = [body["messages"][-1]["content"] for body in server.bodies()]
            return said, [text for text in asked if "Name a colour" not in text]

    said, asked = run(b"Bridge 2 was opened in 1803.")  # of one response to be read, and of its claim
    assert (
        "the endpoint failed (records rejected for it: 1; claims unverified: 0): the same command with --over" in said
    )
    assert read_manifest(out).counts["rejected"] == 1
    said, again = run(b"text that is in no request")
    assert "warning" not in said
    assert len(again) == 2  # its claims, then their verdicts
    assert all("Bridge 2 was opened in 1803." in text for text in again)
    assert len(set(asked)) + 1 == len({*asked, *again})  # the first was asked before, in vain
    assert read_manifest(out).counts == {"read": 12, "labelled": 12, "rejected": 0}


@pytest.mark.slow
def test_a_thousand_records_come_out_of_every_fault_together(tmp_path):
    corpus = write_jsonl(tmp_path / "a.jsonl", small_corpus(334))
    clean = tmp_path / "clean"
    with LlmServer(behaviour(), answer_by_rule, keep=False) as undisturbed:
        label(undisturbed, corpus, clean, "--canaries", 0)
        least = undisturbed.counts["sent"]
    with LlmServer(behaviour(faults=dict.fromkeys(FAULTS, 0.1)), answer_by_rule, keep=False) as server:
        quick = ("--concurrency", 256, "--request-timeout-s", 4)  # a tenth of all requests hangs
        label(server, corpus, tmp_path / "labels", "--canaries", 0, *quick)
        met = server.counts
        assert all(met[fault] for fault in FAULTS)
        lost = sum(met[fault] for fault in ("429", "500", "reset", "hang", "broken_http"))  # must be sent again
        assert met["sent"] <= 1.3 * (least + lost)
    manifest = read_manifest(tmp_path / "labels")
    counts = manifest.counts
    assert counts["read"] == 1_002 == counts["labelled"] + counts["rejected"]
    assert counts["rejected"] > 100
    reasons = Counter(reason.split(":")[1].strip() for reason in manifest.rejected_by)
    assert set(reasons) <= {"refusal", "content_filter", "length", "invalid_json", "api_error"}
    truth = {(row["id"], claim["text"]): claim for row in rows(clean).to_dicts() for claim in row["claims"]}
    for row in rows(tmp_path / "labels").to_dicts():
        for claim in row["claims"]:
            expected = truth[row["id"], claim["text"]]
            assert claim["verdict"] in (expected["verdict"], None)  # what the endpoint said, or nothing
            assert (claim["verdict"] is None) == claim["status"].startswith("unverified: ")
            (sentence,) = expected["spans"]
            for span in claim["spans"]:  # a part of its own sentence, or nothing at all
                assert sentence["start"] <= span["start"] < span["end"] <= sentence["end"]
    assert manifest.claims["status"]["unverified: evidence not in the context"] > 0
    projection = manifest.claims["projection"]
    assert projection["exact"] > projection["fuzzy"] > 0
