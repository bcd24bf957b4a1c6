"""The commands that look at finished label sets: stats and score. Polars is loaded by the command that needs it."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.show.show_tables import Format, print_frames

if TYPE_CHECKING:
    import polars as pl

POLICY = "policy"  # what is grouped by where nothing is said
log = logging.getLogger(__name__)

LabelSets = Annotated[list[str], typer.Argument(metavar="LABELS", help="Label sets: folders.")]
By = Annotated[
    str | None,
    typer.Option(
        "--by",
        help="Columns to group by, separated by commas: any column, label_set, or meta.KEY.",
        show_default="policy",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV, one block per table.")]
AsMarkdown = Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")]


def stats(
    labels: LabelSets,
    by: By = None,
    only: Annotated[str, typer.Option("--only", help="Tables to show, by title, separated by commas.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Every table over all rows, not the overview alone.")] = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    as_markdown: AsMarkdown = False,
) -> None:
    """Show what label sets hold: claims, verdicts, token labels, where errors stand, what training would find."""
    from pipeline.runs.show_progress import show_progress
    from pipeline.stats.scan import count_rows, readable
    from pipeline.stats.tables import Extent, further_titles, stats_tables

    columns = split_names(POLICY if by is None else by)
    shape, names = Format.of(as_json, as_csv, as_markdown), split_titles(only, columns)
    extent = Extent.ALL if shape is not Format.TERMINAL else Extent.TERMINAL if every else Extent.OVERVIEW
    with readable(labels), show_progress("counting", count_rows(labels)):
        tables = stats_tables(labels, columns, names, extent)
    is_asked_for = by is not None or names or shape is not Format.TERMINAL
    print_frames(tables if is_asked_for else without_unnamed_policies(tables), shape)
    if extent is Extent.OVERVIEW and not names and "overview" in tables:
        typer.echo(f"more with --all, or --only with titles: {', '.join(further_titles())}")


def score(
    labels: LabelSets,
    against: Annotated[
        list[str] | None, typer.Option("--against", help="Label set of the base policy.", show_default=False)
    ] = None,
    k: Annotated[
        float | None,
        typer.Option("--k", help="Supported claims that a full answer has; default: the base's median per prompt."),
    ] = None,
    by: By = None,
    resamples: Annotated[int, typer.Option("--resamples", min=10, help="Bootstrap resamples of the prompts.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the bootstrap.")] = 0,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    as_markdown: AsMarkdown = False,
) -> None:
    """Score label sets: faithfulness, informativeness, Q-Score; against a base, human spans, another label set."""
    from pipeline.runs.show_progress import show_progress
    from pipeline.score.tables import Drawing, score_tables
    from pipeline.stats.scan import of_people, readable

    shape = Format.of(as_json, as_csv, as_markdown)
    brief = shape is Format.TERMINAL
    with readable([*labels, *(against or [])]), show_progress("scoring", None):
        columns = split_names(POLICY if by is None else by)
        tables = score_tables(labels, against or [], k, columns, Drawing(resamples, seed), brief)
    is_asked_for = by is not None or not brief
    print_frames(tables if is_asked_for else without_unnamed_policies(tables), shape)
    people = of_people(labels)
    for folder in people:
        end = "" if len(people) == len(labels) else ", so they are left out there"
        log.warning(
            "%s: its labels are the human spans themselves; held against people they say nothing%s", folder, end
        )


def without_unnamed_policies(tables: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Without those by policy of records that name none: they say what those over all rows say."""
    return {
        title: table
        for title, table in tables.items()
        if not f" {title}".endswith(f" by {POLICY}") or table[POLICY].null_count() < len(table)
    }


def split_names(text: str) -> list[str]:
    """Names of an option that takes several, separated by commas."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def split_titles(text: str, by: Sequence[str]) -> list[str]:
    """Titles of an option that takes several; those of tables by several columns have commas too."""
    inside, apart = ", ".join(by), "\0".join(by)
    spaced = re.sub(r"\s*,\s*", ", ", text)
    return [name.replace("\0", ", ") for name in split_names(spaced.replace(f"by {inside}", f"by {apart}"))]


def mount(app: typer.Typer) -> None:
    """Add these commands to the `balto` command."""
    app.command(epilog='Example: balto stats labels --by policy --only "by policy, verdicts by policy"')(stats)
    app.command(epilog="Example: balto score after --against before --by policy")(score)
