"""Tables of the context, as rows with a name: the first cell that is no number.

A table is lines of cells, parted by "|", a tab or a comma, under a line of heads; or a JSON list of objects. One whose
heads are the things and whose lines are what they have is turned round. What a response makes of them: row_claims.py.
"""

from __future__ import annotations

import contextlib
import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from pipeline.engines.numerals.implied_numbers import ImpliedNumbers
from pipeline.engines.numerals.number_index import NumberIndex
from pipeline.engines.numerals.numbers import Number, find_numbers
from pipeline.engines.records.fields import Field, field_of
from pipeline.engines.words import CONTENT, NUMBER, tokenize, word_set
from schemas.records import Passage

_SEPARATORS: Final = ("|", "\t", ",")
_RULE: Final = re.compile(r"[\s|:+=-]+")  # the line between heads and rows
_MIN_LINES: Final = 3  # the heads and two rows
_MAX_CELL: Final = 60  # characters; longer ones are prose
_MAX_LINE: Final = 2000
_MAX_LINES: Final = 20_000  # tables behind so many lines are taken for prose
_MAX_NAME: Final = 6  # words
_MIN_YEAR_DIGITS: Final = 4  # shorter numbers in front of a row count the rows
_MAX_ROWS: Final = 500
_OF_LINES: Final = word_set("feature features property properties spec specs specification attribute criterion metric")

_MIN_ITEMS: Final = 2
_NO_NAMES: Final = ("true", "false", "null")
_MAX_JSON_CHARS: Final = 200_000


@dataclass(eq=False)
class Row:
    """One row.   name: its stems.   label: the name as written.   text: heads and cells.

    cells: by head, without the name.   table: number of the table that it is in.
    """

    name: tuple[str, ...]
    label: str
    text: str
    cells: dict[str, str]
    table: int

    @cached_property
    def numbers(self) -> NumberIndex:
        """The numbers of the row and of its heads."""
        return numbers_of(self.text)

    @cached_property
    def values(self) -> dict[str, float]:
        """The number of each cell that begins with one, by head."""
        found = {head: _value(cell) for head, cell in self.cells.items()}
        return {head: value for head, value in found.items() if value is not None}

    @cached_property
    def words(self) -> dict[str, frozenset[str]]:
        """The content words of each cell, by head."""
        return {head: frozenset(tokenize(cell).content_stems()) for head, cell in self.cells.items()}

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """Of the cells that say yes or no."""
        return tuple(filter(None, (field_of(head, cell) for head, cell in self.cells.items())))


@dataclass(eq=False)
class Tables:
    """The rows of all tables of a context.   prose: its other text."""

    rows: tuple[Row, ...]
    prose: str
    by_first_word: dict[str, list[tuple[tuple[str, ...], Row]]] = field(init=False)

    def __post_init__(self) -> None:
        self.by_first_word = {}
        for row in self.rows:
            for name in dict.fromkeys((row.name, self._short_name(row))):
                if name:
                    self.by_first_word.setdefault(name[0], []).append((name, row))

    def _short_name(self, row: Row) -> tuple[str, ...]:
        """What tells a row from those beside it, "Duo" of "Brewla Duo" beside "Brewla Max"; () when that is no name."""
        common = self._common.get(row.table, frozenset())
        name = tuple(word for word in row.name if word not in common)
        words = tokenize(row.label)
        kinds = [kind for word, kind in zip(words.stems, words.kinds, strict=True) if word in name]
        return name if common and kinds and all(kind == CONTENT for kind in kinds) else ()

    @cached_property
    def _common(self) -> dict[int, frozenset[str]]:
        """By table, the words that all its names have."""
        found: dict[int, frozenset[str]] = {}
        for row in self.rows:
            found[row.table] = found.get(row.table, frozenset(row.name)) & frozenset(row.name)
        return found

    @cached_property
    def outside(self) -> NumberIndex:
        """The numbers that stand in no table."""
        return numbers_of(self.prose)

    @cached_property
    def prose_stems(self) -> frozenset[str]:
        """The words that stand in no table."""
        return frozenset(tokenize(self.prose).stems)

    def numbers(self) -> Iterator[Number]:
        """Those of all cells. Where commas part them, "100,200" reads as one number elsewhere."""
        for row in self.rows:
            yield from find_numbers(row.text, tokenize(row.text))

    def columns(self) -> Iterator[list[float]]:
        """The values of each column that has one in every row."""
        tables: dict[int, list[Row]] = {}
        for row in self.rows:
            tables.setdefault(row.table, []).append(row)
        for rows in tables.values():
            for head in rows[0].values:
                if all(head in row.values for row in rows):
                    yield [row.values[head] for row in rows]

    def sizes(self) -> Iterator[float]:
        """How many rows each table has."""
        yield from map(float, Counter(row.table for row in self.rows).values())

    def table_of(self, row: Row) -> list[Row]:
        """The rows beside a row, itself among them."""
        return [other for other in self.rows if other.table == row.table]

    def named(self, stems: Sequence[str]) -> list[Row]:
        """The rows whose names stand among words, the longer name of two that begin alike ("New York City")."""
        found: list[Row] = []
        behind = 0
        for at, word in enumerate(stems):
            here = [(name, row) for name, row in self.by_first_word.get(word, ()) if _stands_at(name, stems, at)]
            if here and at >= behind:
                longest = max(len(name) for name, _ in here)
                found += [row for name, row in here if len(name) == longest and row not in found]
                behind = at + longest
        return found


def read_tables(passages: tuple[Passage, ...]) -> Tables | None:
    """The tables of a context; None when it has none."""
    rows: list[Row] = []
    prose: list[str] = []
    for passage in passages:
        own = [*_rows_of_json(passage.text, _next_table(rows))]
        text = "" if own else passage.text
        rows += own
        prose.append(_rows_of_lines(text, rows))
    return Tables(tuple(rows[:_MAX_ROWS]), "\n\n".join(prose)) if rows else None


def _next_table(rows: list[Row]) -> int:
    """The number of a table behind those of the rows."""
    return max((row.table for row in rows), default=0) + 1


def _rows_of_lines(text: str, rows: list[Row]) -> str:
    """Adds the rows of a text's tables to `rows`; the text without its tables."""
    if "\n" not in text or not any(separator in text for separator in _SEPARATORS):
        return text
    kept: list[str] = []
    *lines, rest = text.split("\n", _MAX_LINES)
    lines = [line for line in [*lines, rest] if not line or not _RULE.fullmatch(line)]
    for separator, block in _blocks(lines):
        before = len(rows)
        if separator and len(block) >= _MIN_LINES and before < _MAX_ROWS:
            rows += _rows(block[: _MAX_ROWS + 1], separator, _next_table(rows))
        if len(rows) == before:
            kept += block
    return "\n".join(kept)


def _blocks(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Consecutive lines that have the same number of the same separator; "" for those that have none."""
    block: list[str] = []
    before = ("", 0)
    for line in lines:
        shape = _shape(line)
        if block and shape != before:
            yield before[0], block
            block = []
        block.append(line)
        before = shape
    if block:
        yield before[0], block


def _shape(line: str) -> tuple[str, int]:
    if len(line) > _MAX_LINE:
        return "", 0
    for separator in _SEPARATORS:
        if separator in line:
            count = len(_cells(line, separator))
            if count > 1:
                return separator, count
    return "", 0


def _cells(line: str, separator: str) -> list[str]:
    line = line.strip()
    if separator == "|":
        line = line.removeprefix("|").removesuffix("|")
    cells = line.split(separator)
    if '"' in line:
        with contextlib.suppress(csv.Error):  # a lone carriage return, say
            cells = next(csv.reader([line], delimiter=separator))
    return [cell.strip().strip("*") for cell in cells]


def _rows(block: list[str], separator: str, table: int) -> Iterator[Row]:
    heads, *others = (_cells(line, separator) for line in block)
    if any(len(cell) > _MAX_CELL for row in others for cell in row):
        return
    numeric = sum(map(_is_number, heads))  # "200m" may head a column
    if separator == "," and (2 * numeric >= len(heads) or not all(any(map(_is_number, row)) for row in others)):
        return  # a list of lines that happen to have as many commas
    if len(heads) > _MIN_ITEMS and not numeric and (not heads[0] or heads[0].lower() in _OF_LINES):
        heads, *others = (list(line) for line in zip(heads, *others, strict=True))
    for cells in others:
        row = _row(list(zip(heads, cells, strict=True)), " , ".join([*heads, *cells]), table)
        if row:
            yield row


def _is_number(cell: str) -> bool:
    return cell.lstrip("$\u20ac\u00a3\u00a5+-")[:1].isdigit()


def _row(cells: list[tuple[str, str]], text: str, table: int) -> Row | None:
    """cells: (head, cell)."""
    for own, cell in cells:
        tokens = tokenize(cell)
        if not len(tokens) or len(tokens) > _MAX_NAME or cell in _NO_NAMES:
            continue
        is_year = all(kind == NUMBER for kind in tokens.kinds) and len(tokens.words[0]) == _MIN_YEAR_DIGITS
        if is_year or any(map(str.isalpha, cell)):
            others = {head: other for head, other in cells if head != own}
            return Row(tuple(tokens.stems), cell, text, others, table)
    return None


def _value(cell: str) -> float | None:
    tokens = tokenize(cell)
    numbers = find_numbers(cell, tokens)
    if not numbers or numbers[0].first > 0 or numbers[0].clock or isinstance(numbers[0].value, str):
        return None
    if cell[tokens.ends[numbers[0].last] :].lower() == "k" and numbers[0].other is not None:
        return numbers[0].other
    return -numbers[0].value if cell.lstrip("$\u20ac\u00a3\u00a5")[:1] in ("-", "\u2212") else numbers[0].value


def _rows_of_json(text: str, table: int) -> Iterator[Row]:
    """The objects of a JSON list, or of the lists in a JSON object."""
    if text[:1] not in ("[", "{") or len(text) > _MAX_JSON_CHARS:
        return
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return
    for number, one in enumerate([value, *(value.values() if type(value) is dict else ())], start=table):
        if type(one) is list and len(one) > 1 and all(type(item) is dict for item in one):
            for item in one:
                cells = [(key, part if type(part) is str else json.dumps(part)) for key, part in item.items()]
                row = _row(cells, json.dumps(item), number)
                if row:
                    yield row


def numbers_of(text: str) -> NumberIndex:
    """The numbers of a short text."""
    tokens = tokenize(text)
    implied = ImpliedNumbers()
    implied.add(text, tokens)
    return NumberIndex(find_numbers(text, tokens), implied)


def _stands_at(name: tuple[str, ...], stems: Sequence[str], at: int) -> bool:
    return tuple(stems[at : at + len(name)]) == name
