"""The wheel that workers install: all that they import, and nothing else."""

import sys
import zipfile
from pathlib import Path

import pytest

from pipeline.runs.dry_run import functions_of
from tests.dataflow.jobs import ASKING, EMBEDDED, asking, job
from tests.dataflow.wheels import PACKAGES, build_wheel, contents, sources


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_the_packages_with_their_data_and_nothing_else(wheel):
    assert contents(wheel) == sources()


def test_no_tests_benchmarks_corpora_or_tools_travel(wheel):
    tops = {name.partition("/")[0] for name in contents(wheel)}
    assert tops == {*PACKAGES, "balto.py"}


def test_what_the_jobs_functions_come_from_is_in_the_wheel(wheel):
    jobs = (job(EMBEDDED), job(ASKING, asking=asking()))
    modules = {type(function).__module__ for one in jobs for function in functions_of(one).values()}
    ours = {name for name in modules if name.partition(".")[0] in PACKAGES}
    assert "pipeline.asking_stages" in ours
    loaded = {name for name in sys.modules if name.partition(".")[0] in PACKAGES}  # with all that they import
    files = contents(wheel)
    for name in ours | loaded:
        path = name.replace(".", "/")
        assert f"{path}.py" in files or f"{path}/__init__.py" in files


def test_the_base_install_asks_for_no_beam_and_no_torch(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        lines = archive.read(metadata).decode().splitlines()
    needed = [line.partition(": ")[2] for line in lines if line.startswith("Requires-Dist") and "extra ==" not in line]
    assert {line.partition(">")[0] for line in needed} == {
        "huggingface-hub",
        "numpy",
        "pyarrow",
        "rich",
        "tokenizers",
        "typer",
    }
