"""Where a `balto label` runs: here into a folder, here and then into a bucket, or on a Beam runner."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.config import LabelConfig
from pipeline.corpora import CorpusFile, assumed_corpus
from pipeline.runs.beam_options import LOCAL_RUNNER
from pipeline.runs.dataflow import check_dataflow, check_transport, for_dataflow, is_dataflow
from pipeline.runs.label import Resources, run_identity, run_label
from pipeline.runs.output_folder import refuse_occupied
from pipeline.runs.show_progress import show_progress
from pipeline.storage.whole_files import is_local, remove_files
from schemas.errors import ConfigError
from schemas.manifest import Manifest

if TYPE_CHECKING:
    from pipeline.llm.transport import Transport

BUCKETS_KEPT: Final = Path("balto", "runs")  # under the user's cache folder: what goes to a bucket is made here first


def beam_args_for(runner: str, beam_args: Sequence[str], corpora: Sequence[str], out: str) -> tuple[str, ...]:
    """The Beam options of a run, completed and checked before a file is opened."""
    if not is_dataflow(runner):
        return tuple(beam_args)
    check_dataflow(beam_args, corpora, out)
    return for_dataflow(beam_args)


def start_label(
    files: Sequence[CorpusFile],
    out: str,
    config: LabelConfig,
    resources: Resources,
    runner: str,
    overwrite: bool,
    transport: Transport | None,
    batch_api: bool = False,
) -> Manifest | None:
    """Label `files` into `out`. Returns the manifest; None when a job was only described, for others to run."""
    here = runner == LOCAL_RUNNER
    if transport is not None and not here and not is_local(out):
        check_transport(transport, runner)
    if is_local(out):
        refuse_occupied(Path(out), overwrite)
    else:
        from pipeline.runs.output_bucket import refuse_occupied_bucket

        refuse_occupied_bucket(out, overwrite)
    made_in = Path(out) if is_local(out) else _staging(out)
    asking = None
    if transport is not None:
        from pipeline.runs.asking import prepare_asking

        asking = prepare_asking(transport, made_in, config.context_window, batch_api)
    if not here:
        from pipeline.runs.on_runner import run_label_on_runner

        return run_label_on_runner(files, out, config, resources, overwrite, asking)
    if is_local(out):
        return run_label(files, made_in, config, resources, overwrite, asking)
    return _label_for_bucket(files, out, made_in, config, resources, overwrite, asking)


def _label_for_bucket(
    files: Sequence[CorpusFile],
    out: str,
    made_in: Path,
    config: LabelConfig,
    resources: Resources,
    overwrite: bool,
    asking: Any,
) -> Manifest:
    """Label into a folder of this machine, with all that it takes to resume, then send the result to its bucket."""
    from pipeline.runs.copy_labels import send_files
    from pipeline.runs.output_bucket import close_bucket, open_bucket
    from pipeline.runs.output_folder import refuse_own_input
    from pipeline.storage.turns import check_turn

    refuse_own_input(out, [path for file in files for path in (file.path, *file.companions)])
    run = run_identity(files, config)
    with open_bucket(out, run, overwrite) as token:
        manifest = run_label(files, made_in, config, resources, True, asking, is_last=False)
        with show_progress("sending", manifest.counts["read"]):
            send_files(manifest, str(made_in), out, lambda: check_turn(out, token))
        close_bucket(out)
    remove_files(str(made_in))
    return manifest


def _staging(out: str) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / BUCKETS_KEPT / hashlib.sha256(out.encode()).hexdigest()[:16]


def describe_job(
    corpora: Sequence[str],
    format: str | None,
    out: str,
    config: LabelConfig,
    runner: str,
    beam_args: Sequence[str],
    transport: Transport | None,
) -> dict[str, Any]:
    """The job that `runner` would get. Nothing is read, asked or sent."""
    if runner == LOCAL_RUNNER:
        raise ConfigError("--dry-run: describes the job of a --runner; without one, run on a few records instead")
    from pipeline.runs.dry_run import assumed_transport, dry_run

    asking = None
    if transport is not None:
        from pipeline.runs.asking import Asking

        if not is_local(out):
            check_transport(transport, runner)
        asking = Asking(assumed_transport(transport), None)
    return dry_run(assumed_corpus(corpora, format), out, config, runner, beam_args, asking)
