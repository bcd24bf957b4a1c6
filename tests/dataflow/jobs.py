"""Jobs as Dataflow would get them, built without an account, and what lies hidden in their bytes."""

from __future__ import annotations

import base64
import binascii
import bz2
import re
import zlib
from collections.abc import Iterator

from apache_beam.portability.api import beam_runner_api_pb2 as api

from pipeline.config import LabelConfig
from pipeline.corpora import assumed_corpus
from pipeline.llm.endpoint import Endpoint
from pipeline.llm.transport import Transport
from pipeline.runs.asking import Asking
from pipeline.runs.dry_run import build_job

IMAGE = "europe-west1-docker.pkg.dev/my-project/balto/worker:0.1.0"
SECRET_VERSION = "gcp-secret:projects/my-project/secrets/llm/versions/3"
DATAFLOW = (
    "--runner=DataflowRunner",
    "--project=my-project",
    "--region=europe-west1",
    "--temp_location=gs://my-bucket/tmp",
    f"--sdk_container_image={IMAGE}",
    "--no_save_main_session",
    "--machine_type=n2-standard-4",
    "--max_num_workers=10",
)
EMBEDDED = LabelConfig(num_shards=4)
ASKING = LabelConfig(num_shards=4, extractor="llm", verifier="llm", model="gpt-4o-mini")
_ENCODED = re.compile(rb"[A-Za-z0-9+/=]{24,}")


def job(config: LabelConfig = EMBEDDED, more: tuple[str, ...] = (), asking: Asking | None = None) -> api.Pipeline:
    corpus = assumed_corpus(["gs://my-bucket/in/*.jsonl"], "balto")
    return build_job(corpus, "gs://my-bucket/labels", config, "DataflowRunner", (*DATAFLOW, *more), asking)


def asking(key: bytes | None = None, api_key: str = SECRET_VERSION) -> Asking:
    endpoint = Endpoint("https://llm.example.com/v1", "gpt-4o-mini", api_key, answer_form="json_schema")
    return Asking(Transport(endpoint, cache="redis://10.0.0.3:6379/0", cache_password=api_key), key)


def layers(data: bytes, depth: int = 6) -> Iterator[bytes]:
    """The bytes and everything packed inside them: Beam's payloads are pickles, compressed, then written as base64."""
    yield data
    if not depth:
        return
    for unpack in (bz2.decompress, zlib.decompress):
        try:
            yield from layers(unpack(data), depth - 1)
        except (OSError, ValueError, zlib.error, EOFError):
            continue
    for match in _ENCODED.finditer(data):
        try:
            yield from layers(base64.b64decode(match.group(), validate=True), depth - 1)
        except binascii.Error:
            continue


def holds(proto: api.Pipeline, secret: bytes) -> bool:
    """Whether a secret stands anywhere in a job, however it is packed."""
    return any(secret in layer for layer in layers(proto.SerializeToString()))
