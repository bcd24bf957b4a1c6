"""Documents that repeat what code says are held against the code."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import typer

import balto
from schemas.shards import CLAIM_MEANING, MEANING, REJECTED_SCHEMA

ROOT = Path(__file__).parents[1]
PACKAGES = ("schemas", "pipeline", "trainer", "rounds")


def test_every_column_of_a_shard_is_documented_with_its_meaning():
    text = (ROOT / "docs" / "label_set.md").read_text().replace("\\|", "|")
    for name, meaning in MEANING.items():
        assert re.search(rf"\| `{name}` \| (yes)? ?\| {re.escape(meaning)} \|", text), name
    for name, meaning in CLAIM_MEANING.items():
        assert f"| `{name}` | {meaning} |" in text
    for field in REJECTED_SCHEMA:
        assert f"| `{field.name}` | {field.metadata[b'description'].decode()} |" in text


def test_file_tree_names_what_is_there_and_leaves_nothing_out():
    rooms = _rooms((ROOT / "docs" / "structure.md").read_text())
    assert {*PACKAGES, "tests", "benchmarks", "balto.py"} <= set(rooms)
    for room in PACKAGES:
        there = {path.name for path in (ROOT / room).rglob("*.py")} - {"__init__.py"}
        named = set(re.findall(r"\b\w+\.py\b", rooms[room]))
        assert there - named == set(), f"{room}: missing in docs/structure.md"
    for room in (*PACKAGES, "benchmarks"):
        for name in re.findall(r"\b\w+\.py\b", rooms[room]):
            assert any((ROOT / room).rglob(name)), f"docs/structure.md names {room}/{name}, which is not there"


def _rooms(tree: str) -> dict[str, str]:
    """Top-level names of the tree -> what stands there about them."""
    parts = re.split(r"^    (?=\w)", tree, flags=re.MULTILINE)[1:]
    return {part.split()[0].rstrip("/"): part for part in parts}


def test_readme_names_every_room_and_leads_to_every_document():
    text = (ROOT / "README.md").read_text()
    for room in re.findall(r"^    (\w+)/ ", text.partition("## Where to go on")[2], re.MULTILINE):
        assert (ROOT / room).is_dir(), room
    for package in PACKAGES:
        assert f"\n    {package}/ " in text
    linked = set(re.findall(r"\]\(docs/(\w+\.md)\)", text))
    assert linked == {path.name for path in (ROOT / "docs").glob("*.md")}


def test_every_link_between_documents_leads_somewhere():
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").rglob("*.md")]:
        for target in re.findall(r"\]\(([^):#]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_figures_of_the_readme_are_rows_of_the_full_table():
    full = (ROOT / "docs" / "figures.md").read_text().splitlines()
    good = (ROOT / "README.md").read_text().partition("## How good, how fast")[2].partition("\n## ")[0]
    rows = [line for line in good.splitlines() if line.startswith("|")]
    assert len(rows) >= 8
    assert [row for row in rows if row not in full] == []
    for module in re.findall(r"`python -m ([\w.]+)", "\n".join(full)):
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file(), module


def test_outputs_in_the_readme_are_what_the_commands_print(tmp_path):
    blocks = re.findall(
        r"^    \$ balto (.+)\n((?:    .*\n|\n(?=    [^$]))+)", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert [command.split()[0] for command, _ in blocks] == ["label", "show"]
    for command, shown in blocks:
        words = [str(tmp_path / word) if word == "labels" else word for word in command.split()]
        done = subprocess.run(
            [sys.executable, "-m", "balto", *words],
            cwd=ROOT,
            # readline, which pytest loads, or the worker process that runs this test may say COLUMNS=80
            env={name: value for name, value in os.environ.items() if name != "COLUMNS"},
            capture_output=True,
            text=True,
            check=True,
        )
        printed = [_spaced(line) for line in done.stdout.replace(f"{tmp_path}/", "").splitlines()]
        at = 0
        for line in map(_spaced, shown.splitlines()):
            if line not in ("...", ""):
                assert line in printed[at:], (command, line)
                at = printed.index(line, at) + 1


def _spaced(line: str) -> str:
    """Without what another width, or another weight of the engine, changes."""
    return re.sub(r"\d[\d,.]*", "#", " ".join(line.split()))


def test_commands_of_the_readme_have_the_options_it_names():
    command: Any = typer.main.get_command(balto.app)
    lines = re.findall(r"^    (?:\$ )?balto ([\w-]+) ([^#\n]*)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert {name for name, _ in lines} == set(command.commands)
    for name, words in lines:
        known = {option for param in command.commands[name].params for option in param.opts}
        assert set(re.findall(r"--[\w-]+", words)) <= known, name


def test_commands_of_the_training_page_have_the_options_it_names():
    command: Any = typer.main.get_command(balto.app)
    text = (ROOT / "docs" / "training.md").read_text()
    lines = re.findall(r"^    balto ([\w-]+) ([^#\n]*)", text, re.MULTILINE)
    assert [name for name, _ in lines[:2]] == ["generate", "label"]
    for name, words in lines:
        words = words.replace("$JUDGE", re.findall(r"^    JUDGE='(.*)'$", text, re.MULTILINE)[0])
        command.commands[name].make_context(name, words.split())
    table = text.partition("## The options that matter")[2].partition("\n## ")[0]
    known = {option for param in command.commands["train"].params for option in param.opts}
    named = set(re.findall(r"--[a-z][a-z-]*", table)) - {"--help"}
    assert {"--lora-rank", "--held-out"} <= named <= known
