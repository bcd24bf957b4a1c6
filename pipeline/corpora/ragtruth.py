"""RAGTruth (arXiv 2401.00396): responses of several models with human hallucination spans.

response.jsonl holds {id, source_id, model, temperature, labels, split, quality, response}; source_info.jsonl beside it
{source_id, task_type, source, source_info, prompt?}, where source_info is {question, passages} for QA, a text for
Summary and a JSON object for Data2txt. Labels become gold spans; everything else that people noted goes to meta:
`quality` other than "good" is kept there, not dropped, and `ragtruth_labels` holds the labels' remaining fields.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pipeline.corpora.containers import JSONL, read_records
from pipeline.corpora.flatten_object import flatten_object
from pipeline.corpora.place import Converter, Place, json_text, require_list, require_object, require_text, to_sample
from pipeline.storage.whole_files import file_facts, join
from schemas.errors import ConfigError, RecordError
from schemas.records import Sample
from schemas.samples import checked_integer, describe_value

SOURCES_NAME: Final = "source_info.jsonl"
# A published `prompt` holds the passages too, and whoever renders prompt and context would show them twice: it is kept
# in meta (`published_prompt`), and the prompt is the question or a neutral task without the context.
_SUMMARY_PROMPT: Final = "Summarize the following news in a few sentences, based only on the given text."
_DATA2TXT_PROMPT: Final = "Write an objective overview of the following business, based only on the given data."
_MARKER: Final = re.compile(r"^passage (\d+):", re.MULTILINE)


class _Source(NamedTuple):
    task_type: str
    prompt: str
    context: list[dict[str, str]]
    published_prompt: str | None


def is_response(obj: Mapping[str, Any]) -> bool:
    return {"source_id", "labels", "response"} <= obj.keys()


def is_source(obj: Mapping[str, Any]) -> bool:
    return {"source_id", "task_type", "source_info"} <= obj.keys()


def sources_path(responses_path: str) -> str:
    """The source_info.jsonl beside a response.jsonl."""
    folder = os.path.dirname(responses_path)  # of an address too
    for name in (SOURCES_NAME, f"{SOURCES_NAME}.gz"):
        if file_facts(join(folder, name)) is not None:
            return join(folder, name)
    missing = join(folder, SOURCES_NAME)
    raise ConfigError(
        f"{responses_path}: RAGTruth responses need their sources, but {missing} is missing; put it there"
    )


def converter(path: str) -> Converter:
    """Reads all sources (15 MB in the full set) and returns the function that joins a response with its source."""
    sources, unread = _read_sources(path)

    def convert(obj: Any, place: Place) -> tuple[Sample]:
        obj = require_object(obj, "record")
        source_id = _id_text(obj, "source_id")
        if source_id not in sources:
            raise RecordError("read", f"source_id: {source_id} is not in {os.path.basename(path)}{unread}")
        return (_sample(obj, source_id, sources[source_id], place),)

    return convert


def _sample(obj: Mapping[str, Any], source_id: str, source: _Source, place: Place) -> Sample:
    response = require_text(obj, "response")
    labels = [require_object(item, f"labels[{index}]") for index, item in enumerate(require_list(obj, "labels"))]
    meta = {name: obj.get(name) for name in ("split", "quality", "temperature")}
    notes = [{name: value for name, value in label.items() if name != "text"} for label in labels]
    ours = {
        "id": _id_text(obj, "id"),
        "group_id": source_id,
        "prompt": source.prompt,
        "context": source.context,
        "response": response,
        "policy": require_text(obj, "model"),
        "gold_spans": [_gold_span(label, response, index) for index, label in enumerate(labels)],
        "meta": meta
        | {"task_type": source.task_type, "source_id": source_id, "published_prompt": source.published_prompt}
        | ({"ragtruth_labels": json_text(notes, "labels")} if notes else {}),
    }
    return to_sample(ours, place)


def _gold_span(label: Mapping[str, Any], response: str, index: int) -> dict[str, Any]:
    start, end = (checked_integer(label.get(name), f"labels[{index}].{name}") for name in ("start", "end"))
    text = require_text(label, "text")
    if start < 0 or response[start:end] != text:
        found, wanted = describe_value(response[max(start, 0) : max(end, 0)]), describe_value(text)
        raise RecordError("read", f"labels[{index}]: characters {start} to {end} are {found}, the label says {wanted}")
    return {"start": start, "end": end, "label": require_text(label, "label_type")}


def _read_sources(path: str) -> tuple[dict[str, _Source], str]:
    """The sources by id, and what a missing one may be due to, for the message."""
    sources: dict[str, _Source] = {}
    unread: list[str] = []
    for record in read_records(path, JSONL):
        try:
            if record.reason is not None:
                raise RecordError("read", record.reason)
            obj = require_object(record.value, "record")
            sources[_id_text(obj, "source_id")] = _source(obj)
        except RecordError as err:
            unread.append(f"line {record.row}: {err.reason}")
        except RecursionError:
            unread.append(f"line {record.row}: nested too deeply")
    return sources, f" ({len(unread)} of its lines could not be read; {unread[0]})" if unread else ""


def _source(obj: Mapping[str, Any]) -> _Source:
    task, info = require_text(obj, "task_type"), obj.get("source_info")
    if type(info) is str:
        prompt, context = _SUMMARY_PROMPT, [{"passage_id": "text", "text": info}]
    elif type(info) is dict and "passages" in info:
        prompt, context = require_text(info, "question"), _split_passages(require_text(info, "passages"))
    elif type(info) is dict:
        prompt, context = _DATA2TXT_PROMPT, list(flatten_object(info))
    else:
        raise RecordError("read", f"source_info: expected a string or an object, found {describe_value(info)}")
    return _Source(task, prompt, context, require_text(obj, "prompt") if obj.get("prompt") else None)


def _split_passages(text: str) -> list[dict[str, str]]:
    """The passages between the markers "passage 1:", "passage 2:", ...; a marker out of turn is part of the text."""
    marks, wanted = [], 1
    for mark in _MARKER.finditer(text):
        if int(mark[1]) == wanted:
            marks.append(mark)
            wanted += 1
    if not marks or text[: marks[0].start()].strip():
        return [{"passage_id": "passage 1", "text": text.strip()}]
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    pieces = [(mark[1], text[mark.end() : end].strip()) for mark, end in zip(marks, ends, strict=True)]
    return [{"passage_id": f"passage {number}", "text": piece} for number, piece in pieces]


def _id_text(obj: Mapping[str, Any], name: str) -> str:
    value = obj.get(name)
    return str(value) if type(value) is int else require_text(obj, name)
