"""The Parquet schema of a label set's shards, and rows <-> records. Nothing else.

One row is one LabelledResponse. Rows of a prompt group stand together, sorted by (group_id, id), and never cross
a row group, so a reader that takes row groups takes whole prompt groups. `MEANING` says what every column holds;
the same words are stored in the file as field metadata.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, pairwise
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

SCHEMA_VERSION: Final = 1

_SPAN = pa.struct([("start", pa.int32()), ("end", pa.int32())])
_GOLD_SPAN = pa.struct([("start", pa.int32()), ("end", pa.int32()), ("label", pa.string())])
_LABEL_SPAN = pa.struct([("start", pa.int32()), ("end", pa.int32()), ("label", pa.int8())])
_MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
_PASSAGE = pa.struct([("passage_id", pa.string()), ("text", pa.string())])
_EVIDENCE = pa.struct([("passage_id", pa.string()), ("start", pa.int32()), ("end", pa.int32())])
_CLAIM = pa.struct(
    [
        ("claim_id", pa.string()),
        ("text", pa.string()),
        ("quotes", pa.list_(pa.string())),
        ("sentence_ids", pa.list_(pa.int32())),
        ("spans", pa.list_(_SPAN)),
        ("alignment", pa.string()),
        ("verdict", pa.string()),
        ("status", pa.string()),
        ("score", pa.float64()),
        ("error_spans", pa.list_(_SPAN)),
        ("evidence", pa.list_(_EVIDENCE)),
        ("reason", pa.string()),
        ("extractor", pa.string()),
        ("verifier", pa.string()),
        ("prompt_version", pa.string()),
    ]
)

# (name, type, may be null, meaning)
_COLUMNS: Final[tuple[tuple[str, pa.DataType, bool, str], ...]] = (
    ("id", pa.string(), False, "id of the response, unique in the label set"),
    ("group_id", pa.string(), False, "prompt group: responses to one prompt and context share it"),
    ("prompt", pa.string(), True, "prompt text; null when the prompt is chat messages"),
    ("messages", pa.list_(_MESSAGE), True, "chat messages of the prompt; null when the prompt is text"),
    ("context", pa.list_(_PASSAGE), False, "passages that the response must be faithful to"),
    ("response", pa.string(), False, "the response text; all offsets count its Unicode code points"),
    ("policy", pa.string(), True, "which model wrote the response"),
    ("gold_spans", pa.list_(_GOLD_SPAN), True, "human spans; empty: annotated and clean; null: not annotated"),
    ("meta", pa.map_(pa.string(), pa.string()), False, "what else the corpus said about the record"),
    ("source", pa.string(), False, "corpus file the record came from"),
    ("source_row", pa.int64(), False, "1-based line or row of that file"),
    ("response_token_ids", pa.list_(pa.int32()), True, "token ids as sampled by the policy, its own tokenizer"),
    ("response_logprobs", pa.list_(pa.float32()), True, "natural-log probabilities of those ids, temperature 1"),
    ("tokenizer", pa.string(), True, "tokenizer of response_token_ids"),
    ("claims", pa.list_(_CLAIM), False, "claims with place, verdict or status, evidence and engines"),
    ("label_spans", pa.list_(_LABEL_SPAN), False, "disjoint characters with label +1 or -1, conflicts resolved"),
    ("token_ids", pa.list_(pa.int32()), False, "tokens of the response under the label set's tokenizer"),
    ("token_offsets", pa.list_(_SPAN), False, "characters of each token; empty interval: a token without any"),
    ("token_labels", pa.list_(pa.int8()), False, "+1 supported, -1 unsupported or contradicted, 0 neutral"),
    ("behaviour_logprobs", pa.list_(pa.float32()), True, "log-probabilities of token_ids when sampled; null: unknown"),
    ("status", pa.string(), False, "labelled | partial | unverified | no_claims"),
    ("n_claims", pa.int32(), False, "claims"),
    ("n_supported", pa.int32(), False, "claims with verdict supported"),
    ("n_contradicted", pa.int32(), False, "claims with verdict contradicted"),
    ("n_unsupported", pa.int32(), False, "claims with verdict unsupported"),
    ("n_unverified", pa.int32(), False, "claims without a verdict"),
    ("n_unmatched", pa.int32(), False, "claims that were not found in the response"),
    ("n_conflicts", pa.int32(), False, "claims whose characters the opposite verdict claims too"),
    ("n_tokens", pa.int32(), False, "tokens"),
    ("n_tokens_supported", pa.int32(), False, "tokens with label +1"),
    ("n_tokens_unsupported", pa.int32(), False, "tokens with label -1"),
)


def _field(name: str, type_: pa.DataType, nullable: bool, meaning: str) -> pa.Field:
    return pa.field(name, type_, nullable, metadata={"description": meaning})


SHARD_SCHEMA: Final = pa.schema(
    [_field(*column) for column in _COLUMNS], metadata={"balto.schema_version": str(SCHEMA_VERSION)}
)
MEANING: Final = {name: meaning for name, _, _, meaning in _COLUMNS}

REJECTED_SCHEMA: Final = pa.schema(
    [
        _field("id", pa.string(), False, "id of the record, empty when it could not be read"),
        _field("group_id", pa.string(), False, "prompt group, empty when the record could not be read"),
        _field("source", pa.string(), False, "corpus file"),
        _field("source_row", pa.int64(), False, "1-based line or row of that file"),
        _field("stage", pa.string(), False, "stage that refused the record"),
        _field("reason", pa.string(), False, "why"),
        _field("record", pa.string(), False, "the record as text, cut to a bounded length"),
    ],
    metadata={"balto.schema_version": str(SCHEMA_VERSION)},
)


def to_table(rows: Sequence[LabelledResponse]) -> pa.Table:
    """Rows as a table of SHARD_SCHEMA, in the given order."""
    columns = [pa.array([read(row) for row in rows], SHARD_SCHEMA.field(name).type) for name, read in _PLAIN.items()]
    names = list(_PLAIN)
    for name, array in token_columns([row.tokens for row in rows]).items():
        names.append(name)
        columns.append(array)
    by_name = dict(zip(names, columns, strict=True))
    return pa.table([by_name[name] for name in SHARD_SCHEMA.names], SHARD_SCHEMA)


def token_columns(tokens: Sequence[TokenLabels]) -> dict[str, pa.Array]:
    """The four token arrays as list columns, without making a Python object per token."""
    ends = np.zeros(len(tokens) + 1, np.int32)
    np.cumsum([len(row) for row in tokens], out=ends[1:])
    bounds = pa.array(ends)

    def joined(name: str, dtype: type) -> pa.Array:
        return pa.array(np.concatenate([np.zeros(0, dtype), *(getattr(row, name) for row in tokens)]).astype(dtype))

    labels = joined("labels", np.int8)
    offsets = pa.StructArray.from_arrays([joined("starts", np.int32), joined("ends", np.int32)], fields=list(_SPAN))
    return {
        "token_ids": pa.ListArray.from_arrays(bounds, joined("ids", np.int32)),
        "token_offsets": pa.ListArray.from_arrays(bounds, offsets),
        "token_labels": pa.ListArray.from_arrays(bounds, labels),
        "n_tokens": pa.array([len(row) for row in tokens], pa.int32()),
        "n_tokens_supported": pa.array([np.count_nonzero(row.labels == POSITIVE) for row in tokens], pa.int32()),
        "n_tokens_unsupported": pa.array([np.count_nonzero(row.labels == NEGATIVE) for row in tokens], pa.int32()),
    }


def _spans(spans: Iterable[Span]) -> list[dict[str, Any]]:
    return [{"start": span.start, "end": span.end} for span in spans]


def _labelled_spans(spans: Iterable[GoldSpan] | Iterable[LabelSpan]) -> list[dict[str, Any]]:
    return [{"start": span.start, "end": span.end, "label": span.label} for span in spans]


def _claim(claim: Claim) -> dict[str, Any]:
    return {
        "claim_id": claim.claim_id,
        "text": claim.text,
        "quotes": claim.quotes,
        "sentence_ids": claim.sentence_ids,
        "spans": _spans(claim.spans),
        "alignment": claim.alignment,
        "verdict": claim.verdict,
        "status": claim.status,
        "score": claim.score,
        "error_spans": _spans(claim.error_spans),
        "evidence": [{"passage_id": e.passage_id, "start": e.start, "end": e.end} for e in claim.evidence],
        "reason": claim.reason,
        "extractor": claim.extractor,
        "verifier": claim.verifier,
        "prompt_version": claim.prompt_version,
    }


def _counter(verdict: str | None) -> Callable[[LabelledResponse], int]:
    return lambda row: sum(claim.verdict == verdict for claim in row.claims)


def _messages(sample: Sample) -> list[dict[str, str]] | None:
    if isinstance(sample.prompt, str):
        return None
    return [{"role": message.role, "content": message.content} for message in sample.prompt]


_PLAIN: Final[dict[str, Callable[[LabelledResponse], Any]]] = {
    "id": lambda row: row.sample.id,
    "group_id": lambda row: row.sample.group_id,
    "prompt": lambda row: row.sample.prompt if isinstance(row.sample.prompt, str) else None,
    "messages": lambda row: _messages(row.sample),
    "context": lambda row: [{"passage_id": p.passage_id, "text": p.text} for p in row.sample.context],
    "response": lambda row: row.sample.response,
    "policy": lambda row: row.sample.policy,
    "gold_spans": lambda row: None if row.sample.gold_spans is None else _labelled_spans(row.sample.gold_spans),
    "meta": lambda row: list(row.sample.meta.items()),
    "source": lambda row: row.sample.source,
    "source_row": lambda row: row.sample.source_row,
    "response_token_ids": lambda row: row.sample.response_token_ids,
    "response_logprobs": lambda row: row.sample.response_logprobs,
    "tokenizer": lambda row: row.sample.tokenizer,
    "claims": lambda row: [_claim(claim) for claim in row.claims],
    "label_spans": lambda row: _labelled_spans(row.label_spans),
    "behaviour_logprobs": lambda row: row.behaviour_logprobs,
    "status": lambda row: row.status,
    "n_claims": lambda row: len(row.claims),
    "n_supported": _counter(SUPPORTED),
    "n_contradicted": _counter(CONTRADICTED),
    "n_unsupported": _counter(UNSUPPORTED),
    "n_unverified": _counter(None),
    "n_unmatched": lambda row: sum(claim.alignment == UNMATCHED for claim in row.claims),
    "n_conflicts": lambda row: row.conflicts,
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
