"""A run that was stopped, killed or started again goes on bit by bit; what cannot go on is one line."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from schemas.errors import BaltoError
from tests.trainer.label_sets_made_here import make_rows, write_label_set
from tests.trainer.tiny_runs import assert_same, byte_tokenizer, curve, latest_checkpoint, tiny_config, weights
from trainer import checkpoint as checkpoint_module
from trainer import optimizer, prepare
from trainer import train as train_module
from trainer.batches import CreditOptions
from trainer.checkpoint import TrainState, checkpoints, read_state
from trainer.config import to_yaml
from trainer.distributed import Ranks
from trainer.run_folder import start_or_resume
from trainer.train import _asked_to_stop, train

ROOT = Path(__file__).parents[2]


def test_a_signal_that_is_ignored_stays_ignored_while_training():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for a command with &
    try:
        with _asked_to_stop() as asked:
            os.kill(os.getpid(), signal.SIGINT)
        assert asked == []
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("options", [{}, {"lora_rank": 4}], ids=["all weights", "LoRA"])
def test_a_stopped_run_continues_bit_by_bit(options, model, labels, tmp_path, monkeypatch):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(tiny_config(model, labels, whole, **options))
    stop_after(monkeypatch, 3)
    summary = train(tiny_config(model, labels, broken, **options))
    assert (summary["stopped"], summary["steps"]) == ("SIGTERM", 3)
    monkeypatch.undo()
    train(tiny_config(model, labels, broken, **options))
    assert curve(broken) == curve(whole)
    name = "adapter_model.safetensors" if options else "model.safetensors"
    assert_same(load_file(broken / "model" / name), load_file(whole / "model" / name))


def test_a_checkpoint_before_the_first_credit_changes_nothing(model, tmp_path):
    rows = make_rows(byte_tokenizer(), 6)
    for at, row in enumerate(rows[:-2]):  # the last group alone has labels
        rows[at] = dataclasses.replace(row, tokens=dataclasses.replace(row.tokens, labels=row.tokens.labels * 0))
    labels = write_label_set(tmp_path / "labels", rows, byte_tokenizer())
    for save_every in (0, 1):
        train(tiny_config(model, labels, tmp_path / f"{save_every}", groups_per_step=1, save_every=save_every, keep=9))
    assert [step["active_blocks"] for step in curve(tmp_path / "1")].index(1) > 0
    assert_same(weights(tmp_path / "0"), weights(tmp_path / "1"))
    shutil.rmtree(tmp_path / "1" / "model")
    for path in checkpoints(tmp_path / "1")[1:]:
        shutil.rmtree(path)
    train(tiny_config(model, labels, tmp_path / "1", groups_per_step=1, save_every=1, keep=9))
    assert_same(weights(tmp_path / "0"), weights(tmp_path / "1"))


def test_a_run_that_is_stopped_in_front_of_its_first_step_starts_anew(unbroken, model, labels, tmp_path, monkeypatch):
    def prepare_gradient(*args):
        os.kill(os.getpid(), signal.SIGTERM)
        return prepare.prepare_gradient(*args)

    config = tiny_config(model, labels, tmp_path / "run", held_out=0.2, eval_every=3)
    monkeypatch.setattr(train_module, "prepare_gradient", prepare_gradient)
    assert train(config)["steps"] == 0
    monkeypatch.undo()
    train(config)
    assert curve(tmp_path / "run") == curve(unbroken)
    assert_same(weights(tmp_path / "run"), weights(unbroken))


def test_a_checkpoint_that_counts_no_credit_has_moved_for_all_steps_to_come():
    """Of a version that did not count it: the weights were moved before, whatever the next steps hold."""
    counts = {"active_blocks": 0.0, "groups": 1.0, "response_tokens": 5.0, "skipped_groups": 0.0}
    state, anchored = TrainState(0, 3, 3, 0, {"groups": 3.0}), train_module.Divisors(0, 5, 5)
    credit = CreditOptions(anchor="all")
    for step in (4, 5):
        assert train_module._is_needed(state, anchored, credit)
        state = train_module._after(state, 0, step, False, counts)
    assert not train_module._is_needed(TrainState(0, 0, 0, 0), anchored, credit)


class Killed(BaseException):
    """Stands for SIGKILL: no handler of ours catches it."""


@pytest.mark.parametrize("place", ["update", "save_file", "write_atomically", "os.replace", "prune"])
@pytest.mark.parametrize("times", [1, 4])
def test_a_run_killed_at_any_place_of_a_step_continues_bit_by_bit(place, times, unbroken, model, labels, tmp_path):
    """Whatever a checkpoint has got to: its weights, its state, its final name, the removal of older ones."""
    out = tmp_path / "run"
    config = tiny_config(model, labels, out, held_out=0.2, eval_every=3, save_every=1)
    with pytest.MonkeyPatch.context() as patches:
        kill_at(patches, place, times)
        with pytest.raises(Killed):
            train(config)
    train(config)
    assert curve(out) == curve(unbroken)
    assert curve(out, "eval") == curve(unbroken, "eval")
    assert_same(weights(out), weights(unbroken))


def kill_at(patches, place: str, times: int) -> None:
    """The run is gone when it comes to this place for the so-manieth time."""
    owner, name = (train_module if place == "update" else checkpoint_module), place
    if place == "os.replace":
        owner, name = checkpoint_module.os, "replace"
    real, done = getattr(owner, name), []

    def killed(*args, **kwargs):
        if place == "os.replace" and "step-" not in Path(args[1]).name:
            return real(*args, **kwargs)
        done.append(1)
        if len(done) == times:
            raise Killed
        return real(*args, **kwargs)

    patches.setattr(owner, name, killed)


def stop_after(monkeypatch, steps: int) -> None:
    """SIGTERM to this process after so many updates."""
    done = []

    def update(*args):
        done.append(1)
        if len(done) == steps:
            os.kill(os.getpid(), signal.SIGTERM)
        return optimizer.update(*args)

    monkeypatch.setattr(train_module, "update", update)


@pytest.mark.parametrize(("save_every", "expected"), [(3, [3]), (2, [2, 3])])
def test_a_run_that_is_stopped_writes_no_checkpoint_twice(save_every, expected, model, labels, tmp_path, monkeypatch):
    """The second would replace the first, and with --keep 1 there is no other to go on from meanwhile."""
    written = []

    def save_checkpoint(run, model, optimizer, state, *rest):
        written.append(state.step)
        checkpoint_module.save_checkpoint(run, model, optimizer, state, *rest)

    stop_after(monkeypatch, 3)
    monkeypatch.setattr(train_module, "save_checkpoint", save_checkpoint)
    summary = train(tiny_config(model, labels, tmp_path / "run", save_every=save_every, keep=1))
    assert (summary["stopped"], written) == ("SIGTERM", expected)
    assert latest_checkpoint(tmp_path / "run").name == "step-00000003"


@pytest.mark.slow
def test_kill_nine_and_resume_gives_the_same_curve_and_weights(unbroken, model, labels, tmp_path):
    out = tmp_path / "run"
    config = tmp_path / "train.yaml"
    config.write_text(to_yaml(tiny_config(model, labels, out, held_out=0.2, eval_every=3)))
    command = [sys.executable, "-m", "balto", "train", "--config", str(config)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (latest_checkpoint(out) and len(curve(out)) >= 3):
        time.sleep(0.01)
    process.kill()
    process.wait()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert curve(out) == curve(unbroken)
    assert curve(out, "eval") == curve(unbroken, "eval")
    assert_same(weights(out), weights(unbroken))
    assert not list((out / "checkpoints").glob(".*"))


@dataclass(frozen=True)
class TwoMachines(Ranks):
    """This rank, and one of another machine that has come to step `other`."""

    other: int = 0

    def most(self, number: int) -> int:
        return max(number, self.other)

    def least(self, number: int) -> int:
        return min(number, self.other)


def test_machines_that_do_not_share_the_run_folder_are_told_before_they_wait_for_one_another(unbroken, tmp_path):
    other = TwoMachines(0, 2, torch.device("cpu"), other=6)
    with pytest.raises(BaltoError, match=r"of step 6 on one machine and of step 0 on another; .* that they share"):
        start_or_resume(tmp_path / "run", {}, other)
    state = read_state(latest_checkpoint(unbroken))
    assert start_or_resume(unbroken, state.identity, other) == (latest_checkpoint(unbroken), state)


def test_checkpoints_are_pruned_and_leftovers_removed(unbroken):
    names = sorted(path.name for path in (unbroken / "checkpoints").iterdir())
    assert len(names) == 2
    assert names[-1] == latest_checkpoint(unbroken).name


def test_a_finished_run_started_again_only_exports(unbroken, model, labels):
    before, card = curve(unbroken), (unbroken / "model" / "README.md").read_text()
    summary = train(tiny_config(model, labels, unbroken, held_out=0.2, eval_every=3))
    assert summary["steps"] == len(before)
    assert summary["metrics"]["kl"] == curve(unbroken, "eval")[-1]["kl"]
    assert curve(unbroken) == before
    assert (unbroken / "model" / "README.md").read_text() == card
    assert "## Last evaluation" in card


def test_a_run_killed_before_its_export_has_the_card_of_one_that_was_not(model, labels, tmp_path, monkeypatch):
    out = tmp_path / "run"

    def export_model(*_):
        raise Killed

    monkeypatch.setattr(train_module, "export_model", export_model)
    with pytest.raises(Killed):
        train(tiny_config(model, labels, out, max_steps=2))
    monkeypatch.undo()
    summary = train(tiny_config(model, labels, out, max_steps=2))
    assert summary["metrics"]["loss"] == curve(out)[-1]["loss"]
    assert "## Last step, before its update\n\n| metric | value |" in (out / "model" / "README.md").read_text()


def test_metrics_of_steps_after_the_checkpoint_are_dropped_on_resume(model, labels, tmp_path):
    out = tmp_path / "run"
    train(tiny_config(model, labels, out, max_steps=2))
    with (out / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"kind": "train", "step": 3, "loss": 9.0}) + '\n{"kind": "tr')
    train(tiny_config(model, labels, out, max_steps=4))
    assert [step["step"] for step in curve(out)] == [1, 2, 3, 4]


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt", "state.json"])
def test_damaged_checkpoint_gives_way_to_the_one_before_it(file, model, labels, tmp_path, caplog):
    whole, out = tmp_path / "whole", tmp_path / "run"
    options = {"save_every": 1, "schedule": "constant"}
    train(tiny_config(model, labels, whole, **options))
    train(tiny_config(model, labels, out, max_steps=4, **options))
    path = latest_checkpoint(out) / file
    path.write_bytes(path.read_bytes()[:100])
    train(tiny_config(model, labels, out, **options))
    (said,) = [record.getMessage() for record in caplog.records if "cannot be resumed" in record.getMessage()]
    assert said.endswith("set aside as damaged-step-00000004, going on from step-00000003")
    assert curve(out) == curve(whole)
    assert_same(weights(out), weights(whole))
    assert (out / "checkpoints" / "damaged-step-00000004").is_dir()


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt", "state.json"])
def test_the_only_checkpoint_damaged_is_one_line(file, model, labels, tmp_path):
    out = tmp_path / "run"
    train(tiny_config(model, labels, out, max_steps=1))
    (latest_checkpoint(out) / file).unlink()
    with pytest.raises(BaltoError, match=r"cannot be resumed \(.*\); there is no other checkpoint: name") as caught:
        train(tiny_config(model, labels, out))
    assert "\n" not in str(caught.value)
    assert latest_checkpoint(out).name == "step-00000001"


def test_damage_that_only_loading_finds_is_one_line(model, labels, tmp_path):
    out = tmp_path / "run"
    train(tiny_config(model, labels, out, max_steps=1))
    save_file({"other": torch.zeros(1)}, latest_checkpoint(out) / "model.safetensors")
    with pytest.raises(BaltoError, match=r"cannot be resumed \(.*\); remove it to resume from the one before it"):
        train(tiny_config(model, labels, out))
