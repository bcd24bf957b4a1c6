"""What a run may send and spend, and what it would: `--max-requests`, `--estimate`."""

import json

from schemas.manifest import read_manifest
from tests.llm_runs.commands import BOTH, SAMPLE, balto, label


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
