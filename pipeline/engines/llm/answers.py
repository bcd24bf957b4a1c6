"""What the model may answer, and how its text is read: strict about meaning, tolerant about wrapping.

The schema that went with a request is a hint to the server; what counts is the validation here. An answer may be
fenced, surrounded by words or preceded by a model's thinking. It must hold one JSON object of the expected form: none,
or two that differ, is no answer at all, because guessing which one was meant would be a verdict of ours.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

MAX_ANSWER_CHARS: Final = 2_000_000
MAX_CLAIMS: Final = 2_000  # of one answer, about a piece of a response that has no more tokens than that
_MAX_STARTS: Final = 64  # places where a JSON object may begin that are tried; bounds the time on hostile text
_END_OF_THINKING: Final = "</think>"


class UnusableAnswerError(ValueError):
    """The text holds no answer of the expected form. The message is one line of ours, without the model's words."""


def _as_list(value: Any) -> Any:
    """One where a list was asked for is a slip of form, not of meaning; so is null for nothing."""
    if value is None:
        return []
    return [value] if isinstance(value, str | int) else value


_Text = Annotated[str, StringConstraints(max_length=5_000)]
_Texts = Annotated[list[_Text], BeforeValidator(_as_list), Field(max_length=32)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class ExtractedClaim(_Model):
    """One claim as the extractor gives it."""

    sentences: Annotated[list[int], BeforeValidator(_as_list), Field(max_length=256)] = []
    quotes: _Texts = []
    claim: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=5_000)]


class ExtractedClaims(_Model):
    claims: Annotated[list[ExtractedClaim], Field(max_length=MAX_CLAIMS)]


class ClaimAnswer(_Model):
    """One verdict as the verifier gives it. verdict: as written; whether it is one is checked by the verifier."""

    id: Annotated[str, StringConstraints(strip_whitespace=True)]
    evidence: _Texts = []
    reason: str = ""
    verdict: str
    wrong_words: _Texts = []


class ClaimAnswers(_Model):
    answers: list[ClaimAnswer]


Model = TypeVar("Model", bound=_Model)


def read_answer(text: str, model: type[Model]) -> Model:
    """The one object of the form `model` in a model's answer. Raises UnusableAnswerError."""
    if len(text) > MAX_ANSWER_CHARS:
        raise UnusableAnswerError(f"the answer has more than {MAX_ANSWER_CHARS} characters")
    whole = _decode(text.strip())
    candidates = [whole] if whole is not None else _objects_inside(text)
    if not candidates:
        raise UnusableAnswerError("the answer holds no JSON object")
    found: list[Model] = []
    wrong = ""
    for candidate in candidates:
        try:
            read = model.model_validate(candidate)
        except ValidationError as err:
            wrong = wrong or _where(err)
        else:
            found += [read] if read not in found else []
    if not found:
        raise UnusableAnswerError(f"the answer's JSON is not of the form asked for ({wrong})")
    if len(found) > 1:
        raise UnusableAnswerError("the answer holds several JSON objects that differ")
    return found[0]


def _where(err: ValidationError) -> str:
    """The first thing that is wrong: field names of ours and pydantic's words, no value."""
    first = err.errors(include_input=False, include_url=False, include_context=False)[0]
    place = ".".join(str(part) if isinstance(part, int) else part for part in first["loc"])
    return f"{place}: {first['type']}"


def _objects_inside(text: str) -> list[dict[str, Any]]:
    """The outermost JSON objects in a text, in order; drafts that a model thought about first are left out."""
    found: list[dict[str, Any]] = []
    end = 0
    at = text.find("{")
    for _ in range(_MAX_STARTS):
        if at < 0:
            break
        try:
            value, after = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            at = text.find("{", at + 1)
            continue
        if _END_OF_THINKING in text[end:at]:  # between objects: inside one it is somebody's text
            found = []
        end = after
        if _is_text(value):
            found.append(value)
        at = text.find("{", end)
    return found


def _decode(text: str) -> dict[str, Any] | None:
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and _is_text(value) else None


def _is_text(value: Any) -> bool:
    """Whether all strings can be written as UTF-8: JSON can spell half a character."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object that says two things under one name says nothing."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
