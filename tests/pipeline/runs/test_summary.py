"""The closing summary of a run: an outcome that hints at an idle engine is said in one line."""

from pathlib import Path

import pytest

from pipeline.config import LabelConfig
from pipeline.corpora import open_corpus
from pipeline.runs.assemble import assemble
from pipeline.runs.label import Resources, run_label
from pipeline.runs.project import run_project
from pipeline.runs.summary import MIN_CLAIMS_ALIKE, summary
from pipeline.show.show_tables import print_summary
from pipeline.storage.shard_files import shard_report
from schemas.rows import to_rejected_table, to_table
from tests.pipeline.label_sets import row
from tests.rows import small_corpus, write_jsonl

ENGINES = {"extractor": "rules/1", "verifier": "llm:m/1", "prompt_version": ""}


def summary_of(folder, rows, config=None):
    report = shard_report(to_table(rows), to_rejected_table([]), str(folder), "part-0")
    described = {
        "config": {"num_shards": 1, **(config or {})},
        "engines": ENGINES,
        "tokenizer": {"name": "bytes", "fingerprint": ""},
        "balto_version": "",
    }
    return summary(assemble([report], len(rows), [], {}, described), folder)


def test_records_with_text_and_not_one_claim_are_warned_of(tmp_path, capsys):
    result = summary_of(tmp_path, [row("a", "g", labels="...."), row("b", "g", labels="..")])
    line = "not one claim was found in 2 labelled records: check the extractor (rules/1) and the records' responses"
    assert result["warnings"] == [line]
    print_summary(result, "out")
    assert capsys.readouterr().out.splitlines()[-1] == f"warning: {line}"


@pytest.mark.parametrize(("letter", "verdict"), [("u", "unsupported"), ("c", "contradicted")])
def test_one_verdict_against_every_claim_is_warned_of(letter, verdict, tmp_path):
    rows = [row("a", "g", letter * MIN_CLAIMS_ALIKE + "?", "-")]
    assert summary_of(tmp_path, rows, {"verifier": "llm", "model": "m"})["warnings"] == [
        f"all 30 judged claims are {verdict}: check the verifier (llm:m/1), its model (m) and the records' contexts"
    ]


def test_human_labels_that_are_all_alike_point_to_the_spans(tmp_path):
    rows = [row("a", "g", "u" * MIN_CLAIMS_ALIKE, "-")]
    assert summary_of(tmp_path, rows, {"labels": "gold"})["warnings"] == [
        "all 30 judged claims are unsupported: check the corpus's gold_spans"
    ]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (
            [row("a", "g", "s???", "+", claim_status="unverified: no context")],
            "3 of 4 claims have no verdict and label nothing (most: unverified: no context): check the verifier "
            "(llm:m/1) and the records' contexts",
        ),
        (
            [row("a", "g", "sSSU", "+")],
            "3 of 4 claims were not found in their responses and label nothing: check the extractor (rules/1) and the "
            "records' responses",
        ),
        (
            [row("a", "g", "suU", "+", conflicts=1)],
            "no token is labelled -1, though 2 claims are unsupported or contradicted; among all claims: 1 in conflict "
            "with a supported one (--conflicts unsupported_wins), 1 not found in their responses",
        ),
    ],
    ids=["no verdict", "no place", "no -1"],
)
def test_a_run_that_labels_next_to_nothing_is_warned_of(rows, says, tmp_path):
    assert summary_of(tmp_path, rows)["warnings"] == [says]


def test_wrong_claims_that_are_all_too_doubtful_are_warned_of(tmp_path):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", small_corpus(groups=1, responses=2))
    config = LabelConfig(num_shards=1, neutral_band="0.001:0.999")
    labels = tmp_path / "labels"
    (line,) = summary(run_label(open_corpus([corpus]), labels, config, Resources(), False), labels)["warnings"]
    assert line == (
        "no token is labelled -1, though 1 claim is unsupported or contradicted; "
        "among all claims: 4 too doubtful (--neutral-band none labels them)"
    )


@pytest.mark.parametrize(
    "rows",
    [
        [row("a", "g", "s??", "+"), row("b", "g", "u", "-")],  # half
        [row("a", "g", "sU", "+"), row("b", "g", "u", "-")],
        [row("a", "g", "u" * (MIN_CLAIMS_ALIKE - 1), "-")],  # too few to tell
        [row("a", "g", "u" * MIN_CLAIMS_ALIKE + "s", "-")],
        [row("a", "g", "s" * MIN_CLAIMS_ALIKE, "+")],
        [row("a", "g", "u" * MIN_CLAIMS_ALIKE + "c", "-")],
        [row("a", "g", text="")],  # nothing to find a claim in
    ],
)
def test_sound_runs_are_not_warned_of(rows, tmp_path, capsys):
    result = summary_of(tmp_path, rows)
    assert result["warnings"] == []
    print_summary(result, "out")
    assert "warning" not in capsys.readouterr().out


WORLD = str(Path(__file__).parents[3] / "data" / "world" / "model" / "tokenizer.json")  # knows a few made-up words
SAMPLE = str(Path(__file__).parents[3] / "data" / "sample" / "tokenizer.json")


def test_tokenizer_that_does_not_know_the_text_is_warned_of(tmp_path):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", small_corpus(groups=3))
    labels, config = tmp_path / "labels", LabelConfig(num_shards=1, tokenizer=WORLD)
    (line,) = summary(run_label(open_corpus([corpus]), labels, config, Resources(), False), labels)["warnings"]
    assert "are one and the same, '<pad>'" in line
    assert f"balto project {labels} --tokenizer T" in line
    again = tmp_path / "projected"
    assert summary(run_project(labels, again, SAMPLE, 1, False), again)["warnings"] == []
    blind = tmp_path / "blind"
    assert len(summary(run_project(again, blind, WORLD, 1, False), blind)["warnings"]) == 1


@pytest.mark.parametrize(
    ("claims", "engines", "config", "warned"),
    [
        ("s" * 75 + "u" * 15 + "c" * 10, "lexical/11", {}, True),
        ("s" * 80 + "u" * 20, "lexical/11", {}, False),
        ("s" * 60 + "u" * 30, "lexical/11", {}, False),  # too few to say
        ("s" * 75 + "u" * 25, "nli:m", {}, False),
        ("s" * 75 + "u" * 25, "lexical/11", {"wording": 0.25}, False),
        ("s" * 75 + "u" * 25, "lexical/11", {"certainty": -2.5}, False),
    ],
)
def test_answers_of_a_weak_policy_are_warned_of_where_the_embedded_engine_judged(
    claims, engines, config, warned, tmp_path, monkeypatch
):
    monkeypatch.setitem(ENGINES, "verifier", engines)
    warnings = summary_of(tmp_path, [row("a", "g", claims, "+-")], config)["warnings"]
    assert [line[:56] for line in warnings] == ["25% of the claims are unsupported or contradicted: of an"] * warned
