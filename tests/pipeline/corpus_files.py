"""Small corpus files for tests, and the two ways of reading them: with rejections, or sure that there are none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.corpora import open_corpus, read_corpus_file
from schemas.errors import ConfigError
from schemas.records import Rejected, Sample

BALTO = {"id": "r1", "prompt": "Who?", "context": ["Ada."], "response": "Ada did."}


def write(path: Path, *records: object) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(r if isinstance(r, bytes) else orjson.dumps(r) + b"\n" for r in records))
    return str(path)


def write_table(path: Path, rows: list[dict], schema: pa.Schema | None = None) -> str:
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return str(path)


def read_all(*patterns: str, format: str | None = None, **limits: int) -> list[Sample | Rejected]:
    return [item for file in open_corpus(patterns, format) for item in read_corpus_file(file, **limits)]


def samples(*patterns: str, format: str | None = None) -> list[Sample]:
    items = read_all(*patterns, format=format)
    assert [item for item in items if isinstance(item, Rejected)] == []
    return [item for item in items if isinstance(item, Sample)]


def refusal(*patterns: str, format: str | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        open_corpus(patterns, format)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def rejections(items: Sequence[Sample | Rejected]) -> list[tuple[int, str]]:
    return [(item.source_row, item.reason) for item in items if isinstance(item, Rejected)]
