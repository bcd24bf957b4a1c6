"""The JSON values in what a model wrote: alone, fenced, amid words, after thinking, or with slips of spelling.

Only the spelling is forgiven: raw line breaks in strings, single quotes and a comma too many. Nothing is completed,
guessed or executed: a value that is cut is no value.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from typing import Any, Final

_MAX_STARTS: Final = 64  # places where a value may begin that are tried; bounds the time on hostile text
_MAX_LITERAL_CHARS: Final = 200_000  # of a value that is no JSON; Python's parser takes more memory
_MAX_LITERAL_DEPTH: Final = 20
_START: Final = re.compile(r"[{\[]")
# How models end their thinking where the server leaves it in: Qwen, DeepSeek and others, Mistral, Kimi, gpt-oss.
END_OF_THINKING: Final = re.compile(
    r"</(?:think|thinking|thought|reasoning)>|\[/THINK\]|\u25c1/think\u25b7|<\|channel\|>final<\|message\|>"
)
_NO_JSON_ESCAPE: Final = re.compile(r"""\\[^"\\/bfnrtu']""")


@dataclass(frozen=True, slots=True)
class FoundValues:
    """values: objects and lists, the outermost, in order.   cut: something began like a value and was none, so that
    the values may be parts of a larger one."""

    values: list[Any]
    cut: bool


def find_json(text: str) -> FoundValues:
    """All outermost objects and lists in `text`; drafts that a model thought about first are left out."""
    text = text.strip()
    whole = _decode(text)
    if whole is not None:
        return FoundValues([whole], cut=False)
    found, rest = _values_inside(text)
    if found.cut or not found.values:
        literal = _read_literal(rest)
        if literal is not None:
            return FoundValues([literal], cut=False)
    return found


def _decode(text: str) -> Any:
    """The one value that `text` is, or None."""
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) and _is_text(value) else None


def _values_inside(text: str) -> tuple[FoundValues, str]:
    """The values amid other text, and what follows the thinking, from the first bracket to the last."""
    values: list[Any] = []
    cut = False
    answer_at = after_value = 0
    start = _START.search(text)
    for _ in range(_MAX_STARTS):
        if start is None:
            break
        at = start.start()
        # Between values: inside one it is somebody's text.
        for thought in END_OF_THINKING.finditer(text, after_value, at):
            values, cut, answer_at = [], False, thought.end()
        try:
            value, after_value = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            cut = True
        else:
            values += [value] if _is_text(value) else []
        start = _START.search(text, max(at + 1, after_value))
    first = _START.search(text, answer_at)
    last = max(text.rfind("}"), text.rfind("]"))
    return FoundValues(values, cut), text[first.start() : last + 1] if first else ""


def _is_text(value: Any) -> bool:
    """Whether all strings can be written as UTF-8: JSON can spell half a character. Nesting that is just not too deep
    to be read may be too deep to be written."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def _read_literal(text: str) -> Any:
    """The value of a text with Python's quotes or a comma too many, or None. Parsed, never evaluated."""
    if len(text) > _MAX_LITERAL_CHARS or _depth(text) > _MAX_LITERAL_DEPTH or _NO_JSON_ESCAPE.search(text):
        return None
    try:
        value = _value_of(ast.parse(text.replace("\\/", "/"), mode="eval").body)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    return value if _is_text(value) else None


def _depth(text: str) -> int:
    """At least as deep as any bracket of `text` is nested."""
    depth = deepest = 0
    for match in re.finditer(r"[{\[(]|[}\])]", text):
        depth += 1 if match[0] in "{[(" else -1
        deepest = max(deepest, depth)
    return deepest


def _value_of(node: ast.expr) -> Any:
    """Dictionaries, lists, strings and numbers; ValueError for anything else."""
    match node:
        case ast.Constant(value=str() | int() | float() | None as value):
            return value
        case ast.Name(id="true" | "false" | "null" as name):
            return {"true": True, "false": False, "null": None}[name]
        case ast.List(elts=items):
            return [_value_of(item) for item in items]
        case ast.Dict(keys=keys, values=values) if all(isinstance(key, ast.Constant) for key in keys):
            return _unique(
                [(str(_value_of(key)), _value_of(value)) for key, value in zip(keys, values, strict=True) if key]
            )
    raise ValueError("no value of JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object that says two things under one name says nothing."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, strict=False)
