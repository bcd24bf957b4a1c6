"""`balto label --dry-run`: the job that a runner would get, built, checked and described.

Nothing is read, asked or sent. The graph is built for real and turned into the message that a runner takes. What cannot
be known without looking is assumed: that the corpus is there, in the format that was named.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from apache_beam.internal import pickler
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api

from pipeline.close_label_set import Closing
from pipeline.config import LabelConfig
from pipeline.corpora import CorpusFile
from pipeline.graph import label_files
from pipeline.runs.assemble import describe_config
from pipeline.runs.dataflow import is_dataflow, worker_processes
from pipeline.runs.on_runner import TOKENIZER_FILE
from pipeline.runs.run_graph import new_pipeline
from pipeline.storage.whole_files import is_local, join
from schemas.errors import ConfigError
from schemas.manifest import WORK_FOLDER
from schemas.tokens import BYTES

if TYPE_CHECKING:
    from pipeline.runs.asking import Asking

MAX_JOB_BYTES: Final = 10 << 20  # what Dataflow takes in one request
_PAR_DO: Final = "beam:transform:pardo:v1"


def dry_run(
    files: Sequence[CorpusFile],
    out: str,
    config: LabelConfig,
    runner: str,
    beam_args: Sequence[str],
    asking: Asking | None,
) -> dict[str, Any]:
    """Build the job and describe it: {runner, out, steps, functions, job_bytes, image, python, staged, processes}.

    python: minor version that the workers' image must have, since functions are pickled by this one.
    """
    proto = build_job(files, out, config, runner, beam_args, asking)
    if proto.ByteSize() > MAX_JOB_BYTES:
        raise ConfigError(f"the job takes {proto.ByteSize()} bytes, Dataflow {MAX_JOB_BYTES}; name fewer corpus files")
    environment = environment_of(proto)
    return {
        "runner": runner,
        "out": out,
        "steps": steps_of(proto),
        "functions": len(functions_of(proto)),
        "job_bytes": proto.ByteSize(),
        "image": environment[0],
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "staged": environment[1],
        "processes": worker_processes(beam_args) if asking and is_dataflow(runner) else None,
    }


def build_job(
    files: Sequence[CorpusFile],
    out: str,
    config: LabelConfig,
    runner: str,
    beam_args: Sequence[str],
    asking: Asking | None,
) -> api.Pipeline:
    """The job as the runner gets it; for Dataflow, as its own client builds and validates it without an account."""
    dataflow = is_dataflow(runner)
    pipeline = new_pipeline(None, (*beam_args, "--dry_run=True", "--no_auth") if dataflow else beam_args)
    if asking is not None:
        asking = asking.on_workers(worker_processes(beam_args) if dataflow else 1)
    closing = Closing(out, {**describe_config(config), "inputs": ()}, "" if is_local(out) else "dry-run", asking)
    tokenizer_file = "" if config.tokenizer == BYTES else join(out, WORK_FOLDER, TOKENIZER_FILE)
    label_files(pipeline, list(files), config, closing, tokenizer_file)
    if dataflow:
        job: Any = pipeline.run()
        return job.job.proto_pipeline
    return pipeline.to_runner_api()


def steps_of(proto: api.Pipeline) -> list[str]:
    """The top of the graph: what its author named, in order."""
    (root,) = proto.root_transform_ids
    transforms = proto.components.transforms
    return [transforms[name].unique_name for name in transforms[root].subtransforms]


def functions_of(proto: api.Pipeline) -> dict[str, Any]:
    """Every DoFn of the job as a worker would unpickle it, by the name of its step."""
    found = {}
    for transform in proto.components.transforms.values():
        if transform.spec.urn == _PAR_DO:
            function = api.ParDoPayload.FromString(transform.spec.payload).do_fn
            if function.urn == python_urns.PICKLED_DOFN_INFO:
                found[transform.unique_name] = pickler.loads(function.payload)[0]
    return found


def environment_of(proto: api.Pipeline) -> tuple[str, list[str]]:
    """(container image, names of the files staged for the workers) of the workers' environment."""
    images, staged = [], []
    for environment in proto.components.environments.values():
        if environment.urn == "beam:env:docker:v1":
            images.append(api.DockerPayload.FromString(environment.payload).container_image)
        for artifact in environment.dependencies:
            role = api.ArtifactStagingToRolePayload.FromString(artifact.role_payload)
            staged.append(role.staged_name)
    return ", ".join(sorted(set(images))), sorted(set(staged))


def assumed_transport(transport: Any) -> Any:
    """What a dry run assumes of an endpoint that it does not ask."""
    form = transport.endpoint.answer_form or "json_schema"
    return dataclasses.replace(transport, endpoint=dataclasses.replace(transport.endpoint, answer_form=form))
