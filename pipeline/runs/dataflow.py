"""What a Dataflow job needs to be told, checked before anything is uploaded: each mistake here costs minutes there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.storage.whole_files import is_local
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.llm.transport import Transport

DATAFLOW: Final = "DataflowRunner"
IMAGE_OR_CODE: Final = "--sdk_container_image (or --extra_package)"
_BUCKET: Final = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/.*)?")
_VCPUS: Final = re.compile(
    r"(?:[a-z0-9]+-)*?(?:custom-(?P<custom>\d+)-\d+(?:-ext)?|[a-z]+-(?P<preset>\d+)(?P<gpus>g)?)"
)
_VCPUS_PER_GPU: Final = {"a2-highgpu": 12, "a2-ultragpu": 12}
_IN_CLEAR: Final = ("s3_secret_access_key", "s3_session_token", "s3_access_key_id")


def is_dataflow(runner: str | None) -> bool:
    """Whether a --runner is Google's service."""
    return (runner or "").rpartition(".")[2] in (DATAFLOW, "dataflow")


def for_dataflow(beam_args: Sequence[str]) -> tuple[str, ...]:
    """The options with what every job of ours needs: our code comes with the image or the wheel, and pickling the
    module that was started, as Beam would by default, brings all of the command instead."""
    told = any(word.startswith(("--save_main_session", "--no_save_main_session")) for word in beam_args)
    return tuple(beam_args) if told else (*beam_args, "--no_save_main_session")


def check_dataflow(beam_args: Sequence[str], corpora: Sequence[str], out: str) -> None:
    """Raises ConfigError, naming everything that is missing, for a job that could not run."""
    options = _options(beam_args)
    needed = {"--project": "project", "--region": "region", "--temp_location": "temp_location"}
    missing = [option for option, name in needed.items() if not options.get(name)]
    code = ("sdk_container_image", "extra_packages", "setup_file", "requirements_file")
    if not any(options.get(name) for name in code):
        missing.append(IMAGE_OR_CODE)
    if missing:
        raise ConfigError(f"--runner {DATAFLOW}: also needs {', '.join(missing)}; docs/dataflow.md goes through them")
    for name in ("temp_location", "staging_location"):
        if options.get(name) and not _BUCKET.fullmatch(options[name]):
            raise ConfigError(
                f"--{name} {options[name]}: must be a bucket of Cloud Storage, such as gs://my-bucket/tmp (its name: 3 "
                "or more lower-case letters, digits, - _ .)"
            )
    absent = [path for path in options.get("extra_packages") or () if is_local(path) and not Path(path).is_file()]
    if absent:
        raise ConfigError(
            f"--extra_package {absent[0]}: no such file; `pip wheel --no-deps --wheel-dir dist .` builds it"
        )
    refuse_secrets_in_clear(beam_args)
    local = [path for path in corpora if is_local(path)]
    if local:
        raise ConfigError(f"{local[0]}: workers in the cloud do not see it; copy it to a bucket and name it there")
    if is_local(out):
        raise ConfigError(f"--out {out}: workers in the cloud cannot write there; name a folder in a bucket")


def refuse_secrets_in_clear(beam_args: Sequence[str]) -> None:
    """Raises ConfigError for Beam options that would carry a secret into the description of the job."""
    options = _options(beam_args)
    named = next((name for name in _IN_CLEAR if options.get(name)), None)
    if named:
        raise ConfigError(
            f"--{named}: would stand in clear in the job; give the workers a role, or AWS_* variables in their image"
        )


def check_transport(transport: Transport, runner: str) -> None:
    """Raises ConfigError for ways of asking a model that workers on other machines cannot follow."""
    where = f"workers of {runner} share no disk"
    if transport.cache == "" or transport.cache.startswith("sqlite:"):
        raise ConfigError(f"--cache {transport.cache}: {where}; name redis://HOST:PORT/DB, or off to keep no replies")
    if transport.prices:
        raise ConfigError(
            f"--prices {transport.prices}: {where}; leave it out, or add the price to pipeline/llm/prices.json"
        )
    if transport.max_requests or transport.max_cost:
        raise ConfigError(f"--max-requests, --max-cost: {where} to count on; limit the run at the endpoint instead")


def worker_processes(beam_args: Sequence[str]) -> int:
    """How many processes of one job ask at a time: workers x vCPUs, since a worker runs one process per vCPU.

    Raises ConfigError where the options leave it open: a limit on requests could not be divided.
    """
    options = _options(beam_args)
    workers = int(options.get("max_num_workers") or options.get("num_workers") or 0)
    machine = options.get("machine_type") or ""
    if not workers or not machine:
        raise ConfigError(
            "--concurrency is of the whole run and is divided over the workers: also name --max_num_workers and "
            "--machine_type"
        )
    if "no_use_multiple_sdk_containers" in (options.get("experiments") or []):
        return workers
    return workers * vcpus_of(machine)


def vcpus_of(machine: str) -> int:
    """vCPUs of a machine type by its name, such as 4 of n2-standard-4. Raises ConfigError for a name without them."""
    match = _VCPUS.fullmatch(machine)
    if match is None:
        raise ConfigError(
            f"--machine_type {machine}: its name does not say how many vCPUs it has; use one like n2-standard-4"
        )
    if match["gpus"]:
        family = machine.rpartition("-")[0]
        if family not in _VCPUS_PER_GPU:
            raise ConfigError(f"--machine_type {machine}: its vCPUs are not known here; use one like g2-standard-8")
        return _VCPUS_PER_GPU[family] * int(match["preset"])
    return int(match["custom"] or match["preset"])


def _options(beam_args: Sequence[str]) -> dict[str, Any]:
    from apache_beam.options.pipeline_options import PipelineOptions

    return PipelineOptions(list(beam_args)).get_all_options()
