"""The finished model: a folder that transformers (or peft) loads, with its tokenizer and a card on how it was made."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from schemas.disk import disk_errors_of, sync_folder
from schemas.interruption import completing
from trainer.checkpoint import sync_files
from trainer.config import TrainConfig, to_yaml
from trainer.data.label_sets import LabelSet
from trainer.distributed import Ranks
from trainer.inputs import Inputs
from trainer.policy import add_adapters, holds_adapters, load_causal_lm

MODEL: Final = "model"


def export_model(
    run: Path, inputs: Inputs, config: TrainConfig, metrics: Mapping[str, float], steps: int, ranks: Ranks
) -> Path:
    """Write RUN/model, replacing an older one; every rank calls it, rank 0 writes. Returns the folder.

    With LoRA it holds the adapters and the name of their base; without, or when the base is adapters itself, which no
    name can stand for, the whole model. Weights are float32 as trained.
    """
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights = get_model_state_dict(inputs.policy.model, options=options)
    final = run / MODEL
    if ranks.is_first:
        partial, old = run / f".{MODEL}.partial", run / f".{MODEL}.old.partial"
        shutil.rmtree(partial, ignore_errors=True)
        inputs.policy.scorer.causal_lm.config._attn_implementation = None  # ours is for training; the loader chooses
        with disk_errors_of(partial):
            _save(inputs.policy.model, weights, config, partial)
        inputs.tokenizer.save_pretrained(partial)
        (partial / "README.md").write_text(model_card(config, inputs.label_sets, metrics, steps), encoding="utf-8")
        sync_files(partial)
        shutil.rmtree(old, ignore_errors=True)
        if final.exists():  # renamed first: a run that is killed meanwhile leaves no half of a model under its name
            os.replace(final, old)
        with completing():
            os.replace(partial, final)
            sync_folder(run)
        shutil.rmtree(old, ignore_errors=True)
    with completing():  # on the other ranks
        ranks.barrier()
    return final


def _save(trained: Any, weights: dict[str, Any], config: TrainConfig, folder: Path) -> None:
    """Write the model or its adapters. weights: whole ones by name; `trained` itself may hold shards of them."""
    if config.lora_rank and holds_adapters(config.model):
        adapted: Any = add_adapters(load_causal_lm(config.model), config.lora_rank, config.adapter_alpha)
        adapted.load_state_dict({name: weight for name, weight in weights.items() if "lora_" in name}, strict=False)
        adapted.merge_and_unload().save_pretrained(folder)
        return
    if config.lora_rank and Path(config.model).is_dir():
        for described in trained.peft_config.values():  # peft would keep the path as it was typed
            described.base_model_name_or_path = str(Path(config.model).resolve())
    trained.save_pretrained(folder, state_dict=weights)


def model_card(config: TrainConfig, label_sets: Sequence[LabelSet], metrics: Mapping[str, float], steps: int) -> str:
    """Markdown with the front matter that model hubs read. metrics: of the held-out groups, or of the last step."""
    is_adapters = config.lora_rank and not holds_adapters(config.model)
    kind = "LoRA adapters for" if is_adapters else "Weights trained from"
    front = ["---", f"base_model: {json.dumps(config.model)}", "tags: [balto, faithfulness]"]
    front += ["library_name: peft"] if is_adapters else ["library_name: transformers"]
    rows = [f"| {name} | {value:.6g} |" for name, value in sorted(metrics.items())]
    title = "## Last step, before its update" if "lr" in metrics else "## Last evaluation, on groups held out"
    table = ["", title, "", "| metric | value |", "|---|---|", *rows] if rows else []
    return "\n".join(
        [
            *front,
            "---",
            f"# {Path(config.model).name}, trained by BALTO",
            "",
            f"{kind} `{config.model}`, {steps} steps of token-level policy optimisation on labelled responses: "
            "probability moves from unsupported tokens to supported ones. The verdicts are of the engines that the "
            "label sets name in their manifests; nothing here proves a statement of the model true.",
            "",
            "## Made from",
            "",
            "| label set | responses | prompt groups | tokens | engines | content |",
            "|---|---|---|---|---|---|",
            *map(_described, label_sets),
            "",
            f"torch {torch.__version__}, transformers {transformers.__version__}",
            *table,
            "",
            "## Options",
            "",
            "```yaml",
            to_yaml(config).rstrip(),
            "```",
            "",
        ]
    )


def _described(label_set: LabelSet) -> str:
    """A row of the table. Manifests are not trusted: nothing in them ends a cell."""
    shards = label_set.manifest.shards
    engines = ", ".join(f"{name} {engine}" for name, engine in label_set.manifest.engines.items())
    cells = [
        f"{label_set.folder.name} (weight {label_set.weight:g})",
        *(sum(getattr(shard, count) for shard in shards) for count in ("rows", "groups", "tokens")),
        engines,
        label_set.manifest.content_hash()[:16],
    ]
    return f"| {' | '.join(_cell(str(cell)) for cell in cells)} |"


def _cell(text: str) -> str:
    return "".join(char if char.isalnum() or char in " ._-:,()/+" else " " for char in text)[:200]
