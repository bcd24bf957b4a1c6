"""Each side works without the packages of the other."""

import subprocess
import sys

import pytest


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import schemas.tokens, schemas.rows, schemas.manifest", {"apache_beam", "polars", "torch", "transformers"}),
        ("import pipeline.runs.label, pipeline.runs.project", {"torch", "transformers", "sentence_transformers"}),
        ("import pipeline.runs.start, pipeline.runs.on_runner, pipeline.runs.dry_run", {"openai", "aiohttp", "torch"}),
        # the parent of the workers must not wait for Beam
        ("import pipeline.runs.label, pipeline.runs.start", {"apache_beam"}),
        ("import pipeline.stats.tables, pipeline.commands.look_cli", {"apache_beam", "torch"}),
        ("import trainer", {"apache_beam", "polars"}),
    ],
)
def test_importing_one_side_loads_nothing_of_another(statement, absent):
    assert not modules_after(statement) & absent


def test_embedded_engine_needs_neither_beam_nor_a_model_library():
    loaded = modules_after("import pipeline.engines.rules, pipeline.engines.lexical")
    assert not loaded & {"apache_beam", "torch", "transformers", "sklearn", "scipy"}
