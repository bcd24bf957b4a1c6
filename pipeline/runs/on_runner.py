"""`balto label --runner ...`: the whole graph in one run of a Beam runner that shuffles by itself, such as Dataflow."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.close_label_set import Closing
from pipeline.config import LabelConfig
from pipeline.corpora import CorpusFile
from pipeline.graph import label_files
from pipeline.runs.beam_options import refuse_silent_service, runner_of
from pipeline.runs.copy_labels import read_manifest_at
from pipeline.runs.dataflow import is_dataflow, worker_processes
from pipeline.runs.label import Resources, ask_first, describe_run, run_identity
from pipeline.runs.output_bucket import close_bucket, open_bucket
from pipeline.runs.output_folder import close_output, open_output, refuse_own_input
from pipeline.runs.run_graph import new_pipeline, run_pipeline
from pipeline.storage.shard_files import DONE_FOLDER
from pipeline.storage.whole_files import is_local, join, remove_files, write_file
from schemas.errors import ConfigError
from schemas.interruption import completing
from schemas.manifest import WORK_FOLDER, Manifest
from schemas.tokens import BYTES, load_tokenizer

if TYPE_CHECKING:  # it loads the client of a language model
    from pipeline.runs.asking import Asking

TOKENIZER_FILE: Final = "tokenizer.json"
log = logging.getLogger(__name__)


def run_label_on_runner(
    files: Sequence[CorpusFile],
    out: str,
    config: LabelConfig,
    resources: Resources,
    overwrite: bool,
    asking: Asking | None = None,
) -> Manifest | None:
    """Label `files` in one run of the Beam runner named in `beam_args`; nothing is split first.

    Returns the manifest; None when the job was only described (a template), not run.
    """
    out = str(out)
    run = run_identity(files, config)
    refuse_own_input(out, [path for file in files for path in (file.path, *file.companions)])
    refuse_silent_service(resources.beam_args)
    pipeline = new_pipeline(None, resources.beam_args)
    with _open(out, run, overwrite) as token:
        remove_files(join(out, WORK_FOLDER, DONE_FOLDER))  # of an earlier attempt: this one does all of it
        asking = _asking_on(asking, out, resources.beam_args)
        ask_first(files, config, asking, Path(out))
        closing = Closing(out, describe_run(files, config), token, asking)
        label_files(pipeline, list(files), config, closing, _carry_tokenizer(config, out))
        if not run_pipeline(pipeline):
            return None
        with completing():  # by its last stage
            manifest = read_manifest_at(out)
        close_output(Path(out)) if is_local(out) else close_bucket(out)
    return manifest


@contextlib.contextmanager
def _open(out: str, run: Mapping[str, Any], overwrite: bool) -> Iterator[str]:
    """Hold the output; yields the run's token, empty where a lock holds it."""
    if is_local(out):
        with open_output(Path(out), run, overwrite):
            yield ""
    else:
        with open_bucket(out, run, overwrite) as token:
            yield token


def _asking_on(asking: Asking | None, out: str, beam_args: Sequence[str]) -> Asking | None:
    if asking is None:
        return None
    if is_local(out):  # the workers share this disk
        return dataclasses.replace(asking.over(1, Path(out)), delimiter_key=None)
    if asking.batch_api:
        raise ConfigError("--batch-api: batches are kept beside a local --out; fill the cache from one machine first")
    return asking.on_workers(_processes(beam_args))


def _processes(beam_args: Sequence[str]) -> int:
    """Over how many processes the run's limits are divided; other runners than Dataflow do not say."""
    if is_dataflow(runner_of(beam_args)):
        return worker_processes(beam_args)
    log.warning("--concurrency and the limits per minute hold for every worker process: divide them yourself")
    return 1


def _carry_tokenizer(config: LabelConfig, out: str) -> str:
    """Where the workers find the tokenizer: none of them need have the file, or reach the hub."""
    if config.tokenizer == BYTES:
        return ""
    path = join(out, WORK_FOLDER, TOKENIZER_FILE)
    write_file(path, load_tokenizer(config.tokenizer).tokenizer.to_str().encode())
    return path
