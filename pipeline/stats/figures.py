"""The figures of `balto stats` under their names, several in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from pipeline.stats.claims import ALIGNMENTS, CLAIM_STATUSES, CONFLICTS, RESPONSES, VERDICTS, WITHOUT_LABEL
from pipeline.stats.figure import Figure, tables_of
from pipeline.stats.prompt_groups import BALANCE, CREDIT, SIGNAL
from pipeline.stats.reliability import RELIABILITY
from pipeline.stats.responses import LENGTHS, POSITIONS
from pipeline.stats.shares import OVERVIEW, TOKENS

FIGURES: Mapping[str, Figure] = {
    "overview": OVERVIEW,
    "responses": RESPONSES,
    "verdicts": VERDICTS,
    "status of claims": CLAIM_STATUSES,
    "alignment": ALIGNMENTS,
    "claims without label": WITHOUT_LABEL,
    "conflicts": CONFLICTS,
    "token labels": TOKENS,
    "position in response": POSITIONS,
    "length and faithfulness": LENGTHS,
    "reliability": RELIABILITY,
    "prompt groups": SIGNAL,
    "balance": BALANCE,
    "credit mass": CREDIT,
}
WITHOUT_BY = ("prompt groups", "balance", "credit mass")  # a prompt group is balanced as a whole


def figures(
    labels: pl.LazyFrame, names: Sequence[str] = tuple(FIGURES), by: Sequence[str] = ()
) -> dict[str, pl.DataFrame]:
    """The named figures of FIGURES, in one pass over the rows of `scan_labels`.

    by: columns to group by, for every figure but those of WITHOUT_BY. Raises ConfigError for an unknown column.
    """
    return tables_of(labels, {name: (FIGURES[name], () if name in WITHOUT_BY else by) for name in names})
