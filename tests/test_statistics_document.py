"""docs/statistics.md: its examples run, and it names every table of the command."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.stats import FIGURES
from tests.pipeline.label_sets import row, write_label_set

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "statistics.md").read_text()


def test_every_example_of_the_cookbook_runs(tmp_path):
    rows = [
        row("r1", "g1", "suc", "++--", policy="heron-3b", meta={"covers": "dates"}),
        row("r2", "g1", "u", "--", policy="x", meta={"covers": "emoji"}),
        row("r3", "g2", "", "..", policy="x"),
    ]
    folder = write_label_set(tmp_path / "labels", rows)
    code = code_of("## Ten questions")
    assert sum(line.startswith("# ") for line in code) == 10
    shown = [line if re.match(r"#|import|from|\w+ = ", line) else f"print({line})" for line in code]
    script = "\n".join(shown).replace('["labels"]', repr([folder]))
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "contradicted" in done.stdout


def test_hugging_face_datasets_takes_a_label_set_as_the_document_says(tmp_path):
    pytest.importorskip("datasets")
    folder = write_label_set(tmp_path / "labels", [row("r1", "g1", "su", "+-", meta={"covers": "dates"})])
    shown = ["print(dataset[0]['meta'], dataset[0]['token_labels'])"]
    script = "\n".join(code_of("## In other libraries") + shown).replace("labels/shards", f"{folder}/shards")
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[{'key': 'covers', 'value': 'dates'}] [1, -1]\n", done.stderr


def code_of(heading: str) -> list[str]:
    """The lines of the code under a heading."""
    section = re.split("^## ", TEXT.partition(heading)[2], maxsplit=1, flags=re.MULTILINE)[0]
    return [line[4:] for line in section.splitlines() if line.startswith("    ")]


def test_every_table_is_described():
    for title in FIGURES:
        assert re.search(rf"^\| (.*, )?{title}[ ,]", TEXT, re.MULTILINE), title
