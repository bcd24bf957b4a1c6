"""One row group of a shard -> its prompt groups as token ids. Runs in the reader processes; knows no plan.

Shards are untrusted: lengths, labels and ids are checked here, so that nothing malformed reaches the model. A row
group that cannot be read as a whole raises ShardError and is quarantined by the caller.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import ShardError
from schemas.records import CUT, FINISH_REASON, Message, Passage
from trainer.data.groups import PromptGroup, ResponseRow
from trainer.data.label_sets import TRAINING_COLUMNS, RowGroup, first_line
from trainer.prompts import PromptError, PromptRenderer

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
    row_group: RowGroup, renderer: PromptRenderer, weight: float = 1.0, first_rows: Sequence[int] | None = None
) -> list[PromptGroup | RefusedGroup]:
    """The prompt groups of a row group, in file order.

    first_rows: row numbers at which the wanted groups begin; None: all groups.
    Raises ShardError, naming the file and row group, when it cannot be read or holds what no pipeline wrote.
    """
    table = _read(row_group, TRAINING_COLUMNS)
    bounds = group_bounds(table["group_id"])
    ids, labels, logprobs = (_lists(table[name]) for name in ("token_ids", "token_labels", "behaviour_logprobs"))
    _check(row_group, renderer.vocabulary, ids, labels, logprobs)
    columns = _Columns(table, ids, labels, logprobs)
    starts = bounds[:-1] if first_rows is None else np.asarray(first_rows)
    ends = dict(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))
    if missing := [row for row in starts.tolist() if row not in ends]:
        raise ShardError(f"{row_group.place}: no prompt group begins at row {missing[0]}; the shard was altered")
    return [_group(columns, start, ends[start], renderer, row_group.source, weight) for start in starts.tolist()]


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
    return table


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


class _Columns:
    """The columns of a row group, by row."""

    def __init__(self, table: pa.Table, ids: _Lists, labels: _Lists, logprobs: _Lists):
        self.token_ids, self.labels, self.logprobs = ids, labels, logprobs
        self.ids, self.group_ids = table["id"].to_pylist(), table["group_id"]
        self.prompts, self.messages, self.contexts = table["prompt"], table["messages"], table["context"]
        self.was_cut = [dict(meta or ()).get(FINISH_REASON) == CUT for meta in table["meta"].to_pylist()]
        self.supported = table["n_supported"].to_numpy()
        self.unsupported = table["n_unsupported"].to_numpy() + table["n_contradicted"].to_numpy()

    def prompt(self, row: int) -> str | tuple[Message, ...]:
        messages = self.messages[row].as_py()
        if messages is None:
            return self.prompts[row].as_py() or ""
        return tuple(Message(message["role"] or "user", message["content"] or "") for message in messages)

    def context(self, row: int) -> tuple[Passage, ...]:
        return tuple(Passage("", passage["text"] or "") for passage in self.contexts[row].as_py())


def _group(
    columns: _Columns, start: int, end: int, renderer: PromptRenderer, source: int, weight: float
) -> PromptGroup | RefusedGroup:
    group_id = columns.group_ids[start].as_py()
    try:
        rendering = renderer.render(columns.prompt(start), columns.context(start))
    except PromptError as err:
        return RefusedGroup(group_id, str(err))
    responses = tuple(_response(columns, row, renderer) for row in range(start, end))
    return PromptGroup(group_id, rendering.prompt_ids, responses, source, weight)


def _response(columns: _Columns, row: int, renderer: PromptRenderer) -> ResponseRow:
    stored = columns.token_ids[row]
    ends = len(stored) > 0 and int(stored[-1]) in renderer.stop_ids
    added = [] if ends or renderer.stop_id is None or columns.was_cut[row] else [renderer.stop_id]
    token_ids = np.concatenate([stored, added]).astype(np.int32)
    labels = np.zeros(len(token_ids), np.int8)
    old_logprobs = np.full(len(token_ids), np.nan, np.float32)
    labels[: len(stored)] = columns.labels[row]
    if columns.logprobs.present[row]:
        given = columns.logprobs[row]
        old_logprobs[: len(stored)] = np.where(np.isfinite(given) & (given <= 0), given, np.nan)
    if ends:
        labels[-1] = 0
    return ResponseRow(
        columns.ids[row],
        token_ids,
        labels,
        old_logprobs,
        has_stop=ends or bool(added),
        claims_supported=int(columns.supported[row]),
        claims_unsupported=int(columns.unsupported[row]),
    )
