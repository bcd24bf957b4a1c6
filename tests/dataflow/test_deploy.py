"""The files of `deploy/` against the code: what they name is there, and says the same."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from pipeline.runs.beam_options import split_beam_args
from tests.dataflow.jobs import DATAFLOW

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
METADATA = json.loads((DEPLOY / "flex_template.json").read_text())


def _launch():
    spec = importlib.util.spec_from_file_location("launch", DEPLOY / "launch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


launch = _launch()


def test_every_parameter_of_the_template_reaches_an_option_of_label():
    for parameter in METADATA["parameters"]:
        name = parameter["name"]
        assert name == "corpus" or name in launch.options(), name


def test_what_the_launcher_hands_over_becomes_the_command():
    words = launch.words_of(
        [
            "--corpus=gs://b/a.jsonl, gs://b/*.parquet",
            "--out=gs://b/labels",
            "--num_shards=8",
            "--overwrite=true",
            "--cache_required=false",
            "--labels=gold",
            '--labels={"goog-dataflow-provided-template-type": "flex"}',
            *DATAFLOW,
            "--template_location=gs://b/staging/job_object",
        ]
    )
    assert words[:7] == [
        "label",
        "gs://b/a.jsonl",
        "gs://b/*.parquet",
        "--out=gs://b/labels",
        "--num-shards=8",
        "--overwrite",
        "--labels=gold",
    ]
    assert split_beam_args(words[7:]) == ([], words[7:])  # all the rest is known to Beam
    assert "--cache-required" not in words


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("corpus", "gs://b/x.jsonl", "/etc/passwd"),
        ("api_key_env", "gcp-secret:projects/p/secrets/s/versions/1", "sk-abcdef-123"),
        ("cache", "redis://10.0.0.3:6379/0", "sqlite:x"),
    ],
)
def test_the_template_refuses_what_the_command_would_refuse(name, good, bad):
    (parameter,) = [one for one in METADATA["parameters"] if one["name"] == name]
    assert any(re.fullmatch(pattern, good) for pattern in parameter["regexes"])
    assert not any(re.fullmatch(pattern, bad) for pattern in parameter["regexes"])


def test_the_image_has_the_tested_beam_and_copies_what_is_there():
    text = (DEPLOY / "Dockerfile").read_text()
    (beam,) = re.findall(r"^ARG BEAM=(\S+)", text, re.MULTILINE)
    assert f"apache-beam=={beam}" in (ROOT / "constraints.txt").read_text().split()
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")}
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    copied = {source for sources in copies for source in sources.split()}
    assert copied == allowed
    for path in copied - {"dist/balto-*.whl"}:
        assert (ROOT / path).is_file()
    extras = set(re.findall(r"\.\[([a-z0-9,]+)\]", text))
    assert extras
    known = set(re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
    assert {one for group in extras for one in group.split(",")} <= known


def test_each_image_can_read_every_bucket_that_the_template_accepts():
    (corpus,) = [one for one in METADATA["parameters"] if one["name"] == "corpus"]
    assert corpus["regexes"] == ["^(gs|s3)://.+$"]
    installs = re.findall(r"\.\[([a-z0-9,]+)\]", (DEPLOY / "Dockerfile").read_text())
    assert len(installs) == 2
    assert all({"gcp", "s3", "llm"} <= set(extras.split(",")) for extras in installs)


def test_a_change_of_our_code_leaves_the_layers_of_packages_as_they_are():
    """What is copied before the packages are installed is the same for every version of our code."""
    text = (DEPLOY / "Dockerfile").read_text()
    packages, _, variants = text.partition("FROM packages AS cpu")
    assert not [
        line for line in re.findall(r"^COPY .+$", packages, re.MULTILINE) if "dist/" in line or "deploy/" in line
    ]
    assert "pip install --no-deps /balto/dist/*.whl && pip check" in variants


def test_nothing_in_deploy_holds_a_secret():
    for path in DEPLOY.iterdir():
        assert not re.search(r"(sk-[A-Za-z0-9]{8}|BEGIN [A-Z ]*PRIVATE KEY|password\s*=)", path.read_text()), path
