"""A tiny model folder, a label set of its tokenizer and a config: what a training run needs, in a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tests.trainer.label_sets_made_here import make_rows, write_label_set
from tests.trainer.tiny_models import tiny_model
from trainer.checkpoint import checkpoints
from trainer.config import TrainConfig
from trainer.metrics import read_metrics


def byte_tokenizer() -> Any:
    """One token per byte, plus <eos>: 257 ids."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>")


def model_folder(folder: Path, name: str = "llama", seed: int = 0) -> Path:
    """A tiny model with its tokenizer, saved as transformers does."""
    model = tiny_model(name, seed, spread=0.1)
    model.config.eos_token_id = model.generation_config.eos_token_id = 256
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def label_folder(folder: Path, groups: int = 24, responses: int = 2, name: str = "g") -> Path:
    """A label set on the byte tokenizer; every group has supported and unsupported tokens."""
    rows = make_rows(byte_tokenizer(), groups, responses, name)
    return write_label_set(folder, rows, byte_tokenizer(), shards=2, rows_per_row_group=4 * responses)


def tiny_config(model: Path, labels: Path, out: Path, **options: Any) -> TrainConfig:
    """Six steps of four groups, read in this process."""
    defaults = {
        "groups_per_step": 4,
        "micro_tokens": 1200,
        "lr": 1e-3,
        "warmup_steps": 0,
        "workers": 0,
        "save_every": 2,
    }
    return TrainConfig(labels=(str(labels),), model=str(model), out=str(out), **{**defaults, **options})


def latest_checkpoint(run: Path) -> Path | None:
    return next(reversed(checkpoints(run)), None)


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
