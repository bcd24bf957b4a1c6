import dataclasses
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config import LabelConfig
from pipeline.corpora import open_corpus
from pipeline.runs.label import Resources, run_label
from pipeline.runs.project import run_project
from schemas.errors import ConfigError, ShardError
from schemas.manifest import MANIFEST, read_manifest, write_manifest
from schemas.tokens import load_tokenizer
from tests.test_sample_data import ROOT
from tests.trainer.chat_templates import chatml, llama3, wrap
from tests.trainer.label_sets_made_here import flip_byte, make_rows, write_label_set
from trainer.data.label_sets import check_tokenizer, open_label_sets, parse_source

TOKENIZER = chatml()


@pytest.fixture(scope="module")
def sample_labels(tmp_path_factory):
    """The sample corpus with its human labels, by the pipeline, on bytes."""
    out = tmp_path_factory.mktemp("sample") / "labels"
    corpus = open_corpus([str(ROOT / "data" / "sample" / "corpus.jsonl")])
    run_label(corpus, out, LabelConfig(num_shards=2, labels="gold"), Resources(), False)
    return out


@pytest.fixture
def labels(tmp_path):
    return write_label_set(tmp_path / "labels", make_rows(TOKENIZER, 8), TOKENIZER, shards=2)


def first_shard(folder):
    return sorted((folder / "shards").iterdir())[0]


def test_opened_label_set_knows_its_row_groups_and_groups(labels):
    (opened,) = open_label_sets([(labels, 1.0)])
    assert opened.groups == 8
    assert [(one.source, one.index, one.rows) for one in opened.row_groups] == [(0, 0, 8), (0, 0, 8)]


def test_a_label_set_given_twice_is_refused(labels):
    with pytest.raises(ConfigError, match="given twice; its rows would count double"):
        open_label_sets([(labels, 1.0), (labels / ".." / labels.name, 0.5)])


def test_projected_sample_is_opened_by_the_model_it_was_projected_for(sample_labels, tmp_path):
    model = tmp_path / "model"
    tokenizer = llama3()
    tokenizer.save_pretrained(model)
    run_project(sample_labels, tmp_path / "projected", str(model), workers=1, overwrite=False)
    opened = open_label_sets([(tmp_path / "projected", 1.0)])
    assert opened[0].groups == 15
    from transformers import AutoTokenizer

    check_tokenizer(opened, AutoTokenizer.from_pretrained(str(model)), str(model))


def test_label_set_on_bytes_is_refused_with_the_command_that_projects_it(sample_labels, tmp_path):
    opened, model = open_label_sets([(sample_labels, 1.0)]), str(tmp_path / "tiny")
    remedy = f"balto project {sample_labels} --tokenizer {model} --out {sample_labels}-tiny"
    with pytest.raises(ConfigError) as refused:
        check_tokenizer(opened, TOKENIZER, model)
    assert f"tokens are those of the tokenizer bytes, not of {model}" in str(refused.value)
    assert str(refused.value).endswith(remedy)


def test_label_set_on_bytes_serves_a_byte_level_model(sample_labels):
    tokenizer = wrap(load_tokenizer("bytes").tokenizer, [], [])
    check_tokenizer(open_label_sets([(sample_labels, 1.0)]), tokenizer, "byte-model")


def test_tokenizer_file_of_the_model_counts_when_loading_changes_the_tokenizer(labels, tmp_path):
    model = tmp_path / "model"
    TOKENIZER.save_pretrained(model)
    changed = chatml()
    changed.add_tokens(["<new>"])  # as a library does that rebuilds what it loads
    check_tokenizer(open_label_sets([(labels, 1.0)]), changed, str(model))
    with pytest.raises(ConfigError, match="balto project"):
        check_tokenizer(open_label_sets([(labels, 1.0)]), changed, str(tmp_path / "nothing"))


def test_folder_without_manifest_or_of_a_newer_schema_is_refused(labels):
    values = json.loads((labels / MANIFEST).read_text())
    (labels / MANIFEST).write_text(json.dumps({**values, "schema_version": 99}))
    with pytest.raises(ShardError, match="schema version 99"):
        open_label_sets([(labels, 1.0)])
    (labels / MANIFEST).unlink()
    with pytest.raises(ShardError, match="not a label set"):
        open_label_sets([(labels, 1.0)])


def test_missing_shard_is_named(labels):
    first_shard(labels).unlink()
    with pytest.raises(ShardError, match=r"part-00000-of-00002.parquet: missing"):
        open_label_sets([(labels, 1.0)])


def test_altered_shard_is_found_by_its_hash_and_read_only_on_request(labels):
    open_label_sets([(labels, 1.0)])  # hashed and remembered ...
    flip_byte(first_shard(labels), 0, "token_labels")
    with pytest.raises(ShardError, match=r"part-00000-of-00002.parquet: altered since .* --no-verify"):
        open_label_sets([(labels, 1.0)])  # ... but a changed file is hashed again
    assert open_label_sets([(labels, 1.0)], verify=False)


def test_cut_shard_is_refused_even_without_verifying(labels):
    path = first_shard(labels)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ShardError, match="altered or copied in part"):
        open_label_sets([(labels, 1.0)], verify=False)


def with_shard(labels, table):
    """The label set with another first shard, and a manifest that agrees with its bytes."""
    manifest, path = read_manifest(labels), first_shard(labels)
    pq.write_table(table, path)
    entry = dataclasses.replace(manifest.shards[0], bytes=path.stat().st_size)
    write_manifest(labels, dataclasses.replace(manifest, shards=(entry, *manifest.shards[1:])))
    return labels


def test_shard_without_a_column_or_with_another_type_is_refused(labels):
    table = pq.read_table(first_shard(labels))
    with pytest.raises(ShardError, match="no column token_labels of type"):
        open_label_sets([(with_shard(labels, table.drop_columns(["token_labels"])), 1.0)], verify=False)
    at = table.column_names.index("n_supported")
    other = table.set_column(at, "n_supported", table["n_supported"].cast(pa.string()))
    with pytest.raises(ShardError, match="no column n_supported of type int32"):
        open_label_sets([(with_shard(labels, other), 1.0)], verify=False)


def test_shard_of_other_rows_than_the_manifest_says_is_refused(labels):
    table = pq.read_table(first_shard(labels))
    with pytest.raises(ShardError, match="6 rows, the manifest says 8"):
        open_label_sets([(with_shard(labels, table.slice(2)), 1.0)], verify=False)


def test_file_that_is_no_parquet_is_refused(labels):
    path = first_shard(labels)
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(ShardError, match="not a readable Parquet file"):
        open_label_sets([(labels, 1.0)], verify=False)


def test_label_set_without_rows_is_refused(labels):
    manifest = dataclasses.replace(read_manifest(labels), shards=(), counts={"read": 0, "labelled": 0, "rejected": 0})
    write_manifest(labels, manifest)
    with pytest.raises(ShardError, match="no labelled response to train on"):
        open_label_sets([(labels, 1.0)])


def test_weights_stand_behind_a_colon(tmp_path):
    assert parse_source("labels") == (parse_source("labels:1")[0], 1.0)
    assert parse_source("a/b:0.5")[1] == 0.5
    odd = tmp_path / "a:b"
    odd.mkdir()
    assert parse_source(str(odd)) == (odd, 1.0)
    for wrong in ("labels:0", "labels:-1", "labels:nan", "labels:1e9", "labels:"):
        with pytest.raises(ConfigError, match="weight after the colon"):
            parse_source(wrong)


def test_copied_label_set_is_the_same(labels, tmp_path):
    copy = shutil.copytree(labels, tmp_path / "copy")
    one, other = open_label_sets([(labels, 1.0), (copy, 1.0)])
    assert one.manifest.content_hash() == other.manifest.content_hash()
