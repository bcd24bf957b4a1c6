"""Sample <-> JSON: the public corpus format "balto", one object per record.

    id                  string or integer
    group_id            string or integer; absent: a hash of prompt and context (`default_group_id`)
    prompt              string, or [{role, content}, ...], each role one of ROLES
    context             [{passage_id, text}, ...]; also a list of strings, or one string (ids "p1", "p2", ...)
    response            string; null or absent: a prompt that still waits for one
    policy, tokenizer   string or null
    response_token_ids  [integer, ...] or null      response_logprobs  [number or null, ...] or null
    gold_spans          [{start, end, label}, ...]; [] says "annotated and clean", null says "not annotated"
    meta                {string: scalar}; numbers and booleans become JSON text, nulls are dropped
    source, source_row  the file and record it was first read from; taken only when source_row is present

Other fields are ignored here (readers of corpora keep what they can in meta), except a misspelt one ("gold_span"),
which is refused. JSON knows no NaN: a log-prob that is not finite is written as null and read as NaN. Written by hand
rather than with a validation library because it runs once per record of corpora of millions.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from schemas.errors import RecordError
from schemas.records import GoldSpan, Message, Passage, Sample

FIELDS: Final = frozenset(
    {
        *("id", "group_id", "prompt", "context", "response", "policy", "response_token_ids", "response_logprobs"),
        *("tokenizer", "gold_spans", "meta", "source", "source_row"),
    }
)
# Chat templates write roles between control tokens, some as `<|role|>`: a free text could forge a turn there.
ROLES: Final = ("system", "developer", "user", "assistant", "tool", "function", "ipython", "observation", "document")
MAX_TOKEN_ID: Final = 2**31 - 1  # token ids are stored as int32
_SHOWN_CHARS: Final = 40  # of a wrong value, in a message
_RECORD_AS_TEXT: Final = "a data record as text (JSON in a string)"
_MISSPELT: Final = 0.85  # difflib ratio from which a foreign field counts as a misspelling: gold_span, contexts


def sample_from_json(obj: object, *, source: str, source_row: int, default_id: str | None) -> Sample:
    """The Sample in a JSON object (already parsed).

    source, source_row: recorded when the object does not carry its own.   default_id: taken when there is no `id`;
    None: an id is required.   Raises RecordError("read", ...) naming the field, what was expected and what was found.
    """
    if type(obj) is not dict:
        _refuse("record", "an object with id, prompt, context and response", obj)
    if not obj.keys() <= FIELDS:
        _check_spelling(obj.keys() - FIELDS)
    prompt = _prompt(obj)
    context = _context(obj)
    group_id = _key(obj, "group_id")
    if obj.get("source_row") is not None:
        source, source_row = _optional_text(obj, "source") or "", checked_integer(obj["source_row"], "source_row")
    return Sample(
        id=_id(obj, default_id),
        group_id=default_group_id(prompt, context) if group_id is None else group_id,
        prompt=prompt,
        context=context,
        response=_optional_text(obj, "response"),
        policy=_optional_text(obj, "policy"),
        response_token_ids=_token_ids(obj),
        response_logprobs=_logprobs(obj),
        tokenizer=_optional_text(obj, "tokenizer"),
        gold_spans=_gold_spans(obj),
        meta=_meta(obj),
        source=source,
        source_row=source_row,
    )


def sample_to_json(sample: Sample) -> dict[str, Any]:
    """The JSON object of a Sample; `sample_from_json` gives the same Sample back."""
    obj: dict[str, Any] = {
        "id": sample.id,
        "group_id": sample.group_id,
        "prompt": sample.prompt
        if isinstance(sample.prompt, str)
        else [{"role": message.role, "content": message.content} for message in sample.prompt],
        "context": [{"passage_id": passage.passage_id, "text": passage.text} for passage in sample.context],
        "response": sample.response,
    }
    if sample.policy is not None:
        obj["policy"] = sample.policy
    if sample.response_token_ids is not None:
        obj["response_token_ids"] = list(sample.response_token_ids)
    if sample.response_logprobs is not None:
        obj["response_logprobs"] = [value if math.isfinite(value) else None for value in sample.response_logprobs]
    if sample.tokenizer is not None:
        obj["tokenizer"] = sample.tokenizer
    if sample.gold_spans is not None:
        obj["gold_spans"] = [{"start": span.start, "end": span.end, "label": span.label} for span in sample.gold_spans]
    if sample.meta:
        obj["meta"] = dict(sample.meta)
    if sample.source or sample.source_row:
        obj["source"], obj["source_row"] = sample.source, sample.source_row
    return obj


def default_group_id(prompt: str | tuple[Message, ...], context: tuple[Passage, ...]) -> str:
    """The group of a record that names none: 32 hexadecimal digits from its prompt and its passages with their ids.

    Hashes length-prefixed UTF-8, so that no two different (prompt, context) serialise alike.
    """
    if isinstance(prompt, str):
        parts = ["text", prompt]
    else:
        parts = ["chat"]
        for message in prompt:
            parts += (message.role, message.content)
    head = f"{len(parts)} {len(context)} "
    for passage in context:
        parts += (passage.passage_id, passage.text)
    lengths = " ".join([str(len(part)) for part in parts])
    text = f"{head}{lengths} {''.join(parts)}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _prompt(obj: Mapping[str, Any]) -> str | tuple[Message, ...]:
    value = obj.get("prompt")
    if type(value) is str:
        return _utf8(value, "prompt")
    if type(value) is not list or not value:
        _refuse("prompt", "a string or a list of {role, content}", value, missing="prompt" not in obj)
    return tuple([_message(item, f"prompt[{index}]") for index, item in enumerate(value)])


def _message(item: object, name: str) -> Message:
    if type(item) is not dict:
        _refuse(name, "an object with role and content", item)
    role = item.get("role")
    if role not in ROLES:
        _refuse(f"{name}.role", f"one of {', '.join(ROLES)}", role, missing="role" not in item)
    return Message(role, _text(item.get("content"), f"{name}.content"))


def _context(obj: Mapping[str, Any]) -> tuple[Passage, ...]:
    value = obj.get("context")
    if type(value) is str:
        return (Passage("p1", _utf8(value, "context")),)
    if type(value) is dict:
        _refuse("context", f"a list of {{passage_id, text}}, {_RECORD_AS_TEXT}", value)
    if type(value) is not list:
        _refuse("context", "a list of {passage_id, text} ([] when there is none)", value, missing="context" not in obj)
    return tuple([_passage(item, index) for index, item in enumerate(value)])


def _passage(item: object, index: int) -> Passage:
    if type(item) is dict:
        passage_id = item.get("passage_id")
        if type(passage_id) is not str or not passage_id.isascii():
            passage_id = _passage_id(passage_id, index)
        text = item.get("text")
        if "text" not in item:
            _refuse(f"context[{index}]", f"a string or {{passage_id, text}}, {_RECORD_AS_TEXT}", item)
        if type(text) is not str or not text.isascii():
            text = _text(text, f"context[{index}].text")
        return Passage(passage_id, text)
    if type(item) is str:
        return Passage(f"p{index + 1}", _utf8(item, f"context[{index}]"))
    _refuse(f"context[{index}]", "a string or an object with passage_id and text", item)


def _passage_id(value: object, index: int) -> str:
    if value is None:
        return f"p{index + 1}"
    if type(value) is int:
        return str(value)
    return _text(value, f"context[{index}].passage_id")


def _id(obj: Mapping[str, Any], default_id: str | None) -> str:
    value = _key(obj, "id")
    if value is not None:
        return value
    if default_id is None:
        _refuse("id", "a string that no other record of the corpus has", None, missing="id" not in obj)
    return default_id


def _key(obj: Mapping[str, Any], name: str) -> str | None:
    value = obj.get(name)
    return str(value) if type(value) is int else _optional_text(obj, name)


def _optional_text(obj: Mapping[str, Any], name: str) -> str | None:
    value = obj.get(name)
    if value is None or (type(value) is str and value.isascii()):
        return value
    return _text(value, name, "a string or null")


def _token_ids(obj: Mapping[str, Any]) -> tuple[int, ...] | None:
    values = _optional_list(obj, "response_token_ids", "a list of integers or null")
    if not values:
        return None if values is None else ()
    if set(map(type, values)) != {int} or min(values) < 0 or max(values) > MAX_TOKEN_ID:
        for index, value in enumerate(values):
            if type(value) is not int or not 0 <= value <= MAX_TOKEN_ID:
                _refuse(f"response_token_ids[{index}]", f"an integer from 0 to {MAX_TOKEN_ID}", value)
    return tuple(values)


def _logprobs(obj: Mapping[str, Any]) -> tuple[float, ...] | None:
    values = _optional_list(obj, "response_logprobs", "a list of numbers or null")
    if values is None or set(map(type, values)) <= {float}:
        return None if values is None else tuple(values)
    return tuple([_logprob(value, index) for index, value in enumerate(values)])


def _logprob(value: object, index: int) -> float:
    if value is None:
        return math.nan
    if type(value) is float or (type(value) is int and abs(value) < 2**53):
        return float(value)
    _refuse(f"response_logprobs[{index}]", "a number or null", value)


def _gold_spans(obj: Mapping[str, Any]) -> tuple[GoldSpan, ...] | None:
    values = _optional_list(obj, "gold_spans", "a list of {start, end, label} or null")
    if values is None:
        return None
    return tuple([_gold_span(item, f"gold_spans[{index}]") for index, item in enumerate(values)])


def _gold_span(item: object, name: str) -> GoldSpan:
    if type(item) is not dict:
        _refuse(name, "an object with start, end and label", item)
    start, end = checked_integer(item.get("start"), f"{name}.start"), checked_integer(item.get("end"), f"{name}.end")
    return GoldSpan(start, end, _text(item.get("label"), f"{name}.label"))


def _meta(obj: Mapping[str, Any]) -> dict[str, str]:
    value = obj.get("meta")
    if value is None:
        return {}
    if type(value) is not dict:
        _refuse("meta", "an object of strings or null", value)
    return {_text(key, "meta"): _scalar_text(item, key) for key, item in value.items() if item is not None}


def _scalar_text(value: object, key: str) -> str:
    if type(value) is str:
        return _utf8(value, f"meta.{key}")
    if type(value) in (bool, int, float):
        return json.dumps(value)
    _refuse(f"meta.{key}", "a string, a number or a boolean", value)


def _optional_list(obj: Mapping[str, Any], name: str, expected: str) -> list[Any] | None:
    value = obj.get(name)
    if value is not None and type(value) is not list:
        _refuse(name, expected, value)
    return value


def checked_integer(value: object, name: str) -> int:
    """The value itself; refused when it is no integer or does not fit a Parquet column."""
    if type(value) is not int or not -(2**63) <= value < 2**63:
        _refuse(name, "an integer of 64 bits", value)
    return value


def _text(value: object, name: str, expected: str = "a string") -> str:
    if type(value) is not str:
        _refuse(name, expected, value)
    return _utf8(value, name)


def _utf8(text: str, name: str) -> str:
    """The text itself, once it is known that it can be written as UTF-8."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as err:
            found = f"U+{ord(text[err.start]):04X} at character {err.start}"
            reason = f"{name}: expected text that can be written as UTF-8, found half a surrogate pair ({found})"
            raise RecordError("read", reason) from err
    return text


def _check_spelling(names: set[str]) -> None:
    for name in sorted(map(str, names)):
        meant = _meant_field(name)
        if meant is not None:
            raise RecordError("read", f"{json.dumps(name)}: unknown field; did you mean {meant}?")


@functools.lru_cache(maxsize=1024)
def _meant_field(name: str) -> str | None:
    close = difflib.get_close_matches(name, sorted(FIELDS), n=1, cutoff=_MISSPELT) if len(name) < 30 else []
    return close[0] if close else None


def _refuse(name: str, expected: str, value: object, missing: bool = False) -> NoReturn:
    found = "no such field" if missing else describe_value(value)
    raise RecordError("read", f"{name}: expected {expected}, found {found}")


def describe_value(value: object) -> str:
    """A wrong value as a message shows it: its JSON type and, for scalars, itself cut short."""
    match value:
        case None:
            return "null"
        case bool():
            return "the boolean " + json.dumps(value)
        case str():
            shown = value if len(value) <= _SHOWN_CHARS else value[:_SHOWN_CHARS] + "..."
            return "the string " + json.dumps(shown)
        case int() | float():
            return f"the number {value!r:.40}" if isinstance(value, float) or abs(value) < 2**64 else "a huge number"
        case list() | tuple():
            return f"a list of {len(value)}"
        case dict():
            names = json.dumps([str(name)[:_SHOWN_CHARS] for name in list(value)[:5]])[1:-1]
            return f"an object with {names}" if value else "an empty object"
        case _:
            return f"a value of type {type(value).__name__}"
