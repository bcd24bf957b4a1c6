"""Files -> parsed records: JSONL, one JSON array, a table (CSV, TSV) or Parquet; all but the last may be gzipped.

All stream: memory is bounded by one record, or one batch of about 8 MB (Parquet).
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import starmap
from typing import IO, Any, Final, NamedTuple, NoReturn

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.corpora.csv_rows import delimiter_of, read_rows
from pipeline.storage.whole_files import open_file, parquet_source
from schemas.errors import ConfigError, CorpusError, one_line

JSONL: Final = "jsonl"
JSON_ARRAY: Final = "json array"
TABLE: Final = "table"
PARQUET: Final = "parquet"

MAX_RECORD_BYTES: Final = 64 * 2**20  # a longer line is one record gone wrong, and would not fit the workers' memory
_CHUNK_BYTES: Final = 2**20
_PARQUET_BATCH_BYTES: Final = 8 * 2**20
_BOM: Final = b"\xef\xbb\xbf"
_SHOWN_CHARS: Final = 40  # of a name, in a message
_LOOKED_FOR: Final = 64  # names in a line
_SPACE: Final = " \t\r\n"


class RawRecord(NamedTuple):
    """One record as its file holds it.

    row: 1-based line or row.   reason: why it is no record.   value: what was parsed, None when nothing could be.
    text: its bytes when the container has them (JSONL), else None.
    """

    row: int
    value: Any
    reason: str | None
    text: bytes | None


def container_of(path: str) -> str | None:
    """JSONL, JSON_ARRAY, TABLE or PARQUET by the first bytes of the file; None when it is empty or only white space."""
    with open_bytes(path) as stream:
        chunk = stream.read(_CHUNK_BYTES).removeprefix(_BOM)
        if chunk.startswith(b"PAR1"):
            return PARQUET
        while chunk and chunk.isspace():
            chunk = stream.read(_CHUNK_BYTES)
    rest = chunk.lstrip()
    if not rest:
        return None
    if rest.startswith((b"[", b"{")):
        return JSON_ARRAY if rest.startswith(b"[") else JSONL
    return TABLE if delimiter_of(chunk) else JSONL


def read_records(path: str, container: str, max_record_bytes: int = MAX_RECORD_BYTES) -> Iterator[RawRecord]:
    """Every record of the file in order. Blank lines are no records; they count as lines.

    Raises CorpusError where the rest of the file cannot be read: damaged compression, a broken JSON array or page.
    """
    if container == PARQUET:
        yield from _read_parquet(path)
        return
    with open_bytes(path) as stream:
        if container == JSON_ARRAY:
            yield from _read_json_array(stream, path, max_record_bytes)
        elif container == TABLE:
            yield from starmap(RawRecord, read_rows(stream, path, max_record_bytes))
        else:
            yield from _read_lines(stream, max_record_bytes)


@contextmanager
def open_bytes(path: str) -> Iterator[IO[bytes]]:
    """The file's bytes, decompressed when it is gzip by content. A read that fails is a ConfigError with the path."""
    try:
        with open_file(path) as file:
            if file.peek(2)[:2] != b"\x1f\x8b":  # type: ignore[attr-defined]  # both kinds are BufferedReaders
                yield file
                return
            with gzip.GzipFile(fileobj=file) as unzipped:
                yield io.BufferedReader(unzipped, _CHUNK_BYTES)  # type: ignore[arg-type]
    except (EOFError, zlib.error, gzip.BadGzipFile) as err:
        raise CorpusError(f"{path}: damaged gzip data ({err}); fetch or compress the file again") from err
    except OSError as err:
        raise ConfigError(
            f"{path}: cannot be read ({err.strerror or err}); check the path and its permissions"
        ) from err


def _read_lines(stream: IO[bytes], max_record_bytes: int) -> Iterator[RawRecord]:
    row = 0
    while line := stream.readline(max_record_bytes + 1):
        row += 1
        if row == 1:
            line = line.removeprefix(_BOM)
        if len(line) > max_record_bytes and not line.endswith(b"\n"):
            _skip_line(stream)
            yield RawRecord(row, None, f"longer than {max_record_bytes} bytes; split or drop this record", line[:8192])
        elif not line.isspace():
            yield _parse_line(row, line)


def _skip_line(stream: IO[bytes]) -> None:
    while (chunk := stream.readline(_CHUNK_BYTES)) and not chunk.endswith(b"\n"):
        pass


def _parse_line(row: int, line: bytes) -> RawRecord:
    try:
        value = orjson.loads(line)
        return RawRecord(row, value, _named_twice(value, line), line)
    except orjson.JSONDecodeError as err:
        try:
            text = line.decode()
        except UnicodeDecodeError as wrong:
            reason = f"not UTF-8: byte 0x{line[wrong.start]:02X} at byte {wrong.start} of the line"
            return RawRecord(row, None, reason, line)
        return _parse_python_json(row, line, text, f"not valid JSON at character {err.pos + 1}: {err.msg}")


def _named_twice(value: Any, line: bytes) -> str | None:
    """Why an object with a field twice is refused, of which parsers keep the last alone; None when it has none.

    Only a line in which some name is not once, perhaps inside of a passage, is parsed again. One of very
    many fields always is: a search for each of them takes the square of its length.
    """
    if type(value) is not dict:
        return None
    if len(value) <= _LOOKED_FOR and all(line.count(f'"{name}"'.encode()) == 1 for name in value):
        return None
    fields = _Fields()
    try:
        json.loads(line, object_pairs_hook=fields)
    except (ValueError, RecursionError):  # what orjson reads and this parser does not
        return None
    return fields.named_twice


class _Fields:
    """Makes objects of their fields. named_twice: why the last object, the outermost of a record, is refused."""

    def __init__(self) -> None:
        self.named_twice: str | None = None

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        obj = dict(pairs)
        self.named_twice = None
        if len(obj) < len(pairs):
            name = next(name for name, uses in Counter(name for name, _ in pairs).items() if uses > 1)
            self.named_twice = f"{name[:_SHOWN_CHARS]!a}: stands there twice; which one counts? leave one"
        return obj


def _parse_python_json(row: int, line: bytes, text: str, reason: str) -> RawRecord:
    """Second try for lines with NaN or Infinity, which Python's json module writes although JSON has neither."""
    if "NaN" in text or "Infinity" in text:
        try:
            fields = _Fields()
            return RawRecord(row, json.loads(text, object_pairs_hook=fields), fields.named_twice, line)
        except (ValueError, RecursionError):
            pass
    return RawRecord(row, None, reason, line)


def _read_json_array(stream: IO[bytes], path: str, max_record_bytes: int) -> Iterator[RawRecord]:
    """Parses element after element from a growing buffer, so the array is never in memory as a whole."""
    source = _ArrayText(stream, path, max_record_bytes)
    if source.take_mark() != "[":
        source.fail("it does not start with [")
    row = 0
    mark = source.take_mark() if source.next_mark() == "]" else ","
    while mark == ",":
        row += 1
        value = source.take_value(row)
        yield RawRecord(row, value, source.fields.named_twice if type(value) is dict else None, None)
        mark = source.take_mark()
    if mark != "]":
        source.fail(f"no comma or ] after element {row}")
    if source.next_mark():
        source.fail(f"more text after its {row} elements")


class _ArrayText:
    """The text of a JSON file, read on demand."""

    def __init__(self, stream: IO[bytes], path: str, max_chars: int):
        self.stream, self.path, self.max_chars = stream, path, max_chars
        self.utf8 = codecs.getincrementaldecoder("utf-8-sig")()
        self.fields = _Fields()
        self.json = json.JSONDecoder(object_pairs_hook=self.fields)
        self.buffer, self.position, self.ended = "", 0, False

    def next_mark(self) -> str:
        """The next character that is no white space, not yet taken; "" at the end."""
        while True:
            while self.position < len(self.buffer) and self.buffer[self.position] in _SPACE:
                self.position += 1
            if self.position < len(self.buffer):
                return self.buffer[self.position]
            if self.ended:
                return ""
            self.grow()

    def take_mark(self) -> str:
        mark = self.next_mark()
        self.position += len(mark)
        return mark

    def take_value(self, row: int) -> Any:
        self.next_mark()
        while True:
            try:
                value, end = self.json.raw_decode(self.buffer, self.position)
            except (ValueError, RecursionError) as err:
                if self.ended or len(self.buffer) - self.position > self.max_chars:
                    self.fail(f"element {row} cannot be parsed: {self.place_of(err)}")
            else:
                if self.ended or end < len(self.buffer):  # else a number may go on in the next chunk
                    self.position = end
                    return value
            self.grow()

    def grow(self) -> None:
        """At least doubles what is left, so that parsing a long value again and again stays linear in its length."""
        rest = self.buffer[self.position :]
        chunk = self.stream.read(max(_CHUNK_BYTES, len(rest)))
        try:
            more = self.utf8.decode(chunk, final=not chunk)
        except UnicodeDecodeError as err:
            self.fail(f"not UTF-8 ({err.reason})")
        self.buffer, self.position, self.ended = rest + more, 0, not chunk

    def place_of(self, err: Exception) -> str:
        """What is wrong and where in the element that begins at `position`."""
        if isinstance(err, json.JSONDecodeError):
            return f"{err.msg} at its character {err.pos - self.position + 1}"
        return str(err)

    def fail(self, what: str) -> NoReturn:
        raise CorpusError(f"{self.path}: not a readable JSON array: {what}; mend the file or write it as JSONL")


def _read_parquet(path: str) -> Iterator[RawRecord]:
    row = 0
    try:
        # pre_buffer would hold whole row groups
        with parquet_source(path) as source, pq.ParquetFile(source, pre_buffer=False, buffer_size=_CHUNK_BYTES) as file:
            for batch in file.iter_batches(batch_size=_batch_rows(file.metadata)):
                for value, reason in _rows(batch):
                    row += 1
                    yield RawRecord(row, value, reason, None)
    except (pa.ArrowException, OSError) as err:
        where = f"after row {row}" if row else "from the start"
        message = f"{path}: cannot be read as Parquet {where} ({one_line(err)}); write the file again"
        raise CorpusError(message) from err


def _batch_rows(metadata: pq.FileMetaData) -> int:
    bytes_per_row = parquet_bytes(metadata) // max(1, metadata.num_rows)
    return max(1, min(1024, _PARQUET_BATCH_BYTES // max(1, bytes_per_row)))


def parquet_bytes(metadata: pq.FileMetaData) -> int:
    """Uncompressed bytes of all row groups."""
    return sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))


def _rows(batch: pa.RecordBatch) -> list[tuple[Any, str | None]]:
    """The rows as dictionaries. Parquet strings are not always UTF-8; only then each row is converted alone."""
    try:
        return [(value, None) for value in batch.to_pylist(maps_as_pydicts="lossy")]
    except UnicodeDecodeError:
        return [_row(batch.slice(index, 1)) for index in range(batch.num_rows)]


def _row(batch: pa.RecordBatch) -> tuple[Any, str | None]:
    try:
        return batch.to_pylist(maps_as_pydicts="lossy")[0], None
    except UnicodeDecodeError as err:
        return None, f"not UTF-8: byte 0x{err.object[err.start]:02X} in a text column"
