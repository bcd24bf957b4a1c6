"""Documents that repeat what code says are held against the code."""

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


def test_file_tree_of_the_readme_names_what_is_there():
    text = (ROOT / "README.md").read_text()
    tree = text.partition("## The house")[2].partition("## Develop")[0]
    for path in (path for top in PACKAGES for path in (ROOT / top).rglob("*.py")):
        if path.name != "__init__.py":
            assert path.name in tree, f"{path.relative_to(ROOT)} is missing in the README's tree"
    for name in re.findall(r"\b(\w+\.py)\b", tree):
        found = [path for top in (*PACKAGES, "benchmarks") for path in (ROOT / top).rglob(name)]
        assert found or (ROOT / name).is_file(), f"the README's tree names {name}, which is not there"


def test_outputs_in_the_readme_are_what_the_commands_print(tmp_path):
    blocks = re.findall(
        r"^    \$ balto (.+)\n((?:    .*\n|\n(?=    [^$]))+)", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert [command.split()[0] for command, _ in blocks] == ["label", "show"]
    for command, shown in blocks:
        words = [str(tmp_path / word) if word == "labels" else word for word in command.split()]
        done = subprocess.run(
            [sys.executable, "-m", "balto", *words], cwd=ROOT, capture_output=True, text=True, check=True
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
