"""One corpus file -> its Samples and rejections, in file order, in constant memory."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

import orjson

from pipeline.corpora import balto, confiqa, factscore, plain, ragtruth
from pipeline.corpora.cells import is_printed_object
from pipeline.corpora.containers import MAX_RECORD_BYTES, TABLE, RawRecord, read_records
from pipeline.corpora.extra_fields import left_out
from pipeline.corpora.field_names import first_name, parse_fields
from pipeline.corpora.files import CorpusFile
from pipeline.corpora.place import Converter, Place
from schemas.errors import RecordError
from schemas.records import MAX_REJECTED_CHARS, Rejected, Sample

_MAX_ID_CHARS: Final = 200
_FILES_LOOKED_AT: Final = 8
_RECORDS_LOOKED_AT: Final = 20  # of each


def read_corpus_file(file: CorpusFile, *, max_record_bytes: int = MAX_RECORD_BYTES) -> Iterator[Sample | Rejected]:
    """Every record of the file as a Sample (ConFiQA: two), or as Rejected with stage "read", its place and reason.

    Raises ConfigError where the file itself cannot be read on: missing companion, damaged compression or page.
    """
    convert = _converter(file)
    for raw in read_records(file.path, file.container, max_record_bytes):
        if raw.reason is not None:
            yield _rejected(file, raw, raw.reason)
            continue
        try:
            samples = convert(raw.value, Place(file.name, raw.row, file.id_prefix))
        except RecordError as err:
            yield _rejected(file, raw, err.reason)
        else:
            yield from samples


def fields_left_out(files: Sequence[CorpusFile]) -> str:
    """A line on the fields that no Sample will have, found in the first records of the first files; or nothing."""
    records = []
    for file in files[:_FILES_LOOKED_AT]:
        name, fields = _named_fields(file)
        first = islice(read_records(file.path, file.container), _RECORDS_LOOKED_AT)
        objects = [raw.value for raw in first if type(raw.value) is dict]
        if name == "plain":
            records += [plain.extra_of(obj, fields) for obj in objects]
        elif name == "balto":
            records += [balto.extra_of(obj) for obj in objects]
    return left_out(records)


def printed_objects(files: Sequence[CorpusFile]) -> str:
    """A line on a table whose contexts are printed objects, found in the first rows of the first files; or nothing."""
    for file in [one for one in files[:_FILES_LOOKED_AT] if one.container == TABLE]:
        named = _named_fields(file)[1].get("context")
        for raw in islice(read_records(file.path, TABLE), _RECORDS_LOOKED_AT):
            cells = raw.value or {}
            column = named or first_name(cells, "context") or ""
            if is_printed_object(cells.get(column)):
                return (
                    f"{file.name}:{raw.row}: {column} holds objects as Python prints them, {cells[column][:20]!a}..., "
                    "and each such cell is one passage; write the texts as a JSON list (`json.dumps`)"
                )
    return ""


def _named_fields(file: CorpusFile) -> tuple[str, dict[str, str]]:
    """(name of the format, our field -> theirs)."""
    name, _, fields = file.format.partition(":")
    return name, parse_fields(fields) if fields else {}


def _converter(file: CorpusFile) -> Converter:
    if file.format == "ragtruth":
        return ragtruth.converter(file.companions[0])
    name, fields = _named_fields(file)
    if name == "plain":
        return plain.converter(fields, is_table=file.container == TABLE)
    return {"balto": balto.convert, "factscore": factscore.convert, "confiqa": confiqa.convert}[name]


def _rejected(file: CorpusFile, raw: RawRecord, reason: str) -> Rejected:
    return Rejected(_readable_id(raw.value), file.name, raw.row, "read", reason, _record_text(raw))


def _readable_id(value: Any) -> str:
    found = value.get("id") if type(value) is dict else None
    if type(found) not in (str, int):
        return ""
    return str(found)[:_MAX_ID_CHARS].encode("utf-8", "replace").decode()


def _record_text(raw: RawRecord) -> str:
    if raw.text is not None:
        return raw.text[: 4 * MAX_REJECTED_CHARS].decode("utf-8", "replace").rstrip("\r\n")[:MAX_REJECTED_CHARS]
    try:
        return orjson.dumps(raw.value, default=str).decode()[:MAX_REJECTED_CHARS]
    except TypeError:  # half a surrogate pair, an integer beyond 64 bits, nesting beyond 254 levels
        return _escaped_text(raw.value)[:MAX_REJECTED_CHARS]


def _escaped_text(value: Any) -> str:
    try:
        return json.dumps(value, default=str)
    except (TypeError, RecursionError):
        return ascii(reprlib.repr(value))
