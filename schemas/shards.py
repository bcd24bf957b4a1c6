"""The Parquet schema of a label set's shards. `schemas.rows` turns records into its columns and back.

One row is one LabelledResponse. Rows of a prompt group stand together, sorted by (group_id, id), and never cross
a row group, so a reader that takes row groups takes whole prompt groups. `MEANING` and `CLAIM_MEANING` say what every
column and every field of a claim hold; the same words are stored in the file as field metadata.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

SCHEMA_VERSION: Final = 1

# The fields of a claim, each with its meaning; `schemas.records.Claim` says more.
CLAIM_MEANING: Final = {
    "claim_id": "unique within the response",
    "text": "the claim on its own, decontextualised",
    "quotes": "pieces of the response that it was taken from",
    "sentence_ids": "0-based sentences of the response that it was taken from",
    "spans": "characters of the response where it stands; none: it was not found",
    "alignment": "how it was found: exact | folded | fuzzy | unmatched",
    "verdict": "supported | contradicted | unsupported; null exactly when status is not ok",
    "status": "ok | unverified: REASON",
    "score": "P(supported) in [0, 1]; null: the verifier gives none",
    "error_spans": "the wrong words inside spans, when the verifier could name them",
    "evidence": "characters of passages that the verdict rests on",
    "reason": "why, in the verifier's words",
    "extractor": "engine and version that found the claim",
    "verifier": "engine and version that judged it",
    "prompt_version": "of the prompts that a language model was asked with; empty: none was",
}


def _struct(*fields: tuple[str, pa.DataType, str]) -> pa.StructType:
    """A struct of (name, type, meaning); the meaning is stored with the field."""
    return pa.struct([pa.field(name, type_, metadata={"description": meaning}) for name, type_, meaning in fields])


_START = ("start", pa.int32(), "first character, counted in Unicode code points")
_END = ("end", pa.int32(), "the character after the last one")
_PASSAGE_ID = ("passage_id", pa.string(), "names the passage within its record")
_SPAN = _struct(_START, _END)
_GOLD_SPAN = _struct(_START, _END, ("label", pa.string(), "what the person called it"))
_LABEL_SPAN = _struct(_START, _END, ("label", pa.int8(), "+1 supported, -1 unsupported or contradicted"))
_MESSAGE = _struct(("role", pa.string(), "who speaks: system, user, assistant"), ("content", pa.string(), "the text"))
_PASSAGE = _struct(_PASSAGE_ID, ("text", pa.string(), "the text"))
_EVIDENCE = _struct(_PASSAGE_ID, _START, _END)
_CLAIM_TYPES: Final = {
    "quotes": pa.list_(pa.string()),
    "sentence_ids": pa.list_(pa.int32()),
    "spans": pa.list_(_SPAN),
    "score": pa.float64(),
    "error_spans": pa.list_(_SPAN),
    "evidence": pa.list_(_EVIDENCE),
}
_CLAIM = _struct(*((name, _CLAIM_TYPES.get(name, pa.string()), meaning) for name, meaning in CLAIM_MEANING.items()))

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
    ("n_doubtful", pa.int32(), False, "claims with a verdict whose score is too uncertain to label tokens"),
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
# Columns that count something of a record: its claims, and its tokens.
TOKEN_COUNTS: Final = tuple(name for name, *_ in _COLUMNS if name.startswith("n_tokens"))
CLAIM_COUNTS: Final = tuple(name for name, *_ in _COLUMNS if name.startswith("n_") and name not in TOKEN_COUNTS)

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
