"""Fields of a record that are none of ours: short texts, numbers and booleans go to its meta, others are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

MAX_FIELDS: Final = 32  # of a record
MAX_CHARS: Final = 2_000  # of a text: a person's answer fits, a page does not
_MAX_NAME_CHARS: Final = 100


def with_extra_meta(obj: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """The record, under our names, with the extra fields that can be kept in `meta`. What its own meta says stays."""
    kept = dict([(name, value) for name, value in extra.items() if _is_kept(name, value)][:MAX_FIELDS])
    meta = obj.get("meta")
    if not kept or not (meta is None or type(meta) is dict):
        return dict(obj)
    return {**obj, "meta": {**kept, **(meta or {})}}


def left_out(records: Sequence[Mapping[str, Any]]) -> str:
    """A line on the extra fields that are not kept in at least one record; empty when there are none."""
    names: dict[str, None] = {}
    for extra in records:
        kept = 0
        for name, value in extra.items():
            kept += _is_kept(name, value)
            if value is not None and (kept > MAX_FIELDS or not _is_kept(name, value)):
                names[name] = None
    shown = ", ".join(map(ascii, list(names)[:MAX_FIELDS]))
    return (
        f"{shown} (what is kept, in meta: texts of up to {MAX_CHARS:,} characters, numbers, booleans)" if names else ""
    )


def _is_kept(name: str, value: Any) -> bool:
    if not name or len(name) > _MAX_NAME_CHARS or not _is_writable(name):
        return False
    return type(value) in (bool, int, float) or (type(value) is str and len(value) <= MAX_CHARS and _is_writable(value))


def _is_writable(text: str) -> bool:
    """Whether it can be written as UTF-8: half a surrogate pair cannot."""
    return text.isascii() or text.isprintable() or text == text.encode("utf-8", "replace").decode()
