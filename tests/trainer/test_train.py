"""Whole runs on tiny models: they learn, resume bit by bit, stop when asked, and refuse bad input in one line."""

import dataclasses
import json
import logging
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from schemas.errors import BaltoError, ConfigError, ShardError
from tests.trainer.label_sets_made_here import make_rows, write_label_set
from tests.trainer.tiny_models import CONFIGS
from tests.trainer.tiny_runs import byte_tokenizer, label_folder, model_folder, tiny_config
from trainer import checkpoint as checkpoint_module
from trainer import optimizer, prepare
from trainer import train as train_module
from trainer.checkpoint import latest_checkpoint
from trainer.config import to_yaml
from trainer.data.index import load_index
from trainer.data.stream import GroupStream
from trainer.distributed import Ranks
from trainer.gradient import StepGradient
from trainer.inputs import open_inputs
from trainer.metrics import read_metrics
from trainer.train import train

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return model_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def labels(tmp_path_factory) -> Path:
    return label_folder(tmp_path_factory.mktemp("labels") / "labels")


@pytest.fixture(scope="module")
def unbroken(model, labels, tmp_path_factory) -> Path:
    """A run of six steps without a break."""
    out = tmp_path_factory.mktemp("unbroken") / "run"
    train(tiny_config(model, labels, out, held_out=0.2, eval_every=3))
    return out


def curve(run: Path, kind: str = "train") -> list[dict[str, float]]:
    """Metrics without what the clock and the machine say."""
    clock = ("seconds", "tokens_per_s", "groups_per_s", "memory_gib")
    return [{k: v for k, v in record.items() if k not in clock} for record in read_metrics(run, kind)]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, weight in one.items():
        assert torch.equal(weight, other[name]), name


@pytest.mark.parametrize("name", list(CONFIGS))
def test_probability_moves_from_unsupported_to_supported_tokens(name, labels, tmp_path):
    out = tmp_path / "run"
    options = {"lora_rank": 4, "lr": 5e-3} if name in ("qwen2", "gpt2") else {}
    summary = train(tiny_config(model_folder(tmp_path / "model", name), labels, out, held_out=0.2, **options))
    steps = curve(out)
    assert steps[0]["mean_ratio"] == 1.0
    assert steps[0]["rms_log_ratio"] == steps[0]["stop_anchor"] == 0.0
    held_out = summary["metrics"]
    assert held_out["log_ratio_supported"] > 0 > held_out["log_ratio_unsupported"]
    assert abs(held_out["log_ratio_stop"]) < 1.0
    assert held_out["kl"] > 0
    assert summary["layout"] == "packed"
    loaded = AutoModelForCausalLM.from_pretrained(summary["model"])
    tokenizer = AutoTokenizer.from_pretrained(summary["model"])
    assert loaded(**tokenizer("It was", return_tensors="pt")).logits.isfinite().all()


@pytest.mark.parametrize("layout", ["packed", "padded"])
def test_dropout_of_the_model_is_off(layout, labels, tmp_path):
    folder = model_folder(tmp_path / "model")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"attention_dropout": 0.5}))
    train(tiny_config(folder, labels, tmp_path / "run", max_steps=1, layout=layout))
    (first,) = curve(tmp_path / "run")
    assert (first["mean_ratio"], first["rms_log_ratio"]) == (1.0, 0.0)


@pytest.mark.parametrize("options", [{}, {"lora_rank": 4}], ids=["all weights", "LoRA"])
def test_bfloat16_starts_at_ratio_one_and_moves_the_same_way(options, unbroken, model, labels, tmp_path):
    summary = train(tiny_config(model, labels, tmp_path / "run", held_out=0.2, precision="bfloat16", **options))
    first = curve(tmp_path / "run")[0]
    assert (first["mean_ratio"], first["rms_log_ratio"]) == (1.0, 0.0)
    assert summary["metrics"]["log_ratio_supported"] > 0 > summary["metrics"]["log_ratio_unsupported"]
    if not options:  # the gradient of the same weights: 8 bits of every product
        assert first["grad_norm"] == pytest.approx(curve(unbroken)[0]["grad_norm"], rel=0.05)


def test_a_run_keeps_what_it_measured_from_its_first_start(unbroken, model, labels):
    """So that a row group that goes bad later shifts nothing; and a resumed run does not measure again."""
    inputs = open_inputs(tiny_config(model, labels, Path("none")), Ranks(0, 1, torch.device("cpu")))
    with GroupStream(inputs.label_sets, inputs.renderer, 0) as stream:
        stored = load_index(unbroken / "index.npz", stream.key, stream.row_groups)
    assert stored is not None
    assert len(stored.entries) == 24


def test_final_model_is_the_trained_one_and_says_how_it_was_made(unbroken, model):
    trained = AutoModelForCausalLM.from_pretrained(unbroken / "model")
    base = AutoModelForCausalLM.from_pretrained(model)
    assert not torch.equal(trained.lm_head.weight, base.lm_head.weight)
    assert torch.equal(
        load_file(latest_checkpoint(unbroken) / "model.safetensors")["lm_head.weight"], trained.lm_head.weight
    )
    card = (unbroken / "model" / "README.md").read_text()
    assert f'base_model: "{model}"' in card
    assert re.search(r"\| labels \(weight 1\) \| 48 \| 24 \| \d+ \|", card)
    assert "## Last evaluation, on groups held out" in card
    assert "clip_low: 0.95" in card
    assert "log_ratio_supported" in card


def test_adapters_load_with_peft(model, labels, tmp_path):
    summary = train(tiny_config(model, labels, tmp_path / "run", lora_rank=4, max_steps=2))
    base = AutoModelForCausalLM.from_pretrained(model)
    ids = torch.tensor([[5, 6, 7]])
    before = base(ids).logits
    adapted = PeftModel.from_pretrained(base, summary["model"])
    assert not torch.allclose(adapted(ids).logits, before)
    checkpoint = load_file(latest_checkpoint(tmp_path / "run") / "model.safetensors")
    assert all("lora_" in name for name in checkpoint)  # the frozen base is not written again and again


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


@pytest.mark.slow
def test_kill_nine_and_resume_gives_the_same_curve_and_weights(unbroken, model, labels, tmp_path):
    out = tmp_path / "run"
    config = tmp_path / "train.yaml"
    config.write_text(to_yaml(tiny_config(model, labels, out, held_out=0.2, eval_every=3)))
    command = [sys.executable, "-m", "balto", "train", "--config", str(config)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # as in this process: sums in the same order
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, env=environment)
    while process.poll() is None and not (latest_checkpoint(out) and len(curve(out)) >= 3):
        time.sleep(0.01)
    process.kill()
    process.wait()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert curve(out) == curve(unbroken)
    assert curve(out, "eval") == curve(unbroken, "eval")
    assert_same(weights(out), weights(unbroken))
    assert not list((out / "checkpoints").glob(".*"))


def test_checkpoints_are_pruned_and_leftovers_removed(unbroken):
    names = sorted(path.name for path in (unbroken / "checkpoints").iterdir())
    assert len(names) == 2
    assert names[-1] == latest_checkpoint(unbroken).name


def test_a_finished_run_started_again_only_exports(unbroken, model, labels):
    before = curve(unbroken)
    summary = train(tiny_config(model, labels, unbroken, held_out=0.2, eval_every=3))
    assert summary["steps"] == len(before)
    assert curve(unbroken) == before


def test_micro_batches_packing_and_activation_checkpoints_do_not_change_the_run(unbroken, model, labels, tmp_path):
    """The same loss curve up to float32 rounding, which six updates of Adam amplify to about 1e-4 of the loss."""
    for number, options in enumerate(
        [{"micro_tokens": 1}, {"layout": "padded"}, {"checkpoint_activations": True}, {"head_chunk_mib": 1}]
    ):
        out = tmp_path / str(number)
        train(tiny_config(model, labels, out, held_out=0.2, eval_every=3, **options))
        for step, expected in zip(curve(out), curve(unbroken), strict=True):
            assert step["loss"] == pytest.approx(expected["loss"], abs=2e-4), options
            assert step["grad_norm"] == pytest.approx(expected["grad_norm"], rel=2e-3), options
            assert step["response_tokens"] == expected["response_tokens"]


@pytest.mark.parametrize("reference", ["copy", "cached"])
def test_every_reference_gives_the_same_run(reference, unbroken, model, labels, tmp_path):
    train(tiny_config(model, labels, tmp_path / "run", held_out=0.2, eval_every=3, reference=reference))
    for step, expected in zip(curve(tmp_path / "run"), curve(unbroken), strict=True):
        assert step["loss"] == pytest.approx(expected["loss"], abs=1e-5)


def test_lora_with_a_cached_reference_holds_the_choice_to_stop_as_with_adapters_off(model, labels, tmp_path):
    runs = {}
    for reference in ("adapter_off", "cached"):
        train(tiny_config(model, labels, tmp_path / reference, reference=reference, lora_rank=4, lr=5e-3))
        runs[reference] = curve(tmp_path / reference)
    for step, expected in zip(runs["cached"], runs["adapter_off"], strict=True):
        assert step["stop_anchor"] == pytest.approx(expected["stop_anchor"], abs=1e-6)
    assert runs["cached"][-1]["stop_anchor"] > 1e-5


def test_a_stronger_stop_anchor_keeps_the_choice_to_stop_nearer_to_the_reference(model, labels, tmp_path):
    last = {}
    for stop_beta in (1e-6, 50.0):
        config = tiny_config(model, labels, tmp_path / str(stop_beta), held_out=0.2, stop_beta=stop_beta, epochs=4)
        summary = train(config)
        last[stop_beta] = summary["metrics"]["stop_anchor"]
    assert 0 < last[50.0] < last[1e-6] / 2


def test_every_end_token_of_the_generation_config_counts_as_stopping(model, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<end of turn>"]})
    tokenizer.save_pretrained(folder)
    turn = tokenizer.convert_tokens_to_ids("<end of turn>")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [256, turn]}))
    seen = []

    def watching(scorer, stream, stop_beta):
        found = anchor_stop(scorer, stream, stop_beta)
        seen.append(scorer.stop_ids)
        return found

    anchor_stop = prepare.anchor_stop
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "anchor_stop", watching)
        rows = make_rows(tokenizer, 8)
        train(tiny_config(folder, write_label_set(tmp_path / "labels", rows, tokenizer), tmp_path / "run", max_steps=1))
    assert seen == [(256, turn)]


def test_a_model_without_stop_token_trains_without_the_stop_anchor_and_says_so(model, labels, tmp_path, caplog):
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    tokenizer = byte_tokenizer()
    tokenizer.eos_token = None
    tokenizer.save_pretrained(folder)
    (folder / "generation_config.json").write_text("{}")
    with caplog.at_level(logging.WARNING, "trainer"):
        train(tiny_config(folder, labels, tmp_path / "run", max_steps=2))
    assert "no stop token: there is no choice that --stop-beta could hold" in caplog.text
    assert [step["stop_anchor"] for step in curve(tmp_path / "run")] == [0.0, 0.0]


def test_out_of_memory_halves_the_micro_batch_and_keeps_the_gradient(
    unbroken, model, labels, tmp_path, monkeypatch, caplog
):
    """The model refuses more than 900 tokens with the error that a GPU raises, in the middle of a step."""
    loss = StepGradient.loss

    def little_memory(self, piece, divisors):
        result = loss(self, piece, divisors)
        if sum(len(g.prompt_ids) + sum(len(r.row) for r in g.responses) for g in piece) > 700:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return result

    monkeypatch.setattr(StepGradient, "loss", little_memory)
    train(tiny_config(model, labels, tmp_path / "run", eval_every=0, held_out=0.2))
    assert "going on with halves" in caplog.text
    for step, expected in zip(curve(tmp_path / "run"), curve(unbroken), strict=True):
        assert step["loss"] == pytest.approx(expected["loss"], abs=2e-4)


def test_one_response_too_large_for_the_memory_is_one_line(model, labels, tmp_path, monkeypatch):
    def no_memory(self, *_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(StepGradient, "loss", no_memory)
    with pytest.raises(BaltoError, match=r"out of memory at a single response, \d+ tokens .*--checkpoint-activations"):
        train(tiny_config(model, labels, tmp_path / "run"))


def test_step_with_a_gradient_that_is_not_finite_is_skipped(model, labels, tmp_path, monkeypatch):
    poison(monkeypatch, {2})
    summary = train(tiny_config(model, labels, tmp_path / "run", eval_every=0))
    assert summary["skipped_steps"] == 1
    steps = curve(tmp_path / "run")
    assert [step["skipped"] for step in steps] == [0, 1, 0, 0, 0, 0]
    assert all(math.isfinite(step["loss"]) for step in steps if not step["skipped"])


def test_too_many_skipped_steps_end_the_run(model, labels, tmp_path, monkeypatch):
    poison(monkeypatch, range(2, 9))
    with pytest.raises(BaltoError, match="3 steps in a row had a gradient that is not finite, the last is step 4"):
        train(tiny_config(model, labels, tmp_path / "run", max_skipped=3))


def poison(monkeypatch, steps) -> None:
    """An infinite loss at the given (1-based) steps."""
    accumulate = StepGradient.accumulate
    done = []

    def poisoned(self, pieces, divisors):
        done.append(1)
        sums = accumulate(self, pieces, divisors)
        if len(done) in steps:
            next(p for p in self.scorer.parameters() if p.grad is not None).grad.mul_(math.inf)
        return sums

    monkeypatch.setattr(StepGradient, "accumulate", poisoned)


def test_resolved_config_is_stored_and_starts_the_same_run(unbroken, tmp_path):
    text = (unbroken / "config.yaml").read_text()
    assert "beta: 0.2" in text
    file = tmp_path / "train.yaml"
    file.write_text(text)
    from trainer.config import make_config

    again = make_config({"out": str(tmp_path / "again")}, file)
    train(again)
    assert curve(tmp_path / "again") == curve(unbroken)


def test_tensorboard_gets_every_step(unbroken):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(unbroken / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [step["step"] for step in curve(unbroken)]


def no_unsupported(tmp_path: Path) -> Path:
    rows = [
        dataclasses.replace(row, tokens=dataclasses.replace(row.tokens, labels=abs(row.tokens.labels)))
        for row in make_rows(byte_tokenizer(), 8)
    ]
    return write_label_set(tmp_path / "positive", rows, byte_tokenizer())


def test_bad_input_is_refused_before_the_first_step(unbroken, model, labels, tmp_path):
    out = tmp_path / "run"
    other = model_folder(tmp_path / "other", "llama", seed=7)
    cases = [
        (ConfigError, "no such folder", {"model": str(tmp_path / "none")}),
        (ShardError, r"none of \d prompt groups has credit", {"labels": (str(no_unsupported(tmp_path)),)}),
        (BaltoError, "checkpoints of another run, model differs", {"model": str(other), "out": str(unbroken)}),
        (BaltoError, r"--seed differs \(0, now 3\)", {"seed": 3, "out": str(unbroken)}),
        (
            BaltoError,
            "label sets differs",
            {"labels": (str(label_folder(tmp_path / "more", 9)),), "out": str(unbroken)},
        ),
        (ConfigError, "holds other files and no run", {"out": str(labels)}),
    ]
    for error, message, options in cases:
        config = dataclasses.replace(tiny_config(model, labels, out, held_out=0.2, eval_every=3), **options)
        with pytest.raises(error, match=message) as caught:
            train(config)
        assert "\n" not in str(caught.value)
    assert not out.exists()


def test_weights_that_would_need_unpickling_are_refused(model, labels, tmp_path):
    folder = tmp_path / "pickled"
    folder.mkdir()
    for file in model.iterdir():
        if file.suffix == ".safetensors":
            torch.save(load_file(file), folder / "pytorch_model.bin")
        else:
            (folder / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ConfigError, match="safetensors"):
        train(tiny_config(folder, labels, tmp_path / "run"))


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt", "state.json"])
def test_damaged_checkpoint_is_one_line(file, model, labels, tmp_path):
    out = tmp_path / "run"
    train(tiny_config(model, labels, out, max_steps=1))
    path = latest_checkpoint(out) / file
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BaltoError, match=r"cannot be resumed \(.*remove it") as caught:
        train(tiny_config(model, labels, out))
    assert "\n" not in str(caught.value)


def test_metrics_of_steps_after_the_checkpoint_are_dropped_on_resume(model, labels, tmp_path):
    out = tmp_path / "run"
    train(tiny_config(model, labels, out, max_steps=2))
    with (out / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"kind": "train", "step": 3, "loss": 9.0}) + '\n{"kind": "tr')
    train(tiny_config(model, labels, out, max_steps=4))
    assert [step["step"] for step in curve(out)] == [1, 2, 3, 4]
