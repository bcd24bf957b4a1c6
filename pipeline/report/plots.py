"""The pictures of the report page, one function per figure: a table of `pipeline.stats` -> a drawn figure.

Every picture has its table beside it, so it says little and says it plainly. Verdicts differ in hatching as well as in
colour. Sizes are such that the text stays readable at the width of a telephone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter, StrMethodFormatter

from pipeline.report.svg import ACCENT, LINE, PANEL, QUIET, STYLE, TONE, to_svg
from pipeline.show.show_tables import printable
from pipeline.stats.prompt_groups import SIGNALS
from schemas.records import VERDICTS

WIDTH: Final = 4.7  # inches: 338 units of the picture, shown as wide as the page allows
MAX_POLICIES: Final = 12
_MAX_LABEL: Final = 22  # characters of a policy's name
_HATCH: Final = {"supported": "", "contradicted": "xxxx", "unsupported": "////", "unverified": "|||"}
_ALIGNMENT_LOOK: Final = {
    "exact": (ACCENT, ""),
    "folded": (ACCENT, "////"),
    "fuzzy": (ACCENT, "\\\\\\\\"),
    "unmatched": (QUIET, "xxxx"),
}
_PERCENT: Final = PercentFormatter(1.0, decimals=0)


@mpl.rc_context(STYLE)
def verdicts_by_policy(table: pl.DataFrame) -> str:
    """Shares of claims by verdict, one bar per policy."""
    table = table.head(MAX_POLICIES)
    names = [_short(policy) for policy in table["policy"]]
    counts = {verdict: table[f"n_{verdict}"].to_list() for verdict in (*VERDICTS, "unverified")}
    figure, axes = _figure(1.1 + 0.34 * len(names))
    _stacked(figure, axes, names, counts)
    return to_svg(figure, "verdicts", "Shares of claims by verdict, one bar per policy; the table holds the counts.")


@mpl.rc_context(STYLE)
def faithfulness_by_length(table: pl.DataFrame) -> str:
    """Mean faithfulness over the response's length, and how many responses have that length."""
    names = [_length_name(row) for row in table.iter_rows(named=True)]
    faithful = [math.nan if value is None else value for value in table["faithfulness"]]
    figure, (above, below) = _figure(3.4, rows=2, ratios=(2, 1), sharex=True)
    above.plot(names, faithful, color=ACCENT, marker="o", markersize=5, linewidth=1.6)
    for place, value in enumerate(faithful):
        if not math.isnan(value):
            above.annotate(f"{value:.2f}", (place, value), (0, 7), textcoords="offset points", ha="center", fontsize=10)
    above.set(ylim=(0, 1.12), yticks=(0, 0.5, 1), ylabel="faithfulness")
    below.bar(names, table["records"].to_list(), color=QUIET, width=0.6)
    below.set(ylabel="responses", xlabel="characters of the response")
    below.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    for axes in (above, below):
        axes.grid(axis="y", linewidth=0.7)
        axes.spines["left"].set_visible(False)
    figure.align_ylabels()
    return to_svg(figure, "length", "Mean faithfulness by length of the response; the table holds the values.")


@mpl.rc_context(STYLE)
def error_positions(table: pl.DataFrame) -> str:
    """Share of a response's characters with label -1, by tenths of the response."""
    figure, axes = _figure(2.5)
    shares = [value or 0.0 for value in table["share_unsupported"]]
    names = [str(tenth) for tenth in table["tenth"]]
    axes.bar(names, shares, color=PANEL, edgecolor=TONE["contradicted"], hatch=_HATCH["contradicted"], width=0.7)
    axes.set(xlabel="tenth of the response, from its beginning", ylabel="characters of label −1", ylim=(0, None))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))  # as many decimals as the largest share asks for
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.grid(axis="y", linewidth=0.7)
    axes.spines["left"].set_visible(False)
    return to_svg(figure, "position", "Where errors sit: characters of label minus one by tenth of the response.")


@mpl.rc_context(STYLE)
def reliability(table: pl.DataFrame) -> str:
    """Share of claims that people left unmarked over the claims' mean score, by tenths of the score."""
    tenths = table.drop_nulls("score_from")
    figure, (above, below) = _figure(4.4, rows=2, ratios=(3, 1), sharex=True)
    above.plot((0, 1), (0, 1), color=LINE, linewidth=1.2)
    above.plot(tenths["mean_score"], tenths["share_unmarked"], color=ACCENT, marker="o", markersize=5, linewidth=1.6)
    above.set(xlim=(0, 1), ylim=(-0.03, 1.06), yticks=(0, 0.5, 1), ylabel="left unmarked by people")
    below.bar(tenths["score_from"] + 0.05, tenths["claims"].to_list(), color=QUIET, width=0.07)
    below.set(ylabel="claims", xlabel="score, P(supported)", xticks=(0, 0.5, 1), yscale="log")
    below.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    below.yaxis.set_minor_locator(NullLocator())
    for axes in (above, below):
        axes.grid(axis="y", linewidth=0.7)
        axes.spines["left"].set_visible(False)
    above.yaxis.set_major_formatter(_PERCENT)
    figure.align_ylabels()
    return to_svg(figure, "reliability", "Share of claims that people left unmarked, over their score.")


@mpl.rc_context(STYLE)
def group_balance(signal: pl.DataFrame, balance: pl.DataFrame) -> str:
    """Prompt groups by the labels in them; below, those with both by their share of -1."""
    groups = dict(signal.select("signal", "groups").iter_rows())
    figure, (above, below) = _figure(3.9, rows=2, ratios=(1, 1))
    values = [groups.get(name, 0) for name in SIGNALS]
    bars = above.barh(SIGNALS, values, color=[ACCENT, QUIET, QUIET, QUIET], height=0.62)
    above.bar_label(bars, labels=[f"{value:,}" for value in values], padding=4, fontsize=10)
    above.set(xlim=(0, max(1, *values) * 1.12), xticks=())
    above.invert_yaxis()
    for side in ("left", "bottom"):
        above.spines[side].set_visible(False)
    above.set_title("prompt groups", loc="left", fontsize=11, color=QUIET)
    of_groups = balance.filter(pl.col("block") == "group")
    by_tenth = dict(of_groups.select("percent_to", "blocks").iter_rows())
    tenths = range(10, 101, 10)
    below.bar([str(tenth) for tenth in tenths], [by_tenth.get(tenth, 0) for tenth in tenths], color=ACCENT, width=0.7)
    below.set(xlabel="of their labelled tokens, per cent −1 (up to)")
    below.set_title("groups with both labels", loc="left", fontsize=11, color=QUIET)
    below.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    below.grid(axis="y", linewidth=0.7)
    below.spines["left"].set_visible(False)
    return to_svg(figure, "balance", "Prompt groups by the labels in them, and the balance of those with both labels.")


@mpl.rc_context(STYLE)
def projection(alignment: pl.DataFrame, tokens: pl.DataFrame) -> str:
    """Claims by how they were found in the response, and tokens by label: two bars of shares."""
    figure, (above, below) = _figure(2.6, rows=2, ratios=(1, 1))
    found = dict.fromkeys(_ALIGNMENT_LOOK, 0) | dict(alignment.select("alignment", "claims").iter_rows())
    labels = dict(tokens.select("label", "tokens").iter_rows())
    _one_bar(above, "claims, by how they were found", found, _ALIGNMENT_LOOK)
    tones = {"+1": (TONE["supported"], ""), "0": (LINE, ""), "-1": (TONE["contradicted"], _HATCH["contradicted"])}
    _one_bar(below, "tokens, by label", {name: labels.get(name, 0) for name in tones}, tones)
    return to_svg(
        figure, "projection", "Claims by alignment and tokens by label, as shares; the tables hold the counts."
    )


def _figure(height: float, rows: int = 1, ratios: Sequence[int] = (1,), sharex: bool = False) -> tuple[Figure, Any]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(rows, 1, sharex=sharex, gridspec_kw={"height_ratios": ratios})


def _stacked(figure: Figure, axes: Axes, names: Sequence[str], counts: Mapping[str, Sequence[int]]) -> None:
    places = range(len(names))
    sums = [max(1, sum(column)) for column in zip(*counts.values(), strict=True)]
    left = [0.0] * len(names)
    for verdict, values in counts.items():
        shares = [value / whole for value, whole in zip(values, sums, strict=True)]
        _bars(axes, places, shares, left, TONE[verdict], _HATCH[verdict], verdict)
        left = [start + share for start, share in zip(left, shares, strict=True)]
    axes.set(xlim=(0, 1), xticks=(0, 0.5, 1), yticks=list(places))
    axes.set_yticklabels(names)
    axes.xaxis.set_major_formatter(_PERCENT)
    axes.invert_yaxis()
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    figure.legend(loc="outside upper left", ncols=2, fontsize=9.5, handlelength=1.4, columnspacing=1.4)


def _one_bar(axes: Axes, title: str, counts: Mapping[str, int], looks: Mapping[str, tuple[str, str]]) -> None:
    whole, left = max(1, sum(counts.values())), 0.0
    for name, count in counts.items():
        colour, hatch = looks[name]
        label = f"{name.replace('-', '−')}  {count / whole:.1%}"
        _bars(axes, [0], [count / whole], [left], colour, hatch, label)
        left += count / whole
    axes.set(xlim=(0, 1), xticks=(), yticks=())
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_title(title, loc="left", fontsize=11, color=QUIET)
    axes.legend(
        loc="upper left", bbox_to_anchor=(0, 0), ncols=2 if len(counts) > 3 else 3, fontsize=9.5, handlelength=1.4
    )


def _bars(
    axes: Axes, places: Sequence[int], shares: list[float], left: list[float], colour: str, hatch: str, label: str
) -> None:
    """Bars that touch: a plain one is filled, a hatched one is drawn in lines of its colour."""
    axes.barh(
        places, shares, left=left, height=0.66, label=label, hatch=hatch, linewidth=0.8,
        color=PANEL if hatch else colour, edgecolor=colour,
    )  # fmt: skip


def _short(name: str | None) -> str:
    shown = printable(name) if name is not None else "none"
    return shown if len(shown) <= _MAX_LABEL else f"{shown[: _MAX_LABEL - 1]}…"


def _length_name(row: Mapping[str, Any]) -> str:
    if row["characters_below"] is None:
        return f"≥{row['characters_from']:,}"
    return f"<{row['characters_below']:,}"
