"""The format "plain": prompt, context and response under the names that retrieval data commonly gives them.

The first name present counts. All other fields of our own format may stand beside them; further fields are ignored.
A chat log under `messages` that ends with the assistant's turn holds prompt and response in one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.corpora.place import Place, require_object, to_sample
from schemas.errors import RecordError
from schemas.records import Sample
from schemas.samples import FIELDS

PROMPT_NAMES: Final = ("prompt", "question", "query", "instruction", "messages")
CONTEXT_NAMES: Final = ("context", "passages", "documents", "contexts")
RESPONSE_NAMES: Final = ("response", "answer", "output", "completion")
_ANSWERS: Final = "assistant"
_TEXT_NAMES: Final = ("text", "content", "page_content")


def is_plain(obj: Mapping[str, Any]) -> bool:
    has_more = _first_name(obj, CONTEXT_NAMES) or _first_name(obj, RESPONSE_NAMES)
    return _first_name(obj, PROMPT_NAMES) is not None and has_more is not None


def response_name(obj: Mapping[str, Any]) -> str | None:
    return _first_name(obj, RESPONSE_NAMES)


def convert(obj: Any, place: Place) -> tuple[Sample]:
    """The Sample of one record; without an id it is `<file>:<row>`."""
    obj = require_object(obj, "record")
    ours = {name: obj[name] for name in FIELDS if name in obj}
    prompt, response = obj[_required_name(obj, PROMPT_NAMES)], obj.get(response_name(obj) or "")
    if response is None and _ends_with_answer(prompt):
        prompt, response = prompt[:-1], prompt[-1].get("content")
    ours |= {"prompt": prompt, "context": _passages(obj[_required_name(obj, CONTEXT_NAMES)]), "response": response}
    return (to_sample(ours, place),)


def _ends_with_answer(prompt: Any) -> bool:
    return type(prompt) is list and len(prompt) > 1 and type(prompt[-1]) is dict and prompt[-1].get("role") == _ANSWERS


def _passages(value: Any) -> Any:
    return [_passage(item) for item in value] if type(value) is list else value


def _passage(item: Any) -> Any:
    """A passage object under our names. Its title, if any, becomes its first line: facts may stand there only."""
    if type(item) is not dict:
        return item
    text = next((item[name] for name in _TEXT_NAMES if item.get(name) is not None), None)
    title = item.get("title")
    if type(title) is str and title and type(text) is str:
        text = f"{title}\n{text}"
    return {"passage_id": item.get("passage_id", item.get("id")), "text": text}


def _required_name(obj: Mapping[str, Any], names: tuple[str, ...]) -> str:
    name = _first_name(obj, names)
    if name is None:
        raise RecordError("read", f"{names[0]}: expected one of the fields {', '.join(names)}, found none of them")
    return name


def _first_name(obj: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """The first of the names with a value; Parquet rows hold null under every column."""
    present = [name for name in names if name in obj]
    return next((name for name in present if obj[name] is not None), present[0] if present else None)
