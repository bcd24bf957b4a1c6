"""The folder of a run: new, or to be resumed, and then by the run that it is of."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from schemas.disk import remove_partials, write_atomically
from schemas.errors import BaltoError, ConfigError
from schemas.lock import only_run
from trainer.checkpoint import FOLDER, TrainState, latest_whole, set_aside
from trainer.config import MAY_CHANGE, TrainConfig, flag, to_yaml
from trainer.data.index import GroupIndex, save_index
from trainer.data.label_sets import LabelSet
from trainer.distributed import Ranks

log = logging.getLogger("trainer")
CONFIG: Final = "config.yaml"
INDEX: Final = "index.npz"
MEMORY: Final = "memory.json"  # {"fitting_tokens": of a micro-batch; one of twice as many did not fit into a rank}
LOCK: Final = ".lock"
# What a run may have written when it is killed before it stores its config.
_EARLY: Final = re.compile(r"\.lock|index\.npz|memory\.json|reference-[0-9a-f]+\.safetensors|\..*\.partial")


def check_run_folder(run: Path) -> None:
    """Refuse, before any work, a folder that is something else than a run."""
    if run.is_file():
        raise ConfigError(f"--out {run}: is a file")
    if not run.is_dir() or (run / CONFIG).is_file():
        return
    if not all(_EARLY.fullmatch(path.name) for path in run.iterdir()):
        raise ConfigError(f"--out {run}: holds other files and no run; name a new folder")


@contextlib.contextmanager
def hold_run_folder(run: Path, ranks: Ranks) -> Iterator[None]:
    """Keep other runs out of the folder. Raises ConfigError when one is writing there."""
    if not ranks.is_first:
        yield
        return
    with only_run(run, run / LOCK):
        remove_partials(run)
        yield


def identity(config: TrainConfig, model: str, rendering: str, label_sets: Sequence[LabelSet]) -> dict[str, Any]:
    """What a run is of. model, rendering: fingerprints.   A resumed run must agree in all of it."""
    options = {name: value for name, value in dataclasses.asdict(config).items() if name not in MAY_CHANGE}
    content = [[one.manifest.content_hash(), one.weight] for one in label_sets]
    return {"model": model, "prompts": rendering, "label sets": content, **{flag(k): v for k, v in options.items()}}


def _said(value: Any) -> str:
    return "not given" if value is None else str(value)


def start_or_resume(run: Path, identity: Mapping[str, Any], ranks: Ranks) -> tuple[Path | None, TrainState]:
    """(checkpoint to load or None, state to go on from); every rank calls it.

    Damaged checkpoints that are newer are set aside. Raises BaltoError when the folder is of another run, not the same
    one on all ranks, or has no checkpoint that is not damaged.
    """
    checkpoint, state, damaged = latest_whole(run)
    least, most = ranks.least(state.step), ranks.most(state.step)
    if least != most:
        raise BaltoError(
            f"{run}: its last checkpoint is of step {most} on one machine and of step {least} on another; all machines "
            "must see the same folder: put --out on a disk that they share, or copy it to each of them"
        )
    if checkpoint is None:
        return None, TrainState(identity=identity)
    for name, value in identity.items():
        if state.identity.get(name) != value:
            was = state.identity.get(name)
            detail = f" ({_said(was)}, now {_said(value)})" if name.startswith("--") else ""
            raise BaltoError(
                f"{run / FOLDER}: checkpoints of another run, {name} differs{detail}; choose another --out"
            )
    for path, reason in damaged.items() if ranks.is_first else ():
        log.warning("%s; set aside as %s, going on from %s", reason, set_aside(path).name, checkpoint.name)
    return checkpoint, state


def store_run(run: Path, config: TrainConfig, index: GroupIndex) -> None:
    """Write the resolved config into the run, and the index that every later start plans with."""
    run.mkdir(parents=True, exist_ok=True)
    write_atomically(run / CONFIG, to_yaml(config).encode())
    save_index(run / INDEX, index)


def note_fitting_tokens(run: Path, tokens: int) -> None:
    """For the next start: larger micro-batches do not fit into the memory of a rank."""
    run.mkdir(parents=True, exist_ok=True)
    write_atomically(run / MEMORY, json.dumps({"fitting_tokens": tokens}).encode())


def fitting_tokens(run: Path, ranks: Ranks) -> int | None:
    """What an earlier start noted, the same on all ranks; None when none ran out of memory.

    Raises BaltoError when the note is damaged.
    """
    path = run / MEMORY
    noted = ranks.from_first(lambda: path.read_bytes() if path.is_file() else b"")
    if not noted:
        return None
    try:
        tokens = json.loads(noted)["fitting_tokens"]
        if not isinstance(tokens, int) or tokens < 1:
            raise ValueError("fitting_tokens is no number of tokens")
    except (ValueError, KeyError, TypeError) as err:
        raise BaltoError(f"{path}: cannot be read ({err}); remove it, a start that needs it writes it anew") from err
    return tokens
