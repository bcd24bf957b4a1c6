"""RAGTruth as published, responses and their sources, -> Samples; and its malformed records -> rejections."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.corpora import corpus_size_bytes, open_corpus
from pipeline.corpora.flatten_object import flatten_object
from schemas.records import GoldSpan, Passage, Sample
from tests.pipeline.corpus_files import read_all, refusal, rejections, samples, write

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
