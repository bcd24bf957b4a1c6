"""The arithmetic of pace, shares, prices and replies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3

import pytest

from pipeline.llm.chat import CONTENT_FILTER, LENGTH, OK, REFUSAL, ChatReply, Usage
from pipeline.llm.ledger import BudgetSpent, Ledger, read_usage, set_stopped
from pipeline.llm.limits import Pace, share
from pipeline.llm.prices import Price, price_of
from pipeline.llm.replies import Failure, read_completion, read_refused, retry_after
from schemas.errors import BaltoError, ConfigError


def test_sendings_are_spread_evenly_over_the_minute():
    pace = Pace(120)  # one every half second
    assert [pace.delay_s(1, now=100.0) for _ in range(4)] == [0.0, 0.5, 1.0, 1.5]
    assert pace.delay_s(1, now=110.0) == 0.0  # nothing is saved up while idle ...
    assert pace.delay_s(1, now=110.0) == 0.5


def test_a_sending_larger_than_a_minute_s_allowance_fits_and_is_paid_for_afterwards():
    pace = Pace(600)  # ten units a second
    assert pace.delay_s(1200, now=0.0) == 0.0
    assert pace.delay_s(10, now=0.0) == 120.0
    pace.correct(-600)  # the large one took half of what was booked
    assert pace.delay_s(10, now=0.0) == 61.0


def test_no_limit_means_no_delay():
    assert [Pace(0).delay_s(1e9, now=1.0) for _ in range(3)] == [0.0] * 3


def test_shares_of_all_processes_stay_within_the_limit():
    assert [share(64, 1), share(64, 3), share(2, 5)] == [64, 21, 1]


def test_cost_of_an_answer_by_hand():
    price = Price(input=2.0, cached_input=0.5, output=8.0, batch=0.5)
    usage = Usage(prompt_tokens=1000, cached_prompt_tokens=400, completion_tokens=100)
    # 600 * 2 + 400 * .5 + 100 * 8 = 2200 dollars per million
    assert price.cost(usage) == pytest.approx(0.0022)
    assert price.cost(usage, batched=True) == pytest.approx(0.0011)


def test_prices_come_from_the_package_or_a_file(tmp_path):
    mini = price_of("gpt-4o-mini")
    assert mini is not None
    assert price_of("gpt-4o-mini-2024-07-18") == mini
    assert price_of("somebody/unknown") is None
    path = tmp_path / "prices.json"
    path.write_text('{"models": {"mine": {"input": 1, "output": 2}}}')
    assert price_of("mine", str(path)) == Price(1.0, 1.0, 2.0)
    path.write_text('{"models": [1]}')
    with pytest.raises(ConfigError, match="not a file of prices"):
        price_of("mine", str(path))
    with pytest.raises(ConfigError, match="cannot be read"):
        price_of("mine", str(tmp_path / "none.json"))


def body(**message):
    finish = message.pop("finish", "stop")
    value = {"choices": [{"message": message, "finish_reason": finish}], "usage": {"prompt_tokens": 5}}
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("data", "status", "text"),
    [
        (body(content="{}"), OK, "{}"),
        (body(content=None, reasoning_content='{"a": 1}'), OK, '{"a": 1}'),
        (body(content=None), OK, ""),
        (body(content=None, refusal="no\nno"), REFUSAL, ""),
        (body(content="{", finish="length"), LENGTH, "{"),
        (body(content="x", finish="content_filter"), CONTENT_FILTER, "x"),
    ],
)
def test_statuses_of_replies(data, status, text):
    reply = read_completion(data)
    assert isinstance(reply, ChatReply)
    assert (reply.status, reply.text, reply.usage.prompt_tokens) == (status, text, 5)
    assert "\n" not in reply.reason


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"choices": []}', b'{"choices": [{"message": {"content": 3}}]}'])
def test_body_that_is_no_completion_is_a_failure_worth_another_attempt(data):
    failure = read_completion(data)
    assert isinstance(failure, Failure)
    assert (failure.again, failure.fatal) == (True, False)


@pytest.mark.parametrize(
    ("status", "code", "again", "fatal"),
    [
        (429, "rate_limit_exceeded", True, False),
        (429, "insufficient_quota", False, True),
        (302, None, False, False),
        (500, None, True, False),
        (503, None, True, False),
        (529, None, True, False),
        (408, None, True, False),
        (401, "invalid_api_key", False, True),
        (403, None, False, True),
        (404, "model_not_found", False, True),
        (400, "context_length_exceeded", False, False),
        (422, None, False, False),
    ],
)
def test_which_failures_are_repeated_and_which_end_the_run(status, code, again, fatal):
    data = json.dumps({"error": {"message": "a\nb", "code": code}}).encode()
    failure = read_refused(status, {}, data, now=0.0)
    assert isinstance(failure, Failure)
    says = "it redirects to somewhere else" if status == 302 else "a b"
    assert (failure.again, failure.fatal, failure.reason) == (again, fatal, f"HTTP {status}: {says}")


def test_a_redirection_is_told_without_what_may_hold_a_key():
    failure = read_refused(302, {"location": "https://far/login?key=sk-secret"}, b"", now=0.0)
    assert isinstance(failure, Failure)
    assert failure.reason == "HTTP 302: it redirects to https://far/login"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, {"code": "content_filter"}),
        (400, {"code": None, "type": "content_filter"}),
        (400, {"code": "data_inspection_failed", "type": "data_inspection_failed"}),
        (400, {"code": "invalid_prompt", "type": "invalid_request_error"}),
        (403, {"code": 403, "metadata": {"reasons": ["violence"], "flagged_input": "..."}}),
    ],
)
def test_an_answer_that_is_withheld_may_come_as_an_error(status, error):
    reply = read_refused(status, {}, json.dumps({"error": {"message": "no", **error}}).encode(), now=0.0)
    assert reply == ChatReply(CONTENT_FILTER, reason=f"HTTP {status}: no")


def test_a_quota_may_be_named_by_the_type_of_an_error():
    reply = read_refused(429, {}, b'{"error": {"message": "no", "type": "insufficient_quota"}}', now=0.0)
    assert isinstance(reply, Failure)
    assert reply.fatal


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{"error": {"message": "Provider returned error", "code": 502}}', "Provider returned error"),
        (b"<html>please\nlog in</html>", "<html>please log in</html>"),
        (b'{"choices": []}', '{"choices": []}'),
    ],
)
def test_what_came_instead_of_a_completion_is_told(data, says):
    assert read_completion(data) == Failure(f"no chat completion came, but: {says}", again=True)


@pytest.mark.parametrize(
    "data", [b"<html>bad gateway</html>", b'"text"', b'{"error": "busy"}', b'{"detail": "busy"}', b"\xff"]
)
def test_error_bodies_of_any_form_are_read(data):
    assert read_refused(502, {}, data, now=0.0).reason.startswith("HTTP 502")


def test_retry_after_in_seconds_or_as_a_date():
    assert retry_after("2.5", 0.0) == 2.5
    assert retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 20.0) == 40.0
    assert retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 200.0) == 0.0
    assert retry_after("soon", 0.0) is None
    assert retry_after(None, 0.0) is None


def test_two_processes_share_one_budget(tmp_path):
    path = str(tmp_path / "ledger")
    first, second = (Ledger(path, None, max_requests=5) for _ in range(2))
    for ledger in (first, second, first, second, first):
        ledger.take()
    for ledger in (first, second):
        with pytest.raises(BudgetSpent, match="all 5 requests"):
            ledger.take()
        ledger.close()
    assert read_usage(path) == {}


def test_a_budget_given_later_counts_what_was_sent_before_it(tmp_path):
    async def send(ledger):
        for counts in (True, True, False):  # the last is put off
            ledger.take()
            ledger.sent("verify", again=False)
            ledger.returned(counts=counts)
        ledger.close()

    path = tmp_path / "ledger"
    asyncio.run(send(Ledger(str(path), None)))
    for allowed, left in ((3, 1), (6, 3)):  # of the budget table; of the counts, where the file has no such table
        ledger = Ledger(str(path), None, max_requests=allowed)
        for _ in range(left):
            ledger.take()
        with pytest.raises(BudgetSpent, match=f"all {allowed} requests"):
            ledger.take()
        ledger.close()
        with contextlib.closing(sqlite3.connect(path)) as file:
            file.execute("DROP TABLE budget")


def test_what_other_processes_have_under_way_leaves_no_room_until_it_is_back_cheaper_or_the_run_begins_again(tmp_path):
    path, price = str(tmp_path / "ledger"), Price(0, 0, output=1e6)  # a dollar a token

    async def come_back(ledger):
        ledger.returned(6)
        ledger.answered("verify", Usage(completion_tokens=2))  # 2 dollars of the 6 that were feared
        ledger.flush()

    first, second = (Ledger(path, price, max_cost=10) for _ in range(2))
    first.take(6)
    with pytest.raises(BudgetSpent, match=r"\$0 of .* 10 is spent, and 1 requests under way and the next .* \$11"):
        second.take(5)
    asyncio.run(come_back(first))
    second.take(5)
    with pytest.raises(BudgetSpent, match=r"\$2 of"):
        first.take(5)
    first.close()
    set_stopped(path, False)  # the next start; what the second had sent does not come back
    third = Ledger(path, price, max_cost=10)
    third.take(8)
    third.close()


def test_a_stopped_run_takes_no_request_in_any_process_until_it_begins_again(tmp_path):
    path = str(tmp_path / "ledger")
    ledger = Ledger(path, None)
    ledger.take()
    set_stopped(path, True)
    for one in (ledger, Ledger(path, None)):
        one.flush()
        with pytest.raises(BaltoError, match="the run has ended in another process"):
            one.take()
        one.close()
    set_stopped(path, False)
    ledger = Ledger(path, None)
    ledger.take()
    ledger.close()
    assert read_usage(path) == {}


def test_ledger_that_is_none_is_named(tmp_path):
    (tmp_path / "ledger").write_text("no database at all " * 100)
    with pytest.raises(BaltoError, match="ledger: cannot be used"):
        Ledger(str(tmp_path / "ledger"), None)
    assert read_usage(str(tmp_path / "missing")) == {}
