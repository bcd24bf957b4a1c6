import dataclasses
import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from pipeline.runs.assemble import assemble
from pipeline.stats import claim_counts, conflicts, groups_with_signal, overview, response_statuses, scan_labels
from pipeline.storage.shard_files import shard_report
from schemas.errors import ConfigError, ShardError
from schemas.manifest import read_manifest, write_manifest
from schemas.records import ALIGNMENTS, LabelledResponse
from schemas.rows import to_rejected_table, to_table
from schemas.tokens import label_text, load_tokenizer
from tests.rows import full_row

DESCRIBED = {"config": {}, "engines": {}, "tokenizer": {"name": "bytes", "fingerprint": ""}, "balto_version": ""}


def row_of(sample_id: str, group_id: str, policy: str | None, bare: bool = False) -> LabelledResponse:
    row = full_row(sample_id, group_id)
    sample = dataclasses.replace(row.sample, policy=policy)
    if not bare:
        return dataclasses.replace(row, sample=sample)
    tokens = label_text(load_tokenizer("bytes"), "abcd", [])
    sample = dataclasses.replace(sample, response="abcd")
    return LabelledResponse(sample, (), (), tokens, "no_claims")


@pytest.fixture
def labels(tmp_path):
    """Two shards; model a: two full rows (44 tokens, 10 of +1, 4 of -1 each), model b: one row of 4 neutral tokens."""
    rows = [[row_of("r1", "g1", "a"), row_of("r2", "g2", "a")], [row_of("r3", "g3", "b", bare=True)]]
    reports = [
        shard_report(to_table(part), to_rejected_table([]), str(tmp_path), f"part-{n}") for n, part in enumerate(rows)
    ]
    shutil.rmtree(tmp_path / ".work")
    write_manifest(tmp_path, assemble(reports, 3, [], {}, DESCRIBED))
    return str(tmp_path)


def test_overview_counts_and_shares(labels):
    (row,) = overview(scan_labels([labels])).to_dicts()
    assert row == {
        "records": 3,
        "groups": 3,
        "n_claims": 6,
        "n_supported": 2,
        "n_contradicted": 2,
        "n_unsupported": 0,
        "n_unverified": 2,
        "n_unmatched": 2,
        "n_doubtful": 2,
        "n_conflicts": 2,
        "n_tokens": 92,
        "n_tokens_supported": 20,
        "n_tokens_unsupported": 8,
        "claims_per_response": 2.0,
        "share_supported": 20 / 92,
        "share_unsupported": 8 / 92,
        "share_neutral": pytest.approx(64 / 92),
    }


def test_overview_by_policy_has_a_row_per_policy(labels):
    frame = overview(scan_labels([labels]), by=["policy"])
    assert frame.select("policy", "records", "n_tokens").rows() == [("a", 2, 88), ("b", 1, 4)]


def test_alignment_and_conflicts_are_the_projection_report_of_the_manifest(labels):
    frame = scan_labels([labels])
    found = dict.fromkeys(ALIGNMENTS, 0) | dict(claim_counts(frame, "alignment").rows())
    conflicted = conflicts(frame, by=[])["n_conflicts"].item()
    assert found == {"exact": 4, "folded": 0, "fuzzy": 0, "unmatched": 2}
    assert read_manifest(Path(labels)).claims["projection"] == found | {"conflicted": conflicted, "doubtful": 2}


def test_claims_are_counted_by_verdict_alignment_and_status(labels):
    frame = scan_labels([labels])
    assert claim_counts(frame, "verdict").rows() == [("contradicted", 2), ("none", 2), ("supported", 2)]
    assert claim_counts(frame, "alignment").rows() == [("exact", 4), ("unmatched", 2)]
    assert claim_counts(frame, "status", by=["policy"]).rows() == [("a", "ok", 4), ("a", "unverified: no answer", 2)]
    assert response_statuses(frame).rows() == [("labelled", 2), ("no_claims", 1)]


def test_groups_are_told_apart_by_what_training_finds_in_them(labels):
    assert groups_with_signal(scan_labels([labels])).rows() == [("both labels", 2), ("no label", 1)]


def test_several_label_sets_are_one_frame(labels, tmp_path_factory):
    copy = shutil.copytree(labels, tmp_path_factory.mktemp("copy") / "labels")
    assert overview(scan_labels([labels, str(copy)]))["records"][0] == 6


def test_label_set_named_twice_is_refused(labels):
    with pytest.raises(ConfigError, match="named twice"):
        scan_labels([labels, labels + "/."])


def test_label_sets_of_two_tokenizers_are_refused(labels, tmp_path_factory):
    copy = shutil.copytree(labels, tmp_path_factory.mktemp("copy") / "labels")
    text = (copy / "manifest.json").read_text()
    (copy / "manifest.json").write_text(text.replace('"fingerprint": ""', '"fingerprint": "other"'))
    with pytest.raises(ConfigError, match="different tokenizers"):
        scan_labels([labels, str(copy)])


def test_truncated_shard_is_named(tmp_path, labels):
    shard = tmp_path / json.loads((tmp_path / "manifest.json").read_text())["shards"][0]["path"]
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(ShardError, match=r"part-0.parquet: \d+ bytes, the manifest says \d+"):
        scan_labels([labels])


def test_empty_responses_give_no_share_instead_of_nan(tmp_path, labels):
    frame = scan_labels([labels]).with_columns(n_tokens=pl.lit(0, pl.Int32), n_tokens_supported=pl.lit(0, pl.Int32))
    assert overview(frame)["share_supported"][0] is None


def test_unknown_column_names_the_near_ones(labels):
    with pytest.raises(ConfigError, match="--by polisy: no such column; near: policy"):
        overview(scan_labels([labels]), by=["polisy"])


def test_unfinished_label_set_is_refused(tmp_path, labels):
    (tmp_path / "manifest.json").rename(tmp_path / "x")
    (tmp_path / ".work").mkdir()
    with pytest.raises(ShardError, match="unfinished run"):
        scan_labels([labels])


def test_missing_shard_is_named(tmp_path, labels):
    name = json.loads((tmp_path / "manifest.json").read_text())["shards"][0]["path"]
    (tmp_path / name).unlink()
    with pytest.raises(ShardError, match=r"part-0.parquet: missing, although"):
        scan_labels([labels])
