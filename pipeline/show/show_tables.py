"""Terminal output: summaries and tables for people, JSON for programs."""

from __future__ import annotations

import enum
import html
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from schemas.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

# What a table's numbers mean, in a line under it; docs/statistics.md has all of it.
NOTES = {
    "scores": "means over prompts; low, high: their 95 % bootstrap interval; formulas in docs/statistics.md",
    "against the base": "paired: every prompt against itself in the base",
    "against people": "RAGTruth's metric of the labels, in percent; flawed: responses in which people marked something",
    "verdicts against people": "the same of all verdicts, those that are too doubtful for a label among them",
    "agreement of label sets": "kappa: Cohen's, agreement beyond what chance would give",
    "reliability": "share unmarked: of claims of which people marked less than half; high where they mark single words",
    "length and faithfulness": "faithfulness: supported claims over claims with a verdict, mean over responses",
    "prompt groups": "balanced training finds something in groups with both labels only",
    "balance": "blocks with both labels by their share of -1 tokens, in percent",
    "credit mass": "what training would move: by default (mass unit) 1 per active block; "
    "mass sqrt: sqrt(P N) / (P + N), harmonic: 2 P N / (P + N)^2 of a block with P tokens of +1 and N of -1",
}
WHOLE_LINES = 1_000_000  # characters of a line where there is no terminal: nothing is broken or folded
_HEADINGS = {"share_supported": "share +1", "share_unsupported": "share -1", "share_neutral": "share 0"}  # of tokens


class Format(enum.Enum):
    """How tables are printed."""

    TERMINAL = "terminal"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"

    @classmethod
    def of(cls, as_json: bool, as_csv: bool, as_markdown: bool) -> Format:
        """The one that was asked for. Raises ConfigError for two."""
        given = {cls.JSON: as_json, cls.CSV: as_csv, cls.MARKDOWN: as_markdown}
        asked = [one for one in given if given[one]]
        if len(asked) > 1:
            raise ConfigError(f"{' and '.join(f'--{one.value}' for one in asked)}: choose one")
        return asked[0] if asked else cls.TERMINAL


def print_frames(tables: Mapping[str, pl.DataFrame], format: Format) -> None:
    """Named tables as asked. CSV and Markdown put the name before each table, CSV only where there are several."""
    if format is Format.JSON:
        print_json({name: table.to_dicts() for name, table in tables.items()})
    elif format is Format.CSV:
        titled = [f"# {name}\n{table.write_csv()}" for name, table in tables.items()]
        sys.stdout.write("\n".join(titled) if len(tables) != 1 else next(iter(tables.values())).write_csv())
    elif format is Format.MARKDOWN:
        sys.stdout.write("\n".join(f"### {name}\n\n{_markdown(table)}" for name, table in tables.items()))
    else:
        print_tables({name: table.to_dicts() for name, table in tables.items()})


def _markdown(table: pl.DataFrame) -> str:
    rule = ["---:" if type_.is_numeric() else "---" for type_ in table.dtypes]
    cells = [[_cell(name, value).plain for name, value in row.items()] for row in table.to_dicts()]
    lines = [[_heading(name) for name in table.columns], rule, *cells]
    return "".join(f"| {' | '.join(map(_markdown_cell, line))} |\n" for line in lines)


def _markdown_cell(text: str) -> str:
    """Text that neither ends its cell nor is taken for markup."""
    return html.escape(text, quote=False).replace("|", "&#124;").replace("\\", "\\\\")


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def print_summary(result: Mapping[str, Any], out: str | Path) -> None:
    """The closing lines of a run: what came in, what came out, and where the rest went."""
    console = Console(highlight=False, soft_wrap=True)
    claims, tokens = result["claims"], result["tokens"]
    whole = max(1, tokens["all"])
    console.print(
        f"{counted(result['read'], 'record')} read = {result['labelled']:,} labelled + {result['rejected']:,} rejected"
    )
    verdicts = ", ".join(f"{count:,} {'unverified' if name == 'None' else name}" for name, count in claims.items())
    console.print(f"claims: {verdicts or 'none'}")
    if result["doubtful"]:
        band = result["config"]["neutral_band"]
        doubtful = f"{counted(result['doubtful'], 'doubtful claim')} label{'s' * (result['doubtful'] == 1)}"
        console.print(f"labels: {doubtful} no token (--neutral-band {band})")
    console.print(
        f"tokens: {tokens['all']:,} ({tokens['supported'] / whole:.1%} supported, "
        f"{tokens['unsupported'] / whole:.1%} unsupported), tokenizer {result['tokenizer']['name']}"
    )
    for line in _usage_lines(result["usage"]):
        console.print(Text(line))
    for line in result["first_rejected"]:
        console.print(Text(f"rejected: {printable(line)}"))
    if result["rejected"] > len(result["first_rejected"]):
        console.print(Text(f"rejected: all of them in {out}/rejected, counted by reason in {out}/manifest.json"))
    console.print(Text(f"label set: {out} ({counted(result['shards'], 'shard')})"))
    for line in result["warnings"]:
        console.print(Text(f"warning: {printable(line)}", style="yellow"))


def print_job(result: Mapping[str, Any]) -> None:
    """What a runner would get."""
    console = Console(highlight=False, soft_wrap=True)
    asking = counted(result["processes"], "process that asks", "processes that ask")
    processes = f", {asking}" if result["processes"] else ""
    console.print(Text(f"runner: {result['runner']}, {counted(result['functions'], 'function')} of ours{processes}"))
    console.print(Text(f"steps: {' -> '.join(result['steps'])}"))
    console.print(Text(f"image: {result['image'] or 'none named'}; its Python must be {result['python']}"))
    console.print(Text(f"staged: {', '.join(result['staged']) or 'nothing'}"))
    console.print(Text(f"label set: {result['out']}"))
    console.print(Text(f"the job is valid ({result['job_bytes']:,} bytes); nothing was read, asked or sent"))


def _usage_lines(usage: Mapping[str, Any]) -> list[str]:
    """What a language model was asked and what it cost, by stage; how it fared with claims whose answer is known."""
    stages = [name for name in usage if name in ("extract", "verify")]
    lines = [f"{name}: {_usage_line(usage[name])}" for name in (*stages, *(["all"] if len(stages) > 1 else []))]
    noticed = usage.get("noticed", {})
    if "canaries" in noticed:
        failed = noticed.get("canaries_failed", 0)
        lines.append(f"canaries: {noticed['canaries']:,} asked, {failed:,} answered wrongly")
    return lines


def _usage_line(counts: Mapping[str, float]) -> str:
    parts = [f"{counted(counts.get('requests', 0), 'request')}"]
    parts += [f"{counts[name]:,} {name}" for name in ("retries", "cached", "failed") if counts.get(name)]
    prompt, cached = counts.get("prompt_tokens", 0), counts.get("cached_prompt_tokens", 0)
    parts.append(f"{prompt:,} prompt tokens" + (f" ({cached:,} of them cached)" if cached else ""))
    parts.append(f"{counts.get('completion_tokens', 0):,} completion tokens")
    return ", ".join(parts) + (f", ${counts['cost_usd']:,.2f}" if "cost_usd" in counts else "")


def print_estimate(result: Mapping[str, Any]) -> None:
    """What labelling with a language model will take, by stage; costs only where the model's price is known."""
    console = console_of_output()
    stages = {**result["stages"], **({"all": result["total"]} if len(result["stages"]) > 1 else {})}
    known = all(stage["cost_usd"] is not None for stage in stages.values())
    hidden = () if known else ("cost_usd", "cost_usd_with_prefix_cache")
    rows = [
        {"stage": name, **{key: value for key, value in stage.items() if key not in hidden}}
        for name, stage in stages.items()
    ]
    size = f"{counted(result['records'], 'record')}, about {counted(result['claims'], 'claim')}"
    title = f"{size}, model {printable(result['model'])}"
    print_whole(console, _table(title, rows))
    console.print("tokens are estimated from characters; repeated and cached requests are not counted")
    if not known:
        console.print(Text(f"no price is known for {printable(result['model'])}: name a file with --prices"))


def print_tables(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Named tables; a table of one wide row is shown upright, as name and value."""
    console = console_of_output()
    for name, rows in tables.items():
        if not rows:
            console.print(Text(f"{name}: nothing to show\n"))
            continue
        upright = len(rows) == 1 and len(rows[0]) > 4
        print_whole(console, _upright(name, rows[0]) if upright else _table(name, rows))
        if name in NOTES:
            console.print(Text(f"  {NOTES[name]}\n", style="dim"))


def console_of_output(widest: int | None = None) -> Console:
    """A console as wide as the terminal, or as COLUMNS says, but at most `widest`; a pipe has no width."""
    console = Console(highlight=False)
    if not console.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        return Console(highlight=False, width=WHOLE_LINES)
    return console if widest is None else Console(highlight=False, width=min(console.width, widest))


def print_whole(console: Console, what: RenderableType) -> None:
    """Print; where no terminal is, without the blanks that fill every line up to the longest."""
    if console.is_terminal:
        console.print(what)
        return
    with console.capture() as captured:
        console.print(what)
    console.file.write("\n".join(line.rstrip(" ") for line in captured.get().split("\n")))


def _upright(title: str, row: Mapping[str, Any]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=box.SIMPLE)
    table.add_column()
    table.add_column(justify="right")
    for name, value in row.items():
        table.add_row(_heading(name), _cell(name, value))
    return table


def _table(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name, value in rows[0].items():
        is_text = value is None or isinstance(value, str)
        table.add_column(_heading(name), justify="left" if is_text else "right", overflow="fold", no_wrap=not is_text)
    for row in rows:
        table.add_row(*(_cell(name, value) for name, value in row.items()))
    return table


def _heading(name: str) -> str:
    return _HEADINGS.get(name) or name.removeprefix("n_").replace("_", " ")


def _cell(name: str, value: Any) -> Text:
    if value is None:
        return Text("-")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if name == "amount" and isinstance(value, float) and value.is_integer():  # counts and dollars stand in one column
        return Text(f"{int(value):,}")
    if isinstance(value, float):
        return Text(f"{value:.1%}" if name.startswith("share_") else f"{value:.2f}")
    return Text(f"{value:,}" if isinstance(value, int) else printable(str(value)))


def counted(number: float, noun: str, plural: str = "") -> str:
    """`1 shard`, `2 shards`; with a plural that is not made by an s: `2 processes`."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def printable(text: str) -> str:
    """Text of a corpus as it may go to a terminal: control characters are written out, not sent."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
