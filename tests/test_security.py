"""What the threat model (docs/security.md) says of the code as a whole, read from the code itself."""

import ast
import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from pipeline.config import LabelConfig
from pipeline.corpora import open_corpus
from pipeline.llm import client
from pipeline.runs.label import Resources, run_label
from pipeline.runs.project import run_project
from schemas import manifest as manifest_module
from schemas.errors import ShardError
from schemas.manifest import MANIFEST, read_manifest
from tests.llm_server import Behaviour, LlmServer
from tests.pipeline.llm.asking import ask_all, request, transport
from tests.rows import small_corpus, write_jsonl

ROOT = Path(__file__).parents[1]
OURS = [
    ROOT / "balto.py",
    *(path for top in ("schemas", "pipeline", "trainer", "rounds") for path in sorted((ROOT / top).rglob("*.py"))),
]
# Calls that run data as code or give it to a shell.
RUNS_DATA = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.load", "pickle.loads", "marshal.loads"),
    *(
        "cloudpickle.loads",
        "dill.loads",
        "shelve.open",
        "joblib.load",
        "yaml.load",
        "yaml.unsafe_load",
        "pd.read_pickle",
    ),
}
# pickler.loads reads back the job that this process has just built, and nothing else.
EXCEPTIONS = {("pipeline/runs/dry_run.py", "pickler.loads")}


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """(dotted name, call) of every call in a file."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def keywords(call: ast.Call) -> dict[str, str]:
    return {one.arg: ast.unparse(one.value) for one in call.keywords if one.arg}


def all_calls() -> Iterator[tuple[str, str, ast.Call]]:
    for path in OURS:
        for name, call in calls(path):
            yield path.relative_to(ROOT).as_posix(), name, call


def test_nothing_runs_data_as_code():
    for path, name, call in all_calls():
        place = f"{path}:{call.lineno}"
        if name == "re.compile" or name.endswith((".compile", ".eval")):
            continue  # patterns, Polars expressions, torch
        assert name not in RUNS_DATA, place
        assert not name.endswith("pickler.loads") or (path, name) in EXCEPTIONS, place
        assert keywords(call).get("shell") != "True", place
        if name == "torch.load":
            assert keywords(call).get("weights_only") == "True", place
        if name == "np.load":
            assert keywords(call).get("allow_pickle") == "False", place


def test_the_search_finds_what_it_looks_for(tmp_path):
    (tmp_path / "x.py").write_text("import pickle\npickle.loads(b'')\nobj.load(a, trust_remote_code=True)\n")
    found = dict(calls(tmp_path / "x.py"))
    assert set(found) == {"pickle.loads", "obj.load"}
    assert keywords(found["obj.load"]) == {"trust_remote_code": "True"}


def test_models_bring_no_code_and_only_safetensors():
    loads = 0
    for path, name, call in all_calls():
        given = keywords(call)
        assert given.get("trust_remote_code", "False") == "False", f"{path}:{call.lineno}"
        loads_weights = name.endswith(".from_pretrained") and "AutoModel" in name
        if loads_weights or name in ("load", "CrossEncoder", "SentenceTransformer"):
            if name == "load" and "use_safetensors" not in given:
                continue  # another function of that name
            loads += 1
            spread = any(one.arg is None for one in call.keywords)  # `**options` that says it for several calls
            said = spread and '"trust_remote_code": False' in (ROOT / path).read_text()
            assert given.get("trust_remote_code") == "False" or said, f"{path}:{call.lineno}"
            assert "safetensors" in ast.unparse(call), f"{path}:{call.lineno}"
    assert loads >= 3


HOSTILE_IDS = [
    "../../escaped",
    "/etc/passwd",
    "..",
    "a/../../b",
    "C:\\Windows\\x",
    "nul\x00byte",
    "-rf",
    "\u202egnp.exe",
    "x" * 5_000,
    "shards/part-00000-of-00001.parquet",
    "<script>alert(1)</script>",
    "gs://other/bucket",
]


def test_ids_and_groups_never_become_paths(tmp_path):
    """Files are named by the number of their shard, whatever a corpus calls its records."""
    (record,) = small_corpus(1, responses=1)
    records = [{**record, "id": one, "group_id": f"{one}/g", "policy": one, "meta": {one: one}} for one in HOSTILE_IDS]
    corpus = write_jsonl(tmp_path / "corpus.jsonl", records)
    manifest = run_label(
        open_corpus([corpus]), tmp_path / "a" / "labels", LabelConfig(num_shards=3), Resources(), False
    )
    run_project(tmp_path / "a" / "labels", tmp_path / "a" / "projected", "bytes", 1, False)
    assert manifest.counts["read"] == len(HOSTILE_IDS)
    named = re.compile(r"a/(labels|projected)/(manifest\.json|(shards|rejected)/[a-z-]*part-\d{5}-of-00003\.parquet)")
    for path in (path for path in tmp_path.rglob("*") if path.is_file() and path.name != "corpus.jsonl"):
        assert named.fullmatch(path.relative_to(tmp_path).as_posix()), path
    shown = pl.scan_parquet(tmp_path / "a" / "labels" / "shards").collect()
    assert set(shown["id"]) <= set(HOSTILE_IDS)


def test_a_reply_without_end_is_cut_off(monkeypatch):
    monkeypatch.setattr(client, "MAX_REPLY_BYTES", 100_000)
    with LlmServer(Behaviour(), lambda _: "x" * 300_000) as server:
        (reply,), _ = ask_all(transport(server), [request(1)])
        assert reply.status == "api_error"
        assert "more than 100000 bytes" in reply.reason
        assert server.counts["sent"] == 1  # the server would do it again
    assert asyncio.iscoroutinefunction(client.ChatClient.send)


def test_a_manifest_without_end_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest_module, "MAX_MANIFEST_BYTES", 1_000)
    (tmp_path / MANIFEST).write_bytes(b" " * 1_001)
    with pytest.raises(ShardError, match="1001 bytes are no manifest"):
        read_manifest(tmp_path)


def test_a_manifest_that_nests_without_end_is_refused(tmp_path):
    (tmp_path / MANIFEST).write_text('{"schema_version":' + "[" * 200_000)
    with pytest.raises(ShardError, match="not a readable manifest"):
        read_manifest(tmp_path)


def test_the_threat_model_names_tests_that_are_there():
    text = (ROOT / "docs" / "security.md").read_text()
    named = set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text))
    assert len(named) >= 15
    for path, test in named:
        assert f"def {test}(" in (ROOT / path).read_text() if test else (ROOT / path).is_file(), (path, test)
