"""Checkpoints: written whole or not at all, pruned, and resumed on any number of ranks.

    RUN/checkpoints/step-00000040/
      model.safetensors   trained weights (adapters only with LoRA), float32, whatever the number of ranks
      optimizer.pt        AdamW's state by weight name; read with weights_only
      random.pt           states of torch's generators on rank 0
      state.json          where reading goes on, counters, what the run is of

A folder appears under its final name only when everything in it is on disk; other names are leftovers and are removed.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from schemas.disk import named
from schemas.errors import BaltoError, first_line
from schemas.manifest import sync_folder, write_atomically
from trainer.distributed import Ranks

FOLDER: Final = "checkpoints"
_NAME: Final = re.compile(r"step-(\d{8})")
VERSION: Final = 1


@dataclass(frozen=True)
class TrainState:
    """How far a run is. epoch, step_in_epoch: where reading goes on.   step: updates so far, skipped ones included.

    identity: what the run is of (model, label sets, options that shape learning); a resumed run must have the same.
    """

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    skipped_in_row: int = 0
    totals: Mapping[str, float] = field(default_factory=dict)
    identity: Mapping[str, Any] = field(default_factory=dict)


def save_checkpoint(
    run: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: TrainState, ranks: Ranks, keep: int
) -> None:
    """Write a checkpoint and remove the oldest beyond `keep`. Every rank calls it, once for a step; rank 0 writes."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
    weights: Any = get_model_state_dict(model, options=options)
    moments = get_optimizer_state_dict(model, optimizer, options=options)
    if ranks.is_first:
        final = run / FOLDER / f"step-{state.step:08d}"
        partial = final.with_name(f".{final.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        with named(partial):
            save_file(_untied(weights), partial / "model.safetensors")
        torch.save(moments, partial / "optimizer.pt")
        torch.save(_random_states(), partial / "random.pt")
        described = {"version": VERSION, **dataclasses.asdict(state)}
        write_atomically(partial / "state.json", json.dumps(described, indent=2).encode())
        sync_files(partial)
        os.replace(partial, final)
        sync_folder(final.parent)
        prune(run, keep)
    ranks.barrier()


def latest_checkpoint(run: Path) -> Path | None:
    """The newest whole checkpoint of a run; None when there is none."""
    found = sorted(path for path in (run / FOLDER).glob("step-*") if _NAME.fullmatch(path.name))
    return found[-1] if found else None


def read_state(checkpoint: Path) -> TrainState:
    """state.json of a checkpoint. Raises BaltoError when it is not one of this version."""
    try:
        values = json.loads((checkpoint / "state.json").read_bytes())
        version = values.pop("version")
        if version != VERSION:
            raise BaltoError(f"{checkpoint}: checkpoint version {version}; this balto reads version {VERSION}")
        return TrainState(**values)
    except BaltoError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise _damaged(checkpoint, err) from err


def load_checkpoint(checkpoint: Path, model: nn.Module, optimizer: torch.optim.Optimizer, ranks: Ranks) -> None:
    """Put a checkpoint's weights, optimizer and random states in place. Every rank calls it and reads the files."""
    try:
        weights: Any = load_file(checkpoint / "model.safetensors")
        moments = torch.load(checkpoint / "optimizer.pt", map_location="cpu", weights_only=True)
        states = torch.load(checkpoint / "random.pt", map_location="cpu", weights_only=True)
        options = StateDictOptions(full_state_dict=True, strict=False)
        unknown = set_model_state_dict(model, weights, options=options).unexpected_keys
        missing = {name for name, weight in model.named_parameters() if weight.requires_grad} - weights.keys()
        if unknown or missing - _tied_names(model):
            raise ValueError(f"its weights are not this model's, such as {sorted({*unknown, *missing})[0]}")
        set_optimizer_state_dict(model, optimizer, moments, options=StateDictOptions(full_state_dict=True))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, EOFError) as err:
        raise _damaged(checkpoint, err) from err
    torch.set_rng_state(states["cpu"])
    if ranks.device.type == "cuda" and ranks.is_first and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])


def _untied(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights without second names for the same tensor (tied embeddings), which safetensors refuses."""
    seen: dict[int, str] = {}
    kept = {}
    for name, weight in weights.items():
        place = weight.data_ptr()
        if weight.numel() and place in seen:
            continue
        seen[place] = name
        kept[name] = weight.contiguous()
    return kept


def _tied_names(model: nn.Module) -> set[str]:
    """All names of weights that have more than one."""
    names: dict[int, list[str]] = {}
    for name, weight in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(weight), []).append(name)
    return {name for some in names.values() if len(some) > 1 for name in some}


def _random_states() -> dict[str, torch.Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def prune(run: Path, keep: int) -> None:
    """Remove the oldest checkpoints beyond `keep`, and what a run left that was killed while it wrote or pruned."""
    folder = run / FOLDER
    whole = sorted(path for path in folder.glob("step-*") if _NAME.fullmatch(path.name))
    for path in whole[:-keep]:
        _remove(path)
    for path in folder.glob(".step-*.partial"):
        shutil.rmtree(path)


def _remove(checkpoint: Path) -> None:
    """Under another name first: a run that is killed meanwhile leaves no half of a checkpoint under its own."""
    doomed = checkpoint.with_name(f".{checkpoint.name}.old.partial")
    shutil.rmtree(doomed, ignore_errors=True)
    os.replace(checkpoint, doomed)
    shutil.rmtree(doomed)


def sync_files(folder: Path) -> None:
    """Bring a folder and everything in it to the disk, before it gets its final name."""
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_folder(path)
        else:
            with open(path, "rb") as file:
                os.fsync(file.fileno())
    sync_folder(folder)


def _damaged(checkpoint: Path, err: Exception) -> BaltoError:
    reason = first_line(err)
    return BaltoError(f"{checkpoint}: cannot be resumed ({reason}); remove it to resume from the one before it")
