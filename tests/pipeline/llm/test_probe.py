"""What is found out about an endpoint before a corpus is touched, and what each thing that is wrong says."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from pipeline.llm.endpoint import JSON_OBJECT, JSON_SCHEMA, TEXT, Endpoint, resolve_key
from pipeline.llm.probe import PROBE_TOKENS, THINKING_TOKENS, probe
from pipeline.llm.window_check import check_window
from schemas.errors import ConfigError
from tests.llm_server import Behaviour, LlmServer
from tests.llm_server.answers import smallest_answer
from tests.llm_server.behaviour import WINDOW_PLACES

SAYS = '{"colour": "red", "letters": 3}'


def answer(body):
    return smallest_answer(body) if body.get("response_format", {}).get("type") == "json_schema" else SAYS


def probed(behaviour, says=answer, **changes):
    with LlmServer(behaviour, says) as server:
        endpoint = Endpoint(server.base_url, "test-model", timeout_s=5)
        return asyncio.run(probe(dataclasses.replace(endpoint, **changes))), server


@pytest.mark.parametrize(
    ("behaviour", "form", "requests"),
    [
        (Behaviour(), JSON_SCHEMA, 1),
        (Behaviour(formats=("json_object", "text")), JSON_OBJECT, 2),
        (Behaviour(formats=("text",)), TEXT, 3),
        (Behaviour(ignores_format=True), TEXT, 3),  # takes every format and answers in prose with a fence
    ],
)
def test_strictest_form_that_the_server_honours_is_remembered(behaviour, form, requests, caplog):
    endpoint, server = probed(behaviour)
    assert endpoint.answer_form == form
    assert server.counts["sent"] == requests
    assert ("does not honour json_schema" in caplog.text) == (form != JSON_SCHEMA)


def test_schema_is_told_in_words_where_it_cannot_be_sent():
    _, server = probed(Behaviour(formats=("text",)))
    last = server.bodies()[-1]
    assert "response_format" not in last
    assert '"colour"' in last["messages"][0]["content"]


def test_form_that_the_user_names_is_the_only_one_tried():
    assert probed(Behaviour(), answer_form=JSON_OBJECT)[0].answer_form == JSON_OBJECT
    with pytest.raises(ConfigError, match="json_schema is not supported"):
        probed(Behaviour(formats=("text",)), answer_form=JSON_SCHEMA)


def test_name_of_the_token_limit_is_learnt():
    endpoint, server = probed(Behaviour(token_field="max_completion_tokens"))
    assert (endpoint.token_field, server.counts["sent"]) == ("max_completion_tokens", 2)


@pytest.mark.parametrize(
    ("behaviour", "learnt"),
    [
        (Behaviour(takes_temperature=False), {"temperature": None}),
        (Behaviour(takes_system=False), {"system_role": False}),
        (Behaviour(formats=("text",), format_status=500), {"answer_form": TEXT}),
        (Behaviour(formats=("text",), format_status=404), {"answer_form": TEXT}),
        (Behaviour(thinking="inline"), {"answer_form": TEXT, "thinking_tokens": THINKING_TOKENS}),
        (Behaviour(thinking="field"), {"answer_form": JSON_SCHEMA, "thinking_tokens": THINKING_TOKENS}),
        (Behaviour(thinking="counted"), {"answer_form": JSON_SCHEMA, "thinking_tokens": THINKING_TOKENS}),
        (Behaviour(thinking="misplaced"), {"answer_form": JSON_SCHEMA, "thinking_tokens": 0}),
        (Behaviour(spelling="python"), {"answer_form": TEXT}),
        (
            Behaviour(takes_temperature=False, takes_system=False, token_field="max_completion_tokens"),
            {"temperature": None, "system_role": False, "token_field": "max_completion_tokens"},
        ),
    ],
)
def test_habits_of_a_server_are_learnt(behaviour, learnt, monkeypatch):
    monkeypatch.setattr("pipeline.llm.client.FIRST_WAIT_S", 0.01)
    endpoint, _ = probed(behaviour)
    assert {name: getattr(endpoint, name) for name in learnt} == learnt


def test_room_for_thinking_that_the_user_names_is_kept_and_added_to_every_limit():
    endpoint, server = probed(Behaviour(thinking="field"), thinking_tokens=100)
    assert endpoint.thinking_tokens == 100
    assert server.bodies()[-1]["max_tokens"] == PROBE_TOKENS + 100


def test_further_fields_go_with_every_request():
    _, server = probed(Behaviour(), options='{"reasoning_effort": "low", "seed": 7}')
    assert server.bodies()[-1] | {"reasoning_effort": "low", "seed": 7} == server.bodies()[-1]


@pytest.mark.parametrize("place", WINDOW_PLACES)
def test_a_window_that_the_server_tells_is_compared(place):
    with LlmServer(Behaviour(window=8_000, window_place=place), answer) as server:
        endpoint = Endpoint(server.base_url, "test-model", thinking_tokens=1_000)
        asyncio.run(check_window(endpoint, 7_000))
        with pytest.raises(ConfigError, match="reads 8000 tokens, 1000 of them.*or set --context-window 7000"):
            asyncio.run(check_window(endpoint, 7_001))


def test_a_window_that_nobody_tells_is_not_guessed():
    with LlmServer(Behaviour(), answer) as server:
        asyncio.run(check_window(Endpoint(server.base_url, "test-model"), 10**9))
    asyncio.run(check_window(Endpoint(server.base_url, "test-model", timeout_s=5), 10**9))  # nobody there


def test_passing_failures_are_tried_again(monkeypatch):
    monkeypatch.setattr("pipeline.llm.client.FIRST_WAIT_S", 0.01)
    # the first draw of this seed is a 500, the second is none
    faulty = next(seed for seed in range(50) if _faults(Behaviour(faults={"500": 0.5}, seed=seed)) == ["500", ""])
    endpoint, server = probed(Behaviour(faults={"500": 0.5}, seed=faulty))
    assert (endpoint.answer_form, server.counts["sent"]) == (JSON_SCHEMA, 2)


def _faults(behaviour):
    with LlmServer(answer=answer) as server:
        asyncio.run(probe(Endpoint(server.base_url, "test-model")))
        body = server.received[0].body
    return [behaviour.fault_of(body, repetition) for repetition in (0, 1)]


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (Behaviour(api_key="other"), "refused the key in OPENAI_API_KEY"),
        (Behaviour(models=("test-modul", "zebra")), "--model test-model: not known at .*; it has test-modul"),
        (Behaviour(faults={"500": 1.0}), "HTTP 500"),
        (Behaviour(faults={"reset": 1.0}), "cannot be reached"),
    ],
)
def test_what_cannot_work_is_one_line(behaviour, message, monkeypatch):
    monkeypatch.setattr("pipeline.llm.client.FIRST_WAIT_S", 0.01)
    with pytest.raises(ConfigError, match=message) as raised:
        probed(behaviour)
    assert "\n" not in str(raised.value)


def test_model_without_json_is_refused():
    with pytest.raises(ConfigError, match="gives no JSON, by json_schema, json_object, text"):
        probed(Behaviour(), says=lambda body: "I would rather talk about the weather.")


def test_address_that_nobody_serves_and_wrong_path():
    with LlmServer() as server:
        url = server.base_url
        with pytest.raises(ConfigError, match="no chat completions there.*usually ends in /v1"):
            asyncio.run(probe(Endpoint(f"{url}/wrong", "test-model")))
    with pytest.raises(ConfigError, match="cannot be reached .*; is the server running"):
        asyncio.run(probe(Endpoint(url, "test-model", timeout_s=5)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base_url": "localhost:8000"}, "must be an http"),
        ({"base_url": "http://user:pw@host/v1"}, "name it with --api-key-env"),
        ({"model": ""}, "--model"),
        ({"api_key": "sk-1234-abcd"}, "takes the name of an environment variable"),
        ({"api_key": "gcp-secret:mine"}, "must be gcp-secret:projects/P/secrets/S/versions/N"),
        ({"timeout_s": 0}, "--request-timeout-s"),
        ({"thinking_tokens": -1}, "--thinking-tokens -1"),
        ({"options": "temperature=1"}, "--request-options: no JSON"),
        ({"options": "[1]"}, "--request-options: must be a JSON object"),
        ({"options": '{"stream": true}'}, "--request-options: stream is set by balto"),
    ],
)
def test_wrong_options_are_refused_without_repeating_a_secret(changes, message):
    with pytest.raises(ConfigError, match=message) as raised:
        Endpoint(**{"base_url": "http://localhost/v1", "model": "m", **changes})
    assert "sk-1234" not in str(raised.value)
    assert "pw" not in str(raised.value)


def test_key_is_needed_except_on_this_machine(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="set the environment variable OPENAI_API_KEY"):
        resolve_key(Endpoint("https://api.openai.com/v1", "m"))
    assert resolve_key(Endpoint("http://127.0.0.1:8000/v1", "m")) == "none"
    monkeypatch.setenv("MY_KEY", "k1\n")
    assert resolve_key(Endpoint("https://api.openai.com/v1", "m", api_key="MY_KEY")) == "k1"


@pytest.mark.parametrize(
    ("base_url", "says"),
    [
        ("https://r.openai.azure.com/openai/deployments/d?api-version=2024-06-01&api-key=sk-1", "Azure needs no api-v"),
        ("127.0.0.1:8000/v1", "must be an http\\(s\\) address"),
        ("http://user:sk-1@localhost/v1", "put the key into an environment variable"),
    ],
)
def test_an_address_that_cannot_be_used_is_one_line_that_repeats_no_key(base_url, says):
    with pytest.raises(ConfigError, match=says) as raised:
        Endpoint(base_url, "m")
    assert "sk-1" not in str(raised.value)


@pytest.mark.parametrize("key", ["sk-123\nsk-456", "sk-\u2013123"])
def test_a_key_that_no_request_can_carry_is_named_and_not_repeated(key, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ConfigError, match="the key in OPENAI_API_KEY holds a line break or a character"):
        resolve_key(Endpoint("http://localhost/v1", "m"))


def test_https_where_only_http_is_spoken_is_told():
    with LlmServer() as server, pytest.raises(ConfigError, match="no https there that can be trusted: .*SSL"):
        asyncio.run(probe(Endpoint(server.base_url.replace("http:", "https:"), "test-model", timeout_s=5)))


def test_a_short_key_is_no_secret_and_stays_in_what_a_server_says(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "token")  # of "max_completion_tokens"
    found, _ = probed(Behaviour(token_field="max_completion_tokens"))
    assert found.token_field == "max_completion_tokens"
