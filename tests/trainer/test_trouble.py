"""Too little memory, gradients that are not finite, input that cannot work: mended, skipped or refused in one line."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from schemas.errors import BaltoError, ConfigError, ModelError, ShardError
from tests.trainer.label_sets_made_here import make_rows, write_label_set
from tests.trainer.tiny_runs import byte_tokenizer, curve, label_folder, model_folder, tiny_config
from trainer import reference_pass
from trainer import train as train_module
from trainer.data import workers
from trainer.gradient import StepGradient
from trainer.policy import add_adapters, load_causal_lm
from trainer.train import train


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


def test_cached_reference_is_not_kept_when_a_row_group_could_not_be_read(model, labels, tmp_path, monkeypatch):
    """A disk that fails for a moment: the next start would find groups without scores."""
    decode, passing = workers.decode_row_group, []

    def flaky(row_group, *args):
        if passing and row_group.index == 0:
            raise ShardError(f"{row_group.place}: not readable (stale file handle)")
        return decode(row_group, *args)

    def cached_reference(*args):
        passing.append(1)
        return reference_pass.cached_reference(*args)

    config = tiny_config(model, labels, tmp_path / "run", reference="cached", max_steps=1)
    monkeypatch.setattr(workers, "decode_row_group", flaky)
    monkeypatch.setattr(train_module, "cached_reference", cached_reference)
    with pytest.raises(ShardError, match=r"row group 0: not readable .*--reference cached needs every response"):
        train(config)
    assert not list((tmp_path / "run").glob("reference-*"))
    monkeypatch.undo()
    assert train(config)["steps"] == 1


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


def test_a_run_of_which_every_step_was_skipped_is_no_success(model, labels, tmp_path, monkeypatch):
    poison(monkeypatch, range(1, 99))
    with pytest.raises(BaltoError, match="2 steps in a row had a gradient that is not finite"):
        train(tiny_config(model, labels, tmp_path / "run", eval_every=0, max_steps=2))
    assert not (tmp_path / "run" / "model").exists()


def test_a_finished_run_started_again_says_so_and_keeps_its_config(model, labels, tmp_path):
    config = tiny_config(model, labels, tmp_path / "run", eval_every=0, max_steps=3)
    assert train(config)["steps_before"] == 0
    again = train(config)
    assert (again["steps"], again["steps_before"]) == (3, 3)
    before = (tmp_path / "run" / "config.yaml").read_text()
    with pytest.raises(ConfigError, match="has taken 3 steps already, more than the 2 of these options"):
        train(dataclasses.replace(config, max_steps=2))
    assert (tmp_path / "run" / "config.yaml").read_text() == before


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


def test_ratio_to_the_sampling_policy_needs_its_log_probabilities(model, labels, tmp_path):
    config = tiny_config(model, labels, tmp_path / "run", ratio="behaviour", max_steps=1)
    with pytest.raises(ShardError, match=r"--ratio behaviour: no response of .*/labels was stored with"):
        train(config)
    rows = make_rows(byte_tokenizer(), 8)
    rows[5] = dataclasses.replace(rows[5], behaviour_logprobs=(-1.0,) * len(rows[5].tokens.labels))
    some = write_label_set(tmp_path / "some", rows, byte_tokenizer())
    train(dataclasses.replace(config, labels=(str(labels), str(some))))
    assert curve(tmp_path / "run")[0]["mean_ratio"] > 0


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


def test_a_model_without_a_head_is_no_language_model(tmp_path):
    """transformers would fill the head with random numbers and go on."""
    from transformers import BertConfig, BertModel

    from trainer.policy import load_causal_lm

    config = BertConfig(
        vocab_size=300, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    BertModel(config).save_pretrained(tmp_path / "encoder")
    with pytest.raises(ModelError, match=r"its weights lack .*; it is no causal language model, or damaged"):
        load_causal_lm(str(tmp_path / "encoder"))


def test_weights_that_are_cut_off_are_named(model, labels, tmp_path):
    folder = tmp_path / "cut"
    folder.mkdir()
    for file in model.iterdir():
        data = file.read_bytes()
        (folder / file.name).write_bytes(data[: len(data) // 2] if file.suffix == ".safetensors" else data)
    with pytest.raises(ModelError, match=r"--model .*/cut: its weights are damaged or cut off") as caught:
        train(tiny_config(folder, labels, tmp_path / "run"))
    assert "\n" not in str(caught.value)


def test_adapters_are_loaded_with_the_model_that_they_name(tmp_path):
    base = model_folder(tmp_path / "base")
    adapted: Any = add_adapters(load_causal_lm(str(base)), rank=4, alpha=8.0)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.2)
    adapted.eval().save_pretrained(tmp_path / "adapters")
    ids = torch.arange(5, 25)[None]
    expected, plain = adapted(input_ids=ids).logits, load_causal_lm(str(base))(input_ids=ids).logits
    loaded = load_causal_lm(str(tmp_path / "adapters"))
    assert not isinstance(loaded, PeftModel)
    torch.testing.assert_close(loaded(input_ids=ids).logits, expected, atol=1e-4, rtol=1e-4)
    assert (plain - expected).abs().max() > 0.01


@pytest.mark.parametrize("text", ["{}", "[]", "{", '{"base_model_name_or_path": null}'])
def test_adapters_that_name_no_model_are_refused(tmp_path, text):
    (tmp_path / "adapter_config.json").write_text(text)
    with pytest.raises(ModelError, match="does not name the model"):
        load_causal_lm(str(tmp_path))
