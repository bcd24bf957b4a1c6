"""`balto label` with the engine `llm` and a sound endpoint: what comes out, what is shown, what is asked again."""

import json
import re

import pytest

from pipeline.engines.rules import RulesExtractor
from pipeline.runs import show_progress
from schemas.manifest import read_manifest
from tests.llm_runs.commands import KEY, MODEL, ROOT, SAMPLE, balto, behaviour, label, rows
from tests.llm_server import LlmServer
from tests.llm_server.claim_answers import answer_by_rule
from tests.rows import small_corpus, write_jsonl


def test_the_summary_says_what_was_asked_and_what_it_cost(server, tmp_path):
    corpus = write_jsonl(tmp_path / "a.jsonl", small_corpus(1))
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"models": {MODEL: {"input": 1000, "output": 0}}}))
    shown = label(server, corpus, tmp_path / "labels", "--prices", prices, "--canaries", 1)
    usage = read_manifest(tmp_path / "labels").usage
    asked = usage["verify"]
    (line,) = [line for line in shown.splitlines() if line.startswith("verify: ")]
    assert line.startswith(f"verify: {asked['requests']} requests, {asked['cached']} cached, ")
    tokens = f"{asked['prompt_tokens']:,} prompt tokens, {asked['completion_tokens']:,} completion tokens"
    assert line.endswith(f"{tokens}, ${asked['prompt_tokens'] / 1000:.2f}")
    assert f"canaries: {usage['noticed']['canaries']} asked, 0 answered wrongly" in shown


def test_the_progress_line_says_how_far_the_model_is_and_what_it_was_asked(tmp_path, monkeypatch, caplog):
    """Long before the only shard is written."""
    monkeypatch.setattr(show_progress, "LOG_EVERY_S", 0.1)
    with LlmServer(behaviour(latency_s=0.1), answer_by_rule) as slow:
        label(slow, SAMPLE, tmp_path / "labels", "--concurrency", 4)
    said = [record.getMessage() for record in caplog.records if record.name == "pipeline.runs.show_progress"]
    pattern = (
        r"labelling \| (\d+) of 45 records, [\d.]+ records/s \| (\d+) claims extracted, (\d+) verified "
        r"\| ([\d,]+) requests \([\d.]+/s\) \| \d+ min left"
    )
    found = [tuple(map(int, match.groups())) for line in said if (match := re.fullmatch(pattern, line))]
    assert len(found) > 3
    assert found == sorted(found)
    assert all(done == (extracted + verified) // 2 for done, extracted, verified, _ in found)
    assert 0 < found[0][3] < found[-1][3]


def test_a_label_set_with_verdicts_evidence_and_usage(labels, server):
    manifest = read_manifest(labels)
    assert manifest.counts == {"read": 45, "labelled": 45, "rejected": 0}
    assert manifest.engines == {
        "extractor": f"llm:{MODEL}/1",
        "verifier": f"llm:{MODEL}/1",
        "prompt_version": "llm-2",
    }
    assert (manifest.usage["model"], manifest.usage["endpoint"]) == (MODEL, server.base_url)
    sent = manifest.usage["extract"]["requests"] + manifest.usage["verify"]["requests"]
    assert sent == manifest.usage["all"]["requests"] > 80
    assert manifest.usage["all"]["prompt_tokens"] > 0
    claims = rows(labels)["claims"].explode().struct.unnest().drop_nulls("claim_id")
    assert set(claims["verdict"]) == {"supported", "contradicted", "unsupported"}
    assert claims.filter(verdict="supported")["evidence"].list.len().min() >= 1
    assert set(claims["verifier"]) == {f"llm:{MODEL}/1"}


def test_projection_report_stands_in_the_manifest_and_in_stats(labels):
    report = read_manifest(labels).claims["projection"]
    assert set(report) == {"exact", "folded", "fuzzy", "unmatched", "conflicted", "doubtful"}
    shown = json.loads(balto("stats", labels, "--json"))
    found = {row["alignment"]: row["claims"] for row in shown["alignment"]}
    found["conflicted"] = sum(row["n_conflicts"] for row in shown["conflicts"])
    found["doubtful"] = 0  # a language model gives no probabilities
    assert {name: count for name, count in report.items() if count} == {name: n for name, n in found.items() if n}


@pytest.mark.parametrize(
    "changed",
    [
        ("--tokenizer", ROOT / "data/sample/tokenizer.json"),
        ("--conflicts", "unsupported_wins", "--concurrency", 3),
        ("--extractor", "llm", "--verifier", "lexical"),
    ],
    ids=lambda changed: changed[0],
)
def test_another_tokenizer_policy_or_verifier_costs_no_request(labels, server, tmp_path, changed):
    before = server.counts["sent"]
    label(server, SAMPLE, tmp_path / "again", "--cache", f"sqlite:{labels}.llm-cache.sqlite", *changed)
    assert server.counts["sent"] == before
    assert "requests" not in read_manifest(tmp_path / "again").usage["all"]
    if "lexical" not in changed:
        ours, theirs = rows(tmp_path / "again")["claims"].to_list(), rows(labels)["claims"].to_list()
        assert ours == theirs


def test_rules_may_find_the_claims_that_the_model_judges(server, tmp_path):
    label(server, SAMPLE, tmp_path / "labels", "--extractor", "rules", "--verifier", "llm")
    manifest = read_manifest(tmp_path / "labels")
    assert (manifest.engines["extractor"], manifest.engines["verifier"]) == (RulesExtractor.name, f"llm:{MODEL}/1")
    assert "extract" not in manifest.usage


def test_the_key_stands_in_no_file_of_the_run(labels):
    files = [path for path in labels.parent.rglob("*") if path.is_file()]
    assert len(files) >= 3  # shard, manifest, cache
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_canaries_are_counted_in_the_manifest_and_stand_in_no_row(labels, server, tmp_path):
    label(server, SAMPLE, tmp_path / "labels", "--canaries", 1)
    noticed = read_manifest(tmp_path / "labels").usage["noticed"]
    assert noticed["canaries"] > 40
    assert noticed.get("canaries_failed", 0) == 0
    assert noticed["canary_failure_rate"] == 0
    assert rows(tmp_path / "labels")["n_claims"].sum() == rows(labels)["n_claims"].sum()


def test_a_model_that_always_agrees_is_betrayed_by_its_canaries(tmp_path):
    def agree(body):
        answer = json.loads(answer_by_rule(body))
        return json.dumps({key: [{**one, "verdict": "supported"} for one in many] if key == "answers" else many
                           for key, many in answer.items()})  # fmt: skip

    with LlmServer(behaviour(), agree) as server:
        label(server, SAMPLE, tmp_path / "labels", "--canaries", 1)
    assert read_manifest(tmp_path / "labels").usage["noticed"]["canary_failure_rate"] > 0.3


def test_batches_fill_the_cache_and_the_run_sends_nothing_itself(labels, tmp_path):
    with LlmServer(behaviour(), answer_by_rule) as server:
        label(server, SAMPLE, tmp_path / "labels", "--batch-api")
        assert server.counts["batch_lines"] > 80
        assert server.counts["sent"] <= 2  # the question that is asked beforehand
    assert [c["verdict"] for many in rows(tmp_path / "labels")["claims"] for c in many] == [
        c["verdict"] for many in rows(labels)["claims"] for c in many
    ]
