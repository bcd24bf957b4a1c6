"""The key to a model, from a variable or from Secret Manager, stands in nothing that a run writes, sends or says."""

import asyncio
import io
import json
import logging
import pickle
import sys
import types
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pipeline import Pipeline
from redis import Redis

from balto import main as balto_main
from pipeline.close_label_set import Closing
from pipeline.config import LabelConfig
from pipeline.corpora import open_corpus
from pipeline.graph import label_files
from pipeline.llm.client import ChatClient
from pipeline.llm.endpoint import Endpoint, resolve_key
from pipeline.llm.transport import Transport
from pipeline.runs.asking import prepare_asking
from schemas.errors import ConfigError
from tests.llm_server import Behaviour, LlmServer
from tests.llm_server.claim_answers import answer_by_rule
from tests.pipeline.llm.redis_server import RedisServer
from tests.rows import small_corpus, write_jsonl

MODEL = "rule-server"
KEY = "sk-0123456789-that-must-stand-nowhere"
SECRET = "gcp-secret:projects/p/secrets/s/versions/7"
BOTH = ("--extractor", "llm", "--verifier", "llm", "--model", MODEL)


class SecretManager:
    """Google's client as far as it is used."""

    def access_secret_version(self, name):
        assert name == "projects/p/secrets/s/versions/7"
        return types.SimpleNamespace(payload=types.SimpleNamespace(data=f"{KEY}\n".encode()))


@pytest.fixture(params=["OPENAI_API_KEY", SECRET])
def reference(request, monkeypatch):
    """A key that can be had by this name only."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    if request.param == SECRET:
        module = types.SimpleNamespace(SecretManagerServiceClient=SecretManager)
        monkeypatch.setitem(sys.modules, "google.cloud.secretmanager", module)
    else:
        monkeypatch.setenv(request.param, KEY)
    return request.param


@pytest.fixture
def server():
    faults = {"500": 0.1, "invalid_json": 0.2, "refusal": 0.4}
    with LlmServer(Behaviour(models=(MODEL,), api_key=KEY, faults=faults), answer_by_rule) as running:
        yield running


def balto(*args) -> str:
    """All that the command says."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(said):
        patch.setattr(sys, "argv", ["balto", *map(str, args)])
        with pytest.raises(SystemExit):
            balto_main()
    return said.getvalue()


def contents(folder: Path) -> dict[str, str]:
    """Every file under `folder` as text; Parquet unpacked."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_bytes().decode("latin-1")
            if path.suffix == ".parquet":
                table = pq.read_table(path)
                text += json.dumps(table.to_pylist(), default=str) + str(table.schema.metadata)
            found[str(path.relative_to(folder))] = text
    return found


def test_no_file_message_or_log_of_a_run_holds_the_key(reference, server, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("pipeline.llm.client.FIRST_WAIT_S", 0.01)
    monkeypatch.setenv("BALTO_LOG", "debug")
    caplog.set_level(logging.DEBUG)
    redis_server = RedisServer(tmp_path)
    corpus = write_jsonl(tmp_path / "a.jsonl", small_corpus(10))
    where = ("--base-url", server.base_url, "--api-key-env", reference)
    try:
        said = [
            balto("label", corpus, "--out", tmp_path / "labels", *BOTH, *where, "--canaries", 1),
            balto("label", corpus, "--out", tmp_path / "shared", *BOTH, *where, "--cache", redis_server.url),
            balto("label", corpus, "--out", tmp_path / "cut", *BOTH, *where, "--max-requests", 3),  # leaves its work
            balto("label", corpus, "--out", tmp_path / "batch", *BOTH, *where, "--batch-api", "--max-requests", 3),
            balto("report", tmp_path / "labels", "--out", tmp_path / "page.html"),
            balto("stats", tmp_path / "labels", "--json"),
            balto("show", tmp_path / "labels", "--worst"),
            balto("label", corpus, "--out", tmp_path / "none", *BOTH, *where, "--base-url", f"{server.base_url}/no"),
        ]
        with Redis.from_url(redis_server.url) as kept:
            said += [str(kept.get(name)) for name in kept.scan_iter()]
    finally:
        redis_server.stop()
    files = contents(tmp_path)
    kinds = {Path(name).name.partition(".")[2] for name in files}
    assert {"llm-cache.sqlite", "json", "parquet", "html"} <= kinds
    assert any("/rejected/" in f"/{name}" for name in files)
    assert any("/.work/" in f"/{name}" for name in files)
    assert len(said) > 20
    assert server.counts["answered"] > 10  # the key was used
    assert not [name for name, text in files.items() if KEY in text]
    assert not [text for text in said if KEY in text]
    assert KEY not in caplog.text
    assert all(KEY.encode() not in one.body for one in server.received)


def test_no_graph_option_or_pickle_holds_the_key(reference, server, tmp_path):
    corpus = write_jsonl(tmp_path / "a.jsonl", small_corpus(1))
    endpoint = Endpoint(server.base_url, MODEL, api_key=reference)
    asking = prepare_asking(Transport(endpoint), tmp_path / "labels", 32_768).over(1, tmp_path / "labels")
    pipeline = Pipeline(runner="FnApiRunner", options=PipelineOptions([]))
    config = LabelConfig(num_shards=1, extractor="llm", verifier="llm", model=MODEL)
    label_files(pipeline, open_corpus([str(corpus)]), config, Closing(str(tmp_path / "labels"), asking=asking))
    places = {
        "proto": pipeline.to_runner_api().SerializeToString(),
        "options": json.dumps(pipeline.options.get_all_options(), default=str).encode(),
        "pickle": pickle.dumps(asking),
        "repr": repr((asking, config, endpoint)).encode(),
    }
    assert reference.encode() in places["pickle"]
    assert resolve_key(endpoint) == KEY
    assert not [name for name, data in places.items() if KEY.encode() in data]


def test_a_server_that_repeats_the_key_that_it_refuses_is_not_repeated(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    corpus = write_jsonl(tmp_path / "a.jsonl", small_corpus(1))
    with LlmServer(Behaviour(models=(MODEL,), api_key="another"), answer_by_rule) as server:
        said = balto("label", corpus, "--out", tmp_path / "out", *BOTH, "--base-url", server.base_url)
    assert "refused the key in OPENAI_API_KEY (HTTP 401: Incorrect API key provided: [the key])" in said
    assert KEY not in said


def test_a_key_is_not_repeated_in_any_spelling(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one/two+three")

    async def told(said: bytes) -> bytes:
        client = ChatClient(Endpoint("https://far/v1", MODEL), 1)
        try:
            return client.without_key(said)
        finally:
            await client.close()

    said = rb"sk-one/two+three, sk-one\/two+three, ?key=sk-one%2Ftwo%2Bthree"
    assert asyncio.run(told(said)) == b"[the key], [the key], ?key=[the key]"


def test_a_secret_that_cannot_be_read_is_named_without_what_the_service_said(monkeypatch):
    class Broken:
        def access_secret_version(self, name):
            raise PermissionError(f"denied to {KEY}")

    module = types.SimpleNamespace(SecretManagerServiceClient=Broken)
    monkeypatch.setitem(sys.modules, "google.cloud.secretmanager", module)
    with pytest.raises(ConfigError, match="cannot be read .PermissionError.") as raised:
        resolve_key(Endpoint("https://far/v1", MODEL, api_key=SECRET))
    assert KEY not in str(raised.value)
