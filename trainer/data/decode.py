"""One row group of a shard -> its prompt groups as token ids. Runs in the reader processes; knows no plan.

Shards are untrusted: nulls, lengths, labels and ids are checked here, so that nothing malformed reaches the model. A
row group that cannot be read as a whole raises ShardError and is quarantined by the caller.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.errors import ShardError, first_line
from schemas.records import CUT, FINISH_REASON, Message, Passage
from schemas.shards import SHARD_SCHEMA
from trainer.data.groups import PromptGroup, ResponseRow
from trainer.data.label_sets import TRAINING_COLUMNS, RowGroup
from trainer.prompts import Prompt, PromptError, PromptRenderer

OPEN_FILES = 16  # kept open per process: consecutive row groups come from a few shards


@dataclass(frozen=True, slots=True)
class RefusedGroup:
    """A prompt group whose prompt the model's template refuses. reason: one line."""

    group_id: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class _Lists:
    """A column of lists: row r holds values[bounds[r]:bounds[r + 1]]; `present` is False where the row is null."""

    values: np.ndarray
    bounds: np.ndarray
    present: np.ndarray

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[self.bounds[row] : self.bounds[row + 1]]

    def lengths(self) -> np.ndarray:
        return np.diff(self.bounds)


def decode_row_group(
    row_group: RowGroup, renderer: PromptRenderer, first_rows: Sequence[int] | None = None
) -> list[PromptGroup | RefusedGroup]:
    """The prompt groups of a row group, in file order.

    first_rows: row numbers at which the wanted groups begin; None: all groups.
    Raises ShardError, naming the file and row group, when it cannot be read or holds what no pipeline wrote.
    """
    table = _read(row_group, TRAINING_COLUMNS)
    bounds = group_bounds(table["group_id"])
    starts = bounds[:-1] if first_rows is None else np.asarray(first_rows, np.int64)
    if missing := np.setdiff1d(starts, bounds[:-1]).tolist():
        raise ShardError(f"{row_group.place}: no prompt group begins at row {missing[0]}; the shard was altered")
    ends = bounds[1:][np.searchsorted(bounds[:-1], starts)]
    responses = _responses(row_group, table, renderer)
    firsts = table.select(("group_id", "prompt", "messages", "context")).take(starts)
    rendered = renderer.render_all(list(zip(_prompts(firsts), _contexts(firsts["context"]), strict=True)))
    return [
        RefusedGroup(group_id, str(found))
        if isinstance(found, PromptError)
        else PromptGroup(group_id, found.prompt_ids, tuple(responses[start:end]))
        for group_id, found, start, end in zip(
            firsts["group_id"].to_pylist(), rendered, starts.tolist(), ends.tolist(), strict=True
        )
    ]


def read_group_ids(row_group: RowGroup) -> tuple[list[str], np.ndarray]:
    """(ids of the groups, bounds (groups + 1,)) from that column alone. Raises ShardError as above."""
    column = _read(row_group, ("group_id",))["group_id"]
    bounds = group_bounds(column)
    return [column[row].as_py() for row in bounds[:-1].tolist()], bounds


def group_bounds(group_ids: pa.ChunkedArray) -> np.ndarray:
    """Row numbers at which prompt groups begin, and the number of rows: (groups + 1,)."""
    codes = group_ids.combine_chunks().dictionary_encode()
    codes = codes.combine_chunks() if isinstance(codes, pa.ChunkedArray) else codes
    changes = np.flatnonzero(np.diff(codes.indices.to_numpy(zero_copy_only=False))) + 1
    return np.concatenate([[0], changes, [len(group_ids)]]) if len(group_ids) else np.zeros(1, np.int64)


@functools.lru_cache(maxsize=OPEN_FILES)
def _open_file(path: str) -> pq.ParquetFile:
    return pq.ParquetFile(path, page_checksum_verification=True)


def _read(row_group: RowGroup, columns: Sequence[str]) -> pa.Table:
    try:
        table = _open_file(row_group.path).read_row_group(row_group.index, list(columns), use_threads=False)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as err:
        raise ShardError(f"{row_group.place}: not readable ({first_line(err)})") from err
    if len(table) != row_group.rows:
        raise ShardError(f"{row_group.place}: {len(table)} rows where there were {row_group.rows} when it was opened")
    for name in table.column_names:
        if _lacks_values(table[name], SHARD_SCHEMA.field(name)):
            raise ShardError(f"{row_group.place}: the column {name} holds a null, which no pipeline writes there")
    return table


def _lacks_values(column: pa.ChunkedArray, field: pa.Field) -> bool:
    """Whether a column has a null where the schema allows none, or in a message or passage."""
    if column.null_count and not field.nullable:
        return True
    if not (pa.types.is_list(column.type) and pa.types.is_struct(column.type.value_type)):
        return False
    return any(values.null_count for chunk in column.chunks for values in chunk.flatten().flatten())


def _lists(column: pa.ChunkedArray) -> _Lists:
    whole: Any = column.combine_chunks()
    whole = pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole
    values = whole.values.to_numpy(zero_copy_only=False)
    return _Lists(values, whole.offsets.to_numpy(), whole.is_valid().to_numpy(zero_copy_only=False))


def _check(row_group: RowGroup, vocabulary: int, ids: _Lists, labels: _Lists, logprobs: _Lists) -> None:
    """What the pipeline guarantees of a row's tokens. Null elements have become NaN, which no comparison passes."""
    lengths = ids.lengths()
    for what, others in (("labels", labels), ("log-probabilities", logprobs)):
        differs = others.present & (others.lengths() != lengths)
        if differs.any():
            row = int(np.argmax(differs))
            raise ShardError(f"{row_group.place}, row {row}: {others.lengths()[row]} {what} for {lengths[row]} tokens")
    if not np.isin(labels.values, (-1, 0, 1)).all():
        raise ShardError(f"{row_group.place}: a token label other than -1, 0 and +1")
    if not ((ids.values >= 0) & (ids.values < vocabulary)).all():
        raise ShardError(f"{row_group.place}: a token id outside the model's vocabulary of {vocabulary}")


def _prompts(table: pa.Table) -> Iterator[Prompt]:
    """The prompt of every row: chat messages where there are any, else its text."""
    for text, messages in zip(table["prompt"].to_pylist(), table["messages"].to_pylist(), strict=True):
        if messages is None:
            yield text or ""
        else:
            yield tuple(Message(message["role"], message["content"]) for message in messages)


def _contexts(column: pa.ChunkedArray) -> Iterator[tuple[Passage, ...]]:
    for passages in column.to_pylist():
        yield tuple(Passage("", passage["text"]) for passage in passages)


def _responses(row_group: RowGroup, table: pa.Table, renderer: PromptRenderer) -> list[ResponseRow]:
    """All responses of a row group, their arrays views of a few long ones: nothing is done token by token."""
    ids, labels, logprobs = (_lists(table[name]) for name in ("token_ids", "token_labels", "behaviour_logprobs"))
    _check(row_group, renderer.vocabulary, ids, labels, logprobs)
    first, last = ids.bounds[0], ids.bounds[-1]
    bounds, lengths = ids.bounds - first, ids.lengths()
    stored = ids.values[first:last].astype(np.int32, copy=False)
    ends = bounds[1:]
    has_end = lengths > 0
    has_end[has_end] = np.isin(stored[ends[has_end] - 1], list(renderer.stop_ids))
    reasons: Any = pc.call_function("map_lookup", [table["meta"]], pc.MapLookupOptions(FINISH_REASON, "last"))
    was_cut = pc.call_function("equal", [reasons, CUT]).fill_null(False)
    added = ~has_end & ~was_cut.to_numpy(zero_copy_only=False) & (renderer.stop_id is not None)
    at = ends[added]
    token_ids = np.insert(stored, at, renderer.stop_id or 0)
    given = np.insert(labels.values[labels.bounds[0] : labels.bounds[-1]].astype(np.int8, copy=False), at, 0)
    old = np.insert(_known_logprobs(logprobs, lengths), at, np.nan)
    bounds = bounds + np.concatenate([[0], np.cumsum(added)])
    given[bounds[1:][has_end] - 1] = 0
    starts, stops = bounds[:-1].tolist(), bounds[1:].tolist()
    supported = table["n_supported"].to_pylist()
    unsupported = (table["n_unsupported"].to_numpy() + table["n_contradicted"].to_numpy()).tolist()
    rows = zip(
        *(table["id"].to_pylist(), starts, stops, (has_end | added).tolist(), supported, unsupported), strict=True
    )
    return [ResponseRow(name, token_ids[a:b], given[a:b], old[a:b], has, s, u) for name, a, b, has, s, u in rows]


def _known_logprobs(logprobs: _Lists, lengths: np.ndarray) -> np.ndarray:
    """(all stored tokens,) float32; NaN where a row has none, and for what is no log-probability."""
    known = np.full(int(lengths.sum()), np.nan, np.float32)
    given = logprobs.values[logprobs.bounds[0] : logprobs.bounds[-1]].astype(np.float32, copy=False)
    known[np.repeat(logprobs.present, lengths)] = np.where(np.isfinite(given) & (given <= 0), given, np.nan)
    return known
