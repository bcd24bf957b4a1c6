"""The test endpoint speaks the protocol that the openai package expects."""

import asyncio
import io
import json

import openai
import pytest

from tests.llm_server import FAULTS, Behaviour, LlmServer
from tests.llm_server.answers import smallest_answer, spoil

SCHEMA = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}, "names": {"type": "array", "items": {"type": "string"}}},
    "required": ["ok", "names"],
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "probe", "schema": SCHEMA, "strict": True}}


def create(server, text="hello", **options):
    with openai.OpenAI(base_url=server.base_url, api_key="k", max_retries=0, timeout=5) as client:
        messages = [{"role": "user", "content": text}]
        return client.chat.completions.create(model="test-model", messages=messages, **options)


def test_answer_follows_the_rule_and_is_logged():
    with LlmServer(answer=lambda body: body["messages"][0]["content"].upper()) as server:
        completion = create(server)
        assert completion.choices[0].message.content == "HELLO"
        assert completion.usage.prompt_tokens == 2
        assert server.bodies()[0]["messages"] == [{"role": "user", "content": "hello"}]
        assert server.received[0].headers["Authorization"] == "Bearer k"
        assert server.counts["sent"] == server.counts["answered"] == 1


def test_smallest_answer_fits_the_schema():
    assert json.loads(smallest_answer({"response_format": FORMAT})) == {"ok": False, "names": []}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("429", openai.RateLimitError),
        ("500", openai.InternalServerError),
        ("reset", openai.APIConnectionError),
        ("broken_http", json.JSONDecodeError),
    ],
)
def test_transport_faults_reach_the_client(fault, error):
    with LlmServer(Behaviour(faults={fault: 1.0}, retry_after_s=7)) as server:
        with pytest.raises(error) as raised:
            create(server)
        if fault == "429":
            assert raised.value.response.headers["retry-after"] == "7"
        assert server.counts[fault] == 1


def test_hanging_reply_is_cut_by_the_client_and_the_server_stops():
    with LlmServer(Behaviour(faults={"hang": 1.0})) as server, pytest.raises(openai.APITimeoutError):
        create(server, timeout=0.2)


@pytest.mark.parametrize("fault", ["refusal", "length", "content_filter"])
def test_withheld_answers(fault):
    with LlmServer(Behaviour(faults={fault: 1.0}), answer=lambda body: "abcd") as server:
        choice = create(server).choices[0]
    assert (choice.finish_reason == fault) == (fault != "refusal")
    assert (choice.message.refusal is None) == (fault != "refusal")


def test_spoiled_answers():
    good = json.dumps({"claims": [{"id": "c1", "quotes": ["a b"], "sentences": [1]}, {"id": "c2", "quotes": []}]})
    assert [one["id"] for one in json.loads(spoil("missing_ids", good))["claims"]] == ["c1"]
    assert [one["id"] for one in json.loads(spoil("invented_ids", good))["claims"]] == ["c1", "c2", "invented-9999"]
    assert json.loads(spoil("reworded_quotes", good))["claims"][0]["quotes"] == ["b a"]
    assert json.loads(spoil("wrong_sentences", good))["claims"][0]["sentences"] == [2]
    with pytest.raises(ValueError):
        json.loads(spoil("invalid_json", good))


def test_faults_are_drawn_alike_whatever_the_order_and_anew_for_a_repetition():
    behaviour = Behaviour(faults=dict.fromkeys(FAULTS, 0.1))
    first = [behaviour.fault_of(str(number).encode(), 0) for number in range(2000)]
    again = [behaviour.fault_of(str(number).encode(), 0) for number in reversed(range(2000))]
    assert first == again[::-1]
    assert first != [behaviour.fault_of(str(number).encode(), 1) for number in range(2000)]
    # 14 faults at 10 % each, independent: 1 - 0.9**14 = 77 % of the requests meet one
    assert 0.72 < sum(map(bool, first)) / 2000 < 0.82


@pytest.mark.parametrize(
    ("behaviour", "options", "code"),
    [
        (Behaviour(models=("other",)), {}, "model_not_found"),
        (Behaviour(api_key="secret"), {}, "invalid_api_key"),
        (Behaviour(formats=("text",)), {"response_format": FORMAT}, "unsupported_parameter"),
        (Behaviour(token_field="max_completion_tokens"), {"max_tokens": 5}, "unsupported_parameter"),
        (Behaviour(context_tokens=1), {}, "context_length_exceeded"),
    ],
)
def test_wrong_requests_are_refused_in_openai_s_form(behaviour, options, code):
    with LlmServer(behaviour) as server, pytest.raises(openai.APIStatusError) as raised:
        create(server, **options)
    assert raised.value.code == code


def test_batches_answer_out_of_order_with_expired_and_failed_lines_apart():
    lines = [
        {
            "custom_id": f"r{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "test-model", "messages": [{"role": "user", "content": f"say {number}"}]},
        }
        for number in range(50)
    ]
    data = io.BytesIO(b"\n".join(json.dumps(line).encode() for line in lines))
    behaviour = Behaviour(batch_expired=0.2, batch_failed=0.2)
    with (
        LlmServer(behaviour, answer=lambda body: body["messages"][0]["content"]) as server,
        openai.OpenAI(base_url=server.base_url, api_key="k") as client,
    ):
        file = client.files.create(file=("in.jsonl", data), purpose="batch")
        batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        batch = client.batches.retrieve(batch.id)
        assert batch.status == "expired"
        output = [json.loads(line) for line in client.files.content(batch.output_file_id).content.splitlines()]
        errors = [json.loads(line) for line in client.files.content(batch.error_file_id).content.splitlines()]
    assert {one["custom_id"] for one in output + errors} == {f"r{number}" for number in range(50)}
    for one in output:
        assert one["response"]["body"]["choices"][0]["message"]["content"] == "say " + one["custom_id"][1:]
    assert {(one["error"] or {}).get("code") for one in errors} == {"batch_expired", None}


def test_sixty_requests_are_answered_side_by_side():
    async def ask_all(server):
        async with openai.AsyncOpenAI(base_url=server.base_url, api_key="k") as client:
            message = [{"role": "user", "content": "x"}]
            await asyncio.gather(
                *(client.chat.completions.create(model="test-model", messages=message) for _ in range(60))
            )

    with LlmServer(Behaviour(latency_s=0.3)) as server:
        asyncio.run(ask_all(server))
        assert server.counts["most_open"] > 30
