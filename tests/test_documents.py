"""Documents that repeat what code says are held against the code."""

import re
from pathlib import Path

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
