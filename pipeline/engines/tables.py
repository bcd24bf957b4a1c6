"""Tables of the context, and claims that take a number from the wrong row.

A table is lines of cells, parted by "|", a tab or a comma, under a line of heads; or a JSON list of objects; or the
hours of weekdays. Words alone cannot tell "Spain has 67.8 million people" from "France has": all of them stand in the
table. A row is found in a claim by its name, the first cell that is no number.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

from pipeline.engines.implied_numbers import ImpliedNumbers
from pipeline.engines.number_index import NumberIndex, is_borne
from pipeline.engines.numbers import Number, find_numbers, key_set
from pipeline.engines.words import CONTENT, NUMBER, Tokens, tokenize
from schemas.records import Passage

_SEPARATORS: Final = ("|", "\t", ",")
_RULE: Final = re.compile(r"[\s|:+=-]+")  # the line between heads and rows
_MIN_LINES: Final = 3  # the heads and two rows
_MAX_CELL: Final = 60  # characters; longer ones are prose
_MAX_LINE: Final = 2000
_MAX_NAME: Final = 6  # words
_MIN_YEAR_DIGITS: Final = 4  # shorter numbers in front of a row count the rows
_MAX_ROWS: Final = 500
_MAX_JSON_CHARS: Final = 200_000
_DAY: Final = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"
_HOURS_OF_DAY: Final = re.compile(rf"""\b({_DAY})["']?:\s{{0,4}}["']?(\d[^"'\n]{{0,80}})""")
# With these a claim speaks of rows that it does not name.
_OF_OTHER_ROWS: Final = key_set(
    "than compared other others rest remaining except average total sum overall difference both each every all"
    " weekend weekends weekdays daily highest lowest"
)


@dataclass(eq=False)
class Row:
    """One row.   name: its stems.   label: the name as written.   text: heads and cells."""

    name: tuple[str, ...]
    label: str
    text: str

    @cached_property
    def numbers(self) -> NumberIndex:
        """The numbers of the row and of its heads."""
        return _numbers_of(self.text)


class RowsSaid(NamedTuple):
    """What a claim makes of the rows that it names.   wrong: numbers that only another row has, with that row.

    agrees: it has numbers, and all of them stand in the rows or in no table.
    """

    wrong: tuple[tuple[Number, Row], ...]
    agrees: bool


NOTHING_SAID: Final = RowsSaid((), agrees=False)


@dataclass(eq=False)
class Tables:
    """The rows of all tables of a context.   prose: its other text."""

    rows: tuple[Row, ...]
    prose: str
    by_first_word: dict[str, list[Row]] = field(init=False)

    def __post_init__(self) -> None:
        self.by_first_word = {}
        for row in self.rows:
            self.by_first_word.setdefault(row.name[0], []).append(row)

    @cached_property
    def outside(self) -> NumberIndex:
        """The numbers that stand in no table."""
        return _numbers_of(self.prose)

    def values(self) -> Iterator[float | str]:
        """The numbers of all cells. Where commas part them, "100,200" reads as one number elsewhere."""
        for row in self.rows:
            yield from (number.value for number in find_numbers(row.text, tokenize(row.text)))

    def named(self, stems: Sequence[str]) -> list[Row]:
        """The rows whose names stand among words, the longer name of two that begin alike ("New York City")."""
        found: list[Row] = []
        behind = 0
        for at, word in enumerate(stems):
            here = [row for row in self.by_first_word.get(word, ()) if _stands_at(row.name, stems, at)]
            if here and at >= behind:
                longest = max(len(row.name) for row in here)
                found += [row for row in here if len(row.name) == longest]
                behind = at + longest
        return found

    def compare(self, stems: Sequence[str], numbers: Sequence[Number], tokens: Tokens) -> RowsSaid:
        """A claim's numbers against the rows that its `stems` name.   tokens: that the numbers are places in."""
        named = self.named(stems)
        if not named or not _OF_OTHER_ROWS.isdisjoint(stems):
            return NOTHING_SAID
        wrong, right = [], 0
        names = {word for row in named for word in row.name}
        others = set(stems) - names
        for number in numbers:
            if any(is_borne(number, tokens, row.numbers) for row in named):
                right += tokens.stems[number.first] not in names
            elif not is_borne(number, tokens, self.outside):
                right -= len(numbers)  # all others being right does not make the claim so
                rows = [row for row in self.rows if is_borne(number, tokens, row.numbers)]
                if rows and all(others.isdisjoint(row.name) for row in rows):  # none is named by a part of its name
                    wrong.append((number, rows[0]))
        return RowsSaid(tuple(wrong), right > 0)


def read_tables(passages: tuple[Passage, ...]) -> Tables | None:
    """The tables of a context; None when it has none."""
    rows: list[Row] = []
    prose: list[str] = []
    for passage in passages:
        own = [*_rows_of_json(passage.text)]
        text = "" if own else passage.text
        if "day" in text:
            days = [Row(tuple(tokenize(day[1]).stems), day[1], day[2]) for day in _HOURS_OF_DAY.finditer(text)]
            text = _HOURS_OF_DAY.sub("", text) if days else text
            own += days
        rows += own
        prose.append(_rows_of_lines(text, rows))
    return Tables(tuple(rows[:_MAX_ROWS]), "\n\n".join(prose)) if rows else None


def _rows_of_lines(text: str, rows: list[Row]) -> str:
    """Adds the rows of a text's tables to `rows`; the text without its tables."""
    if "\n" not in text:
        return text
    kept: list[str] = []
    lines = [line for line in text.split("\n") if not line or not _RULE.fullmatch(line)]
    for separator, block in _blocks(lines):
        found = list(_rows(block[: _MAX_ROWS + 1], separator)) if len(block) >= _MIN_LINES and separator else []
        if found:
            rows += found
        else:
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
    cells = line.split(separator) if '"' not in line else next(csv.reader([line], delimiter=separator))
    return [cell.strip().strip("*") for cell in cells]


def _rows(block: list[str], separator: str) -> Iterator[Row]:
    heads, *others = (_cells(line, separator) for line in block)
    if any(len(cell) > _MAX_CELL for row in others for cell in row):
        return
    if separator == "," and (any(map(_is_number, heads)) or not all(any(map(_is_number, row)) for row in others)):
        return  # a list of lines that happen to have as many commas
    for cells in others:
        row = _row(cells, " , ".join([*heads, *cells]))
        if row:
            yield row


def _is_number(cell: str) -> bool:
    return cell.lstrip("$\u20ac\u00a3\u00a5+-")[:1].isdigit()


def _row(cells: list[str], text: str) -> Row | None:
    for cell in cells:
        tokens = tokenize(cell)
        if not len(tokens) or len(tokens) > _MAX_NAME:
            continue
        is_number = all(kind == NUMBER for kind in tokens.kinds)
        if (is_number and len(tokens.words[0]) == _MIN_YEAR_DIGITS) or CONTENT in tokens.kinds:
            return Row(tuple(tokens.stems), cell, text)
    return None


def _rows_of_json(text: str) -> Iterator[Row]:
    """The objects of a JSON list, or of the lists in a JSON object."""
    if text[:1] not in ("[", "{") or len(text) > _MAX_JSON_CHARS:
        return
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return
    for one in [value, *(value.values() if type(value) is dict else ())]:
        if type(one) is list and len(one) > 1 and all(type(item) is dict for item in one):
            for item in one:
                texts = [part for part in item.values() if type(part) is str]
                row = _row(texts, json.dumps(item))
                if row:
                    yield row


def _numbers_of(text: str) -> NumberIndex:
    tokens = tokenize(text)
    implied = ImpliedNumbers()
    implied.add(text, tokens)
    return NumberIndex(find_numbers(text, tokens), implied)


def _stands_at(name: tuple[str, ...], stems: Sequence[str], at: int) -> bool:
    return tuple(stems[at : at + len(name)]) == name
