"""The asking stage inside real (tiny) Beam runs, against an endpoint over HTTP."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import pickle
import sqlite3

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from pipeline.asking_stages import AskingStage
from pipeline.llm.ledger import read_usage
from pipeline.stages import ACCEPTED, DEAD_AFTER, REJECTED
from schemas.errors import BaltoError, RecordError
from tests.llm_server import Behaviour, LlmServer
from tests.pipeline.llm.asking import repeat, request, transport
from tests.rows import make_sample


class Tally:
    def __init__(self):
        self.counts = {"slips": 2}

    def take(self):
        counts, self.counts = self.counts, {}
        return counts


class AskTwice:
    """Asks a question and then a second one; refuses or breaks on samples of certain names."""

    async def ask(self, sample, ask):
        first = await ask(request(sample.id, purpose="extract"))
        if sample.id.startswith("refused"):
            raise RecordError("extract_claims", "it asked for it")
        if sample.id.startswith("poison"):
            raise ZeroDivisionError("oops")
        second = await ask(request(f"{sample.id} again"))
        return f"{first.text} | {second.text}"


class AskOnce:
    """The reply becomes the sample's id; `end` ends the run after a while."""

    def setup(self):
        pass

    def teardown(self):
        pass

    async def ask(self, sample, ask):
        if sample.id == "end":
            await asyncio.sleep(0.45)
            raise BaltoError("enough")
        return dataclasses.replace(sample, id=(await ask(request(sample.id))).text)


def local_pipeline() -> beam.Pipeline:
    return beam.Pipeline(runner="FnApiRunner", options=PipelineOptions([]))


def said(name):
    return f"question {name} | question {name} again"


def test_every_record_leaves_once_and_the_slots_are_filled():
    names = [f"r{number}" for number in range(100)] + ["refused", "poison"]
    with LlmServer(Behaviour(latency_s=0.02), repeat) as server:
        with local_pipeline() as pipeline:
            samples = pipeline | beam.Create([make_sample(name) for name in names])
            outputs = samples | AskingStage("ask", AskTwice(), transport(server, in_flight=8))
            assert_that(outputs[ACCEPTED], equal_to([said(f"r{n}") for n in range(100)]), label="accepted")
            refused = outputs[REJECTED] | beam.Map(lambda one: (one.id, one.stage, one.reason))
            wanted = [
                ("refused", "extract_claims", "it asked for it"),
                ("poison", "ask", "internal error: ZeroDivisionError: oops"),
            ]
            assert_that(refused, equal_to(wanted), label="rejected")
        assert server.counts["sent"] == 202
        assert server.counts["most_open"] == 8


def test_results_keep_the_window_of_their_own_record():
    def stamped(sample):
        return TimestampedValue(sample, int(sample.id))

    def with_window(value, window=beam.DoFn.WindowParam, timestamp=beam.DoFn.TimestampParam):
        return value.partition(" | ")[0], int(window.start), int(timestamp)

    names = ["3", "14", "25", "refused"]
    with LlmServer(Behaviour(latency_s=0.01), repeat) as server, local_pipeline() as pipeline:
        samples = pipeline | beam.Create([make_sample(name) for name in names[:3]]) | beam.Map(stamped)
        outputs = samples | beam.WindowInto(FixedWindows(10)) | AskingStage("ask", AskTwice(), transport(server))
        windows = outputs[ACCEPTED] | beam.Map(with_window)
        assert_that(
            windows | "Global" >> beam.WindowInto(beam.window.GlobalWindows()),
            equal_to([("question 3", 0, 3), ("question 14", 10, 14), ("question 25", 20, 25)]),
        )


def test_requests_tokens_and_rejections_are_counted_in_beam_s_metrics_and_in_the_ledger(tmp_path):
    ledger = f"{tmp_path}/ledger"
    step = AskTwice()
    step.tally = Tally()
    with LlmServer(answer=repeat) as server:
        pipeline = local_pipeline()
        samples = [make_sample(name) for name in ("a", "b", "refused")]
        _ = pipeline | beam.Create(samples) | AskingStage("ask", step, transport(server, ledger=ledger))
        result = pipeline.run()
        result.wait_until_finish()
    counted = {counter.key.metric.name: counter.committed for counter in result.metrics().query()["counters"]}
    assert counted["extract.requests"] == 3
    assert counted["verify.requests"] == 2
    assert counted["verify.prompt_tokens"] > 0
    assert counted["rejected_ask"] == 1
    assert counted["slips"] == 2
    usage = read_usage(ledger)
    assert usage["noticed"] == {"slips": 2}
    assert usage["all"]["requests"] == 5


def test_spent_budget_ends_the_run_and_the_next_one_asks_only_the_rest(tmp_path):
    options = {"cache": f"sqlite:{tmp_path}/cache", "ledger": f"{tmp_path}/ledger", "in_flight": 4}
    samples = [make_sample(f"r{number}") for number in range(40)]
    with LlmServer(Behaviour(latency_s=0.01), repeat) as server:
        pipeline = local_pipeline()
        little = transport(server, max_requests=30, **options)
        _ = pipeline | beam.Create(samples) | AskingStage("ask", AskTwice(), little)
        with pytest.raises(Exception, match="all 30 requests of --max-requests are sent"):
            pipeline.run()
        assert server.counts["sent"] == server.counts["answered"] == 30
        with local_pipeline() as pipeline:
            asked = pipeline | beam.Create(samples) | AskingStage("ask", AskTwice(), transport(server, **options))
            assert_that(asked[ACCEPTED], equal_to([said(f"r{number}") for number in range(40)]))
        assert server.counts["sent"] == 80
    assert read_usage(options["ledger"])["all"]["requests"] == 80


def test_the_end_of_a_run_awaits_and_keeps_what_another_stage_has_sent(tmp_path):
    options = {"cache": f"sqlite:{tmp_path}/cache", "ledger": f"{tmp_path}/ledger", "in_flight": 8}
    with LlmServer(Behaviour(latency_s=0.3), repeat) as server:
        pipeline = local_pipeline()
        samples = pipeline | beam.Create([make_sample(name) for name in ("a", "b", "c", "end")])
        first = samples | "first" >> AskingStage("first", AskOnce(), transport(server, **options))
        _ = first[ACCEPTED] | "second" >> AskingStage("second", AskOnce(), transport(server, **options))
        with pytest.raises(Exception, match="enough"):  # 0.3 s after the start the second stage asks, until 0.6 s
            pipeline.run()
        assert server.counts["sent"] == server.counts["answered"] == 6
    with sqlite3.connect(tmp_path / "cache") as file:
        assert file.execute("SELECT count(*) FROM replies").fetchone() == (6,)
    file.close()
    assert read_usage(options["ledger"])["all"]["prompt_tokens"] > 6


def test_a_step_that_fails_on_every_prompt_ends_the_run_and_keeps_what_was_answered(tmp_path):
    samples = [make_sample(f"poison{number}", group_id=f"g{number}") for number in range(DEAD_AFTER + 20)]
    with LlmServer(Behaviour(latency_s=0.01), repeat) as server:
        chosen = transport(server, in_flight=4, cache=f"sqlite:{tmp_path}/cache")
        pipeline = local_pipeline()
        _ = pipeline | beam.Create(samples) | AskingStage("ask", AskTwice(), chosen)
        with pytest.raises(
            Exception, match=f"stage ask failed on {DEAD_AFTER} prompts in a row.*the same command resumes"
        ):
            pipeline.run()
        assert DEAD_AFTER <= server.counts["sent"] == server.counts["answered"] < len(samples)


def test_dead_endpoint_ends_the_run_in_one_line():
    with LlmServer() as server:
        chosen = transport(server, in_flight=2, max_attempts=1)
    pipeline = local_pipeline()
    samples = pipeline | beam.Create([make_sample(f"r{number}") for number in range(40)])
    _ = samples | AskingStage("ask", AskTwice(), chosen)
    with pytest.raises(Exception, match="is gone"):
        pipeline.run()


def test_key_is_in_no_pickle_proto_header_log_cache_or_ledger(tmp_path, monkeypatch, caplog):
    key = "sk-very-secret-0123456789abcdef"
    monkeypatch.setenv("BALTO_TEST_KEY", key)
    caplog.set_level("DEBUG")
    with LlmServer(Behaviour(api_key=key, faults={"500": 0.3}), repeat) as server:
        chosen = transport(server, cache=f"sqlite:{tmp_path}/cache", ledger=f"{tmp_path}/ledger")
        endpoint = dataclasses.replace(chosen.endpoint, api_key="BALTO_TEST_KEY")
        chosen = dataclasses.replace(chosen, endpoint=endpoint)
        pipeline = local_pipeline()
        stage = AskingStage("ask", AskTwice(), chosen)
        _ = pipeline | beam.Create([make_sample(f"r{number}") for number in range(20)]) | stage
        proto = pipeline.to_runner_api().SerializeToString()
        pipeline.run().wait_until_finish()
        assert all(one.headers["Authorization"] == f"Bearer {key}" for one in server.received)
        assert not any(key in body for body in map(json.dumps, server.bodies()))
    places = [proto, pickle.dumps(chosen), repr(chosen).encode(), repr(vars(stage)).encode(), caplog.text.encode()]
    places += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(places) >= 7
    assert not any(key.encode() in place for place in places)
