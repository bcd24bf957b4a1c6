"""Checkpoints: written whole or not at all, pruned, and resumed on any number of ranks.

    RUN/checkpoints/step-00000040/
      model.safetensors   trained weights (adapters only with LoRA), float32, whatever the number of ranks
      optimizer.pt        AdamW's state by weight name; read with weights_only
      state.json          where reading goes on, counters, what the run is of

A folder appears under its final name only when everything in it is on disk; `.step-*.partial` are leftovers and are
removed. One that was damaged later, which files of the wrong length tell, is set aside as damaged-step-00000040.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from schemas.disk import disk_errors_of, sync_folder, write_atomically
from schemas.errors import BaltoError, first_line
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
    # of an optimizer that has taken no step, torch would make one that has taken one
    moments = get_optimizer_state_dict(model, optimizer, options=options) if optimizer.state else {}
    if ranks.is_first:
        final = run / FOLDER / f"step-{state.step:08d}"
        partial = final.with_name(f".{final.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        with disk_errors_of(partial):
            save_file(_untied(weights), partial / "model.safetensors")
        torch.save(moments, partial / "optimizer.pt")
        described = {"version": VERSION, **dataclasses.asdict(state)}
        write_atomically(partial / "state.json", json.dumps(described, indent=2).encode())
        sync_files(partial)
        os.replace(partial, final)
        sync_folder(final.parent)
        prune(run, keep)
    ranks.barrier()


def checkpoints(run: Path) -> list[Path]:
    """Of a run, by step, the damaged ones too."""
    return sorted(path for path in (run / FOLDER).glob("step-*") if _NAME.fullmatch(path.name))


def latest_whole(run: Path) -> tuple[Path | None, TrainState, dict[Path, str]]:
    """The newest checkpoint that can be read, or None; its state; newer ones with why they cannot be read.

    Raises BaltoError when all of them are damaged, when one is of another version, or on a disk that fails.
    """
    damaged: dict[Path, str] = {}
    for checkpoint in reversed(checkpoints(run)):
        try:
            return checkpoint, read_state(checkpoint), damaged
        except _DamagedError as err:
            damaged[checkpoint] = str(err)
    if damaged:
        reason = next(iter(damaged.values()))
        raise BaltoError(f"{reason}; there is no other checkpoint: name another --out, or remove {run} to start anew")
    return None, TrainState(), {}


def set_aside(checkpoint: Path) -> Path:
    """Give a damaged checkpoint a name that no run takes for one; the new path."""
    aside = checkpoint.with_name(f"damaged-{checkpoint.name}")
    shutil.rmtree(aside, ignore_errors=True)
    os.replace(checkpoint, aside)
    return aside


class _DamagedError(BaltoError):
    """A checkpoint whose files are not what was written."""


def read_state(checkpoint: Path) -> TrainState:
    """state.json of a checkpoint whose other files have the length that they say.

    Raises BaltoError when it is damaged, not of this version, or cannot be read.
    """
    try:
        values = json.loads((checkpoint / "state.json").read_bytes())
        version = values.pop("version")
        if version != VERSION:
            raise BaltoError(f"{checkpoint}: checkpoint version {version}; this balto reads version {VERSION}")
        with safe_open(checkpoint / "model.safetensors", "pt"), zipfile.ZipFile(checkpoint / "optimizer.pt"):
            return TrainState(**values)
    except BaltoError:
        raise
    except (FileNotFoundError, ValueError, KeyError, TypeError, SafetensorError, zipfile.BadZipFile) as err:
        raise _DamagedError(f"{checkpoint}: cannot be resumed ({first_line(err)})") from err
    except OSError as err:
        raise BaltoError(f"{checkpoint}: cannot be read ({first_line(err)}); the same command tries again") from err


def load_checkpoint(checkpoint: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put a checkpoint's weights and optimizer in place. Every rank calls it and reads the files."""
    try:
        weights: Any = load_file(checkpoint / "model.safetensors")
        moments = torch.load(checkpoint / "optimizer.pt", map_location="cpu", weights_only=True)
        options = StateDictOptions(full_state_dict=True, strict=False)
        unknown = set_model_state_dict(model, weights, options=options).unexpected_keys
        missing = {name for name, weight in model.named_parameters() if weight.requires_grad} - weights.keys()
        if unknown or missing - _tied_names(model):
            raise ValueError(f"its weights are not this model's, such as {sorted({*unknown, *missing})[0]}")
        if moments:
            set_optimizer_state_dict(model, optimizer, moments, options=StateDictOptions(full_state_dict=True))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, EOFError) as err:
        raise BaltoError(
            f"{checkpoint}: cannot be resumed ({first_line(err)}); remove it to resume from the one before it"
        ) from err


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


def prune(run: Path, keep: int) -> None:
    """Remove the oldest checkpoints beyond `keep`, and what a run left that was killed while it wrote or pruned."""
    folder = run / FOLDER
    for path in checkpoints(run)[:-keep]:
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
