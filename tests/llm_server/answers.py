"""What the endpoint says: a function of the request's body, and the ways in which an answer can be wrong."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

Answer = Callable[[Mapping[str, Any]], str]


def smallest_answer(body: Mapping[str, Any]) -> str:
    """The smallest JSON that fits the schema that the request came with; `{}` when it came with none."""
    schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema", {"type": "object"})
    return json.dumps(_smallest(schema))


def _smallest(schema: Mapping[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: _smallest(schema["properties"][name]) for name in schema.get("required", ())}
    return {"array": [], "string": "", "integer": 0, "number": 0, "boolean": False, "null": None}[kind]


def spoil(fault: str, text: str) -> str:
    """The answer `text` with the named thing wrong in it. Works on any JSON by the names of its keys."""
    if fault == "invalid_json":
        return text[: max(1, len(text) - 2)] + ', "unclosed": ['
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return json.dumps(_SPOIL[fault](value), ensure_ascii=False)


def spell(spelling: str, text: str) -> str:
    """The JSON `text` as models spell it that were not held to a schema; see SPELLINGS."""
    if spelling == "raw_breaks":
        return re.sub(r"(?<=[.!?]) (?=[A-Z])", "\n", text)
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if spelling == "bare_list" and len(value) == 1:
        (value,) = value.values()
    return repr(value) if spelling == "python" else json.dumps(value, ensure_ascii=False)


def _without_last(value: Any) -> Any:
    """Every list of objects loses its last one."""
    if isinstance(value, dict):
        return {key: _without_last(one) for key, one in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [_without_last(one) for one in value[:-1]]
    return value


def _with_invented(value: Any) -> Any:
    """Every list of objects with ids gets one more, under an id that nobody asked for."""
    if isinstance(value, dict):
        return {key: _with_invented(one) for key, one in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        ids = [key for key in value[0] if key == "id" or key.endswith("_id")]
        invented = {**value[0], **{key: 9_999 if isinstance(value[0][key], int) else "invented-9999" for key in ids}}
        return [*value, invented] if ids else value
    return value


def _with_reworded(value: Any, part: str, name: str = "") -> Any:
    """Every text under a key with `part` in it has its words turned round."""
    if isinstance(value, dict):
        return {key: _with_reworded(one, part, key) for key, one in value.items()}
    if isinstance(value, list):
        return [_with_reworded(one, part, name) for one in value]
    return " ".join(reversed(value.split())) if isinstance(value, str) and part in name else value


def _with_wrong_sentences(value: Any, name: str = "") -> Any:
    """Every number under a key with `sentence` in it is moved on by one."""
    if isinstance(value, dict):
        return {key: _with_wrong_sentences(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [_with_wrong_sentences(one, name) for one in value]
    return value + 1 if isinstance(value, int) and "sentence" in name else value


_SPOIL: Mapping[str, Callable[[Any], Any]] = {
    "missing_ids": _without_last,
    "invented_ids": _with_invented,
    "reworded_quotes": functools.partial(_with_reworded, part="quote"),
    "reworded_evidence": functools.partial(_with_reworded, part="evidence"),
    "wrong_sentences": _with_wrong_sentences,
}
