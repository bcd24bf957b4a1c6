"""The job graph as Dataflow would get it: built and validated by its own client, without an account or a network."""

import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import apache_beam as beam
import grpc
import pytest
from apache_beam.internal import pickler
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import EmbeddedPythonEnvironment

from pipeline.close_label_set import Closing
from pipeline.config import LabelConfig
from pipeline.corpora import open_corpus
from pipeline.graph import label_files
from pipeline.runs.assemble import describe_config
from pipeline.runs.beam_options import refuse_silent_service
from pipeline.runs.dataflow import (
    check_dataflow,
    check_transport,
    refuse_secrets_in_clear,
    vcpus_of,
    worker_processes,
)
from pipeline.runs.dry_run import environment_of, functions_of, steps_of
from pipeline.runs.run_graph import run_pipeline
from schemas.errors import BaltoError, ConfigError
from schemas.manifest import read_manifest
from tests.dataflow.jobs import ASKING, DATAFLOW, EMBEDDED, IMAGE, asking, holds, job
from tests.rows import small_corpus, write_jsonl

ROOT = Path(__file__).parents[2]
SECRET = "sk-a-key-that-must-stand-nowhere-0123456789"


def test_dataflow_takes_the_job_with_its_image_and_staged_wheel(tmp_path):
    wheel = tmp_path / "balto-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"PK")
    proto = job(more=(f"--extra_package={wheel}",))
    image, staged = environment_of(proto)
    assert image == IMAGE
    assert {"balto-0.1.0-py3-none-any.whl", "extra_packages.txt"} <= set(staged)
    assert not any("main_session" in name for name in staged)
    assert steps_of(proto) == [
        "Files",
        "Read file",
        "Reject duplicates",
        "Prompt groups",
        "Label",
        "All rejected",
        "Write shards",
        "Close",
    ]
    assert proto.ByteSize() < 100_000  # Dataflow takes ten megabytes


@pytest.mark.parametrize("config", [ASKING, LabelConfig(num_shards=4, labels="gold")])
def test_corpus_is_not_shuffled_for_who_looks_at_one_response_alone(config):
    assert "Prompt groups" not in steps_of(job(config, asking=asking() if config.uses_llm else None))


def test_the_whole_graph_runs_in_the_workers_environment():
    proto = job()
    (environment,) = proto.components.environments.values()
    assert environment.urn == "beam:env:docker:v1"
    for transform in proto.components.transforms.values():
        assert transform.environment_id in ("", *proto.components.environments)


@pytest.mark.parametrize("config", [EMBEDDED, ASKING, LabelConfig(num_shards=4, labels="gold")])
def test_every_function_of_the_job_comes_out_of_its_pickle_as_it_went_in(config):
    functions = functions_of(job(config, asking=asking() if config.uses_llm else None))
    ours = {type(function).__name__ for function in functions.values()}
    assert {"_ReadFile", "_StageDoFn", "_Pack", "_WriteShard", "_WriteManifest", "_RejectLater"} <= ours
    assert ("_AskingDoFn" in ours) == config.uses_llm
    for function in functions.values():
        again = pickler.loads(pickler.dumps(function))
        assert type(again) is type(function)
        assert vars(again).keys() == vars(function).keys()


def test_a_job_from_bytes_labels_as_the_pipeline_itself(tmp_path):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", small_corpus(groups=4))
    sets = []
    for name in ("direct", "from bytes"):
        out = tmp_path / name
        pipeline = beam.Pipeline(runner="FnApiRunner", options=PipelineOptions([]))
        label_files(pipeline, open_corpus([corpus]), EMBEDDED, Closing(str(out), {**describe_config(EMBEDDED)}))
        if name == "direct":
            pipeline.run().wait_until_finish()
        else:
            environment = EmbeddedPythonEnvironment.default()
            data = pipeline.to_runner_api(default_environment=environment).SerializeToString()
            FnApiRunner().run_via_runner_api(api.Pipeline.FromString(data), PipelineOptions([])).wait_until_finish()
        sets.append(read_manifest(out).content_hash())
    assert sets[0] == sets[1]


def test_no_secret_is_anywhere_in_the_job(monkeypatch):
    for variable in ("OPENAI_API_KEY", "BALTO_REDIS_PASSWORD", "LLM_KEY"):
        monkeypatch.setenv(variable, SECRET)
    key = bytes(range(200, 232))
    for reference in ("OPENAI_API_KEY", "LLM_KEY", "gcp-secret:projects/p/secrets/s/versions/1"):
        proto = job(ASKING, asking=asking(key, api_key=reference))
        assert holds(proto, reference.encode())  # the reference is there, so the search would find what lies there too
        assert not holds(proto, SECRET.encode())
        assert not holds(proto, key)


def test_the_search_for_secrets_sees_through_every_wrapping():
    """A DoFn that keeps its secret would be found out."""

    class Careless(beam.DoFn):
        def __init__(self, key: str):
            self.key = key

    pipeline = beam.Pipeline(options=PipelineOptions([]))
    _ = pipeline | beam.Create(["x"]) | beam.ParDo(Careless(SECRET))
    assert holds(pipeline.to_runner_api(), SECRET.encode())
    pipeline = beam.Pipeline(options=PipelineOptions([]))
    _ = pipeline | beam.Create([SECRET])
    assert holds(pipeline.to_runner_api(), SECRET.encode())


def test_what_travels_prints_no_secret(monkeypatch):
    monkeypatch.setenv("LLM_KEY", SECRET)
    key = bytes(range(200, 232))
    shown = repr(asking(key, api_key="LLM_KEY"))
    assert SECRET not in shown
    assert "delimiter_key" not in shown
    assert key not in pickle.dumps(asking(key).on_workers(3))


def test_the_command_describes_a_job_without_account_or_network():
    command = [sys.executable, "-m", "balto", "label", "gs://my-bucket/in/*.jsonl", "--out", "gs://my-bucket/labels"]
    words = ["--dry-run", "--extractor", "llm", "--verifier", "llm", "--model", "m", "--cache", "off"]
    environment = {**os.environ, "OPENAI_API_KEY": SECRET, "HOME": "/nowhere"}
    done = subprocess.run(
        [*command, *words, *DATAFLOW], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "nothing was read, asked or sent" in done.stdout
    assert f"image: {IMAGE}" in done.stdout
    assert "40 processes that ask" in done.stdout  # 10 workers of 4 vCPUs
    assert SECRET not in done.stdout + done.stderr


def without(name: str) -> list[str]:
    return [word for word in DATAFLOW if not word.startswith(f"--{name}=")]


@pytest.mark.parametrize("name", ["project", "region", "temp_location", "sdk_container_image"])
def test_what_a_job_needs_is_asked_for_before_anything_is_opened(name):
    with pytest.raises(ConfigError, match=f"also needs .*--{name}"):
        check_dataflow(without(name), ["gs://b/x"], "gs://b/labels")


def test_a_job_reads_and_writes_buckets_only():
    check_dataflow(DATAFLOW, ["gs://b/x"], "gs://b/labels")
    with pytest.raises(ConfigError, match=r"corpus\.jsonl: workers in the cloud do not see it"):
        check_dataflow(DATAFLOW, ["corpus.jsonl"], "gs://b/labels")
    with pytest.raises(ConfigError, match="--out labels: workers in the cloud cannot write there"):
        check_dataflow(DATAFLOW, ["gs://b/x"], "labels")
    with pytest.raises(ConfigError, match="--temp_location gs://b/t: must be a bucket"):
        check_dataflow([*without("temp_location"), "--temp_location=gs://b/t"], ["gs://b/x"], "gs://b/labels")


def test_a_wheel_that_is_not_there_is_missed_before_the_job_is_built(tmp_path):
    with pytest.raises(ConfigError, match=r"--extra_package .*balto\.whl: no such file; `pip wheel"):
        check_dataflow([*DATAFLOW, f"--extra_package={tmp_path}/balto.whl"], ["gs://b/x"], "gs://b/labels")


def test_storage_keys_are_no_options_of_a_job():
    with pytest.raises(ConfigError, match="--s3_secret_access_key: would stand in clear"):
        refuse_secrets_in_clear([*DATAFLOW, "--s3_secret_access_key=abc"])


def test_limits_of_the_run_are_divided_over_workers_times_vcpus():
    assert worker_processes(DATAFLOW) == 40
    assert worker_processes([*DATAFLOW, "--experiments=no_use_multiple_sdk_containers"]) == 10
    with pytest.raises(ConfigError, match="also name --max_num_workers and --machine_type"):
        worker_processes(without("machine_type"))
    assert asking().on_workers(40).transport.processes == 40


@pytest.mark.parametrize(
    ("machine", "vcpus"),
    [
        ("n1-standard-1", 1),
        ("n2-highmem-16", 16),
        ("c3-standard-4", 4),
        ("n2-custom-8-32768", 8),
        ("custom-6-20480", 6),
        ("g2-standard-8", 8),
        ("a2-highgpu-2g", 24),
    ],
)
def test_vcpus_by_the_name_of_a_machine(machine, vcpus):
    assert vcpus_of(machine) == vcpus


@pytest.mark.parametrize("machine", ["e2-small", "big", "a3-megagpu-8g"])
def test_a_machine_whose_name_says_nothing_is_refused(machine):
    with pytest.raises(ConfigError, match="--machine_type"):
        vcpus_of(machine)


def test_what_needs_a_shared_disk_is_refused():
    from dataclasses import replace

    transport = asking().transport
    check_transport(transport, "DataflowRunner")
    for change in ({"cache": ""}, {"cache": "sqlite:x"}, {"prices": "p.json"}, {"max_requests": 5}, {"max_cost": 1.0}):
        with pytest.raises(ConfigError, match="share no disk"):
            check_transport(replace(transport, **change), "DataflowRunner")


class OnlyDescribed:
    """What a runner returns that writes a template and starts nothing."""

    has_job = False

    def run(self):
        return self


def test_a_template_is_described_and_not_waited_for():
    assert run_pipeline(OnlyDescribed()) is False


class _Unanswered(grpc.RpcError, grpc.Call):
    """What the client of a job service raises when its workers never came."""

    def code(self):
        return grpc.StatusCode.DEADLINE_EXCEEDED

    def __str__(self):
        return "<_MultiThreadedRendezvous of RPC that terminated with:\n\tstatus = DEADLINE_EXCEEDED\n>"

    add_callback = cancel = initial_metadata = is_active = time_remaining = None
    details = trailing_metadata = None


class _JobThatIsNotAnswered:
    def run(self):
        raise _Unanswered


def test_a_job_service_that_falls_silent_is_named_in_one_line():
    with pytest.raises(BaltoError, match="job_endpoint.*DEADLINE_EXCEEDED.*workers") as raised:
        run_pipeline(_JobThatIsNotAnswered())
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [("127.0.0.1:9", "no job service answers there"), ("127.0.0.1", "must be HOST:PORT"), (":8099", "HOST:PORT")],
)
def test_a_job_endpoint_where_nobody_listens_is_refused_at_once(endpoint, message):
    with pytest.raises(ConfigError, match=f"--job_endpoint {endpoint}: .*{message}"):
        refuse_silent_service(["--runner=PortableRunner", f"--job_endpoint={endpoint}"])


def test_a_job_endpoint_that_answers_or_is_embedded_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        refuse_silent_service([f"--job_endpoint=127.0.0.1:{server.getsockname()[1]}"])
    refuse_silent_service(["--job_endpoint", "embed"])
    refuse_silent_service([])
