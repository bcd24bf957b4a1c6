"""Files that are no corpus: what they are is told, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.corpora import open_corpus
from tests.pipeline.corpus_files import refusal, write


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '{"id": "x"}'.encode("utf-16"),
            "text in UTF-16; save it as UTF-8; a corpus is one JSON",
        ),
        (
            b"PK\x03\x04rest",
            "a zip archive, as spreadsheets (.xlsx) are; unpack it, or save the sheet as CSV; a corpus",
        ),
        (b"\xff\xff\xff\xffrest", "an Arrow stream, as `datasets` saves them; write it as Parquet (`to_parquet`); a"),
        (b'{\n "id": "x",\n "prompt": "Who?"\n}\n', "one JSON object over many lines; put each record on a line of"),
        (
            b'{"version": 3, "results": [{"question": "Who?"}, {"question": "Why?"}]}',
            "one JSON object around the list results of 2 objects; if those are the records, `jq '.results' /",
        ),
        (
            b'{\n "results": {"prompts": [{"id": 1}], "results": [\n{"x": 1},\n{"x": 2}]}}',
            "around the list results.results of 2 objects; if those are the records, `jq '.results.results' /",
        ),
        (b'{\n "question": "Who?", "contexts": [{"text": "Ada."}]}', "one JSON object over many lines; put each"),
        (
            b'{"question": {"0": "Who?", "1": "Why?"}, "contexts": {"0": ["A"], "1": ["B"]}}',
            "one JSON object of columns; write a record a line (pandas: `to_json(PATH, orient='records', lines=True)`)",
        ),
        (b'{\n"question": ["Who?", "Why?"],\n "contexts": [["A"], ["B"]]}', "one JSON object of columns; write a"),
        (b"\xef\xbb\xbfsep=;\r\nquestion;context;answer\r\nq;c;a\r\n", "a table under a line that tells Excel its"),
        (b"question,context\rWho?,Ada.\r", "text whose lines end in a carriage return alone; save it with"),
    ],
)
def test_a_file_that_is_no_corpus_is_told_for_what_it_is(tmp_path: Path, content: bytes, message: str):
    path = write(tmp_path / "corpus.jsonl", content)
    assert refusal(path).startswith(f"{path}: ")
    assert message in refusal(path)


def test_the_command_that_takes_records_out_of_an_object_can_be_pasted(tmp_path: Path):
    path = write(tmp_path / "my export.json", b'\xef\xbb\xbf{\n"results": [{"x": 1}]}')
    assert f"`jq '.results' '{path}' > records.json` takes it out; a corpus is one JSON" in refusal(path)


@pytest.mark.parametrize("record", [{"question": ["Who?"], "context": "Ada."}, {"question": "Who?", "context": "Ada."}])
def test_a_single_record_is_no_table_of_columns(tmp_path: Path, record: dict):
    assert open_corpus([write(tmp_path / "c.jsonl", record)])[0].format == "plain"


def test_a_file_that_is_only_called_parquet_is_told(tmp_path: Path):
    path = write(tmp_path / "c.parquet", b"<html>404</html>")
    assert "no Parquet file although it is called one (it does not begin with PAR1); fetch or" in refusal(path)
