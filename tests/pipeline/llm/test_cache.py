"""The cache of replies: what the key holds, a real Redis, and a store that goes away in mid-run."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.llm.asker import open_asker
from pipeline.llm.cache import from_stored, open_cache, to_stored
from pipeline.llm.chat import LENGTH, OK, ChatReply, Usage
from pipeline.llm.endpoint import Endpoint
from pipeline.llm.reply_key import reply_key
from schemas.errors import BaltoError, ConfigError
from tests.llm_server import Behaviour, LlmServer
from tests.pipeline.llm.asking import ask_all, repeat, request, texts, transport
from tests.pipeline.llm.redis_server import RedisServer

ENDPOINT = Endpoint("http://localhost/v1", "m")


@pytest.fixture
def redis_server(tmp_path):
    server = RedisServer(tmp_path)
    yield server
    server.stop()


@pytest.mark.parametrize(
    "change",
    [
        {"system": "other"},
        {"user": "other"},
        {"schema": {"type": "object"}},
        {"max_tokens": 51},
        {"prompt_version": "2"},
        {"attempt": 1},
    ],
)
def test_everything_that_shapes_an_answer_is_in_the_key(change):
    assert reply_key(ENDPOINT, request(1, **change)) != reply_key(ENDPOINT, request(1))


def test_model_and_temperature_are_in_the_key_and_the_way_to_the_server_is_not():
    key = reply_key(ENDPOINT, request(1))
    assert reply_key(dataclasses.replace(ENDPOINT, model="other"), request(1)) != key
    assert reply_key(dataclasses.replace(ENDPOINT, temperature=1.0), request(1)) != key
    assert reply_key(dataclasses.replace(ENDPOINT, options='{"seed": 1}'), request(1)) != key
    assert reply_key(dataclasses.replace(ENDPOINT, thinking_tokens=100), request(1)) != key
    other_way = dataclasses.replace(ENDPOINT, base_url="https://far/v1", api_key="K", answer_form="text", timeout_s=1)
    assert reply_key(other_way, request(1)) == key
    assert reply_key(ENDPOINT, request(1, purpose="extract")) == key


def test_reply_survives_being_stored():
    reply = ChatReply(LENGTH, "half an ans\u0000wer \U0001f600", "cut", Usage(3, 2, 1))
    assert from_stored(to_stored(reply)) == dataclasses.replace(reply, from_cache=True)
    assert from_stored(b"\x80nonsense") is None
    assert from_stored(b'{"not": "ours"}') is None


@pytest.mark.parametrize("name", ["redis:/x", "postgres://x", "", "redis://127.0.0.1:1/0", "redis://:pw@localhost/0"])
def test_wrong_cache_is_named_before_anything_is_asked(name):
    with pytest.raises(ConfigError, match="--cache") as raised:
        asyncio.run(open_cache(name))
    assert "pw@" not in str(raised.value)


def test_of_runs_that_begin_together_all_take_the_same_first_entry(redis_server, tmp_path):
    async def keep(name, said):
        cache = await open_cache(name)
        try:
            return (await cache.keep_first("key", ChatReply(OK, said))).text
        finally:
            await cache.close()

    async def keep_all(name):
        return await asyncio.gather(*(keep(name, str(number)) for number in range(8)))

    for name in (redis_server.url, f"sqlite:{tmp_path}/cache"):
        assert len(set(asyncio.run(keep_all(name)))) == 1
    assert asyncio.run(keep("none", "mine")) == "mine"


def test_redis_answers_a_second_run_and_another_machine(redis_server):
    with LlmServer(answer=repeat) as server:
        chosen = transport(server, cache=redis_server.url)
        first, _ = ask_all(chosen, [request(number) for number in range(30)])
        again, _ = ask_all(chosen, [request(number) for number in range(30)])
        assert texts(first) == texts(again) == [f"question {number}" for number in range(30)]
        assert all(reply.from_cache for reply in again)
        assert server.counts["sent"] == 30


async def _ask_around_a_loss(chosen, redis_server):
    asker = await open_asker(chosen)
    try:
        before = await asker.ask(request("before"))
        redis_server.stop()
        after = await asyncio.gather(*(asker.ask(request(number)) for number in range(20)), return_exceptions=True)
    finally:
        await asker.close()
    return before, after


def test_redis_that_goes_away_is_said_once_and_the_run_goes_on(redis_server, caplog):
    with LlmServer(answer=repeat) as server:
        before, after = asyncio.run(_ask_around_a_loss(transport(server, cache=redis_server.url), redis_server))
    assert [before.status, *(reply.status for reply in after)] == [OK] * 21
    assert caplog.text.count("going on without it") == 1


def test_redis_that_goes_away_ends_a_run_that_requires_it(redis_server):
    with LlmServer(answer=repeat) as server:
        chosen = transport(server, cache=redis_server.url, cache_required=True)
        _, after = asyncio.run(_ask_around_a_loss(chosen, redis_server))
        assert all(isinstance(one, BaltoError) for one in after)
        assert "the same command resumes" in str(after[0])
        assert server.counts["sent"] == 1


def test_redis_that_went_away_between_two_parts_of_a_run_is_the_same(redis_server, caplog):
    redis_server.stop()
    with LlmServer(answer=repeat) as server:
        chosen = transport(server, cache=redis_server.url)
        assert texts(ask_all(chosen, [request(1)])[0]) == ["question 1"]
        assert caplog.text.count("going on without it") == 1
        with pytest.raises(BaltoError, match="once it is back, the same command resumes"):
            ask_all(dataclasses.replace(chosen, cache_required=True), [request(1)])


def test_redis_that_comes_back_serves_the_command_that_resumes(redis_server):
    with LlmServer(answer=repeat) as server:
        chosen = transport(server, cache=redis_server.url, cache_required=True)
        asyncio.run(_ask_around_a_loss(chosen, redis_server))
        redis_server.start()  # empty: it keeps nothing on disk
        questions = [request(number) for number in range(20)]
        sent = server.counts["sent"]
        assert len(texts(ask_all(chosen, questions)[0])) == 20
        assert server.counts["sent"] == sent + 20
        ask_all(chosen, questions)
        assert server.counts["sent"] == sent + 20


KILLED = """
import sys
from tests.pipeline.llm.asking import ask_all, request
from pipeline.llm.endpoint import Endpoint
from pipeline.llm.transport import Transport
endpoint = Endpoint(sys.argv[1], "test-model", answer_form="json_schema")
chosen = Transport(endpoint, 16, cache="sqlite:" + sys.argv[2], ledger=sys.argv[3])
ask_all(chosen, [request(number) for number in range(400)])
"""


def test_killed_run_repeats_only_the_calls_that_were_in_flight(tmp_path):
    paths = [str(tmp_path / "cache"), str(tmp_path / "ledger")]
    with LlmServer(Behaviour(latency_s=0.02), repeat) as server:
        command = [sys.executable, "-W", "ignore", "-c", KILLED, server.base_url, *paths]
        process = subprocess.Popen(command, cwd=Path(__file__).parents[3])
        deadline = time.monotonic() + 60
        while server.counts["answered"] < 100 and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
        time.sleep(0.1)  # the server finishes what the dead process had sent
        before = server.counts["sent"]
        chosen = transport(server, in_flight=16, cache=f"sqlite:{paths[0]}")
        replies, _ = ask_all(chosen, list(map(request, range(400))))
        assert texts(replies) == [f"question {number}" for number in range(400)]
        assert before < 400
        assert server.counts["sent"] <= 400 + 16
