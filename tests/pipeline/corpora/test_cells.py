"""Cells of a table: what is a list, and what stays text."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.corpora import open_corpus, printed_objects
from pipeline.corpora.cells import parse_cells
from schemas.records import Message
from tests.pipeline.corpus_files import samples

TEXTS = ['The ferry\'s "35" min.\nnew \\ é \u2028 \x07', "It's", 'say "x"', "None, True", "", "\U0001f600 \u200b a\tb"]


def test_cells_hold_lists_as_json(tmp_path: Path):
    contexts = ['["Ada.", "Bob."]', '[{"page_content": "Cyd."}]', '[{"name": "Cafe"}]', '{"name": "Cafe"}']
    rows = [["id", "prompt", "context", "response"]]
    rows += [[str(number), "Who?", context, '["Ada"]'] for number, context in enumerate(contexts)]
    rows += [["m", '[{"role": "user", "content": "Who?"}]', "Ada.", "x"]]
    with open(tmp_path / "c.tsv", "w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows(rows)
    *found, chat = samples(str(tmp_path / "c.tsv"))
    texts = [[passage.text for passage in sample.context] for sample in found]
    assert texts == [["Ada.", "Bob."], ["Cyd."], ['[{"name": "Cafe"}]'], ['{"name": "Cafe"}']]
    assert {sample.response for sample in found} == {'["Ada"]'}
    assert (chat.id, chat.prompt) == ("m", (Message("user", "Who?"),))


@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:1], TEXTS * 100, []])
def test_lists_as_pandas_writes_them_are_lists(texts: list[str]):
    for cell in (str(texts), str(np.array(texts, dtype=object))):
        assert parse_cells({"context": cell}) == {"context": texts}


def test_objects_as_python_prints_them_are_objects():
    turns = [{"role": "user", "content": "It's?", "name": None}]
    passages = [{"title": "T", "text": 'a "b"'}]
    ours = {"prompt": turns, "context": passages, "meta": {"ok": True}}
    assert parse_cells({name: str(value) for name, value in ours.items()}) == ours


@pytest.mark.parametrize(
    "cell",
    [
        *("['a' 'b'", "['a'x'b']", "['a', b]", "[Document(page_content='a')]", "['a', nan]", r"['\ud800']", r"['\d']"),
        *("[" * 2000, "[sic] It's 'a'", "[x for x in 'ab']", "['a'*9]"),
    ],
)
def test_what_is_no_printed_list_stays_text(cell: str):
    assert parse_cells({"context": cell}) == {"context": cell}


def test_contexts_that_are_printed_objects_are_told(tmp_path: Path):
    printed = "[Document(metadata={'source': 'a'}, page_content='Ada.')]"
    rows = [["question", "docs", "answer"], ["Who?", "[1] Ada (b. 1815).", "x"], ["Who?", printed, "x"]]
    with open(tmp_path / "c.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    assert printed_objects(open_corpus([str(tmp_path / "c.csv")])) == (
        "c.csv:3: docs holds objects as Python prints them, '[Document(metadata={'..., and each such cell is one "
        "passage; write the texts as a JSON list (`json.dumps`)"
    )
    (tmp_path / "d.csv").write_text("question,docs,answer\nWho?,[1] Ada (b. 1815).,x\n")
    assert printed_objects(open_corpus([str(tmp_path / "d.csv")])) == ""


def test_quotes_without_end_take_no_time():
    cell = "['" + "\\'" * 200_000
    begun = time.monotonic()
    assert parse_cells({"context": cell}) == {"context": cell}
    assert time.monotonic() - begun < 5  # in proportion to the length: 0.3 s
