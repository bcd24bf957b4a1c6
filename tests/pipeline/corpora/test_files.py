"""Corpus files -> records: which files, which format, every container, every kind of bad input."""

from __future__ import annotations

import gzip
import json
import os
import time
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.corpora import CorpusFile, corpus_size_bytes, open_corpus, read_corpus_file
from pipeline.corpora.containers import JSONL, read_records
from schemas.errors import ConfigError
from schemas.records import Passage, Rejected, Sample
from tests.pipeline.corpus_files import BALTO, read_all, refusal, rejections, samples, write, write_table

# Files


def test_patterns_expand_sorted_and_each_file_counts_once(tmp_path: Path):
    for name in ("b.jsonl", "a.jsonl"):
        write(tmp_path / name, BALTO)
    files = open_corpus([str(tmp_path / "b.jsonl"), str(tmp_path / "*.jsonl"), f"{tmp_path}/./a.jsonl"])
    assert [(file.name, file.format, file.container) for file in files] == [
        ("a.jsonl", "balto", "jsonl"),
        ("b.jsonl", "balto", "jsonl"),
    ]
    assert [file.size_bytes for file in files] == [os.path.getsize(file.path) for file in files]


def test_name_with_wildcard_characters_is_taken_literally(tmp_path: Path):
    assert open_corpus([write(tmp_path / "part[1].jsonl", BALTO)])[0].name == "part[1].jsonl"


def test_equal_base_names_are_told_apart_by_their_folders(tmp_path: Path):
    for folder in ("dev", "test"):
        write(tmp_path / folder / "part.jsonl", {"prompt": "Who?", "context": [], "response": folder})
    write(tmp_path / "test" / "more.jsonl", {"prompt": "Who?", "context": [], "response": "more"})
    found = samples(f"{tmp_path}/*/*.jsonl")
    assert [(s.id, s.source, s.response) for s in found] == [
        ("dev/part:1", "dev/part.jsonl", "dev"),
        ("more:1", "more.jsonl", "more"),
        ("test/part:1", "test/part.jsonl", "test"),
    ]


def test_equal_stems_keep_their_endings_in_default_ids(tmp_path: Path):
    row = {"prompt": "Who?", "context": "Ada.", "response": "Ada did."}
    write(tmp_path / "x.jsonl", row)
    write_table(tmp_path / "x.parquet", [row])
    assert [s.id for s in samples(f"{tmp_path}/x.*")] == ["x.jsonl:1", "x.parquet:1"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no records; remove it from the corpus or write it again"),
        (b" \n\n\t", "has no records; remove it from the corpus or write it again"),
        (b"PAR1 broken", "damaged Parquet file"),
        (
            b'{"prompt": "Who?"}\n',
            "no known format in its first records (fields prompt); say which field is which: "
            '--fields context=NAME,response=NAME (a record without a context has "context": [])',
        ),
        (b"Who? Ada.\n", "no JSON object in its first records (record 1: not valid JSON"),
        (b"id,prompt\n1,Who?\n", "(fields id, prompt); say which field is which: --fields context=NAME,response=NAME"),
        (b"id,prompt,context\n", "a header without rows; a corpus is one JSON object per line"),
        (b"prompt,context,context\na,b,c\n", "two columns are called 'context'; rename one of them"),
        (b"{}\xff\n", "(record 1: not UTF-8: byte 0xFF at byte 2 of the line); a corpus is one JSON"),
        (b"5\n", "(record 1: not an object but the number 5)"),
        (b"\x1f\x8bxx", "damaged gzip data"),
        (
            b'[{"prompt": "Who?"}, {]',
            "element 2 cannot be parsed: Expecting property name enclosed in double quotes at its character 2",
        ),
        (b'[{"prompt": "Who?"}] x', "not a readable JSON array: more text after its 1 elements"),
        (b'[{"prompt": "Who?"} 3]', "not a readable JSON array: no comma or ] after element 1"),
        (b'[{"prompt": "\xff"}]', "not a readable JSON array: not UTF-8"),
    ],
)
def test_unusable_file_is_refused_with_its_name(tmp_path: Path, content: bytes, message: str):
    path = write(tmp_path / "corpus.jsonl", content)
    assert refusal(path).startswith(f"{path}: ")
    assert message in refusal(path)


def test_gzip_that_breaks_off_at_once_is_told(tmp_path: Path):
    path = write(tmp_path / "c.jsonl.gz", gzip.compress(orjson.dumps(BALTO))[:8])
    assert refusal(path).startswith(f"{path}: damaged gzip data (Compressed file ended before the end-of-stream marker")


def test_rows_of_a_label_set_that_are_read_again_bring_no_meta(tmp_path: Path):
    path = write(tmp_path / "c.jsonl", {**BALTO, "token_labels": [1], "label_spans": [], "n_claims": 1})
    assert samples(path)[0].meta == {}


def test_pattern_without_a_match_is_refused(tmp_path: Path):
    assert refusal(f"{tmp_path}/*.jsonl") == f"{tmp_path}/*.jsonl: no such file; check the path and the wildcards"
    assert (
        refusal("ftp://host/x.jsonl")
        == "ftp://host/x.jsonl: nothing here reads ftp://; use gs://, s3:// or a local path"
    )


def test_directory_is_refused(tmp_path: Path):
    assert refusal(str(tmp_path)) == f"{tmp_path}: is a directory; name its files, for example '{tmp_path}/*.jsonl'"


def test_empty_pattern_list_and_unknown_format_are_refused(tmp_path: Path):
    assert refusal().startswith("no corpus given; name at least one file")
    assert refusal("x", format="csv") == (
        "--format csv: there is no such corpus format; use one of balto, ragtruth, factscore, confiqa, plain"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_unreadable_file_is_refused(tmp_path: Path):
    path = write(tmp_path / "corpus.jsonl", BALTO)
    os.chmod(path, 0)
    assert refusal(path) == f"{path}: cannot be read (Permission denied); check the path and its permissions"


def test_parquet_without_rows_is_refused(tmp_path: Path):
    path = write_table(tmp_path / "c.parquet", [], pa.schema([("prompt", pa.string())]))
    assert refusal(path) == f"{path}: has no records; remove it from the corpus or write it again"


def test_file_of_two_formats_is_refused(tmp_path: Path):
    confiqa = {"question": "Q", "orig_context": "a", "cf_context": "b"}
    path = write(tmp_path / "c.jsonl", BALTO, confiqa)
    assert refusal(path) == f"{path}: mixes the formats balto, confiqa; split it, or name one with --format"


def test_format_is_told_from_content_past_malformed_lines(tmp_path: Path):
    path = write(tmp_path / "ragtruth.jsonl", b"{broken\n", BALTO)
    assert open_corpus([path])[0].format == "balto"


def test_named_format_wins_over_the_detected_one(tmp_path: Path):
    path = write(tmp_path / "c.jsonl", BALTO)
    assert open_corpus([path], format="plain")[0].format == "plain"


def test_size_is_that_of_the_decompressed_records(tmp_path: Path):
    line = orjson.dumps(BALTO) + b"\n"
    plain = write(tmp_path / "a.jsonl", line * 100)
    packed = write(tmp_path / "b.jsonl.gz", gzip.compress(line * 100))
    table = write_table(tmp_path / "c.parquet", [BALTO] * 100)
    metadata = pq.read_metadata(table)
    assert corpus_size_bytes(open_corpus([plain])) == len(line) * 100
    assert corpus_size_bytes(open_corpus([packed])) == len(line) * 100
    assert corpus_size_bytes(open_corpus([table])) == metadata.row_group(0).total_byte_size


def test_size_of_joined_gzip_members_is_estimated(tmp_path: Path):
    lines = b"".join(orjson.dumps({**BALTO, "id": os.urandom(40).hex()}) + b"\n" for _ in range(200))
    last = orjson.dumps(BALTO) + b"\n"
    path = write(tmp_path / "b.jsonl.gz", gzip.compress(lines) + gzip.compress(last))
    assert corpus_size_bytes(open_corpus([path])) == 3 * os.path.getsize(path)  # the trailer tells of `last` only


# Containers


def test_records_carry_file_and_line(tmp_path: Path):
    path = write(tmp_path / "c.jsonl", BALTO, b"\n", {**BALTO, "id": "r2"})
    assert [(s.id, s.source, s.source_row) for s in samples(path)] == [("r1", "c.jsonl", 1), ("r2", "c.jsonl", 3)]


def test_crlf_byte_order_mark_and_missing_last_newline_are_harmless(tmp_path: Path):
    line = orjson.dumps(BALTO)
    path = write(tmp_path / "c.jsonl", b"\xef\xbb\xbf" + line + b"\r\n" + line)
    assert [s.source_row for s in samples(path)] == [1, 2]


def test_bad_lines_are_rejected_and_reading_goes_on(tmp_path: Path):
    path = write(
        tmp_path / "c.jsonl",
        BALTO,
        b'{"id": "r2", "prompt": \n',
        b'{"id": "r3", "prompt": "caf\xe9"}\n',
        {"id": "r4", "prompt": "Who?", "context": [], "response": 5},
        b'{"id": "r5", "prompt": "\\ud800", "context": []}\n',
        [1, 2],
        {**BALTO, "id": "r7"},
    )
    items = read_all(path)
    assert [type(item).__name__ for item in items] == ["Sample", *["Rejected"] * 5, "Sample"]
    assert rejections(items)[0][1].startswith("not valid JSON at character ")  # and no line: the place has it
    assert rejections(items)[1] == (3, "not UTF-8: byte 0xE9 at byte 27 of the line")
    assert items[3] == Rejected(
        id="r4",
        source="c.jsonl",
        source_row=4,
        stage="read",
        reason="response: expected a string or null, found the number 5",
        record='{"id":"r4","prompt":"Who?","context":[],"response":5}',
    )
    assert "surrogate" in rejections(items)[3][1]
    assert rejections(items)[4] == (
        6,
        "record: expected an object with id, prompt, context and response, found a list of 2",
    )


@pytest.mark.parametrize("layout", ["lines", "array", "NaN"])
def test_a_record_with_a_field_twice_is_rejected(tmp_path: Path, layout: str):
    """Parsers keep the last one without a word. Names inside of passages and in texts are others."""
    good = (
        b'{"id": "r1", "prompt": "\\"id\\": or \\"prompt\\"", "context": [{"id": "d1", "text": "id"}], "response": "x"}'
    )
    bad = b'{"id": "r2", "prompt": "q", "context": [], "response": "x", "response": "y"}'
    also = b'{"id": "r3", "prompt": "q", "context": [], "response": "x", "meta": {"a": NaN}, "id": "r4"}'
    records = [good, bad, also if layout == "NaN" else also.replace(b"NaN", b"1")]
    content = b"[" + b",".join(records) + b"]" if layout == "array" else b"\n".join(records)
    items = read_all(write(tmp_path / "c.json", content))
    assert [item.id for item in items if isinstance(item, Sample)] == ["r1"]
    assert rejections(items) == [
        (2, "'response': stands there twice; which one counts? leave one"),
        (3, "'id': stands there twice; which one counts? leave one"),
    ]


def test_a_record_of_very_many_fields_is_searched_for_one_twice_in_linear_time(tmp_path: Path):
    """A search of the line for each of 40,000 names takes 15 s or so, a parser that sees each once 0.03 s."""
    fields = b",".join(b'"k%05d": %d' % (n, n) for n in range(40_000))
    path = write(tmp_path / "c.jsonl", b'{"id": "r1", ' + fields + b"}\n{" + fields + b', "k00007": 0}')
    start = time.perf_counter()
    found = [record.reason for record in read_records(path, JSONL)]
    assert time.perf_counter() - start < 3
    assert found == [None, "'k00007': stands there twice; which one counts? leave one"]


def test_record_text_of_a_rejection_is_cut(tmp_path: Path):
    path = write(tmp_path / "c.jsonl", BALTO, {"id": "r2", "prompt": "é" * 5000})
    item = read_all(path)[1]
    assert isinstance(item, Rejected)
    assert len(item.record) == 2000
    assert item.record.startswith('{"id":"r2","prompt":"ééé')


def test_line_longer_than_the_limit_is_rejected_and_reading_goes_on(tmp_path: Path):
    long = {**BALTO, "id": "r2", "response": "x" * 3_000_000}
    path = write(tmp_path / "c.jsonl", BALTO, long, {**BALTO, "id": "r3"})
    items = read_all(path, max_record_bytes=1000)
    assert rejections(items) == [(2, "longer than 1000 bytes; split or drop this record")]
    assert [item.id for item in items] == ["r1", "", "r3"]


def test_line_of_exactly_the_limit_is_read(tmp_path: Path):
    line = orjson.dumps(BALTO)
    path = write(tmp_path / "c.jsonl", line + b"\n" + line)
    assert rejections(read_all(path, max_record_bytes=len(line))) == []


def test_nan_as_python_writes_it_is_read(tmp_path: Path):
    record = {**BALTO, "response_token_ids": [1, 2], "tokenizer": "t", "response_logprobs": [float("nan"), -1.0]}
    path = write(tmp_path / "c.jsonl", json.dumps(record).encode())
    assert str(samples(path)[0].response_logprobs) == "(nan, -1.0)"


def test_half_a_surrogate_pair_beside_nan_is_rejected_with_writable_text(tmp_path: Path):
    path = write(
        tmp_path / "c.jsonl", BALTO, b'{"id": "a\\ud800", "prompt": "Who?", "context": [], "meta": {"x": NaN}}\n'
    )
    item = read_all(path)[1]
    assert isinstance(item, Rejected)
    assert item.id == "a?"
    orjson.dumps(item)  # every field can be written as UTF-8


def test_gzip_is_read_whatever_its_name(tmp_path: Path):
    packed = gzip.compress(orjson.dumps(BALTO) + b"\n") + gzip.compress(orjson.dumps({**BALTO, "id": "r2"}))
    assert [s.id for s in samples(write(tmp_path / "c.jsonl", packed))] == ["r1", "r2"]


def test_truncated_gzip_stops_the_run(tmp_path: Path):
    lines = b"".join(orjson.dumps({**BALTO, "response": os.urandom(100).hex()}) + b"\n" for _ in range(40_000))
    path = write(tmp_path / "c.jsonl.gz", gzip.compress(lines, 1)[:-1000])
    with pytest.raises(ConfigError, match=r"c\.jsonl\.gz: damaged gzip data .*; fetch or compress the file again"):
        list(read_corpus_file(open_corpus([path])[0]))


def test_json_array_is_read_element_by_element(tmp_path: Path):
    big = {"prompt": "Who?", "context": ["é" * 700_000], "response": "x"}  # elements across the read chunks
    path = write(tmp_path / "c.json", b" [\n", json.dumps(big).encode(), b",\n 17 , ", orjson.dumps(big), b"]\n")
    items = read_all(path)
    assert [item.source_row for item in items] == [1, 2, 3]
    assert rejections(items) == [(2, "record: expected an object, found the number 17")]
    assert isinstance(items[2], Sample)
    assert items[2].context[0].text == "é" * 700_000


def test_pipe_is_refused_without_waiting_for_it(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    write(tmp_path / "a.jsonl", BALTO)
    assert "is a pipe or a device, and a corpus is read twice" in refusal(str(tmp_path / "pipe.jsonl"))
    assert [file.name for file in open_corpus([str(tmp_path / "*.jsonl")])] == ["a.jsonl"]


def test_empty_json_array_has_no_known_format(tmp_path: Path):
    assert "an empty JSON array; a corpus is" in refusal(write(tmp_path / "c.json", b"[ ]"))


def test_nested_parquet_is_the_same_corpus_as_jsonl(tmp_path: Path):
    rows = [
        {
            "id": "r1",
            "group_id": "g",
            "prompt": [{"role": "user", "content": "Who?"}],
            "context": [{"passage_id": "a", "text": "Ada."}],
            "response": "Ada did.",
            "policy": "m",
            "response_token_ids": [1, 2],
            "response_logprobs": [-0.5, None],
            "tokenizer": "t",
            "gold_spans": [{"start": 0, "end": 3, "label": "unsupported"}],
            "meta": {"topic": "x", "n": "1"},
        },
        {"id": "r2", "group_id": "g", "prompt": [{"role": "user", "content": "Why?"}], "context": [], "gold_spans": []},
    ]
    lines = samples(write(tmp_path / "c.jsonl", *rows))
    table = samples(write_table(tmp_path / "d.parquet", rows))
    assert [s.source for s in table] == ["d.parquet", "d.parquet"]
    assert [repr(s).replace("d.parquet", "c.jsonl") for s in table] == [repr(s) for s in lines]


def test_parquet_map_is_read_as_meta(tmp_path: Path):
    schema = pa.schema([(name, pa.string()) for name in BALTO] + [("meta", pa.map_(pa.string(), pa.string()))])
    path = write_table(tmp_path / "c.parquet", [{**BALTO, "context": "Ada.", "meta": [("topic", "x")]}], schema)
    sample = samples(path)[0]
    assert (sample.context, sample.meta) == ((Passage("p1", "Ada."),), {"topic": "x"})


def test_bad_parquet_rows_are_rejected_and_reading_goes_on(tmp_path: Path):
    ids = pa.array(["r1", "r2", None])
    table = pa.table(
        {"id": ids, "prompt": _not_utf8(), "context": pa.array(["a"] * 3), "response": pa.array(["b"] * 3)}
    )
    pq.write_table(table, tmp_path / "c.parquet")
    items = read_all(str(tmp_path / "c.parquet"))
    assert rejections(items) == [
        (2, "not UTF-8: byte 0xE9 in a text column"),
        (3, "id: expected a string that no other record of the corpus has, found null"),
    ]


def _not_utf8() -> pa.Array:
    data = pa.array([b"Who?", b"caf\xe9", b"Why?"], pa.binary())
    return pa.Array.from_buffers(pa.string(), 3, data.buffers())


def test_parquet_is_read_in_bounded_batches(tmp_path: Path):
    rows = [{**BALTO, "id": str(n), "context": os.urandom(1500).hex()} for n in range(10_000)]  # 30 MB
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "c.parquet")
    file = open_corpus([str(tmp_path / "c.parquet")])[0]
    before = pa.total_allocated_bytes()
    ids, most = [], 0
    for item in read_corpus_file(file):
        ids.append(item.id)
        most = max(most, pa.total_allocated_bytes() - before)
    assert ids == [str(n) for n in range(10_000)]
    assert most < 20e6  # one batch of 8 MB and its buffers, not the table


def test_corpus_file_travels_to_workers(tmp_path: Path):
    file = open_corpus([write(tmp_path / "c.jsonl", BALTO)])[0]
    assert CorpusFile(**{name: getattr(file, name) for name in file.__slots__}) == file


def test_a_label_set_is_told_from_a_corpus(tmp_path: Path):
    (tmp_path / "manifest.json").write_text("{}")
    assert refusal(str(tmp_path)).startswith(f"{tmp_path}: is a label set, not a corpus: `balto stats` and")
