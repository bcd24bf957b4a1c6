"""The real clients of Beam's filesystems against servers that speak the protocols of S3 and of Cloud Storage.

Both run on this machine: moto, and a Cloud Storage emulator. What they cannot show: credentials, and a real network.
"""

import contextlib
import importlib
import importlib.util
import io
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import orjson
import pytest
from apache_beam.io.filesystems import FileSystems

from balto import main as balto_main
from pipeline.storage import whole_files
from schemas.manifest import read_manifest
from tests.rows import small_corpus

ROOT = Path(__file__).parents[2]
CORPUS = b"".join(orjson.dumps(record) + b"\n" for record in small_corpus(groups=4))


def needs(*modules: str) -> None:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        assert not os.environ.get("CI"), f"{missing} is missing: pip install '.[all,dev]'"
        pytest.skip(f"{', '.join(missing)} is not installed")


@contextlib.contextmanager
def serving(*command: str) -> Iterator[str]:
    """A server of a Python package on a free port; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = [word.replace("PORT", port) for word in command]
    process = subprocess.Popen(
        [sys.executable, "-m", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(address: str, process: subprocess.Popen) -> None:
    for _ in range(300):
        assert process.poll() is None, "the server ended"
        with contextlib.suppress(OSError):
            with contextlib.suppress(urllib.error.HTTPError):  # an answer is an answer
                urllib.request.urlopen(address, timeout=2).close()
            return
        time.sleep(0.1)
    raise AssertionError("the server did not start")


def balto(environment: dict[str, str], *words: str, code: int = 0) -> str:
    """Output of the command, run in this process: starting Beam for each would take most of the time."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(whole_files, "_options_given", False)
        patch.setattr(sys, "argv", ["balto", *words])
        with pytest.raises(SystemExit) as ended:
            balto_main()
    FileSystems.set_options(None)
    assert ended.value.code == code, err.getvalue()
    return out.getvalue() if code == 0 else err.getvalue()


@pytest.fixture(scope="module")
def s3() -> Iterator[tuple[str, dict[str, str], list[str]]]:
    needs("moto", "flask_cors", "boto3")
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    with serving("moto.server", "-H", "127.0.0.1", "-p", "PORT") as address:
        boto3 = importlib.import_module("boto3")
        client = boto3.client(
            "s3", endpoint_url=address, aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1"
        )
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="in/a.jsonl", Body=CORPUS)
        yield "s3://bucket", keys, [f"--s3_endpoint_url={address}"]


@pytest.fixture(scope="module")
def gs() -> Iterator[tuple[str, dict[str, str], list[str]]]:
    needs("gcp_storage_emulator")
    server = ("gcp_storage_emulator", "start", "--host=127.0.0.1", "--port=PORT", "--in-memory")
    with serving(*server, "--default-bucket=bucket") as address:
        url = f"{address}/upload/storage/v1/b/bucket/o?uploadType=media&name=in/a.jsonl"
        urllib.request.urlopen(urllib.request.Request(url, CORPUS, {"Content-Type": "text/plain"}), timeout=20).close()
        yield "gs://bucket", {"STORAGE_EMULATOR_HOST": address}, ["--no_auth"]


@pytest.mark.filterwarnings("ignore")  # of the clients
@pytest.mark.parametrize("store", ["s3", "gs"])
def test_a_corpus_in_a_real_bucket_becomes_a_label_set_there(store, request, tmp_path):
    bucket, environment, options = request.getfixturevalue(store)
    words = ["label", f"{bucket}/in/*.jsonl", "--out", f"{bucket}/labels", "--num-shards", "1", *options]
    assert "12 records read = 12 labelled + 0 rejected" in balto(environment, *words)
    assert "already holds a finished label set" in balto(environment, *words, code=2)
    (tmp_path / "a.jsonl").write_bytes(CORPUS)
    balto({}, "label", str(tmp_path / "a.jsonl"), "--out", str(tmp_path / "here"), "--num-shards", "1")
    if store == "s3":  # `copy` takes no address; boto3 has a variable for it
        environment = {**environment, "AWS_ENDPOINT_URL_S3": options[0].partition("=")[2]}
        options = []
    balto(environment, "copy", f"{bucket}/labels", str(tmp_path / "copied"), *options)
    assert read_manifest(tmp_path / "copied").content_hash() == read_manifest(tmp_path / "here").content_hash()
