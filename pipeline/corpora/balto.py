"""The format "balto": our own JSON form (schemas/samples.py), one object per line or Parquet row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.corpora.extra_fields import with_extra_meta
from pipeline.corpora.place import Place
from pipeline.corpora.shapes import has_calls, our_shapes
from schemas.errors import RecordError
from schemas.records import Sample
from schemas.samples import FIELDS, sample_from_json

_OF_PASSAGES: Final = {"passage_id", "text"}


def convert(obj: Any, place: Place) -> tuple[Sample]:
    """The Sample of one record; one whose messages or passages are in shapes of other tools (`shapes`) is taken too.

    An id is required: a default would change when lines move.
    """
    if type(obj) is not dict:
        return (_sample(obj, place),)
    if _has_more_in_passages(obj.get("context")) or has_calls(obj.get("prompt")):
        return (_sample(our_shapes(obj), place),)
    try:
        return (_sample(obj, place),)
    except RecordError:
        if (reshaped := our_shapes(obj)) == obj:
            raise
    return (_sample(reshaped, place),)


def _has_more_in_passages(context: Any) -> bool:
    """Whether passages have fields beside ours: a title is text, too."""
    return type(context) is list and any(type(one) is dict and not one.keys() <= _OF_PASSAGES for one in context)


def extra_of(obj: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record that are none of ours; a row of a label set that is read again has none."""
    if {"token_labels", "label_spans"} <= obj.keys():
        return {}
    return {name: value for name, value in obj.items() if name not in FIELDS}


def _sample(obj: Any, place: Place) -> Sample:
    if type(obj) is dict and not obj.keys() <= FIELDS:
        obj = with_extra_meta(obj, extra_of(obj))
    return sample_from_json(obj, source=place.source, source_row=place.row, default_id=None)
