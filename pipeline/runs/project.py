"""`balto project`: the token labels of a label set for another tokenizer, from its stored spans. No engine runs."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config import LabelConfig
from pipeline.label_tokens import sampled_ids
from pipeline.runs import progress
from pipeline.runs.assemble import assemble, describe_config
from pipeline.runs.copy_labels import read_listed
from pipeline.runs.output_folder import close_output, open_output, refuse_own_input, workers_lock
from pipeline.runs.parts import run_parts, worker_pool
from pipeline.runs.show_progress import show_progress
from pipeline.stages import reject
from pipeline.storage.shard_files import done_path, is_finished, shard_report
from pipeline.storage.whole_files import write_file
from schemas.errors import RecordError, ShardError
from schemas.interruption import completing
from schemas.manifest import Manifest, ShardEntry, read_manifest, write_manifest
from schemas.records import LabelSpan, Rejected, TokenLabels
from schemas.rows import from_table, to_rejected_table, token_columns
from schemas.shards import SHARD_SCHEMA
from schemas.tokens import ResponseTokenizer, label_text, load_tokenizer

BATCH_ROWS = 512


def run_project(labels: Path, out: Path, tokenizer: str, workers: int, overwrite: bool) -> Manifest:
    """Project the label set `labels` into `out`; returns the new manifest. Resumable like `balto label`."""
    source = read_manifest(labels)
    refuse_own_input(out, [labels])
    try:
        config = LabelConfig(**{**source.config, "tokenizer": tokenizer})
    except TypeError as err:
        raise ShardError(f"{labels}: its manifest has options that this balto does not know ({err})") from err
    description = {**describe_config(config), "engines": dict(source.engines)}
    run = {"inputs": [{"path": str(labels), "content": source.content_hash()}], **description}
    with open_output(out, run, overwrite):
        pending = [shard for shard in source.shards if not is_finished(out, _name(shard))]
        rejects = f"project-{len(source.rejected)}"  # no copied file begins so: every projection copies more files
        work = functools.partial(_project_shard, labels=labels, out=out, tokenizer=tokenizer, rejects=rejects)
        rows = sum(shard.rows for shard in pending)
        parallel = min(workers, len(pending)) if rows >= 2 * BATCH_ROWS else 1
        with show_progress("projecting", rows), worker_pool(parallel, lock=workers_lock(out)) as pool:
            run_parts(pending, work, pool)
        reports = [json.loads(Path(done_path(str(out), _name(shard))).read_bytes()) for shard in source.shards]
        for entry in source.rejected:
            write_file(str(out / entry.path), read_listed(str(labels), entry))
        kept = [dataclasses.asdict(entry) for entry in source.rejected]
        manifest = assemble(reports, source.counts["read"], kept, source.rejected_by, description)
        manifest = dataclasses.replace(manifest, usage=source.usage, inputs=source.inputs)
        with completing():
            write_manifest(out, manifest)
        close_output(out)
    return manifest


def _name(shard: ShardEntry) -> str:
    return Path(shard.path).stem


def _project_shard(shard: ShardEntry, labels: Path, out: Path, tokenizer: str, rejects: str) -> None:
    """Write one shard anew.   rejects: what the name of its file of rejected records begins with."""
    table = read_shard(labels, shard)
    loaded = load_tokenizer(tokenizer)
    projected, rejected = [], []
    for start in range(0, len(table), BATCH_ROWS):
        rows, refused = project_table(table.slice(start, BATCH_ROWS), loaded)
        projected.append(rows)
        rejected += refused
        progress.advance(len(rows) + len(refused))
    name = _name(shard)
    shard_report(pa.concat_tables(projected), to_rejected_table(rejected), str(out), name, f"{rejects}-{name}")


def read_shard(labels: Path, shard: ShardEntry) -> pa.Table:
    """One shard's rows. Raises ShardError when it is not what the manifest says."""
    data = read_listed(str(labels), shard)
    return pq.read_table(pa.BufferReader(data), schema=SHARD_SCHEMA)


def project_table(table: pa.Table, tokenizer: ResponseTokenizer) -> tuple[pa.Table, list[Rejected]]:
    """The rows with token columns of `tokenizer`, and those whose sampled ids do not decode to their response."""
    tokens, logprobs, rejected, keep = [], [], [], []
    columns = ("response", "label_spans", "response_token_ids", "response_logprobs", "tokenizer")
    for index, row in enumerate(table.select(columns).to_pylist()):
        try:
            labels, stored = _project_row(row, tokenizer)
        except RecordError as err:
            (record,) = from_table(table.slice(index, 1))
            rejected.append(reject(record.sample, err.stage, err.reason))
            continue
        keep.append(index)
        tokens.append(labels)
        logprobs.append(stored)
    kept = table.take(keep) if rejected else table
    new = {
        **token_columns(tokens),
        "behaviour_logprobs": pa.array(logprobs, SHARD_SCHEMA.field("behaviour_logprobs").type),
    }
    arrays = [new[name] if name in new else kept[name] for name in SHARD_SCHEMA.names]
    return pa.table(arrays, SHARD_SCHEMA), rejected


def _project_row(row: dict[str, Any], tokenizer: ResponseTokenizer) -> tuple[TokenLabels, list[float] | None]:
    ids = sampled_ids(row["response_token_ids"], row["tokenizer"], tokenizer)
    spans = [LabelSpan(**span) for span in row["label_spans"]]
    labels = label_text(tokenizer, row["response"], spans, ids)
    return labels, None if ids is None else row["response_logprobs"]
