"""Build and run Beam pipelines of the labelling graph; what goes wrong inside Beam becomes one clear line."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.config import LabelConfig
from pipeline.graph import label_buckets
from pipeline.runs.beam_options import LOCAL_RUNNER, runner_of
from schemas.errors import BaltoError, ConfigError

if TYPE_CHECKING:
    from pipeline.runs.asking import Asking

LOSES_DATA = {"DaskRunner"}  # measured with Beam 2.77: outputs are not separated, finish_bundle's are dropped
OUR_ERRORS = ("pipeline.llm.", "schemas.errors.")  # how Beam names the class of an exception of ours
log = logging.getLogger(__name__)


def run_buckets(
    folder: str,
    buckets: list[int],
    duplicates: dict[int, str],
    config: LabelConfig,
    out: str,
    beam_args: Sequence[str],
    asking: Asking | None = None,
) -> None:
    """One local run over a few buckets; see `label_buckets`."""
    pipeline = new_pipeline(LOCAL_RUNNER, beam_args)
    label_buckets(pipeline, folder, buckets, duplicates, config, out, asking)
    run_pipeline(pipeline)


def new_pipeline(runner: str | None, beam_args: Sequence[str]) -> beam.Pipeline:
    """A pipeline for `runner`, or for the one that `beam_args` name. Raises ConfigError for one that cannot be used."""
    named = runner or runner_of(beam_args) or LOCAL_RUNNER
    if named.rpartition(".")[2] in LOSES_DATA:
        raise ConfigError(
            f"--runner {named}: it loses tagged outputs and still reports success; use {LOCAL_RUNNER} or DataflowRunner"
        )
    try:
        return beam.Pipeline(runner=runner, options=PipelineOptions(list(beam_args)))
    except ValueError as err:  # an unknown runner, or options that do not go with it
        raise ConfigError(f"--runner {named}: {' '.join(str(err).split())}") from err


def run_pipeline(pipeline: beam.Pipeline) -> None:
    """Run it to its end. Raises BaltoError with Beam's reason when it fails."""
    try:
        state = pipeline.run().wait_until_finish()
    except BaltoError as err:  # of a step in this process; Beam adds where it was running
        kind = ConfigError if isinstance(err, ConfigError) else BaltoError
        raise kind(str(err).partition(" [while running")[0]) from err
    except RuntimeError as err:  # Beam hands on a worker's exception as text
        log.debug("%s", err)
        last = next((line for line in reversed(str(err).splitlines()) if line.strip()), "no reason given")
        if last.startswith("KeyboardInterrupt"):
            raise KeyboardInterrupt from err
        reason = last.partition(" [while running")[0]
        if reason.startswith(OUR_ERRORS):  # what stops a run on purpose says itself how to go on
            raise BaltoError(reason.partition(": ")[2]) from err
        raise BaltoError(f"the Beam run failed: {reason}; once that is mended, the same command resumes it") from err
    if state != "DONE":
        raise BaltoError(f"the Beam run ended as {state}; the same command resumes it")
