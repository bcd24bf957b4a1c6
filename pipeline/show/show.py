"""`balto show`: records of a label set by id, or the worst and the next ones that a filter leaves. No Beam here."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
from polars.exceptions import PolarsError
from rich.console import Console

from pipeline.show.find_records import near_values, read_rows, rows_of_ids
from pipeline.show.show_record import has_colour, record_view
from pipeline.show.show_tables import counted, print_whole
from pipeline.show.where import condition_fails, record_columns, where
from pipeline.stats import scan_labels
from pipeline.stats.scan import readable
from pipeline.weigh_scores import NeutralBand
from schemas.errors import BaltoError, ConfigError
from schemas.manifest import read_manifest
from schemas.records import VERDICTS, LabelledResponse

UNVERIFIED_CLAIM: Final = "unverified"


@dataclass(frozen=True)
class Choice:
    """Which records to show.

    ids: these, in this order; no filter may stand beside them.   where: a condition on the columns (see `where.py`).
    verdict: at least one claim has it (`unverified`: none yet).   worst: most wrong claims first, then least
    faithful; otherwise in the label set's order.   skip, limit: the page of what is left.
    """

    ids: tuple[str, ...] = ()
    where: str | None = None
    policy: str | None = None
    verdict: str | None = None
    worst: bool = False
    skip: int = 0
    limit: int = 5


def chosen_rows(folder: Path, choice: Choice) -> tuple[list[int], int]:
    """(rows to show, how many records the filter leaves). Raises BaltoError when there is nothing to show."""
    with readable([str(folder)]):
        try:
            return _choose(record_columns(scan_labels([str(folder)], verify=False)), choice, folder)
        except PolarsError as err:
            if choice.where is None:
                raise
            scan_labels([str(folder)])  # raises when a shard is damaged; else the condition is at fault
            raise condition_fails(choice.where, err) from err


def _choose(records: pl.LazyFrame, choice: Choice, folder: Path) -> tuple[list[int], int]:
    if choice.ids:
        _refuse_filters(choice)
        return rows_of_ids(records, choice.ids, str(folder)), len(choice.ids)
    kept = _filtered(records, choice)
    total = kept.select(pl.len()).collect(engine="streaming").item()
    if not total:
        raise BaltoError(f"{folder}: {_nothing(records, choice)}")
    if choice.skip >= total:
        raise ConfigError(f"--skip {choice.skip}: the filter leaves {counted(total, 'record')}")
    if choice.worst:
        order = [pl.col("wrong"), -pl.col("faithfulness").fill_null(1.0), -pl.col("row").cast(pl.Int64)]
        rows = kept.top_k(choice.skip + choice.limit, by=order).sort(by=order, descending=True).select("row")
    else:
        rows = kept.select("row").head(choice.skip + choice.limit)
    return rows.collect(engine="streaming")["row"].to_list()[choice.skip :], total


def _refuse_filters(choice: Choice) -> None:
    given = {
        "--where": choice.where, "--policy": choice.policy, "--verdict": choice.verdict, "--worst": choice.worst,
        "--skip": choice.skip,
    }  # fmt: skip
    for option, value in given.items():
        if value:
            raise ConfigError(
                f"{option}: chooses records, and {choice.ids[0]!r} is chosen already; give ids or filters"
            )


def _filtered(records: pl.LazyFrame, choice: Choice) -> pl.LazyFrame:
    if choice.policy is not None:
        records = records.filter(pl.col("policy") == choice.policy)
    if choice.verdict is not None:
        if choice.verdict not in (*VERDICTS, UNVERIFIED_CLAIM):
            known = ", ".join((*VERDICTS, UNVERIFIED_CLAIM))
            raise ConfigError(f"--verdict {choice.verdict}: must be one of {known}")
        records = records.filter(pl.col(f"n_{choice.verdict}") > 0)
    return records if choice.where is None else where(records, choice.where)


def _nothing(records: pl.LazyFrame, choice: Choice) -> str:
    if choice.policy is not None:
        policies = records.filter(pl.col("policy") == choice.policy).select(pl.len()).collect().item()
        if not policies:
            near = near_values(records, "policy", choice.policy)
            hint = f"near: {', '.join(near)}" if near else "balto stats --by policy lists those that there are"
            return f"no record has the policy {choice.policy!r}; {hint}"
    return "no record satisfies all of the filters; ask for less"


def read_chosen(folder: Path, rows: Sequence[int]) -> Iterator[LabelledResponse]:
    """The records of `rows`, in that order."""
    found = dict(read_rows(folder, read_manifest(folder), rows))
    return (found[row] for row in rows)


def show_records(
    records: Iterable[LabelledResponse],
    console: Console,
    band: NeutralBand | None,
    with_context: bool = False,
    closing: str = "",
) -> None:
    """Print records for people, through the pager where people sit at a terminal.   band: of their label set."""
    with _paged(console):
        for record in records:
            print_whole(console, record_view(record, console, band, with_context))
        if closing:
            console.print(closing, style="dim", markup=False)


@contextlib.contextmanager
def _paged(console: Console) -> Iterator[None]:
    if not console.is_terminal:
        yield
        return
    os.environ.setdefault("LESS", "-RFX")  # colours as colours; what fits the screen is only printed
    with console.pager(styles=has_colour(console)):
        yield
