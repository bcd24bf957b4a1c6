"""Tables: rows, and what is refused of them."""

from __future__ import annotations

import gzip
from pathlib import Path

from pipeline.corpora import open_corpus
from schemas.records import Passage, Rejected, Sample
from tests.pipeline.corpus_files import BALTO, read_all, rejections, samples, write


def test_tables_are_read_with_quoted_line_breaks_and_spreadsheet_rows(tmp_path: Path):
    text = ',question,context,answer,model\r\n0,"Who, then?","Ada.\r\nBob ""B""",Ada did.,m7\r\n\r\n1,Why?,Cyd.,,m7\r\n'
    for name, content in {
        "c.csv": text.encode("utf-8-sig"),
        "c.csv.gz": gzip.compress(text.encode()),
        "d.csv": b'question;context;answer\n"Who, then?";"Ada.\r\nBob ""B""";Ada did.\n\nWhy?;Cyd.;\n',
    }.items():
        first, second = samples(write(tmp_path / name, content))
        assert (first.prompt, first.response) == ("Who, then?", "Ada did.")
        assert first.context == (Passage("p1", 'Ada.\r\nBob "B"'),)
        assert (first.source_row, second.source_row, second.response) == (2, 4, None)
        assert dict(first.meta) == ({} if name == "d.csv" else {"model": "m7"})


def test_a_table_may_begin_with_a_cell_that_holds_a_list(tmp_path: Path):
    """It needs no quotes where there is no comma in it: an empty list, or an array of numpy's."""
    rows = b"context,question,answer\n['Ada.' 'Bob.'],Who?,Ada\n[],Why?,Cyd\n"
    first, second = samples(write(tmp_path / "c.csv", rows))
    assert (first.context, second.context) == ((Passage("p1", "Ada."), Passage("p2", "Bob.")), ())
    lines = b'Who?,Ada\n{"prompt": "q", "context": [], "response": NaN}\n'
    assert open_corpus([write(tmp_path / "c.jsonl", lines)])[0].container == "jsonl"


def test_a_table_may_say_where_its_records_were_first_read(tmp_path: Path):
    rows = b"prompt,context,response,source,source_row\nq,c,r,a.jsonl,7\nq,c,s,a.jsonl,\nq,c,t,a.jsonl,x\n"
    first, second, third = read_all(write(tmp_path / "c.csv", rows))
    assert isinstance(first, Sample)
    assert isinstance(second, Sample)
    assert isinstance(third, Rejected)
    assert (first.source, first.source_row) == ("a.jsonl", 7)
    assert third.reason.startswith("source_row: expected an integer")


def test_bad_rows_of_a_table_are_rejected_and_reading_goes_on(tmp_path: Path):
    content = b'prompt,context,response\na,b,c\na,b,c,d\na,"b"x,c\na,caf\xe9,c\na,b,c\n"a,b,c\na"x,b,c\na,"b,c\na,b,c\n'
    remedy = "put texts in quotes, and double quotes in them twice"
    items = read_all(write(tmp_path / "c.csv", content))
    assert [item.source_row for item in items if isinstance(item, Sample)] == [2, 6]
    assert rejections(items) == [
        (3, "4 cells under a header of 3; quote texts that contain the delimiter"),
        (4, "not a readable row (',' expected after '\"'); " + remedy),
        (5, "not UTF-8: byte 0xE9; save the table as UTF-8"),
        (7, "not a readable row (',' expected after '\"', having taken 2 lines); " + remedy),
        (8, "a quote is opened here and never closed; 2 lines, all that follow, were taken for one text"),
    ]
    texts = [item.record for item in items if isinstance(item, Rejected)]
    assert texts == ["a,b,c,d", 'a,"b"x,c', "a,caf\ufffd,c", '"a,b,c\na"x,b,c', 'a,"b,c\na,b,c']


def test_a_broken_first_line_of_json_is_no_header(tmp_path: Path):
    for line in (b'"id": "r0", "prompt": "x"}\n', b"loaded 5 records, skipped 3\n"):
        assert open_corpus([write(tmp_path / "c.jsonl", line, BALTO)])[0].container == "jsonl"


def test_tsv_without_quoting_keeps_its_rows(tmp_path: Path):
    """A quote that is never closed, two that close each other three rows apart, one about a part of a text."""
    rows = [
        "q0\tc\tr",
        'q1\t"c\tr',
        "q2\tc\tr",
        'q3\tc"\tr',
        'q4\t"c" d\tr',
        '"q""5"\tc\tr',
        "q6\tc",
        "",
        'q7\tc\t"r',
        "q8\tc\tr",
    ]
    items = read_all(write(tmp_path / "c.tsv", "\r\n".join(["prompt\tcontext\tresponse", *rows]).encode()))
    found = [(s.source_row, s.prompt, s.context[0].text, s.response) for s in items if isinstance(s, Sample)]
    assert found == [
        (2, "q0", "c", "r"),
        (3, "q1", '"c', "r"),
        (4, "q2", "c", "r"),
        (5, "q3", 'c"', "r"),
        (6, "q4", '"c" d', "r"),
        (7, 'q"5', "c", "r"),
        (10, "q7", "c", '"r'),
        (11, "q8", "c", "r"),
    ]
    assert rejections(items) == [(8, "2 cells under a header of 3; quote texts that contain the delimiter")]


def test_tsv_with_quoting_keeps_its_line_breaks(tmp_path: Path):
    content = b'prompt\tcontext\tresponse\nq\t"a\nb\tc"\tr\nq\tc\t"a\nb\nc\n'
    items = read_all(write(tmp_path / "c.tsv", content))
    assert isinstance(items[0], Sample)
    assert items[0].context == (Passage("p1", "a\nb\tc"),)
    assert rejections(items) == [
        (3, "a quote is opened here and never closed; 3 lines, all that follow, were taken for one text")
    ]
