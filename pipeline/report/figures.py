"""The figures of the page: each a picture beside the tables that it shows. The numbers are those of `balto stats`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

import polars as pl
from markupsafe import Markup

from pipeline.report import plots
from pipeline.show.show_tables import printable
from pipeline.stats.scan import LABEL_SET
from pipeline.stats.shares import BRIEF
from pipeline.stats.tables import stats_tables

MAX_ROWS: Final = 40  # of a table on the page; `balto stats` prints all
MAX_NARROW: Final = 24  # characters of a cell that stay on one line
# Titles of the tables of `balto stats --by policy` that the page shows.
TITLES: Final = (
    "label sets",
    "rejected",
    "language model",
    "overview",
    "by policy",
    "length and faithfulness",
    "position in response",
    "reliability",
    "prompt groups",
    "balance",
    "credit mass",
    "alignment",
    "token labels",
    "conflicts",
    "claims without label",
)
# Columns of a table that the page shows, where a line has no room for all; the numbers left out stand in `balto stats`.
_SHOWN: Final = {
    "by policy": ("policy", *BRIEF),
    "balance": ("block", "percent_above", "percent_to", "blocks", "n_tokens_supported", "n_tokens_unsupported"),
    "credit mass": ("block", "blocks", "active_blocks", "mass_sqrt", "mass_harmonic"),
}
_HEADINGS: Final = {
    "share_supported": "share +1",
    "share_unsupported": "share −1",
    "share_neutral": "share 0",
    "characters_from": "from",
    "characters_below": "below",
    "percent_above": "above %",
    "percent_to": "to %",
    "score_from": "from",
    "score_below": "below",
    "share_unmarked": "unmarked",
    "n_tokens_supported": "tokens +1",
    "n_tokens_unsupported": "tokens −1",
}


@dataclass(frozen=True)
class Column:
    """A column as shown. number: set flush right.   wide: long texts, which may break over lines."""

    heading: str
    number: bool
    wide: bool


@dataclass(frozen=True)
class PageTable:
    """A table as shown, cells as text. key: the title under which `balto stats` gives the same numbers."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class PageFigure:
    """A picture (SVG, or none where a table says it all) and its tables."""

    key: str
    title: str
    caption: str
    picture: Markup | None
    tables: tuple[PageTable, ...]


def read_tables(folders: Sequence[str]) -> dict[str, pl.DataFrame]:
    """The tables that the page shows, in one pass over the rows; their sums are held against the manifests'."""
    return stats_tables(folders, by=["policy"], only=TITLES)


def page_figures(tables: Mapping[str, pl.DataFrame]) -> list[PageFigure]:
    """The page's figures in their order, from `read_tables`."""
    asked, annotated = len(tables["language model"]) > 0, len(tables["reliability"]) > 0

    def figure(key: str, title: str, caption: str, names: Sequence[str], draw: Callable | None = None) -> PageFigure:
        return _figure(key, title, caption, {name: tables[name] for name in names}, draw)

    shown = [
        figure("verdicts", "Verdicts by policy", _VERDICTS, ["by policy"], plots.verdicts_by_policy),
        figure(
            "length", "Faithfulness against length", _LENGTH, ["length and faithfulness"], plots.faithfulness_by_length
        ),
        figure(
            "position", "Where errors sit in the response", _POSITION, ["position in response"], plots.error_positions
        ),
        figure(
            "balance",
            "Balance of prompt groups",
            _BALANCE,
            ["prompt groups", "balance", "credit mass"],
            lambda signal, balance, _: plots.group_balance(signal, balance),
        ),
        figure(
            "projection",
            "Projection onto tokens",
            _PROJECTION,
            ["alignment", "token labels", "conflicts", "claims without label"],
            lambda alignment, tokens, *_: plots.projection(alignment, tokens),
        ),
        figure("cost", "Cost", _COST if asked else _NO_COST, ["language model"]),
        figure("read", "What was read and what was refused", _READ, ["label sets", "rejected"]),
    ]
    if annotated:
        people = figure("reliability", "Scores against people", _RELIABILITY, ["reliability"], plots.reliability)
        shown.insert(3, people)
    return shown


_VERDICTS = (
    "What the verifier said of the claims of each policy's responses. A claim is supported when the context bears it, "
    "contradicted when the context says otherwise, unsupported when the context is silent."
)
_LENGTH = (
    "Faithfulness of a response is its supported claims over its claims with a verdict; the mean over the responses "
    "of each length that have any."
)
_POSITION = (
    "Each response is cut into ten parts of equal length. Shown is the share of their characters that carries label "
    "−1 once conflicts are resolved."
)
_RELIABILITY = (
    "Do the scores mean what they say? For each tenth of the score, P(supported), the share of the claims of annotated "
    "responses of which people marked less than half of the characters: on the line, both are the same. Where people "
    "mark single words, a wrong claim can count as unmarked, and good scores look too low. The table's last line is of "
    "all claims; its gap is the expected calibration error, the mean distance from the line."
)
_BALANCE = (
    "Balanced training moves probability inside a prompt group, from −1 tokens to +1 tokens, so a group with one label "
    "only teaches it nothing. The credit mass says how much would move: by default "
    "1 per active block, otherwise as the mass is chosen; its formulas are ours."
)
_PROJECTION = (
    "How surely claims were found in the responses, and what became of the tokens. Claims that were not found, have no "
    "verdict, or have one that is too doubtful, leave their tokens at 0."
)
_COST = "What the language model was asked and what it cost, as the manifests tell it."
_NO_COST = "No language model was asked: these labels cost nothing but time."
_READ = "Every record that was read is either labelled or refused with a reason."


def _figure(
    key: str, title: str, caption: str, tables: Mapping[str, pl.DataFrame], draw: Callable[..., str] | None
) -> PageFigure:
    first, *_ = tables.values()
    picture = Markup(draw(*tables.values())) if draw and len(first) else None  # noqa: S704  # SVG that svg.py escaped
    shown = tuple(page_table(name, frame) for name, frame in tables.items() if len(frame))
    return PageFigure(key, title, caption, picture, shown)


def page_table(key: str, frame: pl.DataFrame) -> PageTable:
    """A frame of `pipeline.stats` as shown: numbers grouped and rounded, folders by their name, the first MAX_ROWS."""
    frame = frame.select(_SHOWN.get(key, frame.columns))
    rows = tuple(
        tuple(_cell(name, value) for name, value in zip(frame.columns, row, strict=True))
        for row in frame.head(MAX_ROWS).iter_rows()
    )
    columns = tuple(
        Column(
            _HEADINGS.get(name) or name.removeprefix("n_").replace("_", " "),
            kind.is_numeric(),
            any(len(row[place]) > MAX_NARROW for row in rows),
        )
        for place, (name, kind) in enumerate(frame.schema.items())
    )
    more = f"{len(frame) - MAX_ROWS:,} more rows: `balto stats` prints all." if len(frame) > MAX_ROWS else ""
    return PageTable(key, key.capitalize(), columns, rows, more)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "none" if name == "policy" else "–"
    if isinstance(value, float):
        return f"{value:.1%}" if name.startswith("share_") else _number(value)
    if isinstance(value, int):
        return f"{value:,}"
    text = str(value)
    return printable(PurePath(text).name if name in (LABEL_SET, "tokenizer") else text)


def _number(value: float) -> str:
    if value.is_integer() and abs(value) >= 10:
        return f"{value:,.0f}"
    return f"{value:,.2g}" if 0 < abs(value) < 0.005 else f"{value:,.2f}"
