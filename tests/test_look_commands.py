"""`balto stats` and `balto score` as typed: formats, sums, one-line errors."""

import csv
import io
import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.pipeline.label_sets import row, write_label_set
from tests.test_command import ROOT, SAMPLE, balto


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    out = tmp_path_factory.mktemp("labels") / "labels"
    balto("label", SAMPLE / "corpus.jsonl", "--out", out)
    return out


def test_sums_of_every_table_are_the_manifests(labels):
    tables = json.loads(balto("stats", labels, "--json"))
    manifest = json.loads((labels / "manifest.json").read_text())
    shards = manifest["shards"]
    tokens = {name: sum(shard[name] for shard in shards) for name in shards[0] if name.startswith("tokens")}
    (whole,) = tables["overview"]
    assert whole["records"] == manifest["counts"]["labelled"] == sum(one["responses"] for one in tables["responses"])
    assert whole["groups"] == sum(shard["groups"] for shard in manifest["shards"])
    assert whole["groups"] == sum(one["groups"] for one in tables["prompt groups"])
    assert whole["n_conflicts"] == manifest["claims"]["projection"]["conflicted"]
    for title, field in (("verdicts", "verdict"), ("status of claims", "status"), ("alignment", "alignment")):
        counted = {one[field]: one["claims"] for one in tables[title]}
        assert counted == {"none" if name == "None" else name: n for name, n in manifest["claims"][field].items()}
    assert [one["tokens"] for one in tables["token labels"]] == [
        tokens["tokens_supported"],
        tokens["tokens"] - tokens["tokens_supported"] - tokens["tokens_unsupported"],
        tokens["tokens_unsupported"],
    ]
    for one in tables["credit mass"]:
        assert one["n_tokens_unsupported"] == tokens["tokens_unsupported"]
    assert sum(one["records"] for one in tables["length and faithfulness"]) == whole["records"]
    for name in ("overview", "verdicts", "position in response"):
        by = tables["by policy" if name == "overview" else f"{name} by policy"]
        for column, value in tables[name][0].items():
            if column.startswith("n_"):
                assert sum(one[column] for one in by) == value


def test_csv_and_markdown_hold_the_same_figures(labels):
    rows = list(csv.DictReader(io.StringIO(balto("stats", labels, "--only", "by policy", "--csv"))))
    (table,) = json.loads(balto("stats", labels, "--only", "by policy", "--json")).values()
    assert [int(one["n_tokens"]) for one in rows] == [one["n_tokens"] for one in table]
    text = balto("stats", labels, "--markdown")
    assert f"| {table[0]['policy']} | {table[0]['records']} |" in text
    assert "### credit mass\n" in text
    assert "# credit mass\nblock,blocks," in balto("stats", labels, "--csv")


def test_stats_prints_an_overview_and_names_what_else_there_is(labels):
    short, whole = balto("stats", labels), balto("stats", labels, "--all")
    *_, closing = short.splitlines()
    assert closing.startswith("more with --all, or --only with titles: responses, verdicts, ")
    titles = closing.partition("titles: ")[2].split(", ")
    assert "prompt groups" in short
    for title in ("reliability", "credit mass", "token labels"):
        assert title in titles
        assert title not in short.replace(closing, "")
    assert "credit mass" in whole
    assert "more with --all" not in whole + balto("stats", labels, "--only", "overview")


def test_tables_by_policy_are_left_out_where_no_record_names_one(tmp_path):
    folder = write_label_set(tmp_path / "out", [row(name, "g", "su", "+-", policy=None) for name in "ab"])
    assert json.loads(balto("stats", folder, "--json"))["by policy"][0]["policy"] is None
    for command, title in (("stats", "by policy"), ("score", "scores by policy")):
        assert "by policy" not in balto(command, folder)
        assert title in balto(command, folder, "--by", "policy")
        assert title in json.loads(balto(command, folder, "--json"))


def test_markdown_cells_cannot_break_the_table(tmp_path):
    folder = write_label_set(tmp_path / "x", [row("r1", "g1", "s", "+", policy="a|b<i>\n")])
    line = next(one for one in balto("stats", folder, "--only", "by policy", "--markdown").splitlines() if "a&" in one)
    assert line.startswith(r"| a&#124;b&lt;i&gt;\\n | 1 |")


def test_overview_by_a_column_fits_a_terminal_and_an_empty_table_says_that_it_is(labels):
    shown = balto("stats", labels, "--only", "by policy, rejected")
    assert max(map(len, shown.splitlines())) <= 80
    assert "rejected: nothing to show" in shown


def test_the_variable_columns_tells_a_pipe_how_wide_a_table_may_be(labels, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    assert max(map(len, balto("stats", labels, "--only", "label sets").splitlines())) <= 50
    assert max(map(len, balto("stats", labels, "--only", "overview").splitlines())) <= 50


def test_a_set_of_refused_records_shows_why(tmp_path):
    (tmp_path / "corpus.jsonl").write_text(2 * '{"id": "a", "prompt": "p", "context": ["c"]}\n')
    run = subprocess.run(
        [sys.executable, "-m", "balto", "label", str(tmp_path / "corpus.jsonl"), "--out", str(tmp_path / "labels")],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    assert run.returncode == 1
    shown = balto("stats", tmp_path / "labels")
    assert "no response" in shown
    assert "duplicate id" in shown
    assert "more with --all" not in shown


def test_tables_on_a_terminal_say_what_their_numbers_mean_and_programs_get_numbers_only(labels):
    assert "means over prompts" in balto("score", labels)
    assert not any("means over prompts" in balto("score", labels, form) for form in ("--json", "--csv", "--markdown"))


def test_terminal_tables_of_statistics_and_scores_fit_a_pipe(labels):
    for command in ("stats", "score"):
        assert "…" not in balto(command, labels)


def test_language_model_use_and_agreement_are_shown_where_there_are_any(tmp_path):
    usage = {"verify": {"requests": 3, "cost_usd": 0.5}, "model": "m"}
    first = write_label_set(tmp_path / "x", [row("r1", "g1", "s", "+-")], usage=usage)
    second = write_label_set(tmp_path / "y", [row("r1", "g1", "s", "++")])
    tables = json.loads(balto("stats", first, second, "--json", "--by", "label_set"))
    assert [(one["what"], one["amount"]) for one in tables["language model"]] == [
        ("verify.cost_usd", 0.5),
        ("verify.requests", 3.0),
    ]
    shown = balto("stats", first, "--only", "language model", "--markdown")
    assert "verify.cost_usd | 0.50 |" in shown
    assert "verify.requests | 3 |" in shown
    assert {one["level"]: one["agree"] for one in tables["agreement of label sets"]} == {"response": 0.0, "token": 0.5}
    assert [one["label_set"] for one in tables["by label_set"]] == [first, second]


def test_human_spans_held_against_themselves_are_told_apart(tmp_path):
    folder = tmp_path / "gold"
    balto("label", SAMPLE / "corpus.jsonl", "--labels", "gold", "--out", folder)
    command = [sys.executable, "-m", "balto", "score", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=True)
    said = f"{folder}: its labels are the human spans themselves; held against people they say nothing"
    assert done.stderr == f"{said}\n"
    engine = tmp_path / "engine"
    balto("label", SAMPLE / "corpus.jsonl", "--out", engine)
    both = subprocess.run([*command, str(engine), "--json"], cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert both.stderr == f"{said}, so they are left out there\n"
    alone = json.loads(balto("score", engine, "--json"))
    assert json.loads(both.stdout)["against people"] == alone["against people"]


def test_titles_of_tables_by_several_columns_have_commas(tmp_path):
    folder = write_label_set(tmp_path / "x", [row("r1", "g1", "s", "++-")])
    by = ("--by", "policy, label_set", "--json")
    title = "verdicts by policy, label_set"
    assert set(json.loads(balto("stats", folder, *by, "--only", f"{title},overview"))) == {title, "overview"}
    assert set(json.loads(balto("stats", folder, *by, "--only", "by policy,label_set"))) == {"by policy, label_set"}


@pytest.mark.parametrize("command", [("copy",), ("project", "--tokenizer", "bytes", "--out")])
def test_no_label_set_is_written_inside_another(command, tmp_path):
    folder = tmp_path / "x"
    balto("label", SAMPLE / "corpus.jsonl", "--out", folder)
    typed = [sys.executable, "-m", "balto", command[0], folder, *command[1:], f"{folder}/sub"]
    done = subprocess.run(list(map(str, typed)), cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 2
    assert "lies inside the label set" in done.stderr
    assert not (tmp_path / "x" / "sub").exists()


def test_altered_shard_does_not_add_up(tmp_path):
    folder = tmp_path / "x"
    write_label_set(folder, [row("r1", "g1", "s", "+-")], [row("r2", "g2", "s", "+-")])
    text = (folder / "manifest.json").read_text()
    assert '"tokens": 2' in text
    (folder / "manifest.json").write_text(text.replace('"tokens": 2', '"tokens": 3', 1))
    assert "the rows hold 4 tokens, the manifest says 5" in balto("stats", folder, code=1)


def test_score_against_a_base(labels, tmp_path):
    tables = json.loads(balto("score", labels, "--against", labels, "--by", "policy", "--json", "--resamples", 50))
    assert {one["difference"] for one in tables["against the base"]} == {0.0}
    assert len(tables["against people"]) == 2
    text = balto("score", labels, "--against", labels, "--k", 3, "--resamples", 50)
    assert "against the base by policy" in text


BAD = [
    (("stats", "{labels}", "--by", "polisy"), "--by polisy: no such column; near: policy"),
    (("score", "{labels}", "--by", "polisy"), "--by polisy: no such column; near: policy"),
    (("stats", "{labels}", "--only", "verdict"), "--only verdict: no such table; near: verdicts"),
    (("stats", "{labels}", "--only", "xyz"), "--only xyz: no such table; --markdown without --only shows every table"),
    (("stats", "{labels}", "--by", "meta.xyz", "--only", "overview"), "--by meta.xyz: no such column; near: meta."),
    (("stats", "{labels}", "--by", "xyz"), "--by xyz: no such column; there are id, group_id, "),
    (("stats", "{labels}", "--by", "zzz"), "n_tokens_unsupported, label_set, meta.covers"),
    (("stats", "{unfinished}", "--csv", "--json"), "--json and --csv: choose one"),
    (("stats", "{unfinished}"), "an unfinished run"),
    (("score", "{labels}", "--against", "{unfinished}"), "an unfinished run"),
    (("stats", "{labels}", "{other_version}"), "schema version 999; this balto reads version"),
    (("score", "{labels}", "--against", "{other_version}"), "schema version 999; this balto reads version"),
    (
        ("score", "{labels}", "--k", "0"),
        "--k 0: the reference count of supported claims must be a number of at least 1",
    ),
    (("score", "{labels}", "--k", "nan"), "--k nan: the reference count of supported claims must be a number"),
    (("score", "{labels}", "--resamples", "3"), "--resamples"),
]


@pytest.fixture(scope="module")
def places(labels, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    (folder / "unfinished" / ".work").mkdir(parents=True)
    shutil.copytree(labels, folder / "other_version")
    manifest = json.loads((labels / "manifest.json").read_text())
    (folder / "other_version" / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 999}))
    return {"labels": labels, "unfinished": folder / "unfinished", "other_version": folder / "other_version"}


@pytest.mark.parametrize(("args", "message"), BAD, ids=[" ".join(args) for args, _ in BAD])
def test_bad_usage_is_one_line(args, message, places):
    code = 1 if "an unfinished" in message or "version" in message else 2
    error = balto(*(arg.format(**places) for arg in args), code=code)
    assert message in error
    assert error.startswith("balto: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("command", ["stats", "score"])
def test_damaged_shard_is_one_line_that_names_it(labels, tmp_path, command):
    copy = shutil.copytree(labels, tmp_path / "labels")
    shard = next((copy / "shards").iterdir())
    shard.write_bytes(b"\0" * shard.stat().st_size)
    told = balto(command, copy, code=1)
    assert f"{shard.name}: altered since it was written" in told
    assert told.count("\n") == 1


def test_conditions_of_the_document_find_something_in_the_sample(labels):
    text = (SAMPLE.parents[1] / "docs" / "reading.md").read_text()
    commands = re.findall(r"^    balto show LABELS (.+)", text, re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        assert json.loads(balto("show", labels, *shlex.split(command), "--json")), command
