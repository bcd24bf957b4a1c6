"""ConFiQA (Context-DPO, arXiv 2412.15280): questions with an original and a counterfactual context.

ConFiQA-QA, -MR and -MC .json are JSON arrays of {question, orig_context, orig_answer, orig_alias, cf_context,
cf_answer, cf_alias, and the knowledge-graph paths behind them}. Each gives two prompts without a response: a model
has to write them, and whether it follows the context is then seen against meta's answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.corpora.place import Place, json_text, require_object, require_text, to_sample
from schemas.errors import RecordError
from schemas.records import Sample
from schemas.samples import describe_value


def is_confiqa(obj: Mapping[str, Any]) -> bool:
    return {"question", "orig_context", "cf_context"} <= obj.keys()


def convert(obj: Any, place: Place) -> tuple[Sample, Sample]:
    """The original and the counterfactual prompt of one item: ids `<file>-<row>-orig` and `<file>-<row>-cf`."""
    obj = require_object(obj, "record")
    return _variant(obj, place, "orig", "original", other="cf"), _variant(
        obj, place, "cf", "counterfactual", other="orig"
    )


def _variant(obj: Mapping[str, Any], place: Place, key: str, variant: str, other: str) -> Sample:
    ours = {
        "id": f"{place.id_prefix}-{place.row}-{key}",
        "prompt": require_text(obj, "question"),
        "context": require_text(obj, f"{key}_context"),
        "response": None,
        "meta": {
            "variant": variant,
            "answer": _answer(obj, f"{key}_answer"),
            "aliases": _aliases(obj, f"{key}_alias"),
            "other_answer": _answer(obj, f"{other}_answer"),
        },
    }
    return to_sample(ours, place)


def _answer(obj: Mapping[str, Any], name: str) -> str:
    """The answer; several are kept as a JSON list."""
    value = obj.get(name)
    return json_text(value, name) if type(value) is list else require_text(obj, name)


def _aliases(obj: Mapping[str, Any], name: str) -> str:
    """A JSON list of other names for the answer."""
    value = obj.get(name) or []
    if type(value) is not list:
        raise RecordError("read", f"{name}: expected a list of strings, found {describe_value(value)}")
    return json_text(value, name)
