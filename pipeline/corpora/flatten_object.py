"""A JSON object -> passages of lines that people and engines can read: the context of RAGTruth's Data2txt records.

    {"hours": {"Monday": "6:0-22:0"}, "attributes": {"OutdoorSeating": true}}
    hours Monday: 6:00-22:00 (6 AM to 10 PM)
    attributes Outdoor Seating: yes

Responses say "outdoor seating" and "10 PM", so names are parted into words and times are given both ways. Nothing is
left out and nothing is added that the object does not say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pipeline.corpora.place import json_text

_HUMP: Final = re.compile(r"(?<=[a-z])(?=[A-Z][a-z]{2})|_")  # BusinessParking, business_stars; WiFi stays whole
_HOURS: Final = re.compile(r"([01]?\d|2[0-4]):(\d{1,2})-([01]?\d|2[0-4]):(\d{1,2})")
_NEVER: Final = "0:00-0:00"  # closed, or open all day: the data does not say which


def flatten_object(info: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Passages {passage_id, text}: `data` with a line per value, then one passage per listed object."""
    lines: list[str] = []
    listed: list[tuple[str, Mapping[str, Any]]] = []
    _collect_lines(info, "", lines, listed)
    yield {"passage_id": "data", "text": "\n".join(lines)}
    for passage_id, item in listed:  # grows while objects inside listed objects are found
        inner: list[str] = []
        _collect_lines(item, "", inner, listed, inside=f"{passage_id}.")
        yield {"passage_id": passage_id, "text": "\n".join(inner)}


def _collect_lines(
    value: Any, name: str, lines: list[str], listed: list[tuple[str, Mapping[str, Any]]], inside: str = ""
) -> None:
    if type(value) is dict:
        for key, item in value.items():
            _collect_lines(item, f"{name} {_words(key)}" if name else _words(key), lines, listed, inside)
    elif type(value) is list:
        listed += [(f"{inside}{name} {number}", item) for number, item in enumerate(value, 1) if type(item) is dict]
        scalars = [_scalar(item) for item in value if type(item) is not dict]
        if scalars or not value:
            lines.append(f"{name}: {', '.join(scalars) or 'none'}")
    else:
        lines.append(f"{name}: {_scalar(value)}")


def _words(name: str) -> str:
    return _HUMP.sub(" ", name)


def _scalar(value: object) -> str:
    """null is said in words: a response that fills it in is wrong, and "null" would mean nothing to an engine."""
    if value is None:
        return "not stated"
    if type(value) is bool:
        return "yes" if value else "no"
    return _hours(value) if type(value) is str else json_text(value, "source_info")


def _hours(text: str) -> str:
    """`6:0-22:30` as `6:00-22:30 (6 AM to 10:30 PM)`; any other text as it is."""
    match = _HOURS.fullmatch(text)
    if not match:
        return text
    opens, closes = (int(match[1]), int(match[2])), (int(match[3]), int(match[4]))
    exact = "-".join(f"{hour}:{minute:02}" for hour, minute in (opens, closes))
    return exact if exact == _NEVER else f"{exact} ({_twelve_hours(*opens)} to {_twelve_hours(*closes)})"


def _twelve_hours(hour: int, minute: int) -> str:
    half = "AM" if hour % 24 < 12 else "PM"
    return f"{hour % 12 or 12}{f':{minute:02}' if minute else ''} {half}"
