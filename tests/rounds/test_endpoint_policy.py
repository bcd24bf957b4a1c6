import asyncio
import json

import pytest

from pipeline.llm.endpoint import Endpoint
from rounds.endpoint_policy import EndpointPolicy
from schemas.errors import BaltoError, ConfigError
from schemas.records import Passage, Sample
from schemas.samples import sample_from_json
from schemas.tokens import load_tokenizer
from tests.llm_server.behaviour import Behaviour
from tests.llm_server.server import LlmServer
from trainer.generation.generate import generate_corpus
from trainer.generation.sampling import SamplingParams

PARAMS = SamplingParams(num_samples=3, max_new_tokens=20)


def prompts(count=3):
    context = (Passage("p1", "The bridge opened in 1932."),)
    return [Sample(f"s{i}", f"g{i}", f"When, {i}?", context, None) for i in range(count)]


def say(body):
    return f"It opened in 1932 ({len(body['messages'])} messages)."


def answers(server, out, params=PARAMS, tokenizer=None, count=3, attempts=6):
    endpoint = Endpoint(server.base_url, "test-model", max_attempts=attempts)
    policy = EndpointPolicy(endpoint, "remote", params, tokenizer)
    summary = generate_corpus(prompts(count), policy, out, {}, [])
    lines = out.read_text().splitlines()
    return summary, [sample_from_json(json.loads(line), source="", source_row=0, default_id=None) for line in lines]


def word_tokenizer(tmp_path):
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s*\S+"), "isolated")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return load_tokenizer(str(tmp_path / "tokenizer.json"))


def test_every_prompt_gets_n_responses_in_one_call(tmp_path):
    with LlmServer(answer=say) as server:
        summary, records = answers(server, tmp_path / "c.jsonl")
        assert server.counts["sent"] == 3
        assert all(body["n"] == 3 and body["max_tokens"] == 20 for body in server.bodies())
        assert "[1] The bridge opened in 1932." in server.bodies()[0]["messages"][-1]["content"]
    assert (summary.generated, summary.responses, summary.rejected) == (3, 9, 0)
    assert {record.response for record in records} == {"It opened in 1932 (1 messages)."}
    assert {record.policy for record in records} == {"remote"}
    assert all(record.response_token_ids is None for record in records)


class FewAtOnce(LlmServer):
    """Gives one response however many are asked for (many local servers), or takes no request for several (Groq)."""

    refuses = False

    def completion(self, body, fault=""):
        if self.refuses and body["n"] > 1:
            return 400, {"error": {"message": "'n' : number must be at most 1", "code": "invalid_request_error"}}
        return super().completion({**body, "n": 1}, fault)


@pytest.mark.parametrize("refuses", [False, True])
def test_a_server_that_gives_one_response_per_call_is_asked_again_for_the_others(refuses, tmp_path, caplog):
    with FewAtOnce(answer=lambda body: f"seed {body['seed']}") as server:
        server.refuses = refuses
        endpoint = Endpoint(server.base_url, "test-model")
        policy = EndpointPolicy(endpoint, "remote", PARAMS, in_flight=1)
        summary = generate_corpus(prompts(), policy, tmp_path / "c.jsonl", {}, [])
        assert server.counts["answered"] == 9
        assert server.counts["sent"] == 9 + refuses
    assert (summary.generated, summary.responses, summary.rejected) == (3, 9, 0)
    records = [json.loads(line) for line in (tmp_path / "c.jsonl").read_text().splitlines()]
    assert [record["response"] for record in records] == ["seed 0", "seed 1", "seed 2"] * 3
    assert [record["id"] for record in records[:3]] == ["g0:0", "g0:1", "g0:2"]
    assert caplog.text.count("gives 1 of 3 responses in one call") == 1


def test_responses_stand_in_the_order_of_their_prompts_whichever_comes_first(tmp_path, monkeypatch):
    ask = EndpointPolicy._ask

    async def late(self, client, sample):
        answered = await ask(self, client, sample)
        await asyncio.sleep(0.2 if sample.group_id == "g0" else 0.0)
        return answered

    monkeypatch.setattr(EndpointPolicy, "_ask", late)
    with LlmServer(answer=say) as server:
        _, records = answers(server, tmp_path / "c.jsonl")
    assert [record.group_id for record in records] == [f"g{at}" for at in range(3) for _ in range(3)]


def test_logprobs_are_stored_where_endpoint_and_tokenizer_cut_alike(tmp_path):
    tokenizer = word_tokenizer(tmp_path)
    with LlmServer(answer=say) as server:
        _, records = answers(server, tmp_path / "c.jsonl", tokenizer=tokenizer)
    assert all(record.response_logprobs == (-0.25,) * 6 for record in records)
    assert all(len(record.response_token_ids) == 6 for record in records)
    assert {record.tokenizer for record in records} == {tokenizer.fingerprint}


def test_logprobs_of_other_pieces_or_another_temperature_are_not_stored_and_that_is_said(tmp_path, caplog):
    with LlmServer(answer=say) as server:
        _, records = answers(server, tmp_path / "bytes.jsonl", tokenizer=load_tokenizer("bytes"))
        assert all(record.response_logprobs is None and record.tokenizer is None for record in records)
        assert "cuts responses otherwise than the tokenizer given: none are stored" in caplog.text
        warm = SamplingParams(num_samples=3, max_new_tokens=20, temperature=0.7)
        answers(server, tmp_path / "warm.jsonl", params=warm, tokenizer=word_tokenizer(tmp_path))
        assert "logprobs" not in server.bodies()[-1]


def test_refused_answers_are_rejected_with_their_reason(tmp_path):
    with LlmServer(answer=say, behaviour=Behaviour(faults={"content_filter": 1.0})) as server:
        rejected = []
        policy = EndpointPolicy(Endpoint(server.base_url, "test-model"), "remote", PARAMS)
        summary = generate_corpus(prompts(), policy, tmp_path / "c.jsonl", {}, rejected)
    assert (summary.generated, summary.rejected) == (0, 3)
    assert "0 usable responses of 3 (finish reasons: content_filter)" in rejected[0].reason


def test_a_server_that_puts_requests_off_is_asked_when_it_says(tmp_path):
    """However often: that uses up no attempt."""
    with LlmServer(answer=say, behaviour=Behaviour(faults={"429": 0.6}, retry_after_s=0.01)) as server:
        summary, _ = answers(server, tmp_path / "c.jsonl", attempts=1)
        assert server.counts["sent"] > 3
    assert summary.responses == 9


def test_server_errors_are_repeated(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.llm.client.FIRST_WAIT_S", 0.01)
    with LlmServer(answer=say, behaviour=Behaviour(faults={"500": 0.4})) as server:
        summary, _ = answers(server, tmp_path / "c.jsonl", count=6, attempts=20)
        assert server.counts["sent"] > 6
    assert summary.responses == 18


@pytest.mark.parametrize("fault", ["429", "500"])
def test_an_endpoint_that_fails_after_all_attempts_ends_the_run_and_loses_no_answer(tmp_path, fault):
    out = tmp_path / "c.jsonl"
    with LlmServer(answer=say, behaviour=Behaviour(faults={fault: 0.5}, retry_after_s=None)) as server:
        with pytest.raises(BaltoError, match=f"{fault}.*; the same command goes on there"):
            answers(server, out, count=8, attempts=1)
        answered = server.counts["sent"] - server.counts[fault]
        assert 0 < answered < 8
        assert not out.with_name("c.jsonl.rejected.jsonl").exists()
        server.behaviour = Behaviour()
        before = server.counts["sent"]
        summary, _ = answers(server, out, count=8, attempts=1)
        assert server.counts["sent"] - before == 8 - answered
    assert (summary.generated, summary.responses, summary.rejected) == (8, 24, 0)


def test_a_reply_that_is_no_completion_ends_the_run_and_refuses_no_prompt(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.llm.client.FIRST_WAIT_S", 0.01)
    with (
        LlmServer(answer=say, behaviour=Behaviour(faults={"broken_http": 1.0})) as server,
        pytest.raises(BaltoError, match="no chat completion came, but: .*; the same command goes on there"),
    ):
        answers(server, tmp_path / "c.jsonl")


def test_a_prompt_that_the_endpoint_does_not_take_is_rejected_alone(tmp_path):
    rejected = []
    with LlmServer(answer=say, behaviour=Behaviour(context_tokens=200)) as server:
        policy = EndpointPolicy(Endpoint(server.base_url, "test-model"), "remote", PARAMS)
        long = Sample("long", "long", "When? " * 1000, (), None)
        summary = generate_corpus([*prompts(), long], policy, tmp_path / "c.jsonl", {}, rejected)
    assert (summary.generated, summary.rejected) == (3, 1)
    assert "the endpoint refused the prompt: HTTP 400: This model's maximum context length" in rejected[0].reason


class Guarded(LlmServer):
    """What stands before the server dislikes a word, or every question."""

    word = "attack"

    def completion(self, body, fault=""):
        if self.word in json.dumps(body):
            return 403, {"error": {"message": "blocked"}}
        return super().completion(body, fault)


def test_a_prompt_that_alone_is_forbidden_is_rejected_and_a_forbidden_key_ends_the_run(tmp_path):
    rejected = []
    with Guarded(answer=say) as server:
        policy = EndpointPolicy(Endpoint(server.base_url, "test-model"), "remote", PARAMS)
        disliked = Sample("bad", "bad", "What is a heap attack?", (), None)
        summary = generate_corpus([disliked, *prompts()], policy, tmp_path / "c.jsonl", {}, rejected)
        assert (summary.generated, summary.rejected) == (3, 1)
        assert "the endpoint refused the prompt: HTTP 403: blocked" in rejected[0].reason
        server.word = ""
        with pytest.raises(BaltoError, match=r"refused the key in .* \(HTTP 403: blocked\)"):
            answers(server, tmp_path / "d.jsonl")


def test_wrong_key_ends_the_run_in_one_line_and_leaves_it_resumable(tmp_path, monkeypatch):
    monkeypatch.setenv("BALTO_TEST_KEY", "sk-the-wrong-one")
    out = tmp_path / "c.jsonl"
    with LlmServer(answer=say, behaviour=Behaviour(api_key="right")) as server:
        policy = EndpointPolicy(Endpoint(server.base_url, "test-model", "BALTO_TEST_KEY"), "remote", PARAMS)
        with pytest.raises(
            BaltoError, match=r"refused the key in BALTO_TEST_KEY \(HTTP 401: .*\[the key\]\)"
        ) as raised:
            generate_corpus(prompts(), policy, out, {}, [])
        assert "sk-the-wrong-one" not in str(raised.value)
        assert not out.exists()
        monkeypatch.setenv("BALTO_TEST_KEY", "right")
        policy = EndpointPolicy(Endpoint(server.base_url, "test-model", "BALTO_TEST_KEY"), "remote", PARAMS)
        assert generate_corpus(prompts(), policy, out, {}, []).responses == 9
    assert b"right" not in out.read_bytes()


def test_an_endpoint_elsewhere_needs_a_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="set the environment variable OPENAI_API_KEY"):
        EndpointPolicy(Endpoint("https://llm.example/v1", "m"), "remote", PARAMS)
