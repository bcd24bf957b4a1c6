"""Label sets for tests: written row group by row group from records, or by the pipeline itself."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from schemas.manifest import Manifest, ShardEntry, write_manifest
from schemas.records import LABELLED, LabelledResponse, LabelSpan, Passage, Sample, TokenLabels
from schemas.rows import to_table
from schemas.tokens import fingerprint, project_spans


def make_rows(
    tokenizer: Any, groups: int, responses: int = 2, name: str = "g", seed: int = 0
) -> list[LabelledResponse]:
    """Rows of `groups` prompt groups, lengths varying from group to group, one right and one wrong sentence each."""
    rows = []
    for group in range(groups):
        length = 1 + 7 * group % 5
        context = (Passage("p1", f"Bridge {group} was opened in {1800 + group}. " * length),)
        for number in range(responses):
            text = f"It was opened in {1800 + group}. " * (1 + (group + number) % 3) + "It is red."
            rows.append(_row(tokenizer, f"{name}{group:05d}", f"{name}{group:05d}-{number}", context, text))
    return rows


def _row(tokenizer: Any, group_id: str, row_id: str, context: tuple[Passage, ...], text: str) -> LabelledResponse:
    spans = (LabelSpan(0, len(text) - 11, 1), LabelSpan(len(text) - 10, len(text), -1))
    sample = Sample(row_id, group_id, "Tell me about the bridge.", context, text)
    return LabelledResponse(sample, (), spans, _tokens(tokenizer, text, spans), LABELLED)


def _tokens(tokenizer: Any, text: str, spans: tuple[LabelSpan, ...]) -> Any:
    encoding = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
    offsets = np.array(encoding.offsets, np.int32).reshape(-1, 2)
    labels = project_spans(text, offsets[:, 0], offsets[:, 1], spans)
    return TokenLabels(np.array(encoding.ids, np.int32), offsets[:, 0], offsets[:, 1], labels)


def write_label_set(
    folder: Path, rows: list[LabelledResponse], tokenizer: Any, shards: int = 1, rows_per_row_group: int = 8
) -> Path:
    """A label set of these rows (groups adjacent, `rows_per_row_group` a multiple of their size), in `shards` files."""
    (folder / "shards").mkdir(parents=True)
    entries = []
    per_shard = -(-len(rows) // shards // rows_per_row_group) * rows_per_row_group
    for shard in range(shards):
        table = to_table(rows[shard * per_shard : (shard + 1) * per_shard])
        path = folder / "shards" / f"part-{shard:05d}-of-{shards:05d}.parquet"
        pq.write_table(table, path, compression="zstd", row_group_size=rows_per_row_group, write_page_checksum=True)
        entries.append(_entry(path, table))
    total = sum(entry.rows for entry in entries)
    write_manifest(
        folder,
        Manifest(
            counts={"read": total, "labelled": total, "rejected": 0},
            shards=tuple(entries),
            rejected=(),
            rejected_by={},
            claims={},
            config={},
            engines={},
            tokenizer={"name": "made-here", "fingerprint": fingerprint(tokenizer.backend_tokenizer)},
        ),
    )
    return folder


def _entry(path: Path, table: Any) -> ShardEntry:
    data = path.read_bytes()
    groups = len(set(table["group_id"].to_pylist()))
    tokens = sum(table["n_tokens"].to_pylist())
    sha256 = hashlib.sha256(data).hexdigest()
    return ShardEntry(f"shards/{path.name}", len(table), groups, tokens, 0, 0, len(data), sha256)


def flip_byte(path: Path, row_group: int, column: str) -> None:
    """Damage one column chunk of a row group in place: same size, another content."""
    chunk = next(
        chunk
        for chunk in map(pq.read_metadata(path).row_group(row_group).column, range(pq.read_metadata(path).num_columns))
        if chunk.path_in_schema.startswith(column)
    )
    data = bytearray(path.read_bytes())
    at = (chunk.dictionary_page_offset or chunk.data_page_offset) + chunk.total_compressed_size - 3
    data[at] ^= 0xFF
    path.write_bytes(bytes(data))
