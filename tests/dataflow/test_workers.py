"""Labelling in workers of another process and another environment, over the protocol that every portable runner speaks.

Beam's own job service takes the job; its workers are started from a virtual environment that has the third-party
packages of this one, and of our code only what the wheel brings.
"""

import contextlib
import os
import re
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path

import pytest

from pipeline.config import LabelConfig
from pipeline.corpora import open_corpus
from pipeline.llm.endpoint import Endpoint
from pipeline.llm.transport import Transport
from pipeline.runs.asking import prepare_asking
from pipeline.runs.label import Resources, run_label
from pipeline.runs.on_runner import run_label_on_runner
from schemas.errors import BaltoError
from schemas.manifest import read_manifest
from tests.dataflow.wheels import build_wheel
from tests.llm_server import Behaviour, LlmServer
from tests.llm_server.claim_answers import answer_by_rule
from tests.rows import small_corpus, write_jsonl

CONFIG = LabelConfig(num_shards=3)
KEY = "sk-a-key-that-must-stand-nowhere"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> str:
    return write_jsonl(tmp_path_factory.mktemp("corpus") / "corpus.jsonl", small_corpus(groups=6))


@pytest.fixture(scope="module")
def undisturbed(corpus, tmp_path_factory) -> str:
    return run_label(
        open_corpus([corpus]), tmp_path_factory.mktemp("here") / "labels", CONFIG, Resources(), False
    ).content_hash()


def clean_environment(folder: Path) -> Path:
    """A virtual environment with our third-party packages and nothing of ours; returns its Python."""
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = (folder / "lib").glob("python*/site-packages")
    # A line in a .pth file adds a folder to the path, and does not follow the .pth files in there (editable installs).
    (site / "third_party.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "python"


def install(python: Path, wheel: Path) -> None:
    words = ["install", "--quiet", "--no-deps", "--no-index", "--target", str(_site(python)), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, capture_output=True, timeout=120)


def _site(python: Path) -> Path:
    (site,) = (python.parents[1] / "lib").glob("python*/site-packages")
    return site


@contextlib.contextmanager
def job_service(folder: Path):
    """Beam's job service on a free port of this machine; yields its address."""
    port = folder / "port"
    command = [sys.executable, "-m", "apache_beam.runners.portability.local_job_service_main"]
    words = ["--port_file", str(port), "--staging_dir", str(folder / "staging")]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen([*command, *words], cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            yield f"127.0.0.1:{_port(process, port)}"
        finally:
            process.terminate()
            process.wait(20)


def _port(process: subprocess.Popen, file: Path) -> str:
    for _ in range(600):
        if file.exists() and (port := file.read_text().strip()):
            return port
        assert process.poll() is None, "the job service ended"
        time.sleep(0.1)
    raise AssertionError("the job service did not start")


def label_in(python: Path, service: str, corpus: str, out: Path, config: LabelConfig = CONFIG, asking=None):
    # -P: the folder that the worker is started in is not on its path
    worker = f"{python} -P -m apache_beam.runners.worker.sdk_worker_main"
    beam_args = (
        "--runner=PortableRunner",
        f"--job_endpoint={service}",
        "--environment_type=beam:env:harness_subprocess_python:v1",
        f"--environment_config={worker}",
        "--no_save_main_session",
    )
    return run_label_on_runner(open_corpus([corpus]), str(out), config, Resources(beam_args=beam_args), False, asking)


@pytest.mark.slow
def test_workers_need_our_wheel_and_nothing_else_of_ours(corpus, undisturbed, tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_KEY", KEY)
    python = clean_environment(tmp_path / "clean")
    with job_service(tmp_path) as service:
        with pytest.raises(BaltoError, match="ModuleNotFoundError|No module named"):
            label_in(python, service, corpus, tmp_path / "without")
        assert not (tmp_path / "without" / "manifest.json").exists()
        install(python, build_wheel(tmp_path / "wheel"))
        manifest = label_in(python, service, corpus, tmp_path / "with")
        assert manifest.counts == {"read": 18, "labelled": 18, "rejected": 0}
        assert manifest.content_hash() == undisturbed == read_manifest(tmp_path / "with").content_hash()
        asked = label_with_model(python, service, corpus, tmp_path / "asked")
    assert asked.counts == {"read": 18, "labelled": 18, "rejected": 0}
    assert asked.usage["extract"]["requests"] + asked.usage["extract"].get("cached", 0) == 18
    logged = (tmp_path / "log").read_bytes()
    assert b"Pipeline_options" in logged  # what a job was told stands in the workers' log ...
    files = [path for path in tmp_path.rglob("*") if path.is_file() and "clean" not in path.parts]
    assert not [path for path in files if KEY.encode() in path.read_bytes()]  # ... and the key stands nowhere


def label_with_model(python: Path, service: str, corpus: str, out: Path):
    config = LabelConfig(num_shards=3, extractor="llm", verifier="llm", model="rule-server")
    with LlmServer(Behaviour(models=("rule-server",), api_key=KEY), answer_by_rule) as server:
        endpoint = Endpoint(server.base_url, "rule-server", "LLM_KEY", timeout_s=20)
        asking = prepare_asking(Transport(endpoint, cache="off"), out, config.context_window)
        return label_in(python, service, corpus, out, config, asking)


@pytest.mark.slow
def test_several_worker_processes_of_beam_give_the_same_label_set(corpus, undisturbed, tmp_path):
    beam_args = ("--runner=FnApiRunner", "--direct_num_workers=2", "--direct_running_mode=multi_processing")
    manifest = run_label_on_runner(
        open_corpus([corpus]), str(tmp_path / "labels"), CONFIG, Resources(beam_args=beam_args), False
    )
    assert manifest.content_hash() == undisturbed


@pytest.mark.parametrize("runner", ["DaskRunner", "apache_beam.runners.dask.dask_runner.DaskRunner"])
def test_a_runner_that_loses_records_is_refused_with_the_reason(corpus, tmp_path, runner):
    with pytest.raises(BaltoError, match=re.escape(f"--runner {runner}: it mixes up tagged outputs")):
        run_label_on_runner(
            open_corpus([corpus]), str(tmp_path / "out"), CONFIG, Resources(beam_args=(f"--runner={runner}",)), False
        )
    assert not (tmp_path / "out").exists()


def test_a_runner_that_loses_records_unknown_to_us_fails_at_the_end(corpus, tmp_path, monkeypatch):
    """The records that were read are counted apart from those that were written."""
    from pipeline import write_shards

    real = write_shards._Pack.finish_bundle
    monkeypatch.setattr(write_shards._Pack, "finish_bundle", lambda self: list(real(self))[1:])
    with pytest.raises(BaltoError, match=r"does not add up: 18 records read, \d+ labelled"):
        run_label_on_runner(
            open_corpus([corpus]),
            str(tmp_path / "out"),
            CONFIG,
            Resources(beam_args=("--runner=FnApiRunner",)),
            False,
        )
    assert not (tmp_path / "out" / "manifest.json").exists()
