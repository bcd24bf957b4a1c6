"""What a response makes of the rows of tables: cells of another row or column, or an order that the cells lack.

Words alone cannot tell "Spain has 67.8 million people" from "France has", nor "Spain has more people than France" from
the reverse: all of the words stand in the table. A row is found in a claim by its name, a column by all words of its
head right beside the word that orders.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from pipeline.engines.numerals.changes import CHANGES
from pipeline.engines.numerals.heads import without_unit
from pipeline.engines.numerals.number_index import is_borne
from pipeline.engines.numerals.numbers import Number, key_set
from pipeline.engines.records.denial import Denial
from pipeline.engines.records.field_mentions import mentioned_fields
from pipeline.engines.records.fields import YES, field_of
from pipeline.engines.records.tables import Row, Tables
from pipeline.engines.words import CONTENT, NEGATION, Tokens, tokenize, word_set

# With these a claim speaks of rows that it does not name.
_OF_OTHER_ROWS: Final = key_set(
    "than compared other others rest remaining except average total sum overall difference both each every all"
    " weekend weekends weekdays daily highest lowest"
)
_OF_ALL_ROWS: Final = key_set("total totals sum overall all")  # what a row of sums is called
# As written: "high", "higher" and "highest" have one stem.
_HIGHEST: Final = word_set("highest most largest biggest greatest longest tallest heaviest maximum")
_LOWEST: Final = word_set("lowest least fewest smallest shortest lightest minimum")
_HIGHER: Final = word_set("higher more larger bigger greater longer taller heavier")
_LOWER: Final = word_set("lower less fewer smaller shorter lighter")
_OF_SOME: Final = key_set("second third fourth fifth among after except other others not twice half double") | {"one"}
_YEAR: Final = re.compile(r"(?:FY\s?)?(?:19|20)\d\d")
_SHORT_CELL: Final = 3  # content words
_BESIDE: Final = 2  # words between the word that orders and the head


class RowsSaid(NamedTuple):
    """What a claim makes of the rows that it names.

    wrong: numbers that only another row has, with that row.   denial: of an order or of a cell.   agrees: it orders
    rows as they are, or has numbers, and all of them stand in the rows.
    """

    wrong: tuple[tuple[Number, Row], ...] = ()
    denial: Denial | None = None
    agrees: bool = False


def compare_rows(tables: Tables, tokens: Tokens, first: int, last: int, numbers: Sequence[Number]) -> RowsSaid:
    """The claim in words [first, last) against the rows that it names.   numbers: that it states."""
    stems = tokens.stems[first:last]
    named = tables.named(stems)
    if not named:
        return RowsSaid()
    if _OF_OTHER_ROWS.isdisjoint(stems):
        said = _compare_numbers(tables, named, stems, tokens, numbers)
        if said.wrong:
            return said
    else:
        said = RowsSaid()
    if len(named) == 1 and _OF_OTHER_ROWS.isdisjoint(stems):
        denial = _compare_cells(tables, named[0], tokens, first, last, numbers)
        if denial is not None:
            return RowsSaid(denial=denial)
    ordered = _compare_order(tables, named, tokens, first, last)
    return said if ordered is None else ordered


def _compare_numbers(
    tables: Tables, named: list[Row], stems: Sequence[str], tokens: Tokens, numbers: Sequence[Number]
) -> RowsSaid:
    wrong, right = [], 0
    names = {word for row in named for word in row.name}
    others = set(stems) - names
    for number in numbers:
        if not (tokens.words[number.first][0].isdigit() or number.unit):
            continue  # "two ahead", "of the five": a word may count anything
        if any(is_borne(number, tokens, row.numbers) for row in named):
            right += tokens.stems[number.first] not in names
        elif not is_borne(number, tokens, tables.outside):
            right -= len(numbers)  # all others being right does not make the claim so
            rows = [row for row in tables.rows if is_borne(number, tokens, row.numbers)]
            if rows and all(others.isdisjoint(row.name) for row in rows):  # none is named by a part of its name
                wrong.append((number, rows[0]))
    return RowsSaid(tuple(wrong), agrees=right > 0)


def _compare_cells(
    tables: Tables, row: Row, tokens: Tokens, first: int, last: int, numbers: Sequence[Number]
) -> Denial | None:
    """What the claim says of one row against the cells of the columns that it speaks of."""
    own = field_of(row.label, YES)
    denies_row = any(mention.denied for mention in mentioned_fields(tokens, first, last, (own,) if own else ()))
    for mention in mentioned_fields(tokens, first, last, row.fields):
        field = mention.field  # "Basic has no audit log": the row may be the log, and the column Basic
        if mention._replace(denied=mention.denied or denies_row).is_wrong:
            return Denial(mention.first, mention.last, f"the table says {row.label[:40]} {field.label}: {field.value}")
    stems = set(tokens.stems[first:last]).difference(row.name)
    others = [number for number in numbers if tokens.stems[number.first] not in row.name]
    return (
        _not_one(row, tokens, first, last)
        or _miscounted(row, tokens, others)
        or _misplaced_number(row, stems, tokens, others)
        or _turned_change(row, tokens, first, last, others)
        or _word_of_another_row(tables, row, tokens, first, last)
    )


def _miscounted(row: Row, tokens: Tokens, numbers: Sequence[Number]) -> Denial | None:
    """A number in words of what a column counts, which nothing in the row bears: "Earth has two moons" of 1.

    numbers: without those of the row's name.
    """
    for number in numbers:
        if tokens.words[number.first][0].isdigit() or not number.counted or is_borne(number, tokens, row.numbers):
            continue  # digits are held against all rows
        for head, words in _heads(row):
            if words == {number.counted} and head in row.values:
                return Denial(number.first, number.last + 1, _told(head, row))
    return None


def _not_one(row: Row, tokens: Tokens, first: int, last: int) -> Denial | None:
    """ "One" of what a column counts and has another number of: "Mars has one moon" of 2. As a number "one" is mostly
    a pronoun."""
    for at in range(first, last - 1):
        if tokens.stems[at] == "one":
            for head, words in _heads(row):
                if words == {tokens.stems[at + 1]} and row.values.get(head, 1.0) != 1.0:
                    return Denial(at, at + 1, _told(head, row))
    return None


def _misplaced_number(row: Row, stems: set[str], tokens: Tokens, numbers: Sequence[Number]) -> Denial | None:
    """The one number of a claim that names one column, when it stands in another column, which the claim does not
    name: "80 beds" for 80 of the prices, "29.3 million in 2023" for 29.3 of 2022.   numbers: without those of the row's
    name."""
    spoken = [head for head, words in _heads(row) if words <= stems]
    if len(spoken) != 1 or spoken[0] not in row.values:
        return None
    (head,) = spoken
    numbers = [number for number in numbers if " ".join(tokens.words[number.first : number.last + 1]) != head.strip()]
    if len(numbers) != 1:
        return None
    (number,) = numbers
    told = number.value / number.scale if isinstance(number.value, float) else number.value
    standing = [other for other, value in row.values.items() if value in (number.value, told)]
    if (
        not standing
        or head in standing
        or any(not words.isdisjoint(stems) for at, words in _heads(row) if at in standing)
    ):
        return None
    return Denial(number.first, number.last + 1, _told(head, row))


def _word_of_another_row(tables: Tables, row: Row, tokens: Tokens, first: int, last: int) -> Denial | None:
    """A word of the claim that is a cell of another row only, where the row has something else: "Alpha is in Oslo"."""
    if NEGATION in tokens.kinds[first:last]:
        return None
    own = set(tokenize(row.text).stems)
    stems = set(tokens.stems[first:last])
    for other in tables.table_of(row):
        for head, words in other.words.items():
            mine = row.words.get(head)
            if not mine or not 0 < len(words) <= _SHORT_CELL or not words <= stems or not words.isdisjoint(own):
                continue
            if mine.isdisjoint(stems) and words.isdisjoint(tables.prose_stems):
                at = next(it for it in range(first, last) if tokens.stems[it] in words)
                return Denial(at, at + 1, _told(head, row))
    return None


def _turned_change(row: Row, tokens: Tokens, first: int, last: int, numbers: Sequence[Number]) -> Denial | None:
    """ "Fell to 0.60" where the row has 0.55 of the year before."""
    years = sorted(head for head in row.values if _YEAR.fullmatch(head.strip()))
    if len(years) != len(row.cells) or len(years) < 2:
        return None
    turns = [at for at in range(first, last) if tokens.words[at].lower() in CHANGES]
    values = {number.value for number in numbers} | {
        number.value / number.scale for number in numbers if isinstance(number.value, float)
    }
    later = [at for at in range(1, len(years)) if row.values[years[at]] in values]
    if len(turns) != 1 or len(later) != 1 or NEGATION in tokens.kinds[first:last]:
        return None
    (turn,), (at,) = turns, later
    change = row.values[years[at]] - row.values[years[at - 1]]
    if change * CHANGES[tokens.words[turn].lower()] >= 0:
        return None
    return Denial(turn, turn + 1, _told(years[at - 1], row) + f", then {row.cells[years[at]][:20]}")


def _heads(row: Row) -> Iterator[tuple[str, set[str]]]:
    """(head, its content words) of the columns that have any, or are years."""
    for head in row.cells:
        words = {word for word, kind in zip(*_words_of(head), strict=True) if kind == CONTENT}
        if not words and _YEAR.fullmatch(head.strip()):
            words = {head.strip()}
        if words:
            yield head, words


def _compare_order(tables: Tables, named: list[Row], tokens: Tokens, first: int, last: int) -> RowsSaid | None:
    """None when the claim orders nothing that we understand."""
    stems = tokens.stems[first:last]
    if NEGATION in tokens.kinds[first:last] or not _OF_SOME.isdisjoint(stems):
        return None
    for at, word in enumerate(map(str.lower, tokens.words[first:last])):
        if word in _HIGHEST or word in _LOWEST:
            return _check_extreme(tables, named, tokens, first, last, first + at) if len(named) == 1 else None
        if (word in _HIGHER or word in _LOWER) and "than" in stems[at:]:
            than = stems.index("than", at)
            left, right = tables.named(stems[:than]), tables.named(stems[than:])
            if len(left) == len(right) == 1:
                return _check_pair(left[0], right[0], tokens, first, first + than, first + at)
            return None
    return None


def _check_extreme(tables: Tables, named: list[Row], tokens: Tokens, first: int, last: int, at: int) -> RowsSaid | None:
    (row,) = named
    head = _head_beside(row, tokens, first, last, at)
    column = [
        other
        for other in tables.table_of(row)
        if head and head[0] in other.values and (other is row or _OF_ALL_ROWS.isdisjoint(other.name))
    ]
    if head is None or row not in column or len(column) < 2:
        return None
    pick = max if tokens.words[at].lower() in _HIGHEST else min
    best = pick(column, key=lambda other: other.values[head[0]])
    if best.values[head[0]] == row.values[head[0]]:
        return RowsSaid(agrees=True)
    return RowsSaid(denial=Denial(min(at, head[1]), max(at + 1, head[2]), _told(head[0], row, best)))


def _check_pair(left: Row, right: Row, tokens: Tokens, first: int, than: int, at: int) -> RowsSaid | None:
    head = _head_beside(left, tokens, first, than, at)
    if head is None or left.table != right.table or head[0] not in right.values:
        return None
    ours, theirs = left.values[head[0]], right.values[head[0]]
    if ours > theirs if tokens.words[at].lower() in _HIGHER else ours < theirs:
        return RowsSaid(agrees=True)
    return RowsSaid(denial=Denial(min(at, head[1]), max(at + 1, head[2]), _told(head[0], left, right)))


def _head_beside(row: Row, tokens: Tokens, first: int, last: int, at: int) -> tuple[str, int, int] | None:
    """(head, its first word, behind its last) of the one column whose words stand beside word `at`."""
    found = []
    for head in row.values:
        words = [word for word, kind in zip(*_words_of(head), strict=True) if kind == CONTENT]
        for start in range(first, last - len(words) + 1) if words else ():
            if tokens.stems[start : start + len(words)] == words:
                end = start + len(words)
                between = range(at + 1, start) if start > at else range(end, at)
                if len(between) <= _BESIDE and (start > at or all(tokens.kinds[it] < CONTENT for it in between)):
                    found.append((head, start, end))
    return found[0] if len(found) == 1 else None


def _words_of(head: str) -> tuple[list[str], list[int]]:
    """Stems and kinds of a head, without its unit."""
    tokens = tokenize(without_unit(head))
    return tokens.stems, tokens.kinds


def _told(head: str, *rows: Row) -> str:
    return "the table says " + ", ".join(f"{row.label[:40]} {row.cells[head][:20]}" for row in rows)
