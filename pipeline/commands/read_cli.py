"""The commands show and report: records in the terminal, and a page of figures and records.

Only typer is imported here: Polars, rich and the plots are loaded by the command that needs them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Labels = Annotated[Path, typer.Argument(metavar="LABELS", help="Label set: a folder.", show_default=False)]


def show(
    labels: Labels,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Records by id; without one: by filter.")
    ] = None,
    condition: Annotated[
        str | None,
        typer.Option("--where", help="Condition on the columns: \"unsupported > 3 AND status = 'partial'\"."),
    ] = None,
    policy: Annotated[str | None, typer.Option("--policy", help="Only responses of this policy.")] = None,
    verdict: Annotated[
        str | None,
        typer.Option("--verdict", help="Only with such a claim: supported, contradicted, unsupported, unverified."),
    ] = None,
    worst: Annotated[bool, typer.Option("--worst", help="Most wrong claims first, then the least faithful.")] = False,
    skip: Annotated[int, typer.Option("--skip", min=0, help="Records to pass over: the next page.")] = 0,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Records to show at most.")] = 5,
    with_context: Annotated[bool, typer.Option("--context", help="Print the whole context too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Show responses with their labels, and under each its claims with verdict, evidence and reason."""
    from pipeline.show.record_values import record_values
    from pipeline.show.show import Choice, chosen_rows, read_chosen, show_records
    from pipeline.show.show_record import READING_WIDTH
    from pipeline.show.show_tables import console_of_output, print_json
    from pipeline.weigh_scores import band_of
    from schemas.manifest import read_manifest

    choice = Choice(tuple(ids or ()), condition, policy, verdict, worst, skip, limit)
    rows, total = chosen_rows(labels, choice)
    records = read_chosen(labels, rows)
    band = band_of(read_manifest(labels))
    if as_json:
        print_json([record_values(record, band) for record in records])
        return
    shown = skip + len(rows)
    closing = f"{shown:,} of {total:,} records; the next ones: --skip {shown}" if not ids and shown < total else ""
    show_records(records, console_of_output(READING_WIDTH), band, with_context, closing)


def report(
    labels: Annotated[list[str], typer.Argument(metavar="LABELS", help="Label sets: folders.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="HTML file to write.", show_default=False)],
    records: Annotated[int, typer.Option("--records", min=0, max=5_000, help="Records in the reader at most.")] = 200,
    megabytes: Annotated[
        float, typer.Option("--megabytes", min=0.01, max=200, help="Size of these records' text at most.")
    ] = 8.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another seed draws other records.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Write one self-contained HTML page: figures with their tables, and a reader of records. It needs no network."""
    from pipeline.report.build import build_report
    from pipeline.runs.show_progress import show_progress
    from pipeline.show.show_tables import counted, print_json

    with show_progress("counting", None):
        result = build_report(labels, out, records, int(megabytes * 1_000_000), seed)
    if as_json:
        print_json({"out": str(out), **result})
        return
    left_out = f" ({result['left_out']:,} more did not fit)" if result["left_out"] else ""
    typer.echo(f"report: {out} ({result['bytes'] / 1e6:.1f} MB, {counted(result['records'], 'record')}{left_out})")


def mount(app: typer.Typer) -> None:
    """Add these commands to the `balto` command."""
    app.command(epilog='Example: balto show labels --where "unsupported > 1 AND characters < 500" --worst')(show)
    app.command(epilog="Example: balto report labels --out page.html")(report)
