"""A run that was killed is paid for once; one that is interrupted ends at once."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.llm_runs.commands import BOTH, KEY, MODEL, ROOT, SAMPLE, behaviour, label, rows
from tests.llm_server import LlmServer
from tests.llm_server.claim_answers import answer_by_rule
from tests.rows import small_corpus, write_jsonl

SLOTS = 8


def _start(server, corpus, out) -> subprocess.Popen:
    command = [sys.executable, "-m", "balto", "label", corpus, "--out", str(out), *BOTH]
    where = ["--base-url", server.base_url, "--model", MODEL, "--concurrency", str(SLOTS)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([*command, *where], cwd=ROOT, env={**os.environ, "OPENAI_API_KEY": KEY}, **quiet)


@pytest.mark.parametrize("faults", [{"hang": 1.0}, {"429": 0.5}], ids=["before the corpus", "at work"])
def test_an_interrupted_run_ends_at_once_whatever_it_waits_for(faults, tmp_path):
    waiting = behaviour(faults=faults, retry_after_s=600)
    with LlmServer(behaviour() if "429" in faults else waiting, answer_by_rule) as server:
        run = _start(server, SAMPLE, tmp_path / "labels")
        while not server.received:
            time.sleep(0.01)
        server.behaviour = waiting
        time.sleep(2)
        run.send_signal(signal.SIGINT)
        assert run.wait(20) == 130


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
