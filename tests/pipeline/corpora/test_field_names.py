"""Which field is which, where a user says so or should have."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.corpora import format_with_fields, open_corpus
from schemas.errors import ConfigError
from schemas.records import Sample
from tests.pipeline.corpus_files import BALTO, read_all, refusal, rejections, write


def test_unknown_field_names_are_told_with_the_closest_and_the_remedy(tmp_path: Path):
    records: dict[str, tuple[dict, str]] = {
        "caps": ({"Question": "Who?", "Context": "Ada.", "Answer": "Ada", "ground_truth": "Ada"}, "prompt=Question,"),
        "nested": (
            {"id": "x", "inputs": {"question": "Who?"}, "outputs": {"answer": "A", "contexts": ["A"]}},
            "prompt=inputs.question,context=outputs.contexts,response=outputs.answer ",
        ),
        "typo": ({"question": "Who?", "contxt": "Ada.", "answer": "Ada"}, "context=contxt "),
        "chat": (
            {"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ada"}]},
            "context=NAME ",
        ),
        "gold": ({"question": "Who?", "facts": "Ada.", "reference_answer": "A"}, "context=NAME,response=NAME "),
    }
    for name, (record, remedy) in records.items():
        told = refusal(write(tmp_path / f"{name}.jsonl", record))
        assert f"(fields {', '.join(record)}); say which field is which: --fields {remedy}" in told


def test_fields_that_a_user_names_are_read(tmp_path: Path):
    record = {"run": 7, "in": {"q": "Who?"}, "docs.used": ["Ada."], "choices": [{"text": "Ada did."}], "response": "no"}
    path = write(tmp_path / "c.jsonl", record, {**record, "choices": [], "run": None}, {"in": {}})
    fields = format_with_fields(None, "id=run, prompt=in.q,context=docs.used,response=choices.0.text")
    first, second, third = read_all(path, format=fields)
    assert isinstance(first, Sample)
    assert (first.id, first.prompt, first.response) == ("7", "Who?", "Ada did.")
    assert isinstance(second, Sample)
    assert (second.id, second.response) == ("c:2", None)
    assert rejections([third]) == [(3, "prompt: no value under in.q (--fields)")]


def test_fields_that_no_record_has_are_refused_before_the_work(tmp_path: Path):
    record = {"run": None, "q": "Who?", "docs": ["Ada."], "out": {"text": "Ada"}}
    path = write(tmp_path / "c.jsonl", b"{broken\n", {"q": "Who?"}, record)
    for fields in ("id=run,prompt=q", "prompt=q,response=out.text"):
        assert open_corpus([path], format_with_fields(None, fields))
    for fields in ("prompt=question", "prompt=q,response=out.txt", "id=run_id"):
        wrong = fields.rpartition(",")[2]
        told = refusal(path, format=format_with_fields(None, fields))
        assert f"--fields {wrong}: {path} has no such field in its first 1,000 records (fields q); name one" in told


def test_fields_that_cannot_be_are_refused(tmp_path: Path):
    path = write(tmp_path / "c.jsonl", BALTO)
    for fields, told in {
        "question": "'question' is no OURS=THEIRS; ours are id, group_id, prompt, context, response, policy",
        "answer=x": "'answer=x' is no OURS=THEIRS",
        "prompt=a,prompt=b": "names prompt twice",
    }.items():
        assert told in refusal(path, format=format_with_fields(None, fields))
    with pytest.raises(ConfigError, match="--fields: goes with the format plain; leave out --format ragtruth"):
        format_with_fields("ragtruth", "prompt=x")


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (
            {"user query": "q", "retrieved docs": "c", "llm answer": "r"},  # for a shell
            "--fields 'prompt=user query,context=retrieved docs,response=llm answer' (",
        ),
        (
            {
                "vars": {"question": "q", "context": "c"},
                "prompt": {"raw": "q"},
                "response": {"output": "r"},
            },  # promptfoo
            "--fields prompt=vars.question,context=vars.context,response=response.output (",
        ),
        (
            {"attributes.input.value": "q", "attributes.retrieval.documents": [], "attributes.output.value": "r"},
            "--fields prompt=attributes.input.value,context=attributes.retrieval.documents,"
            "response=attributes.output.value (",
        ),
        (
            {"messages": [{"role": "user", "content": "q"}, {"role": "tool", "content": "c"}], "response": "r"},
            "--fields context=messages.1.content (",
        ),
        ({"messages": ["q", 5], "response": {"role": "assistant", "content": "r"}}, "--fields context=NAME ("),
    ],
)
def test_the_hint_finds_fields_in_exports_of_tools(tmp_path: Path, record: dict, told: str):
    assert told in refusal(write(tmp_path / "c.jsonl", record))
