import dataclasses
import hashlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.storage.shard_files import reason_kind, row_group_bounds, shard_of, shard_report, sort_rows
from schemas.records import Rejected
from schemas.rows import from_table, to_rejected_table, to_table
from tests.rows import full_row


def test_shard_of_a_group_never_changes():
    # written down once: a change here would scatter every stored group anew
    assert [shard_of(group, 16) for group in ("a", "b", "漢字", "")] == [15, 5, 10, 4]


def test_row_groups_close_at_group_boundaries_only(monkeypatch):
    monkeypatch.setattr("pipeline.storage.shard_files.ROW_GROUP_ROWS", 3)
    groups = ["a", "a", "b", "b", "b", "c", "d", "d"]
    assert row_group_bounds(groups, 1.0) == [(0, 5), (5, 8)]
    assert row_group_bounds(["a"] * 7, 1.0) == [(0, 7)]  # one prompt group is never cut
    assert row_group_bounds([], 1.0) == []


def test_heavy_rows_make_smaller_row_groups():
    assert row_group_bounds(["a", "b", "c"], float(9 << 20)) == [(0, 1), (1, 2), (2, 3)]


def test_rows_are_sorted_by_group_then_id():
    rows = [full_row("r2", "b"), full_row("r1", "b"), full_row("r9", "a")]
    assert [row.sample.id for row in from_table(sort_rows(to_table(rows)))] == ["r9", "r1", "r2"]


def test_report_describes_the_files_it_was_written_after(tmp_path):
    rows = to_table([full_row("r2", "b"), full_row("r1", "a"), full_row("r3", "b")])
    rejects = to_rejected_table([Rejected("x", "c.jsonl", 4, "validate", "no response", "{}")])
    report = shard_report(rows, rejects, str(tmp_path), "part-00000-of-00001")
    shard = report["shard"]
    data = (tmp_path / shard["path"]).read_bytes()
    assert (shard["rows"], shard["groups"], shard["bytes"]) == (3, 2, len(data))
    assert shard["sha256"] == hashlib.sha256(data).hexdigest()
    assert (shard["tokens"], shard["tokens_supported"], shard["tokens_unsupported"]) == (132, 30, 12)
    assert report["claims"]["verdict"] == {"contradicted": 3, "supported": 3, "None": 3}
    assert report["claims"]["status"] == {"ok": 6, "unverified: no answer": 3}
    found = {"exact": 6, "folded": 0, "fuzzy": 0, "unmatched": 3}
    assert report["claims"]["projection"] == {**found, "conflicted": 3, "doubtful": 3}
    assert report["rejected_by"] == {"validate: no response": 1}
    assert pq.read_table(tmp_path / report["rejected"]["path"])["id"].to_pylist() == ["x"]


def test_equal_rows_give_equal_bytes(tmp_path):
    first, second = (to_table([full_row("r1"), full_row("r2")]) for _ in range(2))
    chunked = pa.concat_tables([second.slice(0, 1), second.slice(1, 1)])
    reports = [
        shard_report(table, to_rejected_table([]), str(tmp_path / name), "part")
        for table, name in ((first, "one"), (chunked, "two"))
    ]
    assert reports[0] == reports[1]


def test_altered_page_is_found_by_its_checksum(tmp_path):
    shard_report(to_table([full_row("a", "g")]), to_rejected_table([]), str(tmp_path), "part")
    (path,) = (tmp_path / "shards").iterdir()
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(0)
    data = bytearray(path.read_bytes())
    data[chunk.data_page_offset + chunk.total_compressed_size - 1] ^= 1
    path.write_bytes(data)
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(path, page_checksum_verification=True)


def test_shard_without_rows_writes_no_file(tmp_path):
    report = shard_report(to_table([]), to_rejected_table([]), str(tmp_path), "part")
    assert (report["shard"], report["rejected"]) == (None, None)
    assert not (tmp_path / "shards").exists()


def test_unverified_claims_are_counted_apart_from_every_verdict(tmp_path):
    row = full_row()
    row = dataclasses.replace(row, claims=row.claims[2:])
    report = shard_report(to_table([row]), to_rejected_table([]), str(tmp_path), "part")
    assert report["claims"]["verdict"] == {"None": 1}


def test_reasons_that_differ_in_numbers_only_are_one_kind():
    assert (
        reason_kind("read", "line 17: 3 labels") == reason_kind("read", "line 4: 99 labels") == "read: line #: # labels"
    )
