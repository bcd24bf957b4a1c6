import json
import shutil

import pyarrow.parquet as pq
import pytest

from pipeline.config import LabelConfig
from pipeline.corpora import open_corpus
from pipeline.runs.copy_labels import copy_labels
from pipeline.runs.label import Resources, run_label
from pipeline.runs.project import run_project
from schemas.errors import ShardError
from schemas.manifest import read_manifest
from schemas.rows import from_table
from schemas.tokens import load_tokenizer
from tests.rows import small_corpus, write_jsonl
from tests.tokenizers_made_here import KINDS


@pytest.fixture(scope="module")
def tokenizer_file(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    KINDS["byte-level BPE"]().save(str(path))
    return str(path)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> str:
    records = [*small_corpus(6), {**small_corpus(1)[0], "id": "x", "response": None}]
    return write_jsonl(tmp_path_factory.mktemp("corpus") / "corpus.jsonl", records)


@pytest.fixture(scope="module")
def labelled(corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("labelled") / "labels"
    run_label(open_corpus([corpus]), out, LabelConfig(num_shards=3), Resources(), False)
    return out


@pytest.fixture
def labels(labelled, tmp_path):
    return shutil.copytree(labelled, tmp_path / "labels")


def rows_of(folder):
    return [row for path in sorted((folder / "shards").iterdir()) for row in from_table(pq.read_table(path))]


def test_projection_equals_labelling_with_that_tokenizer_at_once(labels, corpus, tokenizer_file, tmp_path):
    run_project(labels, tmp_path / "projected", tokenizer_file, workers=1, overwrite=False)
    config = LabelConfig(num_shards=3, tokenizer=tokenizer_file)
    run_label(open_corpus([corpus]), tmp_path / "direct", config, Resources(), False)
    assert rows_of(tmp_path / "projected") == rows_of(tmp_path / "direct")
    projected, direct = read_manifest(tmp_path / "projected"), read_manifest(tmp_path / "direct")
    assert projected.content_hash() == direct.content_hash()
    assert projected.tokenizer == direct.tokenizer
    assert projected.counts == direct.counts == {"read": 19, "labelled": 18, "rejected": 1}


def test_projection_there_and_back_changes_nothing(labels, tokenizer_file, tmp_path):
    run_project(labels, tmp_path / "there", tokenizer_file, workers=1, overwrite=False)
    run_project(tmp_path / "there", tmp_path / "back", "bytes", workers=1, overwrite=False)
    assert read_manifest(tmp_path / "back") == read_manifest(labels)


def test_sampled_ids_and_logprobs_return_with_their_tokenizer(tmp_path, tokenizer_file):
    tokenizer = load_tokenizer(tokenizer_file)
    vocab = tokenizer.tokenizer.get_vocab()
    letters = [vocab[char] for char in "Bridge"]
    ids = [*letters, *tokenizer.encode(" is long.")[0].tolist()]
    sampled = {
        **small_corpus(1)[0],
        "response": "Bridge is long.",
        "response_token_ids": ids,
        "response_logprobs": [-0.5] * len(ids),
        "tokenizer": tokenizer.fingerprint,
    }
    corpus = write_jsonl(tmp_path / "corpus.jsonl", [sampled])
    run_label(open_corpus([corpus]), tmp_path / "labels", LabelConfig(num_shards=1), Resources(), False)
    (before,) = rows_of(tmp_path / "labels")
    assert before.behaviour_logprobs is None  # labelled on bytes: these log-probabilities are of other tokens
    run_project(tmp_path / "labels", tmp_path / "projected", tokenizer_file, workers=1, overwrite=False)
    (after,) = rows_of(tmp_path / "projected")
    assert after.tokens.ids.tolist() == ids
    assert after.behaviour_logprobs == (-0.5,) * len(ids)


def test_ids_that_do_not_decode_to_the_response_are_rejected_and_counted(tmp_path, tokenizer_file):
    tokenizer = load_tokenizer(tokenizer_file)
    wrong = {**small_corpus(1)[0], "response_token_ids": [5, 5], "tokenizer": tokenizer.fingerprint}
    corpus = write_jsonl(tmp_path / "corpus.jsonl", [wrong, {**small_corpus(1)[1]}])
    run_label(open_corpus([corpus]), tmp_path / "labels", LabelConfig(num_shards=1), Resources(), False)
    manifest = run_project(tmp_path / "labels", tmp_path / "projected", tokenizer_file, workers=1, overwrite=False)
    assert manifest.counts == {"read": 2, "labelled": 1, "rejected": 1}
    (reason,) = manifest.rejected_by
    assert reason.startswith("label_tokens: response_token_ids do not decode")


def other_byte_level(path, extra: str) -> str:
    """A tokenizer like `tokenizer_file` with one token more."""
    tokenizer = KINDS["byte-level BPE"]()
    tokenizer.add_tokens([extra])
    tokenizer.save(str(path))
    return str(path)


def test_records_that_one_projection_rejected_stay_beside_those_of_the_next(tmp_path, tokenizer_file):
    second = other_byte_level(tmp_path / "second.json", "zzz")
    first, other, *rest = small_corpus(3)
    wrong = [
        {**first, "response_token_ids": [5, 5], "tokenizer": load_tokenizer(tokenizer_file).fingerprint},
        {**other, "response_token_ids": [5, 5], "tokenizer": load_tokenizer(second).fingerprint},
    ]
    corpus = write_jsonl(tmp_path / "corpus.jsonl", [*wrong, *rest])
    run_label(open_corpus([corpus]), tmp_path / "labels", LabelConfig(num_shards=1), Resources(), False)
    run_project(tmp_path / "labels", tmp_path / "once", tokenizer_file, workers=1, overwrite=False)
    twice = run_project(tmp_path / "once", tmp_path / "twice", second, workers=1, overwrite=False)
    assert len({entry.path for entry in twice.rejected}) == 2
    kept = [
        name for entry in twice.rejected for name in pq.read_table(tmp_path / "twice" / entry.path)["id"].to_pylist()
    ]
    assert kept == [first["id"], other["id"]]
    copy_labels(str(tmp_path / "twice"), str(tmp_path / "copy"))  # compares every file with the manifest


def test_altered_file_of_rejected_records_is_refused(labels, tokenizer_file, tmp_path):
    (rejected,) = (labels / "rejected").iterdir()
    rejected.write_bytes(b"other")
    with pytest.raises(ShardError, match=f"{rejected.name}: altered since it was written"):
        run_project(labels, tmp_path / "out", tokenizer_file, workers=1, overwrite=False)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_altered_or_missing_shard_is_refused(labels, tokenizer_file, tmp_path):
    shard = sorted((labels / "shards").iterdir())[0]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(bytes(data))
    with pytest.raises(ShardError, match="altered since it was written"):
        run_project(labels, tmp_path / "out", tokenizer_file, workers=1, overwrite=False)
    shard.unlink()
    with pytest.raises(ShardError, match="cannot be read"):
        run_project(labels, tmp_path / "out", tokenizer_file, workers=1, overwrite=False)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_unfinished_label_set_is_refused_before_any_output(labels, tokenizer_file, tmp_path):
    (labels / "manifest.json").rename(labels / "manifest.off")
    with pytest.raises(ShardError, match="not a label set"):
        run_project(labels, tmp_path / "out", tokenizer_file, workers=1, overwrite=False)
    assert not (tmp_path / "out").exists()


def test_manifest_that_names_a_shard_outside_the_folder_is_refused(labels, tokenizer_file, tmp_path):
    values = json.loads((labels / "manifest.json").read_text())
    values["shards"][0]["path"] = "../../etc/passwd"
    (labels / "manifest.json").write_text(json.dumps(values))
    with pytest.raises(ShardError, match="outside the label set"):
        run_project(labels, tmp_path / "out", tokenizer_file, workers=1, overwrite=False)
