"""Whole runs on tiny models: they learn, however they are computed, and say how the model was made."""

import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from schemas.errors import ModelError
from tests.trainer.label_sets_made_here import make_rows, write_label_set
from tests.trainer.tiny_models import CONFIGS
from tests.trainer.tiny_runs import (
    assert_same,
    byte_tokenizer,
    curve,
    latest_checkpoint,
    model_folder,
    tiny_config,
    weights,
)
from trainer import policy, prepare
from trainer.data.index import load_index
from trainer.data.stream import GroupStream
from trainer.distributed import Ranks
from trainer.inputs import open_inputs
from trainer.policy import load_causal_lm
from trainer.train import train

ROOT = Path(__file__).parents[2]


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


def test_a_run_says_what_makes_it_learn_little_before_it_starts(model, labels, tmp_path, caplog):
    config = tiny_config(model, labels, tmp_path / "run", max_steps=1, warmup_steps=5)
    train(config)
    said = [record.getMessage() for record in caplog.records]
    assert "the learning rate never reaches its peak: give --warmup-steps 0" in said
    assert "1 step is few: raise --max-steps" in said
    caplog.clear()
    train(config)  # finished: nothing is going to be learnt
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_steps_before_the_first_credit_move_no_weight(model, labels, tmp_path):
    """Their gradient is 0 up to rounding, of which AdamW would make whole steps. Its responses are equally faithful."""
    options = {"credit": "response", "lr": 1e-2, "weight_decay": 0.1}
    train(tiny_config(model, labels, tmp_path / "run", **options))
    assert [step["active_blocks"] for step in curve(tmp_path / "run")] == [0] * 6
    assert_same(weights(tmp_path / "run"), load_file(model / "model.safetensors"))


@pytest.mark.parametrize(
    ("options", "warning"),
    [
        ({"eval_every": 3}, "--eval-every without --held-out: there is nothing to evaluate"),
        ({"eval_groups": 9}, "--eval-groups without --held-out: there is nothing to evaluate"),
        ({"held_out": 0.001}, "no group is held out: nothing will be evaluated but the steps themselves"),
        ({"held_out": 0.2, "eval_groups": 1}, "evaluation: 1 group is too few to judge by"),
        ({"max_positions": 9999}, "--max-positions 9999 is more than the model's window of 512"),
    ],
)
def test_an_option_that_does_nothing_or_too_little_is_said(options, warning, model, labels, tmp_path, caplog):
    train(tiny_config(model, labels, tmp_path / "run", max_steps=1, **options))
    assert any(record.getMessage().startswith(warning) for record in caplog.records)


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
def test_lines_of_the_training_page_load_what_a_run_wrote(options, model, labels, tmp_path, monkeypatch):
    written = train(tiny_config(model, labels, tmp_path / "run", max_steps=2, lr=0.05, **options))["model"]
    (lines,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "training.md").read_text(), re.DOTALL)
    whole, adapters = lines.replace("RUN/model", written).split("\n# LoRA alone")
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(whole, found)
    ids, expected = torch.tensor([[5, 6, 7]]), load_causal_lm(written)
    torch.testing.assert_close(found["model"](ids).logits, expected(ids).logits, atol=1e-5, rtol=1e-5)
    if options:
        exec(f"# {adapters}", found)
        merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
        torch.testing.assert_close(merged(ids).logits, expected(ids).logits, atol=1e-5, rtol=1e-5)


def test_adapters_on_adapters_are_a_whole_model(model, labels, tmp_path):
    """Named as adapters on the first base, they would lose the first run's adapters wherever they are loaded."""
    first = train(tiny_config(model, labels, tmp_path / "first", lora_rank=4, max_steps=2, lr=0.05))["model"]
    second = train(tiny_config(Path(first), labels, tmp_path / "second", lora_rank=4, max_steps=2, lr=1e-9))["model"]
    ids = torch.tensor([[5, 6, 7]])
    start, once, twice = (load_causal_lm(str(folder))(ids).logits for folder in (model, first, second))
    assert not torch.allclose(start, once, atol=1e-2)
    torch.testing.assert_close(twice, once, atol=1e-4, rtol=1e-4)  # its own adapters have hardly moved
    torch.testing.assert_close(AutoModelForCausalLM.from_pretrained(second)(ids).logits, twice)
    assert "library_name: transformers" in (Path(second) / "README.md").read_text()


def test_adapters_name_their_base_wherever_the_command_was_typed(model, labels, tmp_path, monkeypatch):
    monkeypatch.chdir(model.parent)
    summary = train(tiny_config(Path(model.name), labels, tmp_path / "run", lora_rank=4, max_steps=1))
    monkeypatch.chdir(tmp_path)
    load_causal_lm(summary["model"])


def test_adapters_that_transformers_loads_by_itself_are_not_trained_on(model, labels, tmp_path, monkeypatch):
    """As from a hub, where nothing says beforehand that a name is of adapters."""
    folder = train(tiny_config(model, labels, tmp_path / "run", lora_rank=4, max_steps=1))["model"]
    monkeypatch.setattr(policy, "holds_adapters", lambda _: False)
    monkeypatch.setattr(policy, "check_folder", lambda _: None)
    with pytest.raises(ModelError, match="adapters on a hub; download them"):
        policy.load_policy(folder, lora_rank=4)


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
