"""What a file is that is no corpus, as far as it tells: an archive, another encoding, one JSON object around all."""

from __future__ import annotations

import codecs
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from pipeline.corpora import containers
from pipeline.corpora.field_names import NAMES, first_name

_HEAD_BYTES: Final = 512
_FOREIGN: Final[Mapping[bytes, str]] = {
    b"PK\x03\x04": "a zip archive, as spreadsheets (.xlsx) are; unpack it, or save the sheet as CSV",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; unpack it (`zstd -d`)",
    b"BZh": "compressed with bzip2; unpack it (`bunzip2`)",
    b"\xfd7zXZ": "compressed with xz; unpack it (`unxz`)",
    b"ARROW1": "an Arrow file; write it as Parquet",
    b"\xff\xff\xff\xff": "an Arrow stream, as `datasets` saves them; write it as Parquet (`to_parquet`)",
    b"%PDF": "a PDF document",
    b"SQLite format 3": "an SQLite database; export its table as CSV",
    b"sep=": "a table under a line that tells Excel its delimiter; remove that line",
    b"\xff\xfe": "text in UTF-16; save it as UTF-8",
    b"\xfe\xff": "text in UTF-16; save it as UTF-8",
}
_DEPTH: Final = 3  # of objects that are looked into
_OF_A_RECORD: Final = frozenset((*NAMES["prompt"], *NAMES["context"]))  # lists of messages and passages


def what_it_is(path: str) -> str | None:
    """What a file without records is instead of a corpus; None when its beginning does not tell."""
    with containers.open_bytes(path) as stream:
        head = stream.read(_HEAD_BYTES).removeprefix(codecs.BOM_UTF8)
    found = next((what for magic, what in _FOREIGN.items() if head.startswith(magic)), None)
    if found is None and b"\r" in head.split(b"\n", 1)[0].rstrip(b"\r"):
        return "text whose lines end in a carriage return alone; save it with the line ends of Windows or Unix"
    if found is None and path.endswith(".parquet"):
        return "no Parquet file although it is called one (it does not begin with PAR1); fetch or write it again"
    if found is None and head.lstrip().startswith(b"{") and head.split(b"\n", 1)[0].strip() == b"{":
        whole = _whole_object(path)
        one = "one JSON object over many lines; put each record on a line of its own (`jq -c` writes them so)"
        return columns(whole) or records_inside(whole, path) or one
    return found


def records_inside(value: Any, path: str) -> str:
    """Where the records stand in a file that is one JSON object around them, as tools export them; "" for no such."""
    field, length = max(_lists(value, "", _DEPTH), key=lambda one: one[1], default=("", 0))
    if not field:
        return ""
    remedy = f"`jq '{field}' {shlex.quote(path)} > records.json` takes it out"
    return f"one JSON object around the list {field[1:]} of {length:,} objects; if those are the records, {remedy}"


def columns(value: Any) -> str:
    """What to do with an object that holds a table by columns, as pandas writes one by default; "" for others."""
    column = value.get(first_name(value, "prompt") or "") if type(value) is dict else None
    texts = list(column.values()) if type(column) is dict else column
    if type(texts) is not list or not texts or not all(type(text) is str for text in texts):
        return ""
    if not all(type(one) is type(column) and len(one) == len(texts) for one in value.values()):
        return ""
    return "one JSON object of columns; write a record a line (pandas: `to_json(PATH, orient='records', lines=True)`)"


def _lists(value: Any, above: str, depth: int) -> Iterator[tuple[str, int]]:
    """(path as jq writes it, length) of the lists of objects in an object, but for those of messages and passages."""
    if type(value) is not dict or not depth:
        return
    for name, one in value.items():
        if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) and name not in _OF_A_RECORD:
            if type(one) is list and one and type(one[0]) is dict:
                yield f"{above}.{name}", len(one)
            yield from _lists(one, f"{above}.{name}", depth - 1)


def _whole_object(path: str) -> Any:
    """The JSON value that a file holds; None when it is too long to look at, or none."""
    with containers.open_bytes(path) as stream:
        text = stream.read(containers.MAX_RECORD_BYTES + 1).removeprefix(codecs.BOM_UTF8)
    try:
        return orjson.loads(text) if len(text) <= containers.MAX_RECORD_BYTES else None
    except orjson.JSONDecodeError:
        return None
