import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rounds.run_stage import Stage, run_stage, tidy_up
from schemas.errors import BaltoError
from tests.faults.process_tree import members
from tests.llm_server import Behaviour, LlmServer
from tests.rows import small_corpus, write_jsonl
from tests.trainer.tiny_runs import label_folder, model_folder
from trainer.checkpoint import checkpoints

ROUND = """
import logging
import sys
from pathlib import Path
from rounds import run_stage
from schemas.interruption import listening

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with listening():
        run_stage.run_stage(run_stage.Stage("answer", tuple(sys.argv[2:]), Path(sys.argv[1])))
"""
WAITING = "waiting for answer to finish what it is at; another signal ends it at once"


@pytest.fixture
def server():
    with LlmServer(Behaviour(models=("m",), faults={"hang": 1.0})) as running:
        yield running


@pytest.fixture
def waiting(server, tmp_path):
    """A stage that waits for an endpoint which never answers."""
    corpus, out = write_jsonl(tmp_path / "corpus.jsonl", small_corpus(2)), tmp_path / "labels"
    engine = ("--extractor", "llm", "--verifier", "llm", "--model", "m", "--base-url", server.base_url)
    return Stage("answer", ("label", corpus, "--out", str(out), *engine), out)


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """A stage that trains for ever, with a reader process, and writes no checkpoint on its way."""
    folder = tmp_path_factory.mktemp("training")
    model, labels = model_folder(folder / "model"), label_folder(folder / "labels")
    run = folder / "run"
    options = ("--groups-per-step", "1", "--epochs", "1000", "--save-every", "0", "--keep", "100")
    return Stage("answer", ("train", str(labels), "--model", str(model), "--out", str(run), *options), run / "model")


def steps(stage: Stage) -> int:
    """Steps of the training so far."""
    metrics = stage.product.parent / "metrics.jsonl"
    return metrics.read_text().count("\n") if metrics.is_file() else 0


def stage_of(parent: subprocess.Popen) -> int:
    """The stage's process."""
    (found,) = [
        pid for pid in children(parent.pid) if "multiprocessing.spawn" in Path(f"/proc/{pid}/cmdline").read_text()
    ]
    return found


def children(pid: int) -> list[int]:
    """Living child processes, by /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == pid and state != "Z":
                found.append(int(path.parent.name))
    return found


def wait_until(condition) -> None:
    give_up = time.monotonic() + 60
    while not condition() and time.monotonic() < give_up:
        time.sleep(0.05)
    assert condition()


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def start(stage: Stage, tmp_path, **options: bool) -> subprocess.Popen:
    script = tmp_path / "round_of_one.py"
    script.write_text(ROUND)
    command = [sys.executable, str(script), str(stage.product), *stage.arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OPENAI_API_KEY": "k"}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, **options)


def test_a_stage_ends_when_its_round_is_killed(waiting, server, tmp_path):
    parent = start(waiting, tmp_path)
    wait_until(lambda: server.counts["sent"])
    stages = children(parent.pid)
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    assert stages
    wait_until(lambda: not any(map(is_alive, stages)))


@pytest.mark.parametrize("delay_s", [0.0, 0.03, 0.1, 0.3])
def test_ctrl_c_while_a_stage_starts_is_no_traceback(delay_s, waiting, server, tmp_path):
    parent = start(waiting, tmp_path, start_new_session=True)
    wait_until(lambda: children(parent.pid))
    time.sleep(delay_s)
    os.killpg(parent.pid, signal.SIGINT)
    _, said = parent.communicate(timeout=60)
    # the script that stands for a round says its own interruption with a traceback, the command in a line
    assert "Fatal Python error" not in said
    assert said.count("Traceback") <= 1


@pytest.mark.slow
@pytest.mark.parametrize("send", [os.kill, os.killpg])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_a_round_or_to_all_its_processes_lets_the_stage_write_its_checkpoint(
    number, send, training, tmp_path
):
    before = steps(training)
    parent = start(training, tmp_path, start_new_session=True)
    wait_until(lambda: steps(training) > before + 2)
    send(parent.pid, number)
    _, said = parent.communicate(timeout=60)
    assert said.rstrip().endswith("KeyboardInterrupt")  # which the command says in a line
    assert "leaked" not in said
    assert int(checkpoints(training.product.parent)[-1].name.removeprefix("step-")) == steps(training)
    wait_until(lambda: not members(parent.pid))


@pytest.mark.slow
def test_a_second_signal_ends_a_stage_that_does_not_end(waiting, server, tmp_path):
    parent = start(waiting, tmp_path)
    wait_until(lambda: server.counts["sent"])
    stage = stage_of(parent)
    os.kill(stage, signal.SIGSTOP)
    parent.send_signal(signal.SIGTERM)
    assert any(WAITING in line for line in parent.stderr)
    parent.send_signal(signal.SIGTERM)
    parent.communicate(timeout=30)
    wait_until(lambda: not is_alive(stage))


def test_a_killed_stage_is_told_as_such(waiting, server, tmp_path):
    parent = start(waiting, tmp_path)
    wait_until(lambda: server.counts["sent"])
    os.kill(stage_of(parent), signal.SIGKILL)
    _, said = parent.communicate(timeout=60)
    assert "answer was killed by signal SIGKILL (out of memory, or by somebody); the same command goes on there" in said


@pytest.mark.slow
def test_a_signal_to_a_stage_alone_is_told_as_such(training, tmp_path):
    before = steps(training)
    parent = start(training, tmp_path)
    wait_until(lambda: steps(training) > before)
    os.kill(stage_of(parent), signal.SIGTERM)
    _, said = parent.communicate(timeout=60)
    assert "answer was killed by signal SIGTERM (out of memory, or by somebody); the same command goes on there" in said


def test_a_stage_that_fails_is_told_with_its_exit_code(tmp_path):
    stage = Stage("start: label answers", ("label", "nothing.jsonl", "--out", str(tmp_path / "l")), tmp_path / "l")
    with pytest.raises(BaltoError, match="start: label answers ended with exit code 2"):
        run_stage(stage)


def test_what_a_killed_stage_left_beside_its_complete_product_is_cleared_away(tmp_path):
    labels, corpus, run = tmp_path / "labels", tmp_path / "corpus.jsonl", tmp_path / "run"
    (labels / ".work" / "done").mkdir(parents=True)
    (run / "model").mkdir(parents=True)
    for path in (labels / "manifest.json", labels / ".work" / "lock", corpus, run / ".lock"):
        path.write_text("")
    (tmp_path / ".corpus.jsonl.run.json").write_text(json.dumps({}))
    tidy_up(Stage("label", ("label",), labels / "manifest.json"))
    tidy_up(Stage("generate", ("generate",), corpus))
    tidy_up(Stage("train", ("train",), run / "model"))
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"labels", "labels/manifest.json", "corpus.jsonl", "run", "run/model"}
