"""Two processes under torchrun (gloo, FSDP2): the same gradient, the same run, resumed on another number of ranks."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from shutil import which

import pytest
from safetensors.torch import load_file

from tests.trainer.label_sets_made_here import make_rows, write_label_set
from tests.trainer.tiny_runs import (
    byte_tokenizer,
    curve,
    label_folder,
    latest_checkpoint,
    model_folder,
    tiny_config,
    weights,
)
from trainer.config import to_yaml
from trainer.reference_pass import read_cache
from trainer.train import train

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return model_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def labels(tmp_path_factory) -> Path:
    """Nine groups, four per step: the last step has one group, so a rank has none."""
    return label_folder(tmp_path_factory.mktemp("labels") / "labels", groups=9)


def start(config_file: Path, ranks: int, program: tuple[str, ...] = ("-m", "balto"), restarts: int = 0):
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, *launcher, f"--max-restarts={restarts}", *program, "train", "--config", str(config_file)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_on(ranks: int, tmp_path: Path, config, **started) -> str:
    file = tmp_path / f"{Path(config.out).name}.yaml"
    file.write_text(to_yaml(config))
    process = start(file, ranks, **started)
    output, _ = process.communicate(timeout=250)
    assert process.returncode == 0, output
    return output


def assert_same_run(run: Path, expected: Path) -> None:
    """FSDP sums gradients in another order: float32 rounding, which Adam amplifies to about 1e-4 of the loss."""
    for step, wanted in zip(curve(run), curve(expected), strict=True):
        assert step["groups"] == wanted["groups"]
        assert step["response_tokens"] == wanted["response_tokens"]
        assert step["loss"] == pytest.approx(wanted["loss"], abs=2e-4)
        assert step["grad_norm"] == pytest.approx(wanted["grad_norm"], rel=1e-3)
        assert step["log_ratio_supported"] == pytest.approx(wanted["log_ratio_supported"], abs=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lora_rank": 4},
        pytest.param({"compile": True}, marks=pytest.mark.skipif(not which("g++"), reason="compiling needs g++")),
    ],
    ids=["all weights", "LoRA", "compiled"],
)
def test_two_ranks_train_as_one(options, model, labels, tmp_path):
    train(tiny_config(model, labels, tmp_path / "one", **{**options, "compile": False}))
    run_on(2, tmp_path, tiny_config(model, labels, tmp_path / "two", **options))
    assert_same_run(tmp_path / "two", tmp_path / "one")
    # step 1 has no update behind it: the gradients themselves agree to rounding
    first, expected = curve(tmp_path / "two")[0], curve(tmp_path / "one")[0]
    assert first["grad_norm"] == pytest.approx(expected["grad_norm"], rel=1e-5)
    name = "adapter_model.safetensors" if "lora_rank" in options else "model.safetensors"
    two, one = (load_file(tmp_path / run / "model" / name) for run in ("two", "one"))
    assert two.keys() == one.keys()
    assert all((two[key] - one[key]).abs().max() < 2e-3 for key in one)


@pytest.mark.slow
def test_step_without_a_needed_token_moves_no_weight_on_any_number_of_ranks(model, tmp_path):
    """Every other group has no label: with what moved the last step, AdamW would move on."""
    rows = [
        row
        if int(row.sample.group_id[1:]) % 2
        else replace(row, tokens=replace(row.tokens, labels=row.tokens.labels * 0))
        for row in make_rows(byte_tokenizer(), 8)
    ]
    labels = write_label_set(tmp_path / "labels", rows, byte_tokenizer())
    options = {"groups_per_step": 1, "anchor": "labelled", "stop_beta": 0.0}
    train(tiny_config(model, labels, tmp_path / "one", **options))
    run_on(2, tmp_path, tiny_config(model, labels, tmp_path / "two", **options))
    assert [step["grad_norm"] == 0 for step in curve(tmp_path / "one")].count(True) == 4
    assert [step["grad_norm"] == 0 for step in curve(tmp_path / "two")].count(True) == 4
    two, one = (weights(tmp_path / run) for run in ("two", "one"))
    # an update moves a weight by about the learning rate, 1e-3
    assert max((two[name] - one[name]).abs().max() for name in one) < 2e-4


@pytest.mark.slow
def test_each_rank_scores_its_share_for_the_cached_reference(model, labels, tmp_path):
    options = {"reference": "cached", "max_steps": 1, "eval_every": 0}
    train(tiny_config(model, labels, tmp_path / "one", **options))
    run_on(2, tmp_path, tiny_config(model, labels, tmp_path / "two", **options))
    assert_same_run(tmp_path / "two", tmp_path / "one")
    two, one = (scores_by_response(tmp_path / run) for run in ("two", "one"))
    assert two.keys() == one.keys()
    assert all(two[key] == pytest.approx(one[key], abs=1e-5) for key in one)


def scores_by_response(run: Path) -> dict[bytes, list[float]]:
    (file,) = run.glob("reference-*.safetensors")
    reference = read_cache(file)
    return {key: reference.logprobs[first:end].tolist() for key, (first, end) in reference.places.items()}


@pytest.mark.parametrize(("size", "said"), [("1", "done\nthe interpreter's own end\n"), ("2", "done\n")])
def test_one_of_several_ranks_ends_without_the_interpreters_own_end(size, said):
    """There gloo's threads, which torch never joins, could abort a process whose run has finished."""
    program = """
import atexit, trainer.distributed
from trainer.cli import end_process
atexit.register(print, "the interpreter's own end")
print("done")
end_process(3)
"""
    environment = {**os.environ, "WORLD_SIZE": size}
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (3, said), ended.stderr


LITTLE_MEMORY = """
import os, sys, torch
from trainer.gradient import StepGradient
loss = StepGradient.loss

def little_memory(self, piece, divisors):
    result = loss(self, piece, divisors)
    tokens = sum(len(g.prompt_ids) + sum(len(r.row) for r in g.responses) for g in piece)
    if os.environ["RANK"] == "1" and tokens > 400:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    return result

StepGradient.loss = little_memory
from balto import main
main()
"""


@pytest.mark.slow
def test_a_rank_without_memory_is_started_again_with_smaller_micro_batches(model, labels, tmp_path):
    """The device of rank 1 holds 400 tokens: both are started again until its micro-batches are small enough."""
    program = tmp_path / "little_memory.py"
    program.write_text(LITTLE_MEMORY)
    train(tiny_config(model, labels, tmp_path / "one"))
    config = tiny_config(model, labels, tmp_path / "two")
    said = run_on(2, tmp_path, config, program=(str(program),), restarts=3)
    assert_same_run(tmp_path / "two", tmp_path / "one")
    assert re.search(r"out of memory at a micro-batch of \d+ tokens on rank 1 of 2; noted in .*memory\.json: ", said)
    noted = json.loads((tmp_path / "two" / "memory.json").read_text())["fitting_tokens"]
    assert noted < config.micro_tokens


@pytest.mark.slow
def test_killed_on_two_ranks_resumes_on_one_with_the_same_groups(model, labels, tmp_path):
    train(tiny_config(model, labels, tmp_path / "one", epochs=2))
    out = tmp_path / "two"
    config = tiny_config(model, labels, out, epochs=2)
    file = tmp_path / "two.yaml"
    file.write_text(to_yaml(config))
    process = start(file, 2)
    while process.poll() is None and latest_checkpoint(out) is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    children_gone(out)
    process.communicate()
    train(config)
    assert_same_run(out, tmp_path / "one")
    assert json.loads((latest_checkpoint(out) / "state.json").read_text())["totals"]["groups"] == 18


def children_gone(out: Path) -> None:
    """Kill the ranks whose launcher was killed, by their command line's own run folder."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if f"{out}.yaml" in line or str(out.with_suffix(".yaml")) in line:
                os.kill(int(entry.name), signal.SIGKILL)
