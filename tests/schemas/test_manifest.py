import dataclasses
import json

import pytest

from schemas.errors import ShardError
from schemas.manifest import Manifest, RejectedEntry, ShardEntry, read_manifest, write_manifest

SHARD = ShardEntry("shards/part-00000-of-00001.parquet", 3, 2, 30, 20, 5, 1000, "ab" * 32)
MANIFEST = Manifest(
    counts={"read": 4, "labelled": 3, "rejected": 1},
    shards=(SHARD,),
    rejected=(RejectedEntry("rejected/read-00000.parquet", 1, 10, "cd" * 32),),
    rejected_by={"read: not JSON": 1},
    claims={"verdict": {"supported": 7}},
    config={"num_shards": 1},
    engines={"extractor": "rules/1", "verifier": "lexical/1", "prompt_version": ""},
    tokenizer={"name": "bytes", "fingerprint": "ef"},
    usage={"requests": 0},
    inputs=({"path": "c.jsonl", "format": "balto", "bytes": 9},),
    balto_version="0.1.0",
)


def test_manifest_survives_the_disk(tmp_path):
    write_manifest(tmp_path, MANIFEST)
    assert read_manifest(tmp_path) == MANIFEST
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_sums_that_do_not_add_up_are_refused():
    with pytest.raises(ShardError, match="4 records read, 3 labelled and 0 rejected"):
        dataclasses.replace(MANIFEST, counts={"read": 4, "labelled": 3, "rejected": 0})
    with pytest.raises(ShardError, match="hold 3 rows, not 2"):
        dataclasses.replace(MANIFEST, counts={"read": 3, "labelled": 2, "rejected": 1})


def test_content_hash_follows_the_shards_only():
    renamed = dataclasses.replace(MANIFEST, balto_version="9")
    altered = dataclasses.replace(MANIFEST, shards=(dataclasses.replace(SHARD, sha256="00" * 32),))
    assert MANIFEST.content_hash() == renamed.content_hash() != altered.content_hash()


def test_unfinished_run_is_refused_with_how_to_resume(tmp_path):
    (tmp_path / ".work").mkdir()
    with pytest.raises(ShardError, match="unfinished run; the command that started it resumes it"):
        read_manifest(tmp_path)


def test_folder_that_is_no_label_set_is_refused(tmp_path):
    with pytest.raises(ShardError, match="not a label set"):
        read_manifest(tmp_path)
    with pytest.raises(ShardError, match="no such label set"):
        read_manifest(tmp_path / "nowhere")


def test_newer_schema_is_refused_by_version(tmp_path):
    write_manifest(tmp_path, MANIFEST)
    values = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**values, "schema_version": 2}))
    with pytest.raises(ShardError, match="schema version 2; this balto reads version 1"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 1}', '{"schema_version": 1, "shards": [3]}'])
def test_damaged_manifest_is_one_line(tmp_path, text: str):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ShardError, match="not a readable manifest"):
        read_manifest(tmp_path)
