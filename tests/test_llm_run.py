"""`balto label` with the engine `llm` against a real endpoint on loopback: from the command to the label set."""

import io
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import polars as pl
import pytest

from balto import main as balto_main
from pipeline.engines.rules import RulesExtractor
from pipeline.runs import show_progress
from schemas.manifest import read_manifest
from tests.llm_server import FAULTS, Behaviour, LlmServer
from tests.llm_server.claim_answers import answer_by_rule
from tests.pipeline.llm.asking import FailsOnRecords
from tests.rows import small_corpus, write_jsonl

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "sample" / "corpus.jsonl"
MODEL = "rule-server"
KEY = "sk-a-key-that-must-stand-nowhere"
BOTH = ("--extractor", "llm", "--verifier", "llm")


def behaviour(**changes) -> Behaviour:
    return Behaviour(**{"models": (MODEL,), "slow_s": 0.2, "retry_after_s": 0.05, **changes})


@pytest.fixture(scope="module")
def server():
    with LlmServer(behaviour(api_key=KEY), answer_by_rule) as running:
        yield running


def balto(*args: object, code: int = 0, key: str = KEY) -> str:
    """Standard output of the command, or standard error where it ends with another `code` than 0. In this process:
    loading Beam anew for every run would take most of the time."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setenv("OPENAI_API_KEY", key)
        patch.setattr(sys, "argv", ["balto", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            balto_main()
    assert ended.value.code == code, err.getvalue()
    assert KEY not in out.getvalue() + err.getvalue()
    return out.getvalue() if code == 0 else err.getvalue()


def label(server, corpus, out, *args, code: int = 0, key: str = KEY) -> str:
    where = ("--base-url", server.base_url, "--model", MODEL)
    engines = () if "--extractor" in args or "--verifier" in args else BOTH
    return balto("label", corpus, "--out", out, *engines, *where, *args, code=code, key=key)


def rows(out: Path) -> pl.DataFrame:
    return pl.scan_parquet(out / "shards").collect()


@pytest.fixture(scope="module")
def labels(server, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("llm") / "labels"
    label(server, SAMPLE, out)
    return out


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


@pytest.mark.parametrize("extractor", ["llm", "rules"])
@pytest.mark.parametrize(
    ("dead", "says"),
    [
        (behaviour(faults={"500": 1.0}), "is gone: what it is asked fails after all attempts"),
        (
            FailsOnRecords(models=(MODEL,)),
            "answered none of the run's {purpose} requests, the last failed with: HTTP 500",
        ),
    ],
    ids=["gone", "of no use"],
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
        assert message.endswith("the same command resumes\n")
        assert message.count("\n") == 1
        assert not (tmp_path / "labels" / "manifest.json").exists()
        server.behaviour = behaviour()
        label(server, corpus, tmp_path / "labels", *engines)
    assert read_manifest(tmp_path / "labels").counts == {"read": 6, "labelled": 6, "rejected": 0}


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


def test_a_window_larger_than_the_server_s_is_refused_before_the_corpus_is_touched(tmp_path):
    corpus = write_jsonl(tmp_path / "a.jsonl", small_corpus(1))
    with LlmServer(behaviour(window=8_192), answer_by_rule) as small:
        error = label(small, corpus, tmp_path / "out", code=2)
        assert "reads 8192 tokens" in error
        assert error.count("\n") == 1
        assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]
        label(small, corpus, tmp_path / "out", "--context-window", 8_192)


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


def test_a_budget_ends_the_run_in_one_line_and_more_of_it_resumes(server, tmp_path):
    out = tmp_path / "labels"
    message = label(server, SAMPLE, out, "--max-requests", 20, code=1)
    assert message.startswith("balto: all 20 requests of --max-requests are sent")
    assert message.endswith("--max-requests resumes\n")  # and nothing of Beam's behind it
    assert message.count("\n") == 1
    before = server.counts["sent"]
    label(server, SAMPLE, out, "--max-requests", 500)
    assert read_manifest(out).counts["labelled"] == 45
    assert server.counts["sent"] - before < 80  # the first twenty were kept


def test_the_estimate_asks_and_writes_nothing_and_is_near_what_is_sent(labels, tmp_path):
    out = balto(
        "label", SAMPLE, "--out", tmp_path / "out", *BOTH, "--model", "gpt-4o-mini", "--estimate", "--json", key=""
    )
    estimate = json.loads(out)
    assert list(tmp_path.iterdir()) == []
    usage = read_manifest(labels).usage
    assert estimate["stages"]["extract"]["requests"] == usage["extract"]["requests"]
    assert 0.8 < estimate["stages"]["verify"]["requests"] / usage["verify"]["requests"] < 1.2
    assert estimate["total"]["cost_usd"] > 0
    text = balto("label", SAMPLE, "--out", tmp_path / "out", *BOTH, "--model", "mine", "--estimate", key="")
    assert "no price is known for mine" in text


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


def _start(server, corpus, out) -> subprocess.Popen:
    command = [sys.executable, "-m", "balto", "label", corpus, "--out", str(out), *BOTH]
    where = ["--base-url", server.base_url, "--model", MODEL, "--concurrency", str(SLOTS)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([*command, *where], cwd=ROOT, env={**os.environ, "OPENAI_API_KEY": KEY}, **quiet)


SLOTS = 8


@pytest.mark.slow
def test_a_killed_run_repeats_only_the_calls_in_flight_and_ends_with_the_same_rows(tmp_path):
    corpus = write_jsonl(tmp_path / "a.jsonl", small_corpus(60))
    with LlmServer(behaviour(), answer_by_rule, keep=False) as server:
        label(server, corpus, tmp_path / "undisturbed")
        needed = server.counts["sent"]
    with LlmServer(behaviour(latency_s=0.05), answer_by_rule, keep=False) as server:
        run = _start(server, corpus, tmp_path / "killed")
        while server.counts["sent"] < needed // 3:
            assert run.poll() is None, "the run ended before it could be killed"
            time.sleep(0.01)
        run.kill()
        run.wait()
        label(server, corpus, tmp_path / "killed", "--concurrency", SLOTS)
        assert server.counts["sent"] <= needed + SLOTS + 1
    assert rows(tmp_path / "killed").equals(rows(tmp_path / "undisturbed"))
