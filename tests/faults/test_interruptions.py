"""Signals, a clock that jumps, two runs at once, an endpoint that hangs or goes away for a while."""

import dataclasses
import fcntl
import shutil
import signal
import threading
import time

import pytest

from balto import BEGIN_ANEW
from tests.faults.kills import measure
from tests.faults.warm_balto import AROUND_THE_END

NAMES = ("label", "label-llm", "project", "generate", "train", "report")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", [*NAMES, "round"])
def test_a_signal_ends_a_run_in_one_line_and_the_same_command_finishes_it(
    name, number, balto, inputs, scenarios, folder
):
    scenario = scenarios[name]
    cost = measure(balto, inputs, scenario, folder / "killed")
    out = folder / "killed" / scenario.product  # a round names its own place
    shutil.rmtree(out.parent)
    out.parent.mkdir()
    ended = balto.run(scenario.argv(out), kill_after_s=0.5 * cost.seconds, number=number)
    if ended.code != 0:  # else it was faster this time
        assert ended.code in (128 + number, 128 + signal.SIGTERM)
        promise = f"the same command {'begins anew' if name in BEGIN_ANEW else 'resumes'}"
        said = [line for line in (ended.stderr + ended.stdout).splitlines() if promise in line]
        assert len(said) == 1, ended.stderr
        assert "Traceback" not in ended.stderr
        assert scenario.problems(out, scenario.undisturbed, False) == []
        ended = balto.run(scenario.argv(out))
    assert ended.code == 0, ended.stderr
    assert scenario.problems(out, scenario.undisturbed, True) == []


@pytest.mark.parametrize("moment", AROUND_THE_END)
@pytest.mark.parametrize("name", NAMES)
def test_a_signal_to_a_run_whose_output_is_complete_changes_nothing(name, moment, balto, scenarios, folder):
    scenario, number = scenarios[name], signal.SIGINT if moment == "named" else signal.SIGTERM
    out = folder / f"end-{name}-{moment}" / scenario.product
    out.parent.mkdir()
    ended = balto.run(scenario.argv(out), number=number, last_file=out / scenario.last_file, moment=moment)
    assert ended.code == 0, ended.stderr
    assert "resumes" not in ended.stderr
    assert ended.stdout.count("\n") >= 1
    assert scenario.problems(out, scenario.undisturbed, True) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_clock_that_jumps_by_hours_changes_nothing(name, balto, scenarios, folder):
    scenario = scenarios[name]
    out = folder / f"clock-{name}" / scenario.product
    out.parent.mkdir()
    ended = balto.run(scenario.argv(out), clock_jumps=True)
    assert ended.code == 0, ended.stderr
    assert scenario.problems(out, scenario.undisturbed, True) == []


LOCKS = {
    "label": ".work/lock",
    "label-llm": ".work/lock",
    "project": ".work/lock",
    "generate": "../.corpus.jsonl.lock",
    "train": ".lock",
}


@pytest.mark.parametrize("name", LOCKS)
def test_a_second_run_into_the_same_output_is_refused_in_one_line(name, balto, scenarios, folder):
    scenario = scenarios[name]
    out = folder / f"two-{name}" / scenario.product
    lock = out.parent / ".corpus.jsonl.lock" if name == "generate" else out / LOCKS[name]
    lock.parent.mkdir(parents=True)
    with open(lock, "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ended = balto.run(scenario.argv(out))
        assert ended.code == 2
        assert [line for line in ended.stderr.splitlines() if "another run is writing there" in line]
        assert ended.stderr.count("\n") == 1
    ended = balto.run(scenario.argv(out))
    assert ended.code == 0, ended.stderr
    assert scenario.problems(out, scenario.undisturbed, True) == []


def test_an_endpoint_that_goes_away_and_comes_back_costs_no_record(balto, inputs, scenarios, folder):
    scenario = scenarios["label-llm"]
    out = folder / "away" / scenario.product
    out.parent.mkdir()
    server, before = inputs.server, inputs.server.counts["sent"]
    stopping = threading.Event()

    def go_away_for_a_second() -> None:
        while server.counts["sent"] < before + 10 and not stopping.wait(0.002):
            pass
        server.__exit__()
        time.sleep(1)
        server.__enter__()

    away = threading.Thread(target=go_away_for_a_second)
    away.start()
    ended = balto.run(scenario.argv(out))
    stopping.set()
    away.join()
    assert ended.code == 0, ended.stderr
    assert scenario.problems(out, scenario.undisturbed, True) == []


def test_an_endpoint_that_hangs_now_and_then_costs_no_record(balto, inputs, scenarios, folder):
    scenario = scenarios["label-llm"]
    out = folder / "hang" / scenario.product
    out.parent.mkdir()
    inputs.server.behaviour = dataclasses.replace(inputs.server.behaviour, faults={"hang": 0.1})
    try:
        ended = balto.run([*scenario.argv(out), "--request-timeout-s", 1])
    finally:
        inputs.server.behaviour = dataclasses.replace(inputs.server.behaviour, faults={})
    assert ended.code == 0, ended.stderr
    assert inputs.server.counts["hang"] > 0
    assert scenario.problems(out, scenario.undisturbed, True) == []
