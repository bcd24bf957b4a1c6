"""Build and run Beam pipelines of the labelling graph; what goes wrong inside Beam becomes one clear line."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.config import LabelConfig
from pipeline.graph import label_buckets
from pipeline.runs.beam_options import LOCAL_RUNNER, runner_of
from schemas.errors import BaltoError, ConfigError, one_line

if TYPE_CHECKING:
    from pipeline.runs.asking import Asking

# Runners that end as DONE without having done the work, and how we know.
LOSES_DATA = {
    "DaskRunner": "it mixes up tagged outputs and drops what a bundle hands out at its end, and reports success",
}
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
    reason = LOSES_DATA.get(named.rpartition(".")[2])
    if reason is not None:
        raise ConfigError(f"--runner {named}: {reason}; use {LOCAL_RUNNER} or DataflowRunner")
    try:
        return beam.Pipeline(runner=runner, options=PipelineOptions(list(beam_args)))
    except ValueError as err:  # an unknown runner, or options that do not go with it
        raise ConfigError(f"--runner {named}: {one_line(err)}") from err


def run_pipeline(pipeline: beam.Pipeline) -> bool:
    """Run it to its end; False when it was only described (a template) and somebody else will run it.

    Raises BaltoError with Beam's reason when it fails.
    """
    try:
        result = pipeline.run()
        if not getattr(result, "has_job", True):
            return False
        state = _wait(result)
    except BaltoError as err:  # of a step in this process; Beam adds where it was running
        kind = ConfigError if isinstance(err, ConfigError) else BaltoError
        raise kind(_without_step(str(err))) from err
    except Exception as err:  # Beam hands on a worker's exception as text, in an exception of its own
        if isinstance(err, grpc.RpcError):
            raise BaltoError(_of_service(err)) from err
        if not (isinstance(err, RuntimeError) or type(err).__module__.startswith(("apache_beam.", "google."))):
            raise
        log.debug("%s", err)
        last = next((line for line in reversed(str(err).splitlines()) if line.strip()), "no reason given")
        if last.startswith("KeyboardInterrupt"):
            raise KeyboardInterrupt from err
        reason = _without_step(last)
        if reason.startswith(OUR_ERRORS):  # what stops a run on purpose says itself how to go on
            raise BaltoError(reason.partition(": ")[2]) from err
        raise BaltoError(f"the Beam run failed: {reason}; once that is mended, the same command resumes it") from err
    if state != "DONE":
        raise BaltoError(f"the Beam run ended as {state}; the same command resumes it")
    return True


def _wait(result: Any) -> str:
    """Wait for the end. A job in the cloud goes on when nobody waits for it any more, and that is said."""
    job_id = result.job_id() if isinstance(getattr(result, "has_job", None), bool) else None
    if job_id:
        log.info("job %s is submitted; `gcloud dataflow jobs show %s` tells how it is doing", job_id, job_id)
    try:
        return result.wait_until_finish()
    except KeyboardInterrupt:
        if job_id:
            log.warning("the job goes on without this command; `gcloud dataflow jobs cancel %s` ends it", job_id)
        raise


def _of_service(err: grpc.RpcError) -> str:
    """What is said when the connection to a portable runner's job service fails; its own text has several lines."""
    status = err.code().name if isinstance(err, grpc.Call) else type(err).__name__
    return (
        f"the job service (--job_endpoint) ended the conversation: {status}. See whether it and its workers run "
        "(its log says what they lack); then the same command resumes"
    )


def _without_step(message: str) -> str:
    """A message without the step of the graph that Beam puts behind it."""
    return message.partition(" [while running")[0]
