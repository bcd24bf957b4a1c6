"""Records of prompt and response under common names -> Samples; and what is rejected."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.corpora import open_corpus
from schemas.records import Message, Passage, Sample
from tests.pipeline.corpus_files import BALTO, read_all, rejections, samples, write


@pytest.mark.parametrize("prompt", ["prompt", "question", "query", "instruction"])
@pytest.mark.parametrize("context", ["context", "passages", "documents", "contexts"])
@pytest.mark.parametrize("response", ["response", "answer", "output", "completion"])
def test_plain_takes_common_names(tmp_path: Path, prompt: str, context: str, response: str):
    path = write(tmp_path / "c.jsonl", {prompt: "Who?", context: ["Ada.", "Bob."], response: "Ada did.", "score": 3})
    assert open_corpus([path])[0].format == "plain"
    sample = samples(path)[0]
    assert (sample.id, sample.prompt, sample.response) == ("c:1", "Who?", "Ada did.")
    assert sample.context == (Passage("p1", "Ada."), Passage("p2", "Bob."))


def test_plain_reads_the_other_fields_of_ours(tmp_path: Path):
    record = {"id": "x", "question": "Who?", "context": "Ada.", "answer": "Ada", "group_id": "g", "policy": "m"}
    sample = samples(write(tmp_path / "c.jsonl", record))[0]
    assert (sample.id, sample.group_id, sample.policy, sample.source_row) == ("x", "g", "m", 1)


def test_plain_takes_passage_objects_with_their_titles(tmp_path: Path):
    passages = [{"id": "d1", "title": "Ada", "text": "A countess."}, {"page_content": "Bob."}]
    sample = samples(write(tmp_path / "c.jsonl", {"query": "Who?", "documents": passages, "answer": "x"}))[0]
    assert sample.context == (Passage("d1", "Ada\nA countess."), Passage("p2", "Bob."))


def test_plain_takes_a_chat_log_whose_last_turn_is_the_response(tmp_path: Path):
    turns = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ada did."}]
    path = write(tmp_path / "c.jsonl", {"messages": turns, "context": "Ada."}, {"messages": turns[:1], "context": "A"})
    first, second = samples(path)
    assert (first.prompt, first.response) == ((Message("user", "Who?"),), "Ada did.")
    assert (second.prompt, second.response) == ((Message("user", "Who?"),), None)


def test_plain_keeps_an_earlier_answer_in_the_prompt_when_the_response_stands_apart(tmp_path: Path):
    turns = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ada"}]
    sample = samples(write(tmp_path / "c.jsonl", {"messages": turns, "context": "Ada.", "response": "did."}))[0]
    assert (len(sample.prompt), sample.response) == (2, "did.")


def test_plain_without_a_context_field_is_rejected(tmp_path: Path):
    path = write(tmp_path / "c.jsonl", {"question": "Who?", "answer": "Ada"})
    assert rejections(read_all(path, format="plain")) == [
        (1, "context: no field has one of its names; say which holds it, --fields context=NAME")
    ]


@pytest.mark.parametrize(
    ("prompt", "context", "response"),
    [
        ("user_input", "retrieved_contexts", "response"),  # Ragas
        ("input", "retrieval_context", "actual_output"),  # DeepEval
        ("query", "source_documents", "result"),  # LangChain
        ("input", "context", "output"),  # TruLens
        ("query", "retrieved_context", "response"),  # RAGChecker
    ],
)
def test_plain_takes_the_names_of_evaluation_libraries(tmp_path: Path, prompt: str, context: str, response: str):
    people = {"reference": "Ada", "ground_truth": "Ada", "expected_output": "Ada", "answers": ["Ada"]}
    sample = samples(write(tmp_path / "c.jsonl", {prompt: "Who?", context: ["Ada."], response: "Bob.", **people}))[0]
    assert (sample.prompt, sample.context, sample.response) == ("Who?", (Passage("p1", "Ada."),), "Bob.")


def test_what_was_retrieved_comes_before_an_ideal_context(tmp_path: Path):
    record = {"id": "x", "prompt": "Who?", "context": ["Ideal."], "retrieval_context": ["Found."], "response": "x"}
    path = write(tmp_path / "c.jsonl", record)
    assert samples(path)[0].context == (Passage("p1", "Found."),)


def test_misspelt_response_is_rejected_and_no_answer_of_people_is_one(tmp_path: Path):
    prompt = {"question": "Who?", "context": "Ada."}
    path = write(tmp_path / "c.jsonl", {**prompt, "reponse": "x"}, {**prompt, "answers": ["Ada"], "answered": True})
    items = read_all(path)
    assert rejections(items) == [
        (1, "'reponse': unknown field; did you mean response? rename it or add --fields response=reponse")
    ]
    assert isinstance(items[1], Sample)
    assert items[1].response is None


def test_records_without_ids_make_a_corpus_plain(tmp_path: Path):
    path = write(tmp_path / "c.jsonl", BALTO, {"prompt": "Who?", "context": [], "response": None})
    assert [(s.id, s.response) for s in samples(path)] == [("r1", "Ada did."), ("c:2", None)]
