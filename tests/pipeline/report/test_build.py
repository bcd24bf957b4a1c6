"""What goes into the page: the numbers of `balto stats`, a fair and bounded sample; and what is refused."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from pipeline.report.build import build_report
from pipeline.report.choose_records import choose_rows
from pipeline.report.figures import page_table, read_tables
from pipeline.report.write_page import json_in_html
from pipeline.stats import scan_labels
from schemas.errors import ConfigError, ShardError
from schemas.manifest import read_manifest
from schemas.records import Rejected
from tests.pipeline.label_sets import row, write_label_set
from tests.pipeline.report.label_set_made_here import ATTACK, ROWS, make_row, plain_row, write_labels

ROOT = Path(__file__).parents[3]
MANY = 1_000_000_000


class Tables(HTMLParser):
    """The tables of a page by their data-table: rows of cells."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.cell = False

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.rows = self.tables[dict(attrs)["data-table"]] = []
        elif tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self.rows[-1].append("")
        self.cell = tag == "td" or (self.cell and tag == "bdi")

    def handle_endtag(self, tag):
        self.cell = self.cell and tag not in ("td", "table")

    def handle_data(self, data):
        if self.cell:
            self.rows[-1][-1] += data


def tables_in(page: Path) -> dict[str, list[list[str]]]:
    parser = Tables()
    parser.feed(page.read_text(encoding="utf-8"))
    return {key: [row for row in rows if row] for key, rows in parser.tables.items()}


def records_in(page: Path) -> list[dict]:
    found = re.search(r'<script type="application/json" id="records">(.*?)</script>', page.read_text(encoding="utf-8"))
    assert found
    return json.loads(found[1])


def test_every_figure_is_the_one_of_the_command_and_sums_are_the_manifests(page, labels):
    done = subprocess.run(
        [sys.executable, "-m", "balto", "stats", str(labels), "--by", "policy", "--json"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = json.loads(done.stdout)
    shown = tables_in(page)
    assert set(shown) >= {"by policy", "length and faithfulness", "position in response", "prompt groups", "balance"}
    for key, rows in shown.items():
        frame = pl.DataFrame(told[key], infer_schema_length=None)
        wanted = [list(row) for row in page_table(key, frame).rows]
        assert [[cell.strip() for cell in row] for row in rows] == [[cell.strip() for cell in row] for row in wanted]
    manifest = read_manifest(labels)
    policies = [[int(cell.replace(",", "")) for cell in row[1:6]] for row in shown["by policy"]]
    records, *verdicts = (sum(column) for column in zip(*policies, strict=True))
    assert records == manifest.counts["labelled"]
    names = ("supported", "contradicted", "unsupported", "None")
    assert verdicts == [manifest.claims["verdict"].get(name, 0) for name in names]


def test_page_is_the_same_for_the_same_labels_and_seed(labels, page, tmp_path):
    build_report([str(labels)], tmp_path / "again.html", records=100, max_bytes=10_000_000)
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_records_in_the_page_are_the_stored_ones(page):
    stored = {row.sample.id: row for row in ROWS}
    shown = records_in(page)
    assert {record["id"] for record in shown} == set(stored)
    for record in shown:
        row = stored[record["id"]]
        assert record["response"] == row.sample.response
        assert [(s["start"], s["end"], s["label"]) for s in record["label_spans"]] == [
            (s.start, s.end, s.label) for s in row.label_spans
        ]
        assert [claim["text"] for claim in record["claims"]] == [claim.text for claim in row.claims]


def test_json_leaves_its_script_element_by_no_text():
    text = json_in_html({"a": ATTACK})
    assert not re.search("[<>&\u2028\u2029\x00\x1b]", text)
    assert json.loads(text) == {"a": ATTACK}


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_shown_as_none(score, tmp_path):
    claim, *others = plain_row().claims
    labels = write_labels(tmp_path / "labels", [make_row("r", "x", (dataclasses.replace(claim, score=score), *others))])
    build_report([str(labels)], tmp_path / "page.html", records=1, max_bytes=MANY)
    (shown,) = records_in(tmp_path / "page.html")
    assert shown["claims"][0]["score"] is None
    assert "NaN" not in (tmp_path / "page.html").read_text()


def test_sample_is_bounded_in_records_and_in_bytes_and_says_what_did_not_fit(labels, tmp_path):
    out = tmp_path / "page.html"
    assert build_report([str(labels)], out, records=2, max_bytes=MANY)["records"] == 2
    result = build_report([str(labels)], out, records=100, max_bytes=40_000)
    assert (result["records"], result["left_out"]) == (4, 1)  # all but the response of 200,000 characters
    assert "long" not in [record["id"] for record in records_in(out)]
    assert "1 more were chosen but did not fit" in out.read_text()
    assert build_report([str(labels)], out, records=0, max_bytes=20_000)["records"] == 0


def test_every_outcome_of_every_policy_comes_before_the_second_of_any(tmp_path):
    common = [make_row(f"c{n}", "Nothing.", status="no_claims", policy=f"p{n % 2}") for n in range(60)]
    rare = make_row("rare", "x", plain_row().claims[2:], status="labelled", policy="p1")
    labels = scan_labels([str(write_labels(tmp_path / "labels", [*common, rare]))])
    ids = labels.select("id", "policy").collect()
    chosen = [ids.row(row) for row in choose_rows(labels, 3)]
    assert ("rare", "p1") in chosen
    assert {policy for one, policy in chosen if one != "rare"} == {"p0", "p1"}
    assert choose_rows(labels, 3) == choose_rows(labels, 3)
    assert choose_rows(labels, 20, seed=1) != choose_rows(labels, 20, seed=2)
    assert len(set(choose_rows(labels, 1000))) == 61


def test_sample_is_the_same_however_the_rows_are_batched(labels, monkeypatch):
    whole = choose_rows(scan_labels([str(labels)]), 4)
    monkeypatch.setattr("pipeline.report.choose_records._BATCH_ROWS", 1)
    assert choose_rows(scan_labels([str(labels)]), 4) == whole


def test_several_label_sets_and_rejected_records_are_on_one_page(labels, tmp_path):
    refused = [Rejected("bad", "a.jsonl", 3, "read", ATTACK, "{}")]
    other = write_labels(tmp_path / "other", [plain_row()], refused)
    build_report([str(labels), str(other)], tmp_path / "page.html", records=100, max_bytes=MANY)
    assert {record["label_set"] for record in records_in(tmp_path / "page.html")} == {"labels", "other"}
    text = (tmp_path / "page.html").read_text()
    assert "7 records read: 6 labelled, 1 rejected." in text
    assert len(tables_in(tmp_path / "page.html")["rejected"]) == 1
    assert ATTACK not in text


BAD = [
    ("nowhere/page.html", "there is no folder"),
    (".", "is a folder; name a file"),
    ("labels/page.html", "lies inside a label set"),
    ("labels/shards/page.html", "lies inside a label set"),
    ("thesis.html", "did not write; name another"),
    ("gs://bucket/page.html", "local file"),
]


@pytest.mark.parametrize(("out", "message"), BAD, ids=[out for out, _ in BAD])
def test_page_is_not_written_where_it_must_not_be(out, message, labels, tmp_path, monkeypatch):
    shutil.copytree(labels, tmp_path / "labels")
    (tmp_path / "thesis.html").write_text("<p>years of work")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match=re.escape(message)):
        build_report(["labels"], Path(out), records=5, max_bytes=MANY)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "thesis.html").read_text() == "<p>years of work"


def test_unfinished_other_or_altered_label_set_is_one_line_and_no_page(labels, tmp_path):
    copy, out = shutil.copytree(labels, tmp_path / "copy"), tmp_path / "page.html"
    manifest = (copy / "manifest.json").read_text()
    (copy / "manifest.json").write_text(manifest.replace('"schema_version": 1', '"schema_version": 0'))
    with pytest.raises(ShardError, match="schema version 0"):
        build_report([str(labels), str(copy)], out, records=5, max_bytes=MANY)
    (copy / "manifest.json").unlink()
    (copy / ".work").mkdir()
    with pytest.raises(ShardError, match="unfinished run"):
        build_report([str(copy)], out, records=5, max_bytes=MANY)
    assert not out.exists()


def test_old_page_is_replaced_and_stays_when_the_new_one_fails(labels, tmp_path):
    out = tmp_path / "page.html"
    build_report([str(labels)], out, records=1, max_bytes=MANY)
    first = out.read_bytes()
    with pytest.raises(ShardError):
        build_report([str(tmp_path)], out, records=1, max_bytes=MANY)
    assert out.read_bytes() == first
    build_report([str(labels)], out, records=3, max_bytes=MANY)
    assert out.read_bytes() != first
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_label_set_without_claims_still_makes_a_page(tmp_path):
    labels = write_labels(tmp_path / "labels", [make_row("a", "Hello.", status="no_claims")])
    tables = read_tables([str(labels)])
    assert len(tables["alignment"]) == 0
    assert build_report([str(labels)], tmp_path / "page.html", records=5, max_bytes=MANY)["records"] == 1


def test_scores_are_held_against_people_only_where_people_looked(page, tmp_path):
    assert "reliability" in tables_in(page)
    unseen = write_label_set(tmp_path / "unseen", [row("r1", "g1", "s", "+" * 4)])
    build_report([str(unseen)], tmp_path / "unseen.html", records=1, max_bytes=100_000)
    assert "reliability" not in tables_in(tmp_path / "unseen.html")
    assert "Scores against people" not in (tmp_path / "unseen.html").read_text(encoding="utf-8")


def test_numbers_of_a_column_have_two_decimals_unless_they_would_vanish():
    frame = pl.DataFrame({"gap": [0.0999, 0.0205, 0.25, 0.00041, 0.0, 1204.0]})
    assert [row[0] for row in page_table("reliability of ours", frame).rows] == [
        "0.10", "0.02", "0.25", "0.00041", "0.00", "1,204",
    ]  # fmt: skip
