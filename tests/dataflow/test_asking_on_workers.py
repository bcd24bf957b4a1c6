"""A language model asked from the workers of a job that writes into a bucket: usage, cache and secrets."""

from pathlib import Path

import pytest

from pipeline.config import LabelConfig
from pipeline.corpora import open_corpus
from pipeline.llm.endpoint import Endpoint
from pipeline.llm.transport import Transport
from pipeline.runs.asking import prepare_asking
from pipeline.runs.label import Resources
from pipeline.runs.on_runner import run_label_on_runner
from schemas.manifest import Manifest
from tests import shelf
from tests.llm_server import Behaviour, LlmServer
from tests.llm_server.claim_answers import answer_by_rule
from tests.pipeline.llm.redis_server import RedisServer
from tests.rows import small_corpus, write_jsonl

KEY = "sk-a-key-that-must-stand-nowhere"
CONFIG = LabelConfig(num_shards=2, extractor="llm", verifier="llm", model="rule-server")
BEAM = Resources(beam_args=("--runner=FnApiRunner",))


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("LLM_KEY", KEY)
    with LlmServer(Behaviour(models=("rule-server",), api_key=KEY), answer_by_rule) as running:
        yield running


@pytest.fixture
def bucket(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(shelf.VARIABLE, str(tmp_path / "shelf"))
    (tmp_path / "shelf" / "bucket").mkdir(parents=True)
    write_jsonl(tmp_path / "shelf" / "bucket" / "corpus.jsonl", small_corpus(groups=4))
    return tmp_path / "shelf" / "bucket"


def label(server: LlmServer, out: str, cache: str) -> Manifest:
    endpoint = Endpoint(server.base_url, "rule-server", "LLM_KEY", timeout_s=20)
    asking = prepare_asking(Transport(endpoint, cache=cache), Path("unused"), CONFIG.context_window)
    server.counts["sent"] = 0  # from here on it is not probed any more
    manifest = run_label_on_runner(open_corpus(["shelf://bucket/corpus.jsonl"]), out, CONFIG, BEAM, False, asking)
    assert manifest is not None
    return manifest


def test_usage_of_all_workers_stands_in_the_manifest(server, bucket):
    manifest = label(server, "shelf://bucket/labels", "off")
    usage = manifest.usage
    assert manifest.counts == {"read": 12, "labelled": 12, "rejected": 0}
    # one question per record; those that ask the same share an answer
    assert usage["extract"]["requests"] + usage["extract"].get("cached", 0) == 12
    assert usage["all"]["requests"] == server.counts["sent"]
    assert usage["all"]["prompt_tokens"] > 0
    files = [path for path in bucket.rglob("*") if path.is_file()]
    assert len(files) >= 3
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_a_second_job_finds_every_reply_in_redis(server, bucket, tmp_path):
    """So the secret of the data tags, which travels with neither job, is the same in both: it lies in the cache."""
    (tmp_path / "redis").mkdir()
    redis = RedisServer(tmp_path / "redis")
    try:
        first = label(server, "shelf://bucket/labels", redis.url)
        assert server.counts["sent"] == first.usage["all"]["requests"] > 0
        second = label(server, "shelf://bucket/again", redis.url)
    finally:
        redis.stop()
    assert server.counts["sent"] == 0
    assert first.content_hash() == second.content_hash()
    assert "requests" not in second.usage["all"]
    questions = first.usage["all"]["requests"] + first.usage["all"].get("cached", 0)
    assert second.usage["all"]["cached"] == questions
