"""Where a record stands, and typed access to the fields of the published formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from schemas.errors import RecordError
from schemas.records import Sample
from schemas.samples import describe_value, sample_from_json


class Place(NamedTuple):
    """source, row: the file's name and the 1-based record.   id_prefix: of the ids of records without one."""

    source: str
    row: int
    id_prefix: str

    @property
    def default_id(self) -> str:
        return f"{self.id_prefix}:{self.row}"


Converter = Callable[[Any, Place], Sequence[Sample]]


def to_sample(obj: Mapping[str, Any], place: Place) -> Sample:
    """A Sample from an object in our own JSON form, with a default id."""
    return sample_from_json(obj, source=place.source, source_row=place.row, default_id=place.default_id)


def json_text(value: object, name: str) -> str:
    """JSON text for `meta`, where annotations travel whose shape is not ours."""
    try:
        return orjson.dumps(value).decode()
    except TypeError as err:  # half a surrogate pair, an integer beyond 64 bits, nesting beyond 254 levels
        raise RecordError("read", f"{name}: cannot be kept as JSON text ({err})") from err


def require_object(value: object, what: str) -> dict[str, Any]:
    if type(value) is not dict:
        raise RecordError("read", f"{what}: expected an object, found {describe_value(value)}")
    return value


def require_text(obj: Mapping[str, Any], name: str) -> str:
    """The string under `name`; the message names the field as the published format does."""
    return _require(obj, name, str, "a string")


def require_list(obj: Mapping[str, Any], name: str) -> list[Any]:
    return _require(obj, name, list, "a list")


def _require(obj: Mapping[str, Any], name: str, kind: type, expected: str) -> Any:
    value = obj.get(name)
    if type(value) is not kind:
        found = describe_value(value) if name in obj else "no such field"
        raise RecordError("read", f"{name}: expected {expected}, found {found}")
    return value
