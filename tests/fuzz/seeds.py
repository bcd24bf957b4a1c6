"""Well-formed inputs of every target, to be mutated; a fuzzer that starts from nothing never leaves the first check."""

from __future__ import annotations

import functools
import gzip
import io
import json
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from tests.fuzz.targets import SEPARATOR
from tests.rows import small_corpus

_SOURCE = {"source_id": "1", "task_type": "QA", "source_info": {"question": "Q", "passages": "p"}}
_RAGTRUTH = {
    "id": "1",
    "source_id": "1",
    "model": "m",
    "labels": [],
    "split": "train",
    "quality": "good",
    "response": "r",
}
_FACTSCORE = {
    "prompt": "q",
    "context": ["a"],
    "response": "Ada.",
    "sentences": [{"sentence": "Ada.", "start": 0, "end": 4}],
}
_CONFIQA = {"question": "Q", "orig_context": "a", "cf_context": "b", "orig_answer": "a", "cf_answer": "b"}
_FULL = {
    "id": "r1",
    "group_id": 7,
    "prompt": [{"role": "user", "content": "Who?"}],
    "context": [{"passage_id": "p1", "text": "Ada was born in 1815. 👍"}],
    "response": "Ada was born in 1815.\r\nShe is not dead.",
    "policy": "m",
    "response_token_ids": [1, 2],
    "response_logprobs": [-0.5, None],
    "tokenizer": "bytes",
    "gold_spans": [{"start": 0, "end": 3, "label": "x"}],
    "meta": {"a": 1.5, "b": None},
}
_FOREIGN = {
    "conversations": [{"from": "human", "value": "Who?"}, {"from": "gpt", "parts": [{"type": "text", "text": "Ada."}]}],
    "source_documents": [
        {"kwargs": {"page_content": "Ada.", "metadata": {"title": "Life"}}},
        {"text": "Bob.", "id": 1},
    ],
    "completion": [{"role": "assistant", "content": "Ada did."}],
    "model": "m7",
    "tags": ["a"],
}
_TABLE = (
    b'id,question,context,answer,meta\n1,"Who, then?","[""Ada."", ""Bob.""]",Ada.,"{""a"": 1}"\n2,Why?,Cyd.,"x\ny",\n'
)
_ENTRY = {"path": "shards/a.parquet", "rows": 1, "groups": 1, "tokens": 1, "tokens_supported": 0}
_MANIFEST = {
    "counts": {"read": 2, "labelled": 1, "rejected": 1},
    "shards": [_ENTRY | {"tokens_unsupported": 0, "bytes": 1, "sha256": "0"}],
    "rejected": [{"path": "rejected/a.parquet", "rows": 1, "bytes": 1, "sha256": "0"}],
    "rejected_by": {"read: x": 1},
    "claims": {"verdict": {"supported": 1}},
    "config": {"num_shards": 1},
    "engines": {"extractor": "rules/1"},
    "tokenizer": {"name": "bytes", "fingerprint": "0"},
    "usage": {},
    "inputs": [{"path": "a", "format": "balto", "bytes": 1}],
    "balto_version": "",
    "schema_version": 1,
}
_CLAIMS = {"claims": [{"sentences": [1], "quotes": ["Ada was born"], "claim": "Ada was born in 1815"}]}
_ANSWERS = {"answers": [{"id": "c1", "evidence": ["a"], "reason": "r", "verdict": "supported", "wrong_words": ["b"]}]}
_COMPLETION = {
    "choices": [{"finish_reason": "stop", "message": {"content": json.dumps(_CLAIMS), "refusal": None}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}},
}
_BATCH = {"custom_id": "extract.AAAA", "response": {"status_code": 200, "body": _COMPLETION}, "error": None}


def _lines(*records: object) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def _parquet(records: Sequence[dict]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(records)), sink, compression="zstd")
    return sink.getvalue()


@functools.cache
def seeds(target: str) -> tuple[bytes, ...]:
    """A few inputs that the target accepts."""
    corpus = small_corpus(2)
    lines = _lines(*corpus)
    return {
        "corpus": (
            lines,
            gzip.compress(lines, mtime=0),
            json.dumps(corpus, indent=1).encode(),
            _parquet(corpus),
            _lines(_FULL, {**_FULL, "id": "r2"}),
            _lines(_FACTSCORE),
            _lines(_CONFIQA),
            _lines(_RAGTRUTH),
            _lines(_SOURCE),
            _lines(_FOREIGN, {**_FOREIGN, "completion": None}),
            _TABLE,
            _TABLE.replace(b",", b"\t"),
        ),
        "sample": (json.dumps(_FULL).encode(), json.dumps(corpus[0]).encode()),
        "manifest": (json.dumps(_MANIFEST).encode(),),
        "reply": (
            _lines(_COMPLETION),
            _lines(_BATCH),
            b'["ok","text","",[1,2,3]]',
            b'{"error":{"code":1}}',
            b"120",
            b"Wed, 21 Oct 2015 07:28:00 GMT",
        ),
        "answer": (
            _lines(_CLAIMS),
            _lines(_ANSWERS),
            b"<think>{}</think>```json\n" + _lines(_CLAIMS) + b"```",
        ),
        "locate": tuple(
            SEPARATOR.join(piece.encode() for piece in pieces)
            for pieces in (
                ("Ada was born in 1815. She did not die.\n- a\n- b", "Ada was born", "born in 1815", "not die", "She"),
                ("“Quoted” text… 5% of it, e.g. Dr. No. 3.5 km", '"Quoted" text...', "five percent of it", "3.5 km"),
            )
        ),
        "project": (b"\x00\x40\x80\xff" + SEPARATOR + "Ada was born 👍🏽 e\u0301.\r\n".encode(),),
    }[target]
