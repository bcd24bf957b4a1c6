"""Filling the cache through the Batch API: rounds, expiry, failures, limits, kills."""

from __future__ import annotations

import asyncio
import json

import pytest

from pipeline.llm import batch as module
from pipeline.llm.batch import fill_cache
from pipeline.llm.endpoint import EndpointError
from pipeline.llm.ledger import BudgetSpent, read_usage
from schemas.errors import ConfigError
from tests.llm_server import Behaviour, LlmServer
from tests.pipeline.llm.asking import ask_all, repeat, request, texts, transport


async def ask_twice(number, ask):
    first = await ask(request(number, purpose="extract"))
    return await ask(request(f"after {first.text}"))


def fill(chosen, folder, records=range(40), ask_about=ask_twice):
    asyncio.run(fill_cache(chosen, folder, lambda: iter(records), ask_about, poll_s=0.01))


@pytest.fixture
def paths(tmp_path):
    return {"cache": f"sqlite:{tmp_path}/cache", "ledger": f"{tmp_path}/ledger"}


def both_questions(numbers):
    return [request(n) for n in numbers] + [request(f"after question {n}") for n in numbers]


def test_rounds_answer_questions_that_depend_on_answers_and_nothing_is_sent_directly(tmp_path, paths):
    prices = tmp_path / "prices.json"
    prices.write_text('{"models": {"test-model": {"input": 100, "output": 100}}, "batch": 0.5}')
    with LlmServer(answer=repeat) as server:
        chosen = transport(server, prices=str(prices), **paths)
        fill(chosen, tmp_path / "batches")
        assert (server.counts["sent"], server.counts["batches"], server.counts["batch_lines"]) == (0, 2, 80)
        replies, _ = ask_all(chosen, both_questions(range(40)))
        assert all(reply.from_cache for reply in replies)
        assert texts(replies[40:42]) == ["question after question 0", "question after question 1"]
    usage = read_usage(paths["ledger"])
    assert usage["extract"]["requests"] == usage["verify"]["requests"] == 40
    tokens = usage["all"]["prompt_tokens"] + usage["all"]["completion_tokens"]
    assert usage["all"]["cost_usd"] == pytest.approx(tokens * 100 / 1e6 * 0.5)
    assert [path.name for path in (tmp_path / "batches").iterdir()] == ["state.json"]


def test_expired_and_failed_lines_are_submitted_again(tmp_path, paths):
    with LlmServer(Behaviour(batch_expired=0.2, batch_failed=0.1), repeat) as server:
        fill(transport(server, **paths), tmp_path / "batches")
        assert server.counts["batch_lines"] > 80
        replies, _ = ask_all(transport(server, **paths), both_questions(range(40)))
    state = json.loads((tmp_path / "batches" / "state.json").read_bytes())
    unanswered = len(state["refused"])
    assert unanswered <= 8  # 80 questions, each in vain three times with a chance of 0.3 ** 3
    assert sum(reply.from_cache for reply in replies) >= 80 - 2 * unanswered


def test_a_question_that_never_gets_an_answer_is_given_up(tmp_path, paths):
    with LlmServer(Behaviour(batch_failed=1.0), repeat) as server:
        fill(transport(server, **paths), tmp_path / "batches", range(5))
        # the second questions are about the failures of the first: they are asked, too, three times each
        assert server.counts["batch_lines"] in (15, 18)


def test_answers_under_another_id_are_nobody_s_and_their_questions_are_given_up(tmp_path, paths):
    with LlmServer(Behaviour(batch_renamed=1.0), repeat) as server:
        fill(transport(server, **paths), tmp_path / "batches", range(5))
        assert server.counts["batch_lines"] in (15, 18)  # as above: three times each
        fill(transport(server, **paths), tmp_path / "batches", range(5))
        assert server.counts["batch_lines"] in (15, 18)
    state = json.loads((tmp_path / "batches" / "state.json").read_bytes())
    assert set(state["tries"].values()) == {3}
    assert set(state["refused"].values()) == {"no line in the results of its batch"}


def test_files_keep_the_limits_of_a_batch(tmp_path, paths, monkeypatch):
    monkeypatch.setattr(module, "MAX_LINES", 15)
    with LlmServer(answer=repeat) as server:
        fill(transport(server, **paths), tmp_path / "batches")
        assert server.counts["batches"] == 2 * 3  # 40 questions in files of 15, 15 and 10
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    with LlmServer(answer=repeat) as server:
        fill(transport(server, cache=f"sqlite:{tmp_path}/other"), tmp_path / "more", range(6))
        uploads = [one.body for one in server.received if one.path.endswith("/files")]
        assert len(uploads) > 4


@pytest.mark.parametrize("step", ["_create", "_move", "_read"])
def test_killed_run_goes_on_with_its_own_batches(step, tmp_path, paths, monkeypatch):
    real = getattr(module._Filler, step)

    async def dies_after_creating(self, batch):
        await real(self, batch)
        raise KeyboardInterrupt

    def dies_at_the_second_move(self, batch, state):
        real(self, batch, state)
        if state == "submitted":
            raise KeyboardInterrupt

    async def dies_before_reading(self, batch, files):
        raise KeyboardInterrupt

    deaths = {"_create": dies_after_creating, "_move": dies_at_the_second_move, "_read": dies_before_reading}
    with LlmServer(answer=repeat) as server:
        with monkeypatch.context() as patch:
            patch.setattr(module._Filler, step, deaths[step])
            with pytest.raises(KeyboardInterrupt):
                fill(transport(server, **paths), tmp_path / "batches")
        assert server.counts["batches"] == 1
        fill(transport(server, **paths), tmp_path / "batches")
        assert (server.counts["batches"], server.counts["batch_lines"]) == (2, 80)  # no question twice


def test_budget_stops_after_what_it_paid_for_and_resumes(tmp_path, paths):
    with LlmServer(answer=repeat) as server:
        with pytest.raises(BudgetSpent, match="--max-requests"):
            fill(transport(server, max_requests=50, **paths), tmp_path / "batches")
        assert server.counts["batch_lines"] == 50
        fill(transport(server, max_requests=500, **paths), tmp_path / "batches")
        assert server.counts["batch_lines"] == 80


def test_defective_records_are_left_to_the_ordinary_run(tmp_path, paths):
    async def breaks(number, ask):
        if number == 3:
            raise ZeroDivisionError
        return await ask_twice(number, ask)

    with LlmServer(answer=repeat) as server:
        fill(transport(server, **paths), tmp_path / "batches", range(5), breaks)
        assert server.counts["batch_lines"] == 8


def test_batches_need_a_cache_and_an_endpoint_that_knows_them(tmp_path, paths, monkeypatch):
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.0)
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.0)
    with LlmServer() as server, pytest.raises(ConfigError, match="--cache"):
        fill(transport(server), tmp_path / "batches")
    with pytest.raises(EndpointError, match="the same command resumes"):
        fill(transport(server, **paths), tmp_path / "batches")
