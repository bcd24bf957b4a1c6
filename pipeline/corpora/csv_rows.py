"""CSV and TSV files with a header -> records of texts, in constant memory; as Excel and pandas write them (RFC 4180).

Rows are counted as spreadsheets do: the header is row 1, and a line break inside quotes begins none. A row that is not
as long as the header is refused: its texts may stand in columns of others. TSV is often written without quoting: there
a quote at the beginning of a text is part of it where the lines are rows without it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from typing import IO, Any, Final

from schemas.errors import CorpusError

DELIMITERS: Final = ",\t;"
_MAX_NAME_CHARS: Final = 100
_NO_NAME: Final = frozenset('{}[]":')  # what a broken line of JSON has, and no name of a column


def delimiter_of(head: bytes) -> str | None:
    """The delimiter of a table that begins with `head`, a line at least; None when it is no table."""
    first, _, rest = head.partition(b"\n")
    line = first.decode("utf-8", "replace").rstrip("\r")
    best = max(DELIMITERS, key=line.count)
    try:
        cells = next(csv.reader([line], delimiter=best, strict=True), [])
    except csv.Error:
        return None
    are_names = all(len(one) <= _MAX_NAME_CHARS and one.isprintable() and not _NO_NAME & set(one) for one in cells)
    return best if len(cells) > 1 and are_names and not _is_json(rest.lstrip().partition(b"\n")[0]) else None


def _is_json(line: bytes) -> bool:
    """Whether a line is a record of JSONL; a row whose first cell is a list or an object is none."""
    try:
        return line.startswith((b"{", b"[")) and json.loads(line) is not None
    except (ValueError, RecursionError):
        return False


def read_rows(stream: IO[bytes], path: str, max_record_bytes: int) -> Iterator[tuple[int, Any, str | None, bytes]]:
    """(row, cells by column or None, why there are none, the row as text). An empty cell is null.

    Raises CorpusError for a header that cannot be one.
    """
    csv.field_size_limit(max_record_bytes)
    lines = _lines(stream, path, max_record_bytes)
    first = next(lines, "").removeprefix("\ufeff")
    delimiter = delimiter_of(first.encode("utf-8", "surrogateescape")) or ","
    header = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise CorpusError(f"{path}: two columns are called {twice[0]!a}; rename one of them")
    row = 1
    for cells, reason, taken in _rows(lines, delimiter, len(header)):
        row += 1
        if reason:
            yield row, None, reason, "".join(taken).encode("utf-8", "surrogateescape")
        elif cells:
            text = delimiter.join(cells).encode("utf-8", "surrogateescape")
            wrong = _wrong(cells, header, text)
            yield row, None if wrong else _by_column(header, cells), wrong, text


def _rows(lines: Iterator[str], delimiter: str, width: int) -> Iterator[tuple[list[str], str, list[str]]]:
    """(cells, why there are none, the lines that were taken), row by row.   width: cells of the header."""
    taken: list[str] = []
    rows = csv.reader(_noted(lines, taken), delimiter=delimiter, strict=True)
    while True:
        taken.clear()
        reason = ""
        try:
            cells = next(rows, None)
        except csv.Error as err:
            cells, reason = [], _unreadable(err, len(taken))
        if cells is None:
            return
        if delimiter == "\t" and _is_unquoted(taken, len(cells) == width, width):
            yield from ((_cells_of_line(line, width), "", [line]) for line in taken)
        else:
            yield cells, reason, taken


def _is_unquoted(lines: Sequence[str], is_row: bool, width: int) -> bool:
    """Whether a quote in these lines of a TSV file is part of a text, as where it is written without quoting.

    is_row: read with quotes, the lines are a row. Several may be one by chance, but then each is one alone, too.
    """
    fits = [line.count("\t") == width - 1 for line in lines if not line.isspace()]
    return len(fits) > 1 and all(fits) if is_row else 2 * sum(fits) > len(fits)


def _cells_of_line(line: str, width: int) -> list[str]:
    """The cells of a line alone; its quotes are part of the texts unless it is a row with them, too."""
    try:
        cells = next(csv.reader([line], delimiter="\t", strict=True), [])
    except csv.Error:
        cells = []
    return cells if len(cells) == width or line.isspace() else line.rstrip("\r\n").split("\t")


def _noted(lines: Iterator[str], taken: list[str]) -> Iterator[str]:
    for line in lines:
        taken.append(line)
        yield line


def _lines(stream: IO[bytes], path: str, max_bytes: int) -> Iterator[str]:
    while line := stream.readline(max_bytes + 1):
        if len(line) > max_bytes:
            raise CorpusError(f"{path}: a line is longer than {max_bytes} bytes; is it a table?")
        yield line.decode("utf-8", "surrogateescape")


def _unreadable(err: csv.Error, lines: int) -> str:
    """Why a row cannot be read.   lines: that it took, which tells how much of the table went with it."""
    if "end of data" in str(err):
        rest = f"; {lines:,} lines, all that follow, were taken for one text" if lines > 1 else ""
        return f"a quote is opened here and never closed{rest}"
    took = f", having taken {lines:,} lines" if lines > 1 else ""
    return f"not a readable row ({err}{took}); put texts in quotes, and double quotes in them twice"


def _wrong(cells: list[str], header: list[str], text: bytes) -> str | None:
    if len(cells) != len(header):
        return f"{len(cells)} cells under a header of {len(header)}; quote texts that contain the delimiter"
    try:
        text.decode()
    except UnicodeDecodeError as err:
        return f"not UTF-8: byte 0x{text[err.start]:02X}; save the table as UTF-8"
    return None


def _by_column(header: list[str], cells: list[str]) -> dict[str, str | None]:
    """Without columns that have no name: pandas writes its index as one."""
    return {name: cell or None for name, cell in zip(header, cells, strict=True) if name}
