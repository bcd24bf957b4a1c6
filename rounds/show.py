"""What generate and round print when they are done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from pipeline.show.show_tables import counted, print_json, print_tables

SHOWN = ("faithfulness", "informativeness", "q_score", "q_score_all", "characters", "no_claims")


def print_generated(summary: Mapping[str, int], out: Path, as_json: bool) -> None:
    """The closing lines of `balto generate`."""
    if as_json:
        print_json({**summary, "out": str(out)})
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"{counted(summary['prompts'], 'prompt')} = {summary['generated']:,} answered + "
        f"{summary['rejected']:,} rejected"
    )
    # an endpoint may not say which tokens they were
    tokens = f", {counted(summary['tokens'], 'token')}" if summary["tokens"] else ""
    console.print(f"{counted(summary['responses'], 'response')}{tokens}, {summary['cut']:,} cut at the token limit")
    if summary["rejected"]:
        console.print(Text(f"rejected: all of them with their reasons in {out}.rejected.jsonl"))
    console.print(Text(f"corpus: {out}"))


def print_round(rounds: Sequence[Mapping[str, Any]], out: Path, as_json: bool) -> None:
    """Scores before and after, with the interval of the paired difference."""
    if as_json:
        print_json(list(rounds))
        return
    tables: dict[str, list[dict[str, Any]]] = {}
    for one in rounds:
        start = {row["score"]: row["value"] for row in one["start"]}
        change = {row["score"]: row for row in one["difference"]}
        rows = []
        for row in one["round_scores"]:
            if row["score"] in SHOWN:
                paired = change.get(row["score"], {})
                rows.append(
                    {
                        "score": row["score"],
                        "start": start.get(row["score"]),
                        f"round {one['round']}": row["value"],
                        "difference": paired.get("difference"),
                        "low": paired.get("low"),
                        "high": paired.get("high"),
                    }
                )
        tables[f"held-out prompts, round {one['round']} (95 % intervals of the paired difference)"] = rows
    print_tables(tables)
    Console(highlight=False, soft_wrap=True).print(Text(f"model: {rounds[-1]['model']}   everything: {out}"))
