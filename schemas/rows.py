"""Rows of a shard <-> records.

Columns are built field by field over all rows: the fields of a record stand in Arrow under their own names, so one
recursion over the Arrow type serves every record, and no dict is made per record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, chain, pairwise
from operator import attrgetter
from typing import Any, Final

import numpy as np
import pyarrow as pa

from schemas.errors import ShardError
from schemas.records import (
    CONTRADICTED,
    NEGATIVE,
    POSITIVE,
    SUPPORTED,
    UNMATCHED,
    UNSUPPORTED,
    Claim,
    Evidence,
    GoldSpan,
    LabelledResponse,
    LabelSpan,
    Message,
    Passage,
    Rejected,
    Sample,
    Span,
    TokenLabels,
)
from schemas.shards import REJECTED_SCHEMA, SCHEMA_VERSION, SHARD_SCHEMA

_OFFSET: Final = SHARD_SCHEMA.field("token_offsets").type.value_type


def to_table(rows: Sequence[LabelledResponse]) -> pa.Table:
    """Rows as a table of SHARD_SCHEMA, in the given order."""
    samples = [row.sample for row in rows]
    columns = {name: _column([read(sample) for sample in samples], _type(name)) for name, read in _OF_SAMPLE.items()}
    columns |= {name: _column([read(row) for row in rows], _type(name)) for name, read in _OF_ROW.items()}
    columns |= token_columns([row.tokens for row in rows])
    return pa.table([columns[name] for name in SHARD_SCHEMA.names], SHARD_SCHEMA)


def _type(name: str) -> pa.DataType:
    return SHARD_SCHEMA.field(name).type


def _column(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    """Values as an Arrow array: records as structs by field name, sequences of records as lists of structs."""
    if pa.types.is_struct(type_):
        fields = [_column(list(map(attrgetter(field.name), values)), field.type) for field in type_]
        return pa.StructArray.from_arrays(fields, fields=list(type_))
    if pa.types.is_list(type_) and pa.types.is_struct(type_.value_type):
        bounds = pa.array([0, *accumulate(len(value or ()) for value in values)], pa.int32())
        items = _column(list(chain.from_iterable(value or () for value in values)), type_.value_type)
        missing = pa.array([value is None for value in values], pa.bool_())
        return pa.ListArray.from_arrays(bounds, items, type=type_, mask=missing)
    return pa.array(values, type_)


def token_columns(tokens: Sequence[TokenLabels]) -> dict[str, pa.Array]:
    """The token columns and their counts, without making a Python object per token."""
    bounds = pa.array([0, *accumulate(len(row) for row in tokens)], pa.int32())

    def joined(name: str, dtype: type) -> pa.Array:
        return pa.array(np.concatenate([np.zeros(0, dtype), *(getattr(row, name) for row in tokens)]).astype(dtype))

    offsets = pa.StructArray.from_arrays([joined("starts", np.int32), joined("ends", np.int32)], fields=list(_OFFSET))
    return {
        "token_ids": pa.ListArray.from_arrays(bounds, joined("ids", np.int32)),
        "token_offsets": pa.ListArray.from_arrays(bounds, offsets),
        "token_labels": pa.ListArray.from_arrays(bounds, joined("labels", np.int8)),
        "n_tokens": pa.array([len(row) for row in tokens], pa.int32()),
        "n_tokens_supported": pa.array([np.count_nonzero(row.labels == POSITIVE) for row in tokens], pa.int32()),
        "n_tokens_unsupported": pa.array([np.count_nonzero(row.labels == NEGATIVE) for row in tokens], pa.int32()),
    }


def _counter(verdict: str | None) -> Callable[[LabelledResponse], int]:
    return lambda row: sum(claim.verdict == verdict for claim in row.claims)


_OF_SAMPLE: Final[dict[str, Callable[[Sample], Any]]] = {
    "id": lambda sample: sample.id,
    "group_id": lambda sample: sample.group_id,
    "prompt": lambda sample: sample.prompt if isinstance(sample.prompt, str) else None,
    "messages": lambda sample: None if isinstance(sample.prompt, str) else sample.prompt,
    "context": lambda sample: sample.context,
    "response": lambda sample: sample.response,
    "policy": lambda sample: sample.policy,
    "gold_spans": lambda sample: sample.gold_spans,
    "meta": lambda sample: list(sample.meta.items()),
    "source": lambda sample: sample.source,
    "source_row": lambda sample: sample.source_row,
    "response_token_ids": lambda sample: sample.response_token_ids,
    "response_logprobs": lambda sample: sample.response_logprobs,
    "tokenizer": lambda sample: sample.tokenizer,
}
_OF_ROW: Final[dict[str, Callable[[LabelledResponse], Any]]] = {
    "claims": lambda row: row.claims,
    "label_spans": lambda row: row.label_spans,
    "behaviour_logprobs": lambda row: row.behaviour_logprobs,
    "status": lambda row: row.status,
    "n_claims": lambda row: len(row.claims),
    "n_supported": _counter(SUPPORTED),
    "n_contradicted": _counter(CONTRADICTED),
    "n_unsupported": _counter(UNSUPPORTED),
    "n_unverified": _counter(None),
    "n_unmatched": lambda row: sum(claim.alignment == UNMATCHED for claim in row.claims),
    "n_conflicts": lambda row: row.conflicts,
    "n_doubtful": lambda row: row.doubtful,
}


def to_rejected_table(rejected: Sequence[Rejected]) -> pa.Table:
    """Rejected records as a table of REJECTED_SCHEMA, in the given order."""
    names = REJECTED_SCHEMA.names
    return pa.table({name: [getattr(one, name) for one in rejected] for name in names}, REJECTED_SCHEMA)


def from_table(table: pa.Table) -> list[LabelledResponse]:
    """The records of a shard table or of any slice of one. Raises ShardError when columns are missing."""
    missing = [name for name in SHARD_SCHEMA.names if name not in table.column_names]
    if missing:
        raise ShardError(
            f"the shard lacks the columns {', '.join(missing)}; it was not written by schema {SCHEMA_VERSION}"
        )
    return list(chain.from_iterable(_batch_rows(batch) for batch in table.to_batches()))


def _batch_rows(batch: pa.RecordBatch) -> list[LabelledResponse]:
    tokens = _token_rows(batch)
    rest = batch.drop_columns(["token_ids", "token_offsets", "token_labels"]).to_pylist()
    return [_row(values, row_tokens) for values, row_tokens in zip(rest, tokens, strict=True)]


def _token_rows(batch: pa.RecordBatch) -> list[TokenLabels]:
    def split(column: pa.Array, values: pa.Array) -> list[np.ndarray]:
        bounds = column.offsets.to_numpy()
        flat = values.to_numpy(zero_copy_only=False)
        return [flat[a:b] for a, b in pairwise(bounds)]

    ids, offsets, labels = (batch.column(name) for name in ("token_ids", "token_offsets", "token_labels"))
    arrays = (
        split(ids, ids.values),
        split(offsets, offsets.values.field("start")),
        split(offsets, offsets.values.field("end")),
        split(labels, labels.values),
    )
    return [TokenLabels(*row) for row in zip(*arrays, strict=True)]


def _row(values: dict[str, Any], tokens: TokenLabels) -> LabelledResponse:
    return LabelledResponse(
        sample=_sample(values),
        claims=tuple(_claim_record(claim) for claim in values["claims"]),
        label_spans=tuple(LabelSpan(**span) for span in values["label_spans"]),
        tokens=tokens,
        status=values["status"],
        conflicts=values["n_conflicts"],
        behaviour_logprobs=_tuple(values["behaviour_logprobs"]),
        doubtful=values["n_doubtful"],
    )


def _tuple(values: list[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)


def _sample(values: dict[str, Any]) -> Sample:
    messages, gold = values["messages"], values["gold_spans"]
    return Sample(
        id=values["id"],
        group_id=values["group_id"],
        prompt=values["prompt"] if messages is None else tuple(Message(**message) for message in messages),
        context=tuple(Passage(**passage) for passage in values["context"]),
        response=values["response"],
        policy=values["policy"],
        response_token_ids=_tuple(values["response_token_ids"]),
        response_logprobs=_tuple(values["response_logprobs"]),
        tokenizer=values["tokenizer"],
        gold_spans=None if gold is None else tuple(GoldSpan(**span) for span in gold),
        meta=dict(values["meta"]),
        source=values["source"],
        source_row=values["source_row"],
    )


def _claim_record(values: dict[str, Any]) -> Claim:
    return Claim(
        **{
            **values,
            "quotes": tuple(values["quotes"]),
            "sentence_ids": tuple(values["sentence_ids"]),
            "spans": tuple(Span(**span) for span in values["spans"]),
            "error_spans": tuple(Span(**span) for span in values["error_spans"]),
            "evidence": tuple(Evidence(**evidence) for evidence in values["evidence"]),
        }
    )
