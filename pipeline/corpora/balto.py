"""The format "balto": our own JSON form (schemas/samples.py), one object per line or Parquet row."""

from __future__ import annotations

from typing import Any

from pipeline.corpora.place import Place
from schemas.records import Sample
from schemas.samples import sample_from_json


def convert(obj: Any, place: Place) -> tuple[Sample]:
    """The Sample of one record. An id is required: a default would change when lines move."""
    return (sample_from_json(obj, source=place.source, source_row=place.row, default_id=None),)
