"""`balto label --verifier nli:FOLDER`: a whole run without any language model, through Beam."""

import json

import polars as pl
import pytest
from typer.testing import CliRunner

import balto
from schemas.errors import ConfigError
from schemas.manifest import read_manifest
from tests.pipeline.engines.nli.tiny_nli_models import make_model

CONTEXT = [{"passage_id": "p1", "text": "The bridge was opened in 1932 and is 1149 metres long."}]
ROWS = [
    {"id": f"r{n}", "prompt": "q", "context": CONTEXT, "response": f"The bridge was opened in {1930 + n}. It is long."}
    for n in range(12)
] + [
    {"id": "no context", "prompt": "q", "context": [], "response": "The bridge is long."},
    {"id": "says nothing", "prompt": "q", "context": CONTEXT, "response": ""},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def corpus(tmp_path):
    file = tmp_path / "corpus.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return file


def label(corpus, out, *options):
    words = ["label", str(corpus), "--out", str(out), "--device", "cpu", *options]
    return CliRunner().invoke(balto.app, words, catch_exceptions=True)


def rows_of(out):
    return pl.scan_parquet(f"{out}/shards/*.parquet").select("id", "status", "claims").collect().sort("id").to_dicts()


def test_every_record_is_labelled_and_the_manifest_names_the_weights(model, corpus, tmp_path):
    done = label(corpus, tmp_path / "out", "--verifier", f"nli:{model}")
    assert done.exit_code == 0, done.output
    rows = {row["id"]: row for row in rows_of(tmp_path / "out")}
    assert len(rows) == len(ROWS)
    for n in range(12):
        assert {claim["status"] for claim in rows[f"r{n}"]["claims"]} == {"ok"}
        assert all(0 <= claim["score"] <= 1 for claim in rows[f"r{n}"]["claims"])
    assert rows["no context"]["status"] == "unverified"
    assert rows["says nothing"]["status"] == "no_claims"
    manifest = read_manifest(tmp_path / "out")
    assert manifest.engines["verifier"] == f"nli/1:tiny@{manifest.config['nli_fingerprint'][:12]}"
    assert manifest.config["precision"] == "float32"
    assert "compute" not in manifest.config
    assert manifest.counts == {"read": 14, "labelled": 14, "rejected": 0}


def test_scores_do_not_depend_on_how_it_was_computed(model, corpus, tmp_path):
    label(corpus, tmp_path / "a", "--verifier", f"nli:{model}")
    label(corpus, tmp_path / "b", "--verifier", f"nli:{model}", "--batch-tokens", "64", "--num-shards", "4")
    assert rows_of(tmp_path / "a") == rows_of(tmp_path / "b")


def test_label_set_can_be_projected_where_the_model_is_not(model, corpus, tmp_path):
    label(corpus, tmp_path / "out", "--verifier", f"nli:{model}")
    manifest = tmp_path / "out" / "manifest.json"
    manifest.write_text(manifest.read_text().replace(str(model), "/gone/tiny"))
    words = ["project", str(tmp_path / "out"), "--tokenizer", "bytes", "--out", str(tmp_path / "again")]
    done = CliRunner().invoke(balto.app, words)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--verifier", "nli:"), "names no model"),
        (("--verifier", "nli:/nowhere"), "no such folder"),
        (("--verifier", "nli:/nowhere", "--precision", "int3"), "--precision int3"),
        (("--verifier", "nli:/nowhere", "--evidence-windows", "0"), "--evidence-windows 0"),
        (("--verifier", "nli:/nowhere", "--batch-tokens", "1"), "--batch-tokens 1"),
        (("--retriever", "x"), "is for --verifier nli:MODEL"),
        (("--labels", "gold", "--verifier", "nli:x"), "asks nobody"),
    ],
)
def test_what_cannot_work_is_said_before_the_corpus_is_touched(corpus, tmp_path, options, message):
    done = label(corpus, tmp_path / "out", *options)
    assert isinstance(done.exception, ConfigError)
    assert message in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_missing_extra_is_one_line(monkeypatch, capsys, corpus, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    monkeypatch.setattr(
        sys, "argv", ["balto", "label", str(corpus), "--out", str(tmp_path / "o"), "--verifier", "nli:x"]
    )
    assert balto._run() == 1
    assert (
        capsys.readouterr().err
        == "balto: this command needs sentence_transformers: pip install '.[nli]' in the checkout of balto\n"
    )
