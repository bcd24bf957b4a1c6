"""The format "plain": prompt, context and response under the names that retrieval data commonly gives them.

The names stand in `field_names`; a user may say others (--fields). All other fields of our own format may stand beside
them; further ones go to meta where they can (`extra_fields`). A chat log that ends with the assistant's turn holds
prompt and response in one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.corpora.cells import parse_cells
from pipeline.corpora.extra_fields import with_extra_meta
from pipeline.corpora.field_names import NAMES, first_name, named_value, refuse_misspelt_response
from pipeline.corpora.place import Converter, Place, require_object, to_sample
from pipeline.corpora.shapes import ends_with_answer, our_shapes
from schemas.errors import RecordError
from schemas.records import Sample
from schemas.samples import FIELDS


def is_plain(obj: Mapping[str, Any]) -> bool:
    return first_name(obj, "prompt") is not None and first_name(obj, "context") is not None


def converter(fields: Mapping[str, str], is_table: bool = False) -> Converter:
    """The function that makes a record a Sample; without an id that is `<file>:<row>`.

    fields: our field -> theirs, as the user named them; the others go by the common names.
    is_table: the values are cells of a table, where lists stand as text.
    """

    def convert(obj: Any, place: Place) -> tuple[Sample]:
        obj = require_object(obj, "record")
        ours = {name: obj[name] for name in FIELDS if name in obj}
        ours |= {name: named_value(obj, path) for name, path in fields.items()}
        ours |= {name: _required(obj, name, fields) for name in ("prompt", "context")}
        ours["response"] = _response(obj, fields)
        ours = our_shapes(parse_cells(ours) if is_table else ours, is_log=True)
        if ends_with_answer(ours["prompt"]) and ours["response"] in (None, ours["prompt"][-1]["content"]):
            ours |= {"prompt": ours["prompt"][:-1], "response": ours["prompt"][-1]["content"]}
        if ours["response"] is None and "response" not in fields:
            refuse_misspelt_response(obj)
        return (to_sample(with_extra_meta(ours, extra_of(obj, fields)), place),)

    return convert


def extra_of(obj: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a record that are none of ours and are not read as one of ours."""
    taken = {path if path in obj else path.partition(".")[0] for path in fields.values()}
    taken |= {first_name(obj, ours) for ours in NAMES if ours not in fields}
    return {name: value for name, value in obj.items() if name not in taken and name not in FIELDS}


def _required(obj: Mapping[str, Any], ours: str, fields: Mapping[str, str]) -> Any:
    if ours in fields:
        value = named_value(obj, fields[ours])
        if value is None:
            raise RecordError("read", f"{ours}: no value under {fields[ours]} (--fields)")
        return value
    name = first_name(obj, ours)
    if name is None:
        raise RecordError("read", f"{ours}: no field has one of its names; say which holds it, --fields {ours}=NAME")
    return obj[name]


def _response(obj: Mapping[str, Any], fields: Mapping[str, str]) -> Any:
    name = fields.get("response") or first_name(obj, "response")
    return named_value(obj, name) if name else None
