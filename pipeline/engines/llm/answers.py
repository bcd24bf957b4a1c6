"""What the model may answer, and how its text is read: strict about meaning, tolerant about wrapping.

The schema that went with a request is a hint to the server; what counts is the validation here. An answer may be
fenced, surrounded by words, preceded by a model's thinking or spelled like Python (find_json.py), and its list may lack
the object around it. It must hold one answer of the expected form: none, or two that differ, is no answer at all,
because guessing which one was meant would be a verdict of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from pipeline.llm.find_json import FoundValues, find_json
from schemas.records import CONTRADICTED, UNSUPPORTED, VERDICTS

MAX_ANSWER_CHARS: Final = 2_000_000
MAX_CLAIMS: Final = 2_000  # of one answer, about a piece of a response that has no more tokens than that
# Other spellings of the three verdicts. Equal as a whole or nothing: "incorrect" holds "correct".
_SPELLINGS: Final[Mapping[str, str]] = {
    **{verdict: verdict for verdict in VERDICTS},
    "not supported": UNSUPPORTED,
    "not_supported": UNSUPPORTED,
    "contradiction": CONTRADICTED,
    "contradictory": CONTRADICTED,
    "refuted": CONTRADICTED,
}
_AROUND_VERDICTS: Final = " \t\n.*_`'\""


class UnusableAnswerError(ValueError):
    """The text holds no answer of the expected form. The message is one line of ours, without the model's words."""


def _as_list(value: Any) -> Any:
    """One where a list was asked for is a slip of form, not of meaning; so is null for nothing."""
    if value is None:
        return []
    return [value] if isinstance(value, str | int) else value


def _valid_answers(value: Any) -> Any:
    """The answers that are of the form: claims whose answer is not are asked for again, and only these."""
    if not isinstance(value, list):
        return value
    return [one for one in value if _read(one, ClaimAnswer)[0] is not None]


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
    """One verdict as the verifier gives it. verdict: as written; see `verdict_of`."""

    id: Annotated[str, StringConstraints(strip_whitespace=True)]
    evidence: _Texts = []
    reason: Annotated[str, BeforeValidator(lambda value: "" if value is None else value)] = ""
    verdict: str
    wrong_words: _Texts = []


class ClaimAnswers(_Model):
    answers: Annotated[list[ClaimAnswer], BeforeValidator(_valid_answers)]


Model = TypeVar("Model", bound=_Model)


def verdict_of(answer: ClaimAnswer) -> str | None:
    """The verdict that an answer spells, or None for any other word."""
    return _SPELLINGS.get(answer.verdict.strip(_AROUND_VERDICTS).lower())


def read_answer(text: str, model: type[Model]) -> Model:
    """The one answer of the form `model` in what a model wrote. Raises UnusableAnswerError."""
    if len(text) > MAX_ANSWER_CHARS:
        raise UnusableAnswerError(f"the answer has more than {MAX_ANSWER_CHARS} characters")
    candidates = find_json(text)
    if not candidates.values:
        raise UnusableAnswerError("the answer holds no JSON object")
    found: list[Model] = []
    wrong = ""
    for candidate in [*candidates.values, *_enveloped(candidates, model)]:
        read, why = _read(candidate, model)
        wrong = wrong or why
        if read is not None and read not in found:
            found.append(read)
    if not found:
        raise UnusableAnswerError(f"the answer's JSON is not of the form asked for ({wrong})")
    if len(found) > 1:
        raise UnusableAnswerError("the answer holds several JSON objects that differ")
    return found[0]


def _enveloped(candidates: FoundValues, model: type[Model]) -> list[dict[str, Any]]:
    """The object that was asked for around a bare list, or around bare items one after the other.

    Not where something was cut: then the items may be the first few of more.
    """
    (name,) = model.model_fields
    lists = [value for value in candidates.values if isinstance(value, list) and value]
    if lists:
        return [{name: value} for value in lists if all(isinstance(item, dict) for item in value)]
    bare = [value for value in candidates.values if isinstance(value, dict) and name not in value]
    is_all = len(bare) == len(candidates.values)
    return [{name: bare}] if is_all and not candidates.cut else []


def _read(value: Any, model: type[Model]) -> tuple[Model | None, str]:
    """(the value as a `model`, or None; what is wrong first: field names of ours and pydantic's words, no value)."""
    try:
        return model.model_validate(value), ""
    except ValidationError as err:
        first = err.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return None, f"{place or 'all of it'}: {first['type']}"
