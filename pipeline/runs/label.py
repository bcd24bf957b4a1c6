"""`balto label` on this machine: corpus files -> a label set, in bounded memory, resumable.

Beam is imported where it runs: with several workers not here, where it would only delay them by seconds.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config import LabelConfig
from pipeline.corpora import CorpusFile, corpus_size_bytes
from pipeline.engines import LLM, NLI
from pipeline.runs import progress
from pipeline.runs.assemble import assemble, describe_config
from pipeline.runs.output_folder import close_output, open_output, refuse_own_input, workers_lock
from pipeline.runs.parts import run_parts, worker_pool
from pipeline.runs.show_progress import show_progress
from pipeline.runs.split_corpus import BUCKET_FOLDER, Split, split_corpus
from pipeline.storage.shard_files import DONE_FOLDER, is_finished, shard_name
from pipeline.storage.whole_files import file_facts
from schemas.errors import ConfigError
from schemas.interruption import completing
from schemas.manifest import WORK_FOLDER, Manifest, write_manifest

if TYPE_CHECKING:
    from pipeline.runs.asking import Asking

SHARD_BYTES = 16 << 20  # of corpus per shard: bounds the memory of a worker
MOST_SHARDS = 99_996  # their names have five digits
PARALLEL_BYTES = 8 << 20  # of corpus; fewer are labelled sooner than a second process has started
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Resources:
    """How to run; nothing here changes a row. workers: processes.   buckets_per_run: shards per Beam run, which
    bounds memory.   beam_args: options handed to Beam as they are."""

    workers: int = 1
    buckets_per_run: int = 1
    beam_args: tuple[str, ...] = ()


def default_shards(corpus_bytes: int) -> int:
    """How many shards a corpus of that size gets; known before a record is read, and no option of speed changes it.

    One as long as a second process would not pay. Several are a multiple of four: with two or four workers, none is
    left with a shard while the others are done.
    """
    if corpus_bytes < PARALLEL_BYTES:
        return 1
    return min(-(-corpus_bytes // (4 * SHARD_BYTES)) * 4, MOST_SHARDS)


def run_label(
    files: Sequence[CorpusFile],
    out: Path,
    config: LabelConfig,
    resources: Resources,
    overwrite: bool,
    asking: Asking | None = None,
    is_last: bool = True,
) -> Manifest:
    """Label `files` into `out` and return the manifest. Resumes an unfinished run of the same command.

    asking: how the language model is asked, when the config asks one.   is_last: whether the command is done with the
    label set; what is still to be sent elsewhere may be interrupted.
    """
    run = run_identity(files, config)
    refuse_own_input(out, [path for file in files for path in (file.path, *file.companions)])
    with open_output(out, run, overwrite) as resuming:
        if resuming:
            log.info("resuming the unfinished run in %s", out)
        workers = _parallel_workers(files, config.num_shards, resources)
        config = config.shared_by(workers)
        asking = asking.over(workers, out) if asking else None
        if asking:
            asking.begin()
        ask_first(files, config, asking, out)
        with worker_pool(workers, ["pipeline.runs.run_graph"], workers_lock(out)) as pool:
            with show_progress("reading", None):
                split = split_corpus(files, out, config.num_shards)
            names = {one: shard_name(one, config.num_shards) for one in sorted(split.buckets)}
            pending = [one for one, name in names.items() if not is_finished(out, name)]
            size = resources.buckets_per_run
            groups = [pending[start : start + size] for start in range(0, len(pending), size)]
            work = functools.partial(
                _label_group, out=out, config=config, split=split, beam_args=resources.beam_args, asking=asking
            )
            spent = asking.watch() if asking else None
            with show_progress("labelling", sum(split.buckets[one] for one in pending), slow_stages(config), spent):
                run_parts(groups, work, pool, asking.stop if asking else None)
        reports = [json.loads(_done(out, bucket, config.num_shards).read_bytes()) for bucket in sorted(split.buckets)]
        usage = asking.usage() if asking else None
        of_run = describe_run(files, config)
        manifest = assemble(reports, split.read, split.rejected, split.rejected_by, of_run, usage)
        with completing() if is_last else contextlib.nullcontext():
            write_manifest(out, manifest)
        close_output(out)
    return manifest


def ask_first(files: Sequence[CorpusFile], config: LabelConfig, asking: Asking | None, out: Path) -> None:
    """With --batch-api: everything that the run will ask goes out as batches before it begins."""
    if asking is not None and asking.batch_api:
        from pipeline.runs.ask_in_batches import ask_in_batches

        ask_in_batches(files, config, asking, out)


def slow_stages(config: LabelConfig) -> list[str]:
    """The stages that wait for a model, by their names; without one, none is worth watching by itself."""
    if config.labels != "claims":
        return []
    engines = {progress.EXTRACTED: config.extractor, progress.VERIFIED: config.verifier}
    return [stage for stage, engine in engines.items() if engine == LLM or engine.startswith(NLI)]


def _parallel_workers(files: Sequence[CorpusFile], num_shards: int, resources: Resources) -> int:
    """How many processes are worth starting, before it is known what there is to do."""
    if corpus_size_bytes(files) < PARALLEL_BYTES:
        return 1
    return min(resources.workers, -(-num_shards // resources.buckets_per_run))


def _label_group(
    buckets: list[int],
    out: Path,
    config: LabelConfig,
    split: Split,
    beam_args: Sequence[str],
    asking: Asking | None,
) -> None:
    """One Beam run over a few buckets."""
    from pipeline.runs.run_graph import run_buckets

    folder = str(out / WORK_FOLDER / BUCKET_FOLDER)
    run_buckets(folder, buckets, split.duplicates, config, str(out), beam_args, asking)


def _done(out: Path, bucket: int, num_shards: int) -> Path:
    return out / WORK_FOLDER / DONE_FOLDER / f"{shard_name(bucket, num_shards)}.json"


def describe_run(files: Sequence[CorpusFile], config: LabelConfig) -> dict[str, Any]:
    """What the manifest says of the run: config, engines, tokenizer, and the corpus files."""
    inputs = tuple({"path": file.path, "format": file.format, "bytes": file.size_bytes} for file in files)
    return {**describe_config(config), "inputs": inputs}


def run_identity(files: Sequence[CorpusFile], config: LabelConfig) -> dict[str, Any]:
    """All that decides the result of a run, as JSON values; equal for the run that resumes it."""
    return {"inputs": [file_identity(file) for file in files], **describe_config(config)}


def file_identity(file: CorpusFile) -> dict[str, Any]:
    """What tells whether a resumed run reads the same file, and the same companions."""
    path, *companions = map(_stamp, (file.path, *file.companions))
    return {"format": file.format, **path, "companions": companions}


def _stamp(path: str) -> dict[str, Any]:
    facts = file_facts(path)
    if facts is None:
        raise ConfigError(f"{path}: was there a moment ago and is gone; start again")
    return {"path": path, "bytes": facts.size_bytes, "modified_ns": facts.modified_ns}
