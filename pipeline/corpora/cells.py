"""Cells of a table -> values of a record: lists and objects stand in them as JSON, or as Python prints them.

["one", "two"]   JSON              ['one', 'two']   a column of lists that pandas wrote
                                   ['one' 'two']    one of numpy arrays, as `datasets` and Parquet files give pandas
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from pipeline.corpora.shapes import messages, passages

_MAX_DIGITS: Final = 19  # an integer of 64 bits has no more
_ESCAPE: Final = r"\\(?:[\\'\"nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})"
# An end is not asked for: a text without one would be searched for it again from each of its quotes.
_PYTHON_STRING: Final = re.compile(rf"""('(?:[^'\\\n]+|{_ESCAPE})*'?|"(?:[^"\\\n]+|{_ESCAPE})*"?)""")
_PYTHON_NAME: Final = re.compile(r"\b(None|True|False)\b")
_PRINTED_OBJECT: Final = re.compile(r"\[?\s*(?:array\(\[|[A-Z]\w*\(\w+=)")  # [Document(page_content='...'), ...]
_JSON_NAME: Final = {"None": "null", "True": "true", "False": "false"}


def parse_cells(ours: Mapping[str, Any]) -> dict[str, Any]:
    """A record under our names whose cells hold as text what our format has as a number, a list or an object.

    Text stays what may be meant as text: a data record in `context`, a list in `response`.
    """
    return {name: _parsed(name, value) for name, value in ours.items()}


def is_printed_object(cell: Any) -> bool:
    """Whether a cell holds what Python prints of objects, which only the program that printed them can read."""
    return type(cell) is str and _PRINTED_OBJECT.match(cell) is not None


def _parsed(name: str, cell: Any) -> Any:
    if name == "source_row" and type(cell) is str and cell.isdecimal() and len(cell) < _MAX_DIGITS:
        return int(cell)
    if type(cell) is not str or not cell.startswith(("[", "{")) or name not in _LIST_CELLS:
        return cell
    try:
        value = _json_or_python(cell)
    except (ValueError, SyntaxError):
        return cell
    return value if _LIST_CELLS[name](value) else cell


def _json_or_python(cell: str) -> Any:
    """The list or object that a cell prints. Raises ValueError or SyntaxError when it is none."""
    try:
        return orjson.loads(cell)
    except orjson.JSONDecodeError:
        return orjson.loads(_as_json(cell))


def _as_json(cell: str) -> str:
    """What Python prints of lists, dictionaries, texts and None, as JSON.

    Only texts in quotes are evaluated, as literals. Next to each other they are items of an array, which numpy prints
    without commas, and not one text, as they were in a program. Raises ValueError or SyntaxError for what is no text.
    """
    between = _PYTHON_STRING.split(cell)
    for index in range(1, len(between), 2):
        between[index] = json.dumps(_text_of(between[index]))
    for index in range(0, len(between), 2):
        inner = 0 < index < len(between) - 1
        between[index] = "," if inner and between[index].isspace() else _PYTHON_NAME.sub(_json_name, between[index])
    return "".join(between)


def _text_of(literal: str) -> str:
    """The text that Python prints so. Raises ValueError or SyntaxError for what is none."""
    if len(literal) > 1 and literal[0] == literal[-1] and "\\" not in literal:
        return literal[1:-1]  # as nearly always, in a tenth of the time
    return ast.literal_eval(literal)


def _json_name(found: re.Match[str]) -> str:
    return _JSON_NAME[found[0]]


def _is_passages(value: Any) -> bool:
    return type(value) is list and all(type(one) in (str, dict) and _is_passage(one) for one in value)


def _is_passage(item: Any) -> bool:
    return type(item) is str or passages([item]) != [item] or "text" in item


def _is_messages(value: Any) -> bool:
    return type(value) is list and all(type(one) is dict and messages([one])[0]["role"] for one in value)


def _is_list(value: Any) -> bool:
    return type(value) is list


_LIST_CELLS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "prompt": _is_messages,
    "context": _is_passages,
    "meta": lambda value: type(value) is dict,
    **dict.fromkeys(("gold_spans", "response_token_ids", "response_logprobs"), _is_list),
}
