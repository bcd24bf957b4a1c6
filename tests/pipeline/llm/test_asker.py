"""Asking over real HTTP: faults, retries, limits, cache, budget."""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
import time

import pytest

from pipeline.llm.asker import DEAD_AFTER, open_asker
from pipeline.llm.chat import API_ERROR, CONTENT_FILTER, LENGTH, OK, REFUSAL, ChatReply
from pipeline.llm.client import ChatClient
from pipeline.llm.endpoint import EndpointError
from pipeline.llm.ledger import BudgetSpent, read_usage, set_stopped
from schemas.errors import BaltoError, ConfigError
from tests.llm_server import Behaviour, LlmServer
from tests.pipeline.llm.asking import FailsOnRecords, IsThere, ask_all, repeat, request, texts, transport

QUICK = {"429", "500", "reset", "broken_http"}


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr("pipeline.llm.client.FIRST_WAIT_S", 0.01)


@pytest.mark.parametrize("fault", sorted(QUICK | {"hang"}))
def test_every_question_is_answered_in_spite_of_a_transport_fault(fault):
    behaviour = Behaviour(faults={fault: 0.3}, retry_after_s=0)
    with LlmServer(behaviour, repeat) as server:
        chosen = transport(server, timeout_s=0.5 if fault == "hang" else 20, max_attempts=12)
        replies, asker = ask_all(chosen, [request(number) for number in range(60)])
        assert texts(replies) == [f"question {number}" for number in range(60)]
        assert {reply.status for reply in replies} == {OK}
        # a question is sent once more for every time that it met the fault, and not once beyond
        assert server.counts["sent"] == 60 + server.counts[fault] > 60
        assert asker.ledger.counts["verify.requests"] == server.counts["sent"]
        assert asker.ledger.counts["verify.retries"] == server.counts[fault]


def test_all_faults_together_lose_and_repeat_nothing_that_was_answered():
    shares = dict.fromkeys([*QUICK, "hang", "slow", "refusal", "length", "content_filter"], 0.1)
    behaviour = Behaviour(faults=shares, retry_after_s=0, slow_s=0.2)
    with LlmServer(behaviour, repeat) as server:
        chosen = transport(server, timeout_s=1.0, max_attempts=15)
        replies, _ = ask_all(chosen, [request(number) for number in range(200)])
        assert {reply.status for reply in replies} == {OK, REFUSAL, LENGTH, CONTENT_FILTER}
        assert all(reply.text == f"question {i}" for i, reply in enumerate(replies) if reply.status == OK)
        assert server.counts["answered"] == 200
        forced = sum(server.counts[fault] for fault in (*QUICK, "hang"))
        assert server.counts["sent"] == 200 + forced


def test_attempts_are_bounded_and_the_failure_names_its_cause():
    with LlmServer(FailsOnRecords()) as server:
        (reply,), asker = ask_all(transport(server, max_attempts=3), [request(1)])
        assert reply.status == API_ERROR
        assert server.counts["sent"] == 3 + 1  # and whether it is there at all
        assert reply.reason == "HTTP 500: The server had an error while processing your request (attempts: 3)"
        assert asker.ledger.counts["verify.failed"] == 1


def test_retry_after_is_honoured_and_uses_up_no_attempt_until_too_long_was_waited(monkeypatch):
    monkeypatch.setattr("pipeline.llm.client.LONGEST_RETRY_AFTER_S", 30)
    waits = []

    async def ask(server):
        client = ChatClient(transport(server).endpoint, 1)

        async def before(again):
            pass

        async def sleep(seconds):
            waits.append(seconds)

        try:
            return await client.ask(request(1), before, sleep)
        finally:
            await client.close()

    with LlmServer(Behaviour(faults={"429": 1.0}, retry_after_s=7)) as server:
        asyncio.run(ask(server))
    assert len(waits) == 4 + 5  # 4 of 7 s in 30 s, then between 6 attempts
    assert all(7 <= wait <= 7.7 for wait in waits)


def test_a_rate_limit_fails_no_question_however_often_it_is_met(caplog):
    with LlmServer(Behaviour(faults={"429": 0.8}, retry_after_s=0.01), repeat) as server:
        replies, asker = ask_all(transport(server, max_attempts=1), [request(number) for number in range(20)])
        assert texts(replies) == [f"question {number}" for number in range(20)]
        assert asker.ledger.counts["verify.retries"] == server.counts["429"] > 20
    assert caplog.text.count("puts requests off (HTTP 429: Rate limit reached)") == 1


def test_an_endpoint_that_only_limits_the_rate_ends_the_run():
    with LlmServer(Behaviour(faults={"429": 1.0}, retry_after_s=None), repeat) as server:
        results, _ = ask_all(transport(server, max_attempts=1, in_flight=4), [request(number) for number in range(50)])
        assert all(isinstance(one, EndpointError) for one in results)
        assert server.counts["sent"] <= 5
    assert "is gone: what it is asked fails after all attempts (4 in a row), the last with: HTTP 429" in str(results[0])


def test_waiting_grows_with_jitter_when_the_server_says_nothing():
    from pipeline.llm.replies import Failure

    with LlmServer() as server:
        endpoint = transport(server).endpoint

        async def waits():
            client = ChatClient(endpoint, 1)
            drawn = [[client.wait_s(attempt, Failure("", True)) for _ in range(50)] for attempt in (1, 2, 3)]
            await client.close()
            return drawn

        drawn = asyncio.run(waits())
    for number, some in enumerate(drawn):
        assert 0.005 * 2**number <= min(some) < max(some) <= 0.01 * 2**number


def test_a_server_that_asks_for_hours_ends_the_run():
    with LlmServer(Behaviour(faults={"429": 1.0}, retry_after_s=7200)) as server:
        (error,), _ = ask_all(transport(server), [request(1)])
    assert isinstance(error, EndpointError)
    assert "asks to wait 7200 s" in str(error)


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        (Behaviour(api_key="other"), "refused the key in OPENAI_API_KEY"),
        (Behaviour(models=("other",)), "no model 'test-model' there"),
    ],
)
def test_what_no_request_can_mend_ends_the_run_after_few_requests(behaviour, says):
    with LlmServer(behaviour) as server:
        errors, _ = ask_all(transport(server, in_flight=4), [request(number) for number in range(50)])
        assert all(isinstance(error, EndpointError) and says in str(error) for error in errors)
        assert server.counts["sent"] + len(server.received) <= 2 * 4


def test_requests_that_wait_for_their_minute_end_with_the_run():
    with LlmServer(Behaviour(api_key="other")) as server:
        began = time.monotonic()
        errors, _ = ask_all(transport(server, requests_per_minute=2), [request(number) for number in range(4)])
        assert time.monotonic() - began < 20  # the second may be sent after 30 s
        assert all(isinstance(error, EndpointError) for error in errors)
        assert server.counts["sent"] <= 1


def test_too_long_a_context_fails_its_own_question_only_and_is_not_repeated():
    with LlmServer(Behaviour(context_tokens=100), repeat) as server:
        (long, short), _ = ask_all(transport(server), [request("x" * 1000), request(2)])
        assert (long.status, short.status) == (API_ERROR, OK)
        assert "maximum context length is 100 tokens" in long.reason
        assert server.counts["sent"] == 2


def test_a_server_that_silently_drops_what_is_too_long_is_found_out(caplog, tmp_path):
    words = "one two three four five six " * 100
    with LlmServer(Behaviour(reads_tokens=100), repeat) as server:
        chosen = transport(server, ledger=f"{tmp_path}/ledger")
        ask_all(chosen, [request(words), request(f"{words}!"), request(1)])
    assert caplog.text.count("it seems to drop what is too long") == 1
    assert read_usage(chosen.ledger)["noticed"] == {"prompts_cut": 2}


def test_an_endpoint_that_went_away_ends_the_run():
    with LlmServer(answer=repeat) as server:
        chosen = transport(server, max_attempts=2, in_flight=4)
    results, _ = ask_all(chosen, [request(number) for number in range(3)])
    assert all(isinstance(one, EndpointError) for one in results)
    assert "is gone" in str(results[-1])
    assert "\n" not in str(results[-1])


def test_an_endpoint_that_answers_tiny_questions_only_ends_a_long_run():
    questions = [request(number) for number in range(30)]
    with LlmServer(FailsOnRecords(), repeat) as server:
        results, _ = ask_all(transport(server, max_attempts=2, in_flight=4), questions)
        accepted, _ = ask_all(transport(server, max_attempts=1, in_flight=4, accept_failures=True), questions)
    assert sum(isinstance(one, ChatReply) for one in results) < DEAD_AFTER + 4
    assert f"({DEAD_AFTER + 4} failed in a row)" in str(results[-1])
    assert "--accept-failures goes on without them" in str(results[-1])
    assert {reply.status for reply in accepted} == {API_ERROR}


def test_an_endpoint_that_refuses_every_question_ends_a_long_run_early_unless_the_user_accepts_it(tmp_path):
    questions = [request(number) for number in range(100)]
    with LlmServer(Behaviour(context_tokens=1), repeat) as server:
        chosen = transport(server, in_flight=4, ledger=f"{tmp_path}/ledger")
        results, _ = ask_all(chosen, questions)
        assert DEAD_AFTER + 4 <= server.counts["sent"] < DEAD_AFTER + 2 * 4
        assert "answered none of the run's verify requests, the last failed with: HTTP 400" in str(results[-1])
        replies, _ = ask_all(dataclasses.replace(chosen, accept_failures=True), questions)
        assert {reply.status for reply in replies} == {API_ERROR}


def test_refusals_end_no_run_of_which_something_was_answered(tmp_path):
    with LlmServer(Behaviour(context_tokens=100), repeat) as server:
        chosen = transport(server, in_flight=1, ledger=f"{tmp_path}/ledger")
        replies, _ = ask_all(chosen, [request(0), *(request(f"{number}{'x' * 999}") for number in range(40))])
    assert [reply.status for reply in replies] == [OK, *[API_ERROR] * 40]


def test_a_403_that_is_about_the_question_ends_no_run():
    class Guarded(LlmServer):
        def _refused(self, body):
            return (403, {"error": "blocked"}) if "question 7" in str(body) else super()._refused(body)

    with Guarded(answer=repeat) as server:
        replies, _ = ask_all(transport(server, in_flight=1), [request(7), request(8), request(77)])
    assert [(reply.status, reply.reason[:17]) for reply in replies] == [
        (API_ERROR, "HTTP 403: blocked"),
        (OK, ""),
        (API_ERROR, "HTTP 403: blocked"),
    ]


def test_a_403_for_any_question_ends_the_run():
    class Locked(LlmServer):
        def _refused(self, body):
            return 403, {"error": "not from there"}

    with Locked(answer=repeat) as server:
        (error,), _ = ask_all(transport(server), [request(7)])
    assert "refused the key in OPENAI_API_KEY (HTTP 403: not from there" in str(error)


def test_a_question_that_fails_alone_ends_no_run():
    with LlmServer(FailsOnRecords(text=b"question 7"), repeat) as server:
        replies, _ = ask_all(transport(server, max_attempts=2, in_flight=1), [request(7), request(8)])
    assert [reply.status for reply in replies] == [API_ERROR, OK]


def test_no_more_requests_are_in_flight_than_allowed():
    with LlmServer(Behaviour(latency_s=0.05), repeat) as server:
        ask_all(transport(server, in_flight=7), [request(number) for number in range(50)])
        assert server.counts["most_open"] == 7
    with LlmServer(Behaviour(latency_s=0.05), repeat) as server:
        ask_all(transport(server, in_flight=7, processes=3, ledger=""), [request(number) for number in range(20)])
        assert server.counts["most_open"] == 2  # 7 // 3


def test_equal_requests_share_one_call_and_cached_ones_send_nothing(tmp_path):
    with LlmServer(Behaviour(latency_s=0.05), repeat) as server:
        chosen = transport(server, cache=f"sqlite:{tmp_path}/cache", ledger=f"{tmp_path}/ledger")
        first, _ = ask_all(chosen, [request(1), request(2), request(1), request(1)])
        assert server.counts["sent"] == 2
        assert texts(first) == ["question 1", "question 2", "question 1", "question 1"]
        again, _ = ask_all(chosen, [request(2), request(1)])
        assert texts(again) == ["question 2", "question 1"]
        assert all(reply.from_cache for reply in again)
        assert server.counts["sent"] == 2
    assert read_usage(chosen.ledger)["verify"]["requests"] == 2
    assert read_usage(chosen.ledger)["verify"]["cached"] == 4


def test_only_replies_that_would_come_again_are_kept(tmp_path):
    shares = {"500": 0.4, "refusal": 0.3, "length": 0.3}
    with LlmServer(IsThere(faults=shares), repeat) as server:
        chosen = transport(server, max_attempts=1, cache=f"sqlite:{tmp_path}/cache")
        replies, _ = ask_all(chosen, [request(number) for number in range(100)])
    failed = sum(reply.status == API_ERROR for reply in replies)
    assert 0 < failed < 100
    with sqlite3.connect(tmp_path / "cache") as file:
        assert file.execute("SELECT count(*) FROM replies").fetchone() == (100 - failed,)
    file.close()


def test_budget_of_requests_holds_exactly_keeps_what_was_answered_and_resumes(tmp_path):
    with LlmServer(Behaviour(latency_s=0.02, faults={"500": 0.2}), repeat) as server:
        options = {"cache": f"sqlite:{tmp_path}/cache", "ledger": f"{tmp_path}/ledger", "in_flight": 8}
        questions = [request(number) for number in range(60)]
        results, _ = ask_all(transport(server, max_requests=25, **options), questions)
        assert server.counts["sent"] == 25
        spent = [one for one in results if isinstance(one, BudgetSpent)]
        assert "all 25 requests of --max-requests are sent" in str(spent[0])
        answered = server.counts["answered"]
        assert len(spent) == 60 - answered

        results, _ = ask_all(transport(server, max_requests=25, **options), questions)
        assert server.counts["sent"] == 25  # still spent
        results, _ = ask_all(transport(server, max_requests=1000, **options), questions)
        assert texts(results) == [f"question {number}" for number in range(60)]
        assert server.counts["answered"] == 60  # none asked twice
    assert read_usage(options["ledger"])["verify"]["requests"] == server.counts["sent"]


def test_requests_that_are_put_off_do_not_count_for_the_budget(tmp_path):
    with LlmServer(Behaviour(faults={"429": 0.7}, retry_after_s=0.01), repeat) as server:
        chosen = transport(server, ledger=f"{tmp_path}/ledger", max_requests=40, in_flight=16)
        results, _ = ask_all(chosen, [request(number) for number in range(60)])
        assert server.counts["answered"] == sum(isinstance(one, ChatReply) for one in results) == 40
        assert server.counts["429"] > 40
    assert "all 40 requests of --max-requests are sent" in str(results[-1])


def test_several_processes_share_a_budget_of_money(tmp_path):
    """Each with its own connection to the ledger, as processes have."""
    prices = tmp_path / "prices.json"
    prices.write_text('{"models": {"test-model": {"input": 1000, "output": 1000}}}')  # as in the next test

    async def ask_apart(server):
        chosen = transport(
            server, prices=str(prices), ledger=f"{tmp_path}/ledger", in_flight=120, processes=3, max_cost=0.3
        )
        askers = [await open_asker(chosen) for _ in range(3)]
        questions = [asker.ask(request(number, max_tokens=5)) for number in range(60) for asker in askers]
        results = await asyncio.gather(*questions, return_exceptions=True)
        for asker in askers:
            await asker.close()
        return results

    with LlmServer(Behaviour(latency_s=0.05), answer=repeat) as server:
        results = asyncio.run(ask_apart(server))
    assert any(isinstance(one, BudgetSpent) for one in results)
    assert 0.3 - 0.0121 < read_usage(f"{tmp_path}/ledger")["all"]["cost_usd"] <= 0.3


def test_requests_that_wait_for_their_next_attempt_end_with_a_run_that_ends_in_another_process(tmp_path):
    async def ask(chosen):
        asker = await open_asker(chosen)
        asking = asyncio.create_task(asker.ask(request(1)))
        await asyncio.sleep(0.3)
        set_stopped(chosen.ledger, True)
        began = time.monotonic()
        with pytest.raises(BaltoError, match="the run has ended in another process"):
            await asking
        await asker.close()
        return time.monotonic() - began

    with LlmServer(Behaviour(faults={"429": 1.0}, retry_after_s=600), repeat) as server:
        assert asyncio.run(ask(transport(server, ledger=f"{tmp_path}/ledger", processes=2))) < 5


def test_budget_of_money_is_nearly_used_and_never_overstepped_over_all_starts_of_a_run(tmp_path):
    prices = tmp_path / "prices.json"
    # Every request here: 6 prompt tokens and 3 or 4 of the answer, $0.009 or $0.01; it may cost 7 and 5: $0.012.
    prices.write_text('{"models": {"test-model": {"input": 1000, "output": 1000}}}')
    with LlmServer(Behaviour(latency_s=0.02), answer=repeat) as server:
        options = {"prices": str(prices), "cache": f"sqlite:{tmp_path}/cache", "ledger": f"{tmp_path}/ledger"}
        for max_cost in (0.1, 0.1, 0.1, 0.3):
            chosen = transport(server, in_flight=40, max_cost=max_cost, **options)
            results, _ = ask_all(chosen, [request(number, max_tokens=5) for number in range(60)])
            assert isinstance(results[-1], BudgetSpent)
            said = f"of --max-cost {max_cost:g} is spent, and the next request may take up to $0.012"
            assert said in str(results[-1])
            cost = read_usage(chosen.ledger)["all"]["cost_usd"]
            assert max_cost - 0.0121 < cost <= max_cost
        assert server.counts["sent"] == server.counts["answered"] == sum(isinstance(one, ChatReply) for one in results)


def test_cost_limit_needs_a_price():
    with LlmServer() as server:

        async def opened():
            await open_asker(transport(server, max_cost=1.0))

        with pytest.raises(ConfigError, match="no price is known for test-model"):
            asyncio.run(opened())


def test_a_damaged_cache_is_named_before_anything_is_asked(tmp_path):
    (tmp_path / "cache").write_text("this is no database, it is a letter to my aunt " * 50)
    with LlmServer() as server, pytest.raises(BaltoError, match="cannot be opened"):
        ask_all(transport(server, cache=f"sqlite:{tmp_path}/cache"), [request(1)])


def test_damaged_entry_of_the_cache_is_asked_again(tmp_path):
    with LlmServer(answer=repeat) as server:
        chosen = transport(server, cache=f"sqlite:{tmp_path}/cache")
        ask_all(chosen, [request(1)])
        with sqlite3.connect(tmp_path / "cache") as file:
            file.execute("UPDATE replies SET reply = ?", (b'["ok"',))
        file.close()
        assert texts(ask_all(chosen, [request(1)])[0]) == ["question 1"]
        assert server.counts["sent"] == 2
