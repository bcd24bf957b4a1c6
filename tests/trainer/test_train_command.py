"""`balto train` as typed: options, one-line errors, exit codes, the dry run."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from schemas.errors import ConfigError
from tests.trainer.chat_templates import chatml
from tests.trainer.label_sets_made_here import make_rows, write_label_set
from tests.trainer.tiny_runs import byte_tokenizer, label_folder, model_folder, tiny_config
from trainer import attention, credit, loss, packing
from trainer.config import CHOICES, TrainConfig, make_config, to_yaml
from trainer.dry_run import dry_run, printable, runs
from trainer.metrics import MetricsLog, duration, read_metrics, shifts_of_last_epoch
from trainer.summary import print_summary

ROOT = Path(__file__).parents[2]


def test_what_moved_is_told_of_the_whole_last_epoch():
    def step(epoch, tokens, shift):
        return {"epoch": epoch, "supported_tokens": tokens, "log_ratio_supported": shift, "stop_tokens": 0}

    records = [step(0, 50, 9.0), step(1, 30, 0.1), step(1, 10, 0.5), {"epoch": 1}]  # the last had nothing to learn
    # (30 * 0.1 + 10 * 0.5) / 40
    assert shifts_of_last_epoch(records) == {"supported": {"tokens": 40, "log_ratio": pytest.approx(0.2)}}


def test_choices_are_those_of_the_modules():
    assert CHOICES["credit"] == credit.FORMS
    assert CHOICES["mass"] == credit.MASSES
    assert CHOICES["anchor"] == loss.ANCHORS
    assert CHOICES["layout"] == packing.LAYOUTS
    assert CHOICES["attention"] == attention.PACKED_ATTENTIONS


def test_config_from_a_file_and_options_that_win(tmp_path):
    file = tmp_path / "train.yaml"
    file.write_text("labels: a\nmodel: m\nout: o\nlr: 1e-5\nclip-low: 1\nheld_out: 0.1\n")
    config = make_config({"beta": 0.5, "held_out": None}, file)
    assert (config.labels, config.lr, config.clip_low, config.beta, config.held_out) == (("a",), 1e-5, 1.0, 0.5, 0.1)
    file.write_text(to_yaml(config))
    assert make_config({}, file) == config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"credit": "magic"}, "--credit magic: must be one of balanced, token, supported, response"),
        ({"epochs": 0}, "--epochs 0: must be at least 1"),
        ({"lr": -1.0}, "--lr -1.0: must be above 0"),
        ({"held_out": 1.0}, "--held-out 1.0"),
        ({"beta": float("nan")}, "--beta nan: must be a finite number"),
        ({"clip_high": float("inf")}, "--clip-high inf: must be a finite number"),
        ({"attention": "flex", "layout": "padded"}, "--attention flex is for packed rows"),
        ({"cap": 2.0, "credit": "token"}, "only balanced credit has a cap"),
        ({"reference": "adapter_off"}, "needs --lora-rank"),
        ({"mass": "sqrt", "credit": "token"}, "only balanced credit has a mass"),
        ({"clip_low": 2.0}, "--clip-low 2.0: must be at most 1"),
        ({"lora_alpha": 8.0}, "--lora-alpha needs --lora-rank"),
        ({"eval_groups": 0}, "--eval-groups 0: must be at least 1"),
        ({"credit": "response", "block": "response"}, "needs --block group"),
        ({"seed": "x"}, "--seed 'x': must be of type int"),
        ({"seed": 1.5}, "--seed 1.5: must be of type int"),
        ({"verify": "yes"}, "--verify 'yes': must be of type bool"),
        ({"colour": 1}, "there is no option colour"),
        ({"model": ""}, "--model: missing"),
    ],
)
def test_impossible_options_are_one_line(options, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        make_config({"labels": ["l"], "model": "m", "out": "o", **options})


@pytest.mark.parametrize("labels", ["{L: 2}", "[{L: 2}]", "3", "[1]"])
def test_labels_of_a_file_are_texts(labels, tmp_path):
    file = tmp_path / "train.yaml"
    file.write_text(f"labels: {labels}\nmodel: m\nout: o\n")
    with pytest.raises(ConfigError, match="labels .*: give a list of texts"):
        make_config({}, file)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("model:", "model: has no value; give one, or leave the line out"),
        ("out:", "out: has no value"),
        ("beta:", "beta: has no value"),
        ("beta: true", "beta True: must be of type float"),
        ("seed: true", "seed True: must be of type int"),
        ("seed: x", "seed 'x': must be of type int"),
        ("verify: 1", "verify 1: must be of type bool"),
        ("model: true", "model True: must be of type str"),
        ("model: [a, b]", "model ['a', 'b']: must be of type str"),
        ("lr: {peak: 1}", "lr {'peak': 1}: must be of type float"),
    ],
)
def test_value_of_a_file_that_cannot_be_meant_is_named_with_its_file(line, message, tmp_path):
    file = tmp_path / "train.yaml"
    lines = {"labels": "labels: l", "model": "model: m", "out": "out: o", line.partition(":")[0]: line}
    file.write_text("\n".join(lines.values()))
    with pytest.raises(ConfigError, match=re.escape(f"{file}: {message}")):
        make_config({}, file)


def test_option_takes_the_place_of_an_empty_line(tmp_path):
    file = tmp_path / "train.yaml"
    file.write_text("labels: l\nmodel:\nout: o\ntokenizer:\n")
    config = make_config({"model": "m"}, file)
    assert (config.model, config.tokenizer) == ("m", None)


def test_empty_line_of_labels_is_none(tmp_path):
    file = tmp_path / "train.yaml"
    file.write_text("labels:\nmodel: m\nout: o\n")
    with pytest.raises(ConfigError, match="LABELS: missing"):
        make_config({}, file)


def test_an_option_on_two_lines_of_a_file_is_refused(tmp_path):
    file = tmp_path / "train.yaml"
    file.write_text("labels: l\nmodel: m\nheld-out: 0.1\nout: o\nheld_out: 0.2\n")
    with pytest.raises(ConfigError, match=re.escape(f"{file}: held_out stands in line 3 and in line 5; leave one out")):
        make_config({}, file)


def test_every_field_has_a_help_text():
    assert all(field.metadata["help"].endswith((".", ")")) for field in dataclasses.fields(TrainConfig))


@pytest.mark.parametrize("text", ["- 1\n", "a: [\n", "\x00"])
def test_file_that_is_no_config_is_one_line(text, tmp_path):
    file = tmp_path / "train.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        make_config({}, file)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("parts")
    return model_folder(folder / "model"), label_folder(folder / "labels")


def test_dry_run_shows_groups_costs_and_warnings_and_writes_nothing(parts, tmp_path):
    model, labels = parts
    looks = {"force_terminal": True, "color_system": "standard", "width": 200, "highlight": False}
    console = Console(record=True, file=open(os.devnull, "w"), **looks)  # noqa: SIM115
    dry_run(tiny_config(model, labels, tmp_path / "run"), console)
    shown = console.export_text(styles=True)
    assert "\x1b[30;42mIt was opened in" in shown  # supported: black on green
    assert "\x1b[37;41mIt is red." in shown
    text = re.sub(r"\x1b\[[\d;]*m", "", shown)
    assert "24 prompt groups to train on, 0 held out; 6 steps of 4 groups" in text
    assert re.search(r"[\d,]+ tokens read per epoch when packed, [\d,]+ when padded", text)
    assert re.search(r"measured: \d+\.\d\d s for the first step with packed rows, about [\d.]+ s in all", text)
    assert re.search(r"\d\.\d\d GiB with the largest group of [\d,]+ packed tokens", text)
    assert "6 steps are few" in text
    assert not (tmp_path / "run").exists()


def test_a_dry_run_of_one_step_of_one_group_says_what_can_be_done(parts, tmp_path):
    model, labels = parts
    console = Console(file=open(os.devnull, "w"))  # noqa: SIM115
    options = {"groups_per_step": 1, "warmup_steps": 1, "max_steps": 1}
    with console.capture() as shown:
        dry_run(tiny_config(model, labels, tmp_path / "run", **options), console)
    assert "24 prompt groups to train on, 0 held out; 1 step of 1 group\n" in shown.get()
    assert "the learning rate never reaches its peak: give --warmup-steps 0\n" in shown.get()
    assert "1 step is few: raise --max-steps\n" in shown.get()


def test_a_summary_counts_one_step_as_one(capsys):
    kept = {"steps": 1, "steps_before": 0, "skipped_steps": 1, "stopped": None, "model": "m", "left_out": {}}
    metrics = {"log_ratio_stop": 0.5, "stop_tokens": 1}
    print_summary({**kept, "metrics": metrics}, as_json=False)
    assert capsys.readouterr().out == (
        "1 step; model in m\n1 step skipped: the gradient was not finite\n"
        "log-probability of stop tokens: +0.500 against the base on average (1 token, held-out groups)\n"
    )


def test_dry_run_with_a_cached_reference_writes_nothing_either(parts, tmp_path):
    model, labels = parts
    console = Console(file=open(os.devnull, "w"))  # noqa: SIM115
    config = tiny_config(model, labels, tmp_path / "run", reference="cached", held_out=0.001, warmup_steps=6)
    with console.capture() as shown:
        dry_run(config, console)
    assert "[+It was opened in" in shown.get()  # no colour there
    assert "[-It is red.-]" in shown.get()
    assert "no group is held out: nothing will be evaluated but the steps themselves; raise --held-out\n" in shown.get()
    assert "the learning rate never reaches its peak: lower --warmup-steps below 6\n" in shown.get()  # whole lines
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("seconds", "text"), [(0.38, "0.4 s"), (45, "45 s"), (700, "12 min"), (12600, "3.5 h")])
def test_duration_is_said_in_a_unit_that_fits(seconds, text):
    assert duration(seconds) == text


def test_dry_run_decodes_characters_of_several_tokens_whole_and_disarms_escapes():
    ids, labels = byte_tokenizer()("né", add_special_tokens=False)["input_ids"], [0, 1, 1]
    found = [(byte_tokenizer().decode(some), label) for some, label in runs(np.array(ids), np.array(labels))]
    assert found == [("n", 0), ("é", 1)]
    assert printable("\x1b[31mred") == "\\x1b[31mred"


def test_value_that_is_not_finite_is_null_in_the_metrics(tmp_path):
    with MetricsLog(tmp_path, 1) as log:
        log.write("train", 1, {"loss": float("nan"), "lr": 1.0})
    assert (tmp_path / "metrics.jsonl").read_text() == '{"kind": "train", "step": 1, "loss": null, "lr": 1.0}\n'


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "balto", "train", *map(str, args)]


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_writes_a_checkpoint_and_the_same_command_finishes(sent, code, parts, tmp_path):
    model, labels = parts
    out = tmp_path / "run"
    typed = command(labels, "--model", model, "--out", out, "--groups-per-step", 1, "--workers", 0, "--save-every", 0)
    process = subprocess.Popen(typed, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (out / "metrics.jsonl").is_file():
        time.sleep(0.01)
    process.send_signal(sent)
    output, errors = process.communicate(timeout=100)
    assert process.returncode == code, errors
    assert re.match(rf"stopped by {sent.name} after \d+ steps", output)
    assert (output + errors).count("the same command resumes") == 1
    done = subprocess.run(typed, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"24 steps; model in {out}/model\n")
    assert [record["step"] for record in read_metrics(out)] == list(range(1, 25))


@pytest.mark.slow
def test_label_set_of_another_tokenizer_is_refused_with_the_remedy(parts, tmp_path):
    model, _ = parts
    other = chatml()
    labels = write_label_set(tmp_path / "labels", make_rows(other, 4), other)
    done = subprocess.run(
        command(labels, "--model", model, "--out", tmp_path / "run"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 2
    assert f"balto project {labels} --tokenizer {model}" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()
