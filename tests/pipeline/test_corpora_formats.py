"""Each corpus format, in the shape it is published in, -> Samples; and its malformed records -> rejections."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from pipeline.corpora import corpus_size_bytes, open_corpus
from pipeline.corpora.flatten_object import flatten_object
from schemas.records import GoldSpan, Message, Passage, Sample
from tests.pipeline.corpus_files import BALTO, read_all, refusal, rejections, samples, write

# Plain


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
    assert rejections(read_all(path)) == [
        (1, "context: expected one of the fields context, passages, documents, contexts, found none of them")
    ]


def test_records_without_ids_make_a_corpus_plain(tmp_path: Path):
    path = write(tmp_path / "c.jsonl", BALTO, {"prompt": "Who?", "context": [], "response": None})
    assert [(s.id, s.response) for s in samples(path)] == [("r1", "Ada did."), ("c:2", None)]


# RAGTruth

QA_SOURCE = {
    "source_id": "14355",
    "task_type": "QA",
    "source": "MARCO",
    "source_info": {
        "question": "who won?",
        "passages": "passage 1:Ada won. See passage 2: below.\n\npassage 2:Bob lost.\nHe was second.\n\n",
    },
}
LABEL = {
    "start": 4,
    "end": 9,
    "text": "twice",
    "meta": "EVIDENT CONFLICT",
    "label_type": "Evident Conflict",
    "implicit_true": True,
    "due_to_null": False,
}
RESPONSE = {
    "id": "1",
    "source_id": "14355",
    "model": "gpt-4-0613",
    "temperature": 0.7,
    "labels": [LABEL],
    "split": "test",
    "quality": "good",
    "response": "Ada twice won.",
}


def write_ragtruth(folder: Path, responses: Sequence[object], sources: Sequence[object] = (QA_SOURCE,)) -> str:
    write(folder / "source_info.jsonl", *sources)
    return write(folder / "response.jsonl", *responses)


def test_ragtruth_qa(tmp_path: Path):
    sample = samples(write_ragtruth(tmp_path, [RESPONSE]))[0]
    assert sample == Sample(
        id="1",
        group_id="14355",
        prompt="who won?",
        context=(
            Passage("passage 1", "Ada won. See passage 2: below."),
            Passage("passage 2", "Bob lost.\nHe was second."),
        ),
        response="Ada twice won.",
        policy="gpt-4-0613",
        gold_spans=(GoldSpan(4, 9, "Evident Conflict"),),
        meta={
            "split": "test",
            "quality": "good",
            "temperature": "0.7",
            "task_type": "QA",
            "source_id": "14355",
            "ragtruth_labels": '[{"start":4,"end":9,"meta":"EVIDENT CONFLICT","label_type":"Evident Conflict",'
            '"implicit_true":true,"due_to_null":false}]',
        },
        source="response.jsonl",
        source_row=1,
    )


def test_ragtruth_published_prompt_is_kept_beside_the_question(tmp_path: Path):
    path = write_ragtruth(tmp_path, [RESPONSE], [{**QA_SOURCE, "prompt": "Briefly answer: who won? passage 1: ..."}])
    (sample,) = samples(path)
    assert sample.prompt == "who won?"
    assert sample.meta["published_prompt"] == "Briefly answer: who won? passage 1: ..."


def test_ragtruth_response_without_spans_is_annotated_and_clean(tmp_path: Path):
    sample = samples(write_ragtruth(tmp_path, [{**RESPONSE, "labels": [], "quality": "truncated"}]))[0]
    assert sample.gold_spans == ()
    assert sample.meta["quality"] == "truncated"
    assert "ragtruth_labels" not in sample.meta


def test_ragtruth_summary(tmp_path: Path):
    source = {"source_id": "7", "task_type": "Summary", "source": "CNN/DM", "source_info": "Ada won the race."}
    sample = samples(write_ragtruth(tmp_path, [{**RESPONSE, "source_id": "7"}], [source]))[0]
    assert sample.prompt == "Summarize the following news in a few sentences, based only on the given text."
    assert sample.context == (Passage("text", "Ada won the race."),)
    assert sample.meta["task_type"] == "Summary"


def test_ragtruth_data2txt_is_flattened_to_readable_passages(tmp_path: Path):
    info = {
        "name": "Blue Door",
        "categories": "Cafes, Bakeries",
        "hours": {"Monday": "8:0-17:30", "Sunday": None},
        "attributes": {"WiFi": "free", "OutdoorSeating": True, "Music": None, "BusinessParking": {"lot": False}},
        "business_stars": 4.5,
        "tags": ["a", "b"],
        "review_info": [
            {"review_stars": 5.0, "review_date": "2021-12-03 18:12:00", "review_text": "Good bread.\nNice."},
            {"review_stars": 1.0, "review_date": "2021-01-01 10:00:00", "review_text": "Cold."},
        ],
    }
    source = {"source_id": "7", "task_type": "Data2txt", "source": "Yelp", "source_info": info}
    sample = samples(write_ragtruth(tmp_path, [{**RESPONSE, "source_id": "7"}], [source]))[0]
    assert sample.prompt == "Write an objective overview of the following business, based only on the given data."
    assert sample.context == (
        Passage(
            "data",
            "name: Blue Door\ncategories: Cafes, Bakeries\nhours Monday: 8:00-17:30 (8 AM to 5:30 PM)\n"
            "hours Sunday: not stated\nattributes WiFi: free\nattributes Outdoor Seating: yes\n"
            "attributes Music: not stated\nattributes Business Parking lot: no\nbusiness stars: 4.5\ntags: a, b",
        ),
        Passage(
            "review info 1",
            "review stars: 5.0\nreview date: 2021-12-03 18:12:00\nreview text: Good bread.\nNice.",
        ),
        Passage("review info 2", "review stars: 1.0\nreview date: 2021-01-01 10:00:00\nreview text: Cold."),
    )


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("0:0-0:0", "0:00-0:00"),  # closed, or always open: not said
        ("12:0-24:0", "12:00-24:00 (12 PM to 12 AM)"),
        ("18:30-2:5", "18:30-2:05 (6:30 PM to 2:05 AM)"),
        ("25:0-26:0", "25:0-26:0"),
        ("5:3", "5:3"),
    ],
)
def test_opening_hours_are_given_both_ways(stored: str, shown: str):
    assert list(flatten_object({"hours": stored})) == [{"passage_id": "data", "text": f"hours: {shown}"}]


def test_ragtruth_passages_without_markers_stay_one(tmp_path: Path):
    source = {**QA_SOURCE, "source_info": {"question": "q", "passages": "Ada won.\npassage 2:Bob"}}
    assert samples(write_ragtruth(tmp_path, [RESPONSE], [source]))[0].context == (
        Passage("passage 1", "Ada won.\npassage 2:Bob"),
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"labels": [{**LABEL, "start": 5, "end": 10}]},
            'labels[0]: characters 5 to 10 are the string "wice ", the label says the string "twice"',
        ),
        (
            {"labels": [{**LABEL, "start": -10, "end": -5}]},
            'labels[0]: characters -10 to -5 are the string "", the label says the string "twice"',
        ),
        ({"labels": [{**LABEL, "end": "9"}]}, 'labels[0].end: expected an integer of 64 bits, found the string "9"'),
        ({"labels": None}, "labels: expected a list, found null"),
        ({"labels": [{"start": 0, "end": 1}]}, "text: expected a string, found no such field"),
        ({"source_id": "99"}, "source_id: 99 is not in source_info.jsonl"),
        ({"response": None}, "response: expected a string, found null"),
        ({"model": 4}, "model: expected a string, found the number 4"),
    ],
)
def test_ragtruth_bad_response_is_rejected(tmp_path: Path, change: dict, expected: str):
    items = read_all(write_ragtruth(tmp_path, [{**RESPONSE, **change}, RESPONSE]))
    assert [type(item).__name__ for item in items] == ["Rejected", "Sample"]
    assert items[0].id == "1"
    assert rejections(items) == [(1, expected)]


def test_ragtruth_bad_source_rejects_its_responses_and_says_why(tmp_path: Path):
    sources = [b"{broken\n", {**QA_SOURCE, "source_id": "7", "source_info": None}, QA_SOURCE]
    items = read_all(write_ragtruth(tmp_path, [{**RESPONSE, "source_id": "7"}, RESPONSE], sources))
    assert [type(item).__name__ for item in items] == ["Rejected", "Sample"]
    assert rejections(items)[0][1].startswith(
        "source_id: 7 is not in source_info.jsonl (2 of its lines could not be read; line 1: not valid JSON"
    )


def test_ragtruth_sources_are_read_with_the_responses_not_as_a_corpus(tmp_path: Path):
    path = write_ragtruth(tmp_path, [RESPONSE])
    sources = str(tmp_path / "source_info.jsonl")
    for named in (None, "ragtruth"):
        files = open_corpus([f"{tmp_path}/*.jsonl"], named)
        assert [(file.path, file.companions) for file in files] == [(path, (sources,))]
        assert corpus_size_bytes(files) == os.path.getsize(path) + os.path.getsize(sources)
        expected = f"{sources}: holds the sources of RAGTruth; name the response.jsonl beside it instead"
        assert refusal(sources, format=named) == expected


def test_ragtruth_without_sources_is_refused(tmp_path: Path):
    path = write(tmp_path / "response.jsonl", RESPONSE)
    assert refusal(path) == (
        f"{path}: RAGTruth responses need their sources, but {tmp_path}/source_info.jsonl is missing; put it there"
    )


# FActScore


def test_factscore_with_contexts(tmp_path: Path):
    sentences = [
        {
            "sentence": "Ada is a poet.",
            "start": 0,
            "end": 14,
            "model_atomic_facts": ["Ada is a poet."],
            "human_atomic_facts": [{"text": "Ada is a poet.", "label": "NS"}],
        }
    ]
    record = {
        "id": "ChatGPT:Ada",
        "model": "ChatGPT",
        "prompt": "Question: Tell me a bio of Ada.",
        "topic": "Ada",
        "context": ["Ada is a count####SPECIAL####SEPARATOR####ess.", "Works."],
        "response": "Ada is a poet.",
        "sentences": sentences,
    }
    path = write(tmp_path / "f.jsonl", record)
    sample = samples(path)[0]
    assert open_corpus([path])[0].format == "factscore"
    assert (sample.id, sample.policy, sample.gold_spans) == ("ChatGPT:Ada", "ChatGPT", None)
    assert sample.context == (Passage("p1", "Ada is a countess."), Passage("p2", "Works."))
    assert sample.meta == {"topic": "Ada", "factscore_sentences": orjson.dumps(sentences).decode()}
    assert len(sample.group_id) == 32


PUBLISHED = {
    "input": "Question: Tell me a bio of Ada.",
    "output": "Ada sang. Ada sang. She is old.",
    "topic": "Ada",
    "cat": ["very rare", "North America"],
    "annotations": [
        {
            "text": "Ada sang.",
            "is-relevant": True,
            "model-atomic-facts": [{"text": "Ada sang."}],
            "human-atomic-facts": [{"text": "Ada sang.", "label": "S"}],
        },
        {"text": "Ada sang.", "is-relevant": False, "model-atomic-facts": [], "human-atomic-facts": None},
        {"text": "She was old.", "is-relevant": True, "model-atomic-facts": [], "human-atomic-facts": []},
    ],
}


def test_factscore_as_published(tmp_path: Path):
    sample = samples(write(tmp_path / "ChatGPT.jsonl", PUBLISHED))[0]
    assert (sample.id, sample.policy, sample.context) == ("ChatGPT:1", None, ())
    assert sample.prompt == "Question: Tell me a bio of Ada."
    assert sample.response == "Ada sang. Ada sang. She is old."
    assert (sample.meta["topic"], sample.meta["cat"]) == ("Ada", "very rare, North America")
    found = json.loads(sample.meta["factscore_sentences"])
    assert [(s["start"], s["end"], s["is_relevant"]) for s in found] == [
        (0, 9, True),
        (10, 19, False),
        (None, None, True),
    ]
    assert found[0]["model_atomic_facts"] == ["Ada sang."]
    assert [s["human_atomic_facts"] for s in found] == [[{"text": "Ada sang.", "label": "S"}], [], []]


def test_factscore_without_annotations(tmp_path: Path):
    sample = samples(write(tmp_path / "f.jsonl", {**PUBLISHED, "annotations": None, "cat": None}))[0]
    assert sample.meta == {"topic": "Ada"}


def test_factscore_bad_record_is_rejected(tmp_path: Path):
    path = write(tmp_path / "f.jsonl", {**PUBLISHED, "annotations": [3]}, {**PUBLISHED, "output": None}, PUBLISHED)
    assert rejections(read_all(path)) == [
        (1, "annotations[0]: expected an object, found the number 3"),
        (2, "output: expected a string, found null"),
    ]


# ConFiQA

CONFIQA = {
    "orig_path": ["Q1", "P1", "Q2"],
    "orig_path_labeled": [["Ada", "country", "Britain"]],
    "orig_triple": ["Q1", "P27", "Q145"],
    "question": "Of which country is Ada a citizen?",
    "orig_context": "Ada is British.",
    "orig_answer": "Britain",
    "orig_alias": ["UK", "GB"],
    "cf_context": "Ada is French.",
    "cf_answer": "France",
    "cf_alias": [],
}


def test_confiqa_item_gives_two_prompts(tmp_path: Path):
    path = write(tmp_path / "ConFiQA-QA.json", json.dumps([CONFIQA, CONFIQA], indent=4).encode())
    assert open_corpus([path])[0].format == "confiqa"
    found = samples(path)
    assert [s.id for s in found] == [f"ConFiQA-QA-{row}-{variant}" for row in (1, 2) for variant in ("orig", "cf")]
    assert [s.source_row for s in found] == [1, 1, 2, 2]
    assert (found[0].prompt, found[0].context, found[0].response) == (
        "Of which country is Ada a citizen?",
        (Passage("p1", "Ada is British."),),
        None,
    )
    assert found[0].meta == {
        "variant": "original",
        "answer": "Britain",
        "aliases": '["UK","GB"]',
        "other_answer": "France",
    }
    assert found[1].context == (Passage("p1", "Ada is French."),)
    assert found[1].meta == {
        "variant": "counterfactual",
        "answer": "France",
        "aliases": "[]",
        "other_answer": "Britain",
    }
    assert found[0].group_id != found[1].group_id


def test_confiqa_bad_item_is_one_rejection(tmp_path: Path):
    bad = {**CONFIQA, "cf_context": 3}
    items = read_all(write(tmp_path / "c.json", orjson.dumps([bad, {**CONFIQA, "cf_alias": "x"}, CONFIQA])))
    assert rejections(items) == [
        (1, "cf_context: expected a string, found the number 3"),
        (2, 'cf_alias: expected a list of strings, found the string "x"'),
    ]
    assert len(items) == 4


def test_confiqa_several_answers_are_kept_as_json(tmp_path: Path):
    found = samples(
        write(tmp_path / "c.json", orjson.dumps([{**CONFIQA, "orig_answer": ["A", "B"], "orig_alias": None}]))
    )
    assert (found[0].meta["answer"], found[0].meta["aliases"]) == ('["A","B"]', "[]")


# The real files


def datasets() -> Path:
    folder = Path(os.environ.get("BALTO_DATASETS", Path(__file__).parents[3] / "shared" / "datasets"))
    if not folder.is_dir():
        pytest.skip(f"no datasets in {folder}; set BALTO_DATASETS to a folder with ragtruth_qa/ and factscore/")
    return folder


def test_real_ragtruth_and_factscore_are_read_whole():
    folder = datasets()
    ragtruth = samples(f"{folder}/ragtruth_qa/*.jsonl")
    factscore = samples(f"{folder}/factscore/*.jsonl")
    assert (len(ragtruth), len({s.group_id for s in ragtruth}), len({s.policy for s in ragtruth})) == (257, 46, 6)
    assert sum(len(s.gold_spans or ()) for s in ragtruth) == 64
    assert sum(bool(s.gold_spans) for s in ragtruth) == 48
    assert {len(s.context) for s in ragtruth} == {3}
    assert len(factscore) == 199
    assert sum(len(json.loads(s.meta["factscore_sentences"])) > 0 for s in factscore) == 199
