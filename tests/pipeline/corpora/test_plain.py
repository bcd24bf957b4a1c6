"""Records of prompt and response under common names -> Samples; and what is rejected."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from pipeline.corpora import fields_left_out, format_with_fields, open_corpus
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


@pytest.mark.parametrize("ours", [{"prompt": "Who?", "response": "x"}, {"question": "Who?", "answer": "x"}])
def test_other_fields_go_to_meta_where_they_can(tmp_path: Path, ours: dict):
    extra = {
        "model": "m7",
        "temperature": 0.5,
        "ok": True,
        "none": None,
        "tags": ["a"],
        "page": "x" * 2001,
        "": 1,
        "reference": "Ada\u2026\n",
    }
    record = {"id": "r", **ours, "context": "Ada.", "meta": {"model": "mine"}}
    path = write(tmp_path / "c.jsonl", {**record, **extra})
    meta = {"model": "mine", "temperature": "0.5", "ok": "true", "reference": "Ada\u2026\n"}
    assert samples(path)[0].meta == meta
    assert fields_left_out(open_corpus([path])).startswith("'tags', 'page', '' (what is kept, in meta: texts of up to")
    assert fields_left_out(open_corpus([write(tmp_path / "d.jsonl", record)])) == ""


def test_no_more_other_fields_are_kept_than_a_record_may_have(tmp_path: Path):
    numbers = {f"n{i}": i for i in range(40)}
    path = write(tmp_path / "c.jsonl", {"query": "Who?", "docs": "Ada.", "answer": "x", **numbers})
    assert list(samples(path)[0].meta) == [f"n{i}" for i in range(32)]
    assert fields_left_out(open_corpus([path])).startswith("'n32', 'n33', ")


def test_half_a_surrogate_pair_in_another_field_rejects_no_record(tmp_path: Path):
    path = write(tmp_path / "c.json", b'[{"query": "Who?", "docs": "Ada.", "answer": "x", "note": "\\ud800"}]')
    assert samples(path)[0].meta == {}


@pytest.mark.parametrize(
    "turns",
    [
        [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Ada did."}],
        [{"type": "human", "content": "Who?"}, {"type": "ai", "content": "Ada did."}],
        [{"role": "user", "parts": [{"text": "Who?"}]}, {"role": "model", "parts": [{"text": "Ada did."}]}],
        [
            {"role": "user", "content": [{"type": "text", "text": "Who?"}]},
            {"role": "assistant", "content": [{"type": "output_text", "text": "Ada did."}]},
        ],
    ],
)
def test_chat_logs_of_other_tools_are_read(tmp_path: Path, turns: list[dict]):
    sample = samples(write(tmp_path / "c.jsonl", {"conversations": turns, "context": "Ada."}))[0]
    assert (sample.prompt, sample.response) == ((Message("user", "Who?"),), "Ada did.")


def test_response_that_a_chat_log_ends_with_is_no_turn_of_its_prompt(tmp_path: Path):
    turns = [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Ada did."}]
    record = {"conversations": turns, "context": "Ada.", "reply": "Ada did."}
    path = write(tmp_path / "c.jsonl", record, {**record, "reply": "Bob did."})
    for fields in ("response=conversations.1.value", "response=conversations.1", "response=reply"):
        sample = samples(path, format=format_with_fields(None, fields))[0]
        assert (sample.prompt, sample.response) == ((Message("user", "Who?"),), "Ada did.")
    other = samples(path, format=format_with_fields(None, "response=reply"))[1]
    assert (len(other.prompt), other.response) == (2, "Bob did.")


def test_text_parts_are_lines_and_an_image_is_refused(tmp_path: Path):
    text, image = {"type": "text", "text": "Who?"}, {"type": "image_url", "image_url": {"url": "x"}}
    records = [
        {"messages": [{"role": "user", "content": parts}], "context": "Ada.", "answer": "Ada"}
        for parts in ([text, "Say."], [text, image])
    ]
    items = read_all(write(tmp_path / "c.jsonl", *records))
    assert isinstance(items[0], Sample)
    assert items[0].prompt == (Message("user", "Who?\nSay."),)
    assert rejections(items) == [(2, "prompt[0].content: expected a string, found a list of 2")]


@pytest.mark.parametrize("beside", [{"content": None}, {"content": ""}, {"content": []}, {}])
def test_tool_calls_are_a_turn_and_a_tool_s_turn_can_be_the_context(tmp_path: Path, beside: dict):
    """LangChain's messages have an empty text beside their calls, OpenAI's null."""
    calls = [{"id": "c1", "type": "function", "function": {"name": "search", "arguments": "{}"}}]
    turns = [
        {"role": "user", "content": "Who?"},
        {"role": "assistant", **beside, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c1", "content": "Ada."},
        {"role": "assistant", "content": "Ada did."},
    ]
    path = write(tmp_path / "c.jsonl", {"messages": turns})
    sample = samples(path, format=format_with_fields(None, "context=messages.2.content"))[0]
    assert [(one.role, one.content) for one in sample.prompt if isinstance(one, Message)] == [
        ("user", "Who?"),
        ("assistant", orjson.dumps(calls).decode()),
        ("tool", "Ada."),
    ]
    assert (sample.context, sample.response) == ((Passage("p1", "Ada."),), "Ada did.")


@pytest.mark.parametrize("content", [None, ""])
def test_a_log_that_ends_with_tool_calls_has_no_response(tmp_path: Path, content: str | None):
    calls = [{"id": "c1"}]
    turns = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": content, "tool_calls": calls}]
    records = [{"messages": turns, "context": "Ada."}, {"query": "Who?", "context": "Ada.", "response": turns[1]}]
    assert [one.response for one in samples(write(tmp_path / "c.jsonl", *records))] == [None, None]


@pytest.mark.parametrize("content", [None, ""])
@pytest.mark.parametrize("ours", [{"id": "r", "response": "Ada."}, {"id": "r", "response": None}, {"answer": "Ada."}])
def test_tool_calls_before_a_response_in_its_own_field_are_a_turn(tmp_path: Path, ours: dict, content: str | None):
    calls = [{"id": "c1"}]
    turns = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": content, "tool_calls": calls}]
    found = samples(write(tmp_path / "c.jsonl", {**ours, "prompt": turns, "context": "Ada."}))[0]
    assert found.prompt == (Message("user", "Who?"), Message("assistant", '[{"id":"c1"}]'))
    assert found.response == [*ours.values()][-1]


def test_what_a_service_returned_around_a_message_is_no_response(tmp_path: Path):
    completion = {"id": "x", "choices": [{"message": {"role": "assistant", "content": "Ada did."}}]}
    path = write(tmp_path / "c.jsonl", {"query": "Who?", "context": "Ada.", "response": completion})
    told = 'response: expected a string or null, found an object with "id", "choices"'
    assert rejections(read_all(path)) == [(1, told)]
    named = format_with_fields(None, "response=response.choices.0.message.content")
    assert samples(path, format=named)[0].response == "Ada did."


def test_response_as_a_message_is_its_text(tmp_path: Path):
    message = {"role": "assistant", "content": "Ada did."}
    records = [{"query": "Who?", "context": "Ada.", "completion": one} for one in (message, [message])]
    assert [sample.response for sample in samples(write(tmp_path / "c.jsonl", *records))] == ["Ada did."] * 2


def test_documents_of_other_tools_are_passages(tmp_path: Path):
    documents = [
        {"page_content": "Ada.", "metadata": {"title": "Life", "source": "a.pdf"}, "type": "Document"},
        {"lc": 1, "id": ["langchain", "Document"], "kwargs": {"page_content": "Bob.", "metadata": {}}},
        {"node": {"id": "n1", "text": "Cyd."}, "score": 0.9},
    ]
    path = write(tmp_path / "c.jsonl", {"question": "Who?", "context": documents, "answer": "Ada"})
    passages = (Passage("p1", "Life\nAda."), Passage("p2", "Bob."), Passage("n1", "Cyd."))
    assert samples(path)[0].context == passages


@pytest.mark.parametrize(
    ("context", "passages"),
    [
        ([["Ada", ["A countess.", " She wrote."]]], [("p1", "Ada\nA countess. She wrote.")]),  # HotpotQA
        (
            {"title": ["Ada", "Bob"], "sentences": [["A countess."], ["A fool."]]},
            [("p1", "Ada\nA countess."), ("p2", "Bob\nA fool.")],
        ),
        ({"is_selected": [0], "passage_text": ["Ada."], "url": ["u"]}, [("p1", "Ada.")]),  # MS MARCO
        ([{"idx": 0, "title": "Ada", "paragraph_text": "A countess."}], [("p1", "Ada\nA countess.")]),  # MuSiQue
        ([{"_id": "d1", "title": "Ada", "text": "A countess."}], [("d1", "Ada\nA countess.")]),  # BEIR
        ([{"document.id": "d1", "document.content": "Ada.", "document.score": 0.4}], [("d1", "Ada.")]),  # Phoenix
        ([["Ada.", "Bob."]], [("p1", "Ada."), ("p2", "Bob.")]),  # Chroma
        ([{"node": {"id_": "n1", "text": "Ada."}, "score": 0.9}], [("n1", "Ada.")]),  # LlamaIndex
        ([{"doc_id": 7, "text": "Ada."}, {"doc_id": 7, "text": "Bob."}], [("p1", "Ada."), ("p2", "Bob.")]),
        ([{"id": 7, "text": "Ada."}, {"id": 1.5, "text": "Bob."}], [("7", "Ada."), ("p2", "Bob.")]),
        ([{"id": "p2", "text": "Ada."}, {"text": "Bob."}], [("p1", "Ada."), ("p2", "Bob.")]),
        ({"title": [], "text": []}, []),  # nothing was retrieved
        ([{"title": "Ada", "text": "Ada\nA countess."}], [("p1", "Ada\nA countess.")]),
    ],
)
@pytest.mark.parametrize("ours", [{"id": "r", "prompt": "Who?", "response": "x"}, {"question": "Who?", "answer": "x"}])
def test_passages_of_published_sets_keep_ids_and_titles(
    tmp_path: Path, ours: dict, context: object, passages: list[tuple[str, str]]
):
    found = samples(write(tmp_path / "c.jsonl", {**ours, "context": context}))[0].context
    assert [(one.passage_id, one.text) for one in found] == passages


def test_passage_ids_of_our_own_are_not_mended(tmp_path: Path):
    twice = [{"passage_id": "a", "text": "Ada."}, {"passage_id": "a", "text": "Bob."}]
    path = write(
        tmp_path / "c.jsonl", *[{"question": "Who?", "context": c} for c in (twice, [{**twice[0], "passage_id": 1.5}])]
    )
    first, second = read_all(path)
    assert isinstance(first, Sample)
    assert [one.passage_id for one in first.context] == ["a", "a"]  # refused by validate_sample
    assert rejections([second])[0][1].startswith("context[0].passage_id: expected a string")


def test_one_passage_needs_no_list_and_a_data_record_is_none(tmp_path: Path):
    contexts = [{"text": "Ada.", "score": 1.0}, {"text": "Good coffee.", "stars": 4}]
    items = read_all(
        write(tmp_path / "c.jsonl", *[{"question": "Who?", "context": c, "answer": "A"} for c in contexts])
    )
    assert isinstance(items[0], Sample)
    assert items[0].context == (Passage("p1", "Ada."),)
    assert rejections(items)[0][1].endswith('JSON in a string), found an object with "text", "stars"')


def test_records_under_our_names_may_have_shapes_of_others(tmp_path: Path):
    record = {
        "id": "x",
        "prompt": [{"from": "human", "value": "Who?"}],
        "context": [{"page_content": "Ada."}],
        "response": {"role": "assistant", "content": "Ada did."},
    }
    path = write(tmp_path / "c.jsonl", record, {**record, "response": 5})
    assert open_corpus([path])[0].format == "balto"
    items = read_all(path)
    assert isinstance(items[0], Sample)
    assert (items[0].prompt, items[0].context) == ((Message("user", "Who?"),), (Passage("p1", "Ada."),))
    assert items[0].response == "Ada did."
    assert rejections(items) == [(2, "response: expected a string or null, found the number 5")]


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
