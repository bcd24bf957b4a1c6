"""All tables of `balto stats`, in the order they are shown."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from enum import Enum

import polars as pl

from pipeline.score.kappa import pairwise_agreement
from pipeline.stats.columns import by_columns
from pipeline.stats.figure import Figure, tables_of
from pipeline.stats.figures import FIGURES, WITHOUT_BY
from pipeline.stats.manifests import check_sums, label_sets, rejected, usage
from pipeline.stats.scan import count_rows, scan_labels
from pipeline.stats.shares import BRIEF
from schemas.errors import ConfigError

AGREEMENT = "agreement of label sets"
# What a terminal shows: at first what one looks at first, then all but most of the figures by `--by`.
_AT_FIRST = ("label sets", "rejected", "language model", "overview", "claims without label", "prompt groups", AGREEMENT)
_BY_ON_A_TERMINAL = ("overview", "conflicts")


class Extent(Enum):
    """How many tables are given when none is asked for by its title."""

    OVERVIEW = 0
    TERMINAL = 1
    ALL = 2


def stats_tables(
    folders: Sequence[str], by: Sequence[str] = (), only: Sequence[str] = (), extent: Extent = Extent.ALL
) -> dict[str, pl.DataFrame]:
    """Title -> table: what the manifests say, every figure over all rows, and every figure by the columns `by`.

    only: titles to give; when empty, `extent` says which.   Empty tables are left out unless asked for or of ALL. The
    overview by columns has all of its own for ALL alone; a terminal is too narrow.
    Where nothing was labelled the manifests' tables are all there is.
    Raises ConfigError for an unknown column or title, ShardError when the sums are not those of the manifests.
    """
    told = {"label sets": label_sets(folders), "rejected": rejected(folders), "language model": usage(folders)}
    if not count_rows(folders) and not only:
        return {title: table for title, table in told.items() if len(table)}
    labels = scan_labels(folders)
    by_columns(labels, by)  # raises for an unknown one, also where no table by it is shown
    wanted = _wanted(by)
    titles = [*told, *wanted, AGREEMENT]
    _check_titles(only, titles)
    shown = only or [title for title in titles if _is_within(extent, title, by)]
    counted = tables_of(labels, {title: wanted[title] for title in wanted if title in {*shown, "overview"}})
    check_sums(folders, counted["overview"].row(0, named=True))
    agreed = {AGREEMENT: pairwise_agreement(folders)} if AGREEMENT in shown else {}
    tables = {title: table for title, table in (told | counted | agreed).items() if title in shown}
    overview = _by_title("overview", by)
    if extent is not Extent.ALL and by and overview in tables:
        table = tables[overview]
        tables[overview] = table.select(*table.columns[: len(by)], *BRIEF)
    return {title: table for title, table in tables.items() if len(table) or title in only or extent is Extent.ALL}


def further_titles() -> list[str]:
    """The titles over all rows that `Extent.OVERVIEW` leaves out."""
    return [title for title in FIGURES if title not in _AT_FIRST]


def _wanted(by: Sequence[str]) -> dict[str, tuple[Figure, Sequence[str]]]:
    wanted: dict[str, tuple[Figure, Sequence[str]]] = {}
    for name, figure in FIGURES.items():
        wanted[name] = (figure, ())
        if by and name not in WITHOUT_BY:
            wanted[_by_title(name, by)] = (figure, by)
    return wanted


def _by_title(name: str, by: Sequence[str]) -> str:
    return f"by {', '.join(by)}" if name == "overview" else f"{name} by {', '.join(by)}"


def _is_within(extent: Extent, title: str, by: Sequence[str]) -> bool:
    if extent is Extent.OVERVIEW:
        return title in _AT_FIRST or title == _by_title("overview", by)
    if extent is Extent.TERMINAL:
        return " by " not in f" {title}" or title in {_by_title(name, by) for name in _BY_ON_A_TERMINAL}
    return True


def _check_titles(only: Sequence[str], titles: Sequence[str]) -> None:
    for title in only:
        if title not in titles:
            near = difflib.get_close_matches(title, titles, n=3, cutoff=0.4)
            hint = f"near: {', '.join(near)}" if near else "--markdown without --only shows every table with its title"
            raise ConfigError(f"--only {title}: no such table; {hint}")
