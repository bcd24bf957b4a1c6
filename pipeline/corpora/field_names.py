"""Which field of a foreign record is which: the names that retrieval data commonly has, and those that a user gives.

The names are those of question answering sets, chat logs, and what writes and scores retrieval-augmented answers: Ragas
(both generations), DeepEval, TruLens, Azure AI Evaluation, RAGChecker, LangChain, LlamaIndex. Fields for people's
answers (ground_truth, reference, expected_output, answers) are no response to label, and stand in none of the lists.
"""

from __future__ import annotations

import difflib
import functools
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pipeline.corpora.shapes import ends_with_answer, messages, response_text
from schemas.errors import ConfigError, RecordError
from schemas.samples import FIELDS

# The first with a value counts. What was retrieved comes before `context`, which in DeepEval is the ideal one.
NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "prompt": ("prompt", "question", "query", "instruction", "user_input", "messages", "conversations", "input"),
    "context": (
        *("retrieved_contexts", "retrieved_context", "retrieval_context", "retrieved_documents", "source_documents"),
        *("context", "passages", "documents", "contexts", "docs", "ctxs", "chunks", "passage"),
    ),
    "response": (
        *("response", "answer", "output", "completion", "actual_output", "model_output", "model_response"),
        *("generated_answer", "generated_text", "generation", "result"),
    ),
}
NAMEABLE: Final = ("id", "group_id", "prompt", "context", "response", "policy")
_MISSPELT: Final = 0.85  # difflib ratio from which a field counts as a misspelt name
_ALIKE: Final = 0.75  # from which it is worth a suggestion
_OF_PEOPLE: Final = re.compile("gold|truth|reference|expected|correct|ideal|right|^gt|label")


def parse_fields(text: str) -> dict[str, str]:
    """Our field -> theirs, from `prompt=inputs.question,response=reply`. Raises ConfigError."""
    fields: dict[str, str] = {}
    for part in text.split(","):
        ours, _, theirs = (piece.strip() for piece in part.partition("="))
        if ours not in NAMEABLE or not theirs:
            raise ConfigError(
                f"--fields {text}: {part!r} is no OURS=THEIRS; ours are {', '.join(NAMEABLE)}, "
                "theirs are field names, with dots into objects (prompt=inputs.question)"
            )
        if ours in fields:
            raise ConfigError(f"--fields {text}: names {ours} twice")
        fields[ours] = theirs
    return fields


def named_value(obj: Mapping[str, Any], path: str) -> Any:
    """The value under a path that a user gave; None where there is none.

    path: a field, or fields of objects and numbers of list items with dots between them.
    """
    if path in obj:
        return obj[path]
    value: Any = obj
    for name in path.split("."):
        if type(value) is dict:
            value = value.get(name)
        elif type(value) is list and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def first_name(obj: Mapping[str, Any], ours: str) -> str | None:
    """The first of our field's names with a value; Parquet rows hold null under every column."""
    present = [name for name in NAMES[ours] if name in obj]
    return next((name for name in present if obj[name] is not None), present[0] if present else None)


def refuse_misspelt_response(obj: Mapping[str, Any]) -> None:
    """Raises RecordError for a text that was meant as the response of a record that has none."""
    for name, value in obj.items():
        meant = _misspelt_response(name) if type(value) is str else None
        if meant is not None:
            remedy = f"rename it or add --fields response={name}"
            raise RecordError("read", f"{name!r}: unknown field; did you mean {meant}? {remedy}")


@functools.lru_cache(maxsize=1024)
def _misspelt_response(name: str) -> str | None:
    """Not plurals: a list of answers is rather what people wrote."""
    if name.endswith("s") or len(name) > 30 or name in FIELDS:
        return None
    close = difflib.get_close_matches(name, NAMES["response"], n=1, cutoff=_MISSPELT)
    return close[0] if close else None


def which_is_which(objects: Sequence[Mapping[str, Any]]) -> str:
    """What to add to the command for records whose fields have other names, with the closest that they have.

    Empty when prompt and context have known names. A response is not asked for where a chat log ends with it.
    """
    fields: dict[str, Any] = {}
    for obj in objects:
        fields |= {name: value for name, value in obj.items() if value is not None or name not in fields}
    known = {ours: _name_of_text(fields, ours) for ours in NAMES}
    candidates = [path for path in _paths(fields) if not {path, path.partition(".")[0]} & {*known.values()}]
    if known["response"] is None and ends_with_answer(messages(fields.get(known["prompt"] or ""))):
        del known["response"]
    named = []
    for ours, found in known.items():
        if found is None:
            close = _closest(
                ours, [one for one in candidates if ours == "context" or type(fields.get(one)) is not dict]
            )
            candidates = [path for path in candidates if path != close]
            named.append(f"{ours}={close or (ours == 'context' and _tool_turn(fields)) or 'NAME'}")
    is_wanted = known["prompt"] is None or known["context"] is None
    return f"--fields {shlex.quote(','.join(named))}" if is_wanted else ""


def _name_of_text(fields: Mapping[str, Any], ours: str) -> str | None:
    """The field that is known by its name; None when it holds an object in which the text is yet to be found."""
    found = first_name(fields, ours)
    value = fields.get(found or "")
    is_object = type(value) is dict and ours != "context" and type(response_text(value)) is not str
    return None if is_object else found


def _tool_turn(fields: Mapping[str, Any]) -> str:
    """The first turn of a chat log in which a tool answers: there a retriever's passages stand."""
    name = first_name(fields, "prompt") or ""
    turns = messages(fields.get(name))
    found = [at for at, turn in enumerate(turns) if turn.get("role") == "tool"] if _are_turns(turns) else []
    return f"{name}.{found[0]}.content" if found else ""


def _are_turns(value: Any) -> bool:
    return type(value) is list and all(type(one) is dict for one in value)


def _paths(fields: Mapping[str, Any]) -> Iterator[str]:
    """The fields that can hold text, and those of the objects among them."""
    for name, value in fields.items():
        if type(value) in (str, list):
            yield name
        elif type(value) is dict:
            yield name
            yield from (f"{name}.{inner}" for inner, held in value.items() if type(held) in (str, list))


def _closest(ours: str, paths: Sequence[str]) -> str | None:
    scored = [(_likeness(ours, path), path) for path in paths if "," not in path]
    score, path = max(scored, default=(0.0, ""), key=lambda one: one[0])
    return path if score >= _ALIKE else None


def _likeness(ours: str, path: str) -> float:
    """How much the last part of a path is like a name of `ours`, in [0, 1]."""
    last = path.lower().removesuffix(".value").rpartition(".")[2]  # OpenInference: attributes.input.value
    name = re.sub(r"[^a-z0-9]", "", last)
    if _OF_PEOPLE.search(path.lower()) or name.endswith("id"):
        return 0.0
    known = [one.replace("_", "") for one in NAMES[ours]]
    if name in known:
        return 1.0
    return max(
        0.9 if one in name and len(one) > 4 else difflib.SequenceMatcher(None, name, one).ratio() for one in known
    )
