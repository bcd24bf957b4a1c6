"""How far two label sets of the same responses agree: Cohen's kappa per token or character, and per response.

    kappa = (p_o - p_e) / (1 - p_e)      p_o: share of equal labels, p_e: the share expected from either's labels

Labels are +1, 0, -1 of tokens, or of characters where the label sets have different tokenizers; of a response, whether
anything in it is -1. Responses are matched by id, and only those count that have the same text in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from pipeline.stats.scan import scan_labels
from pipeline.stats.span_frames import ROW, covered, overlap, spans_of
from schemas.manifest import Manifest, read_manifest
from schemas.records import NEGATIVE

TOKEN: Final = "token"  # noqa: S105 - a unit, no secret
CHARACTER: Final = "character"
RESPONSE: Final = "response"
ROWS_AT_ONCE = 100_000  # rows of the first set that are matched at a time, within a shard
_KEYS = ("level", "first", "second")


def agreement(first: str, second: str) -> pl.DataFrame:
    """One row per level (token or character, and response): responses, compared, agree, kappa.

    responses: with the same id and text in both label sets.   compared: labels.   agree: share of equal ones.
    kappa: null where chance alone would agree on everything. No row when the label sets share no response.
    """
    return _kappas(label_confusion(first, second))


def pairwise_agreement(folders: Sequence[str]) -> pl.DataFrame:
    """`agreement` of every two of the label sets, with their names in `first` and `second`."""
    tables = [
        agreement(first, second).select(pl.lit(first).alias("first"), pl.lit(second).alias("second"), pl.all())
        for at, first in enumerate(folders)
        for second in folders[at + 1 :]
    ]
    return pl.concat(tables) if tables else pl.DataFrame(schema={"first": pl.String, "second": pl.String, **_AGREEMENT})


def label_confusion(first: str, second: str) -> pl.DataFrame:
    """level, first, second, count: how often which label meets which; for responses 1: nothing is -1, -1: something is.

    Where both sets have the same number of shards, shards are compared one by one, in bounded memory; otherwise the
    whole label sets are.
    """
    manifests = read_manifest(Path(first)), read_manifest(Path(second))
    prints = [manifest.tokenizer["fingerprint"] for manifest in manifests]
    unit = TOKEN if prints[0] == prints[1] else CHARACTER
    counted = [pl.DataFrame(schema=_CONFUSION)]
    for mine, theirs in _pairs(first, second, manifests):
        rows = mine.select(pl.len()).collect(engine="streaming").item()
        parts = -(-rows // ROWS_AT_ONCE)
        for part in range(parts):
            chosen = mine.filter(pl.col("id").hash() % parts == part) if parts > 1 else mine
            counted.append(_compared(chosen, theirs, unit))
    return pl.concat(counted).group_by(_KEYS).agg(pl.col("count").sum()).sort(_KEYS)


def _pairs(
    first: str, second: str, manifests: tuple[Manifest, Manifest]
) -> Iterator[tuple[pl.LazyFrame, pl.LazyFrame]]:
    """Frames that hold the common responses: shard by shard where both sets are sharded alike."""
    names = [{Path(shard.path).name for shard in manifest.shards} for manifest in manifests]
    totals = {name.rpartition("-of-")[2] for side in names for name in side}
    whole = scan_labels([first]), scan_labels([second])  # checked, too
    if len(totals) > 1 or "" in totals:
        yield whole
        return
    for name in sorted(names[0] & names[1]):
        paths = [
            Path(folder) / shard.path
            for folder, manifest in zip((first, second), manifests, strict=True)
            for shard in manifest.shards
            if Path(shard.path).name == name
        ]
        yield pl.scan_parquet(paths[0], glob=False), pl.scan_parquet(paths[1], glob=False)


def _compared(first: pl.LazyFrame, second: pl.LazyFrame, unit: str) -> pl.DataFrame:
    labels = "token_labels" if unit == TOKEN else "label_spans"
    columns = list(dict.fromkeys(["id", "response", "label_spans", labels]))
    rows = first.select(columns).join(second.select(columns), on=["id", "response"], suffix=" second")
    if unit == TOKEN:
        rows = rows.filter(pl.col(labels).list.len() == pl.col(f"{labels} second").list.len())
    matched = rows.with_columns(pl.col("response").str.len_chars().cast(pl.Int64)).collect(engine="streaming")
    flawed = matched.select(_is_flawed("label_spans").alias("first"), _is_flawed("label_spans second").alias("second"))
    return pl.concat([_labelled(RESPONSE, flawed), _tokens(matched) if unit == TOKEN else _characters(matched)])


def _is_flawed(spans: str) -> pl.Expr:
    wrong = pl.col(spans).list.eval(pl.element().struct.field("label") == NEGATIVE).list.any()
    return pl.when(wrong).then(-1).otherwise(1).cast(pl.Int8)


def _labelled(level: str, pairs: pl.DataFrame) -> pl.DataFrame:
    counted = pairs.group_by("first", "second").agg(pl.len().cast(pl.Int64).alias("count"))
    return counted.select(pl.lit(level).alias("level"), "first", "second", "count")


def _tokens(matched: pl.DataFrame) -> pl.DataFrame:
    pairs = matched.select(pl.col("token_labels").alias("first"), pl.col("token_labels second").alias("second"))
    return _labelled(TOKEN, pairs.explode("first", "second", empty_as_null=False))


def _characters(matched: pl.DataFrame) -> pl.DataFrame:
    """Characters by label in both: what spans share, then what only one of them labels, then the rest."""
    rows = matched.with_row_index(ROW)
    sides = [spans_of(rows, name) for name in ("label_spans", "label_spans second")]
    both = overlap(sides[0], sides[1], ["label", "label second"])
    count = {
        (a, b): _total(both.filter((pl.col("label") == a) & (pl.col("label second") == b)), "characters")
        for a in (1, -1)
        for b in (1, -1)
    }
    alone = [
        {label: _total(covered(side.filter(pl.col("label") == label)), "characters") for label in (1, -1)}
        for side in sides
    ]
    for label in (1, -1):
        count[label, 0] = alone[0][label] - count[label, 1] - count[label, -1]
        count[0, label] = alone[1][label] - count[1, label] - count[-1, label]
    count[0, 0] = _total(rows, "response") - sum(count.values())
    values = [(CHARACTER, a, b, number) for (a, b), number in count.items() if number]
    return pl.DataFrame(values, schema={name: _CONFUSION[name] for name in (*_KEYS, "count")}, orient="row")


def _total(rows: pl.DataFrame, column: str) -> int:
    return int(rows[column].sum())


def _kappas(confusion: pl.DataFrame) -> pl.DataFrame:
    rows = []
    responses = _total(confusion.filter(pl.col("level") == RESPONSE), "count")
    for (level,), counts in confusion.group_by("level", maintain_order=True):
        compared = _total(counts, "count")
        agree = _total(counts.filter(pl.col("first") == pl.col("second")), "count") / compared
        shares = [
            counts.group_by(pl.col(side).alias("label")).agg(pl.col("count").sum() / compared)
            for side in ("first", "second")
        ]
        expected = shares[0].join(shares[1], on="label").select((pl.col("count") * pl.col("count_right")).sum()).item()
        kappa = (agree - expected) / (1 - expected) if expected < 1 else None
        rows.append((level, responses, compared, agree, kappa))
    return pl.DataFrame(rows, schema=_AGREEMENT, orient="row").sort("level")


_CONFUSION = {"level": pl.String, "first": pl.Int8, "second": pl.Int8, "count": pl.Int64}
_AGREEMENT = {"level": pl.String, "responses": pl.Int64, "compared": pl.Int64, "agree": pl.Float64, "kappa": pl.Float64}
