"""A model's files, from a folder or the Hugging Face hub, looked at before anything of them is loaded or run.

Weights must be safetensors: other formats can carry code. A model whose config asks for code of its own is refused.
The fingerprint is a hash of the files' content, so a label set says which weights answered, whatever they are called.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from schemas.errors import ConfigError, ModelError, one_line
from schemas.hub import has_tokenizer, refuse_unreachable

CONFIG: Final = "config.json"
WEIGHTS: Final = ("model.safetensors", "model.safetensors.index.json")
VERIFIER_FILE: Final = "verifier.json"  # of a folder that `balto train-verifier` wrote
WANTED: Final = ("*.json", "*.safetensors", "*.txt", "*.model")  # what is fetched of a hub id; never code or pickles
_IGNORED_SUFFIXES: Final = (".md", ".lock", ".log")
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A folder with a loadable model. config: its config.json.   name: as the user gave it."""

    name: str
    folder: Path
    config: Mapping[str, Any]


def find_folder(name: str) -> Path:
    """The local folder of a model; a hub id is fetched into the hub's own cache. Raises ConfigError."""
    path = Path(name)
    if path.is_dir():
        return path
    if path.exists() or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ConfigError(f"model {name}: there is no such folder")
    refuse_unreachable(name, f"model {name}")
    return _fetch(name)


def _fetch(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(WANTED)))
    except Exception as err:  # offline, unknown, gated, not an id: the hub's client has a dozen classes for it
        raise ConfigError(
            f"model {name}: no such folder, and the hub did not give it ({type(err).__name__}: {one_line(err)})"
        ) from err


def check_model(name: str, folder: Path) -> ModelFiles:
    """The model in `folder`, if it can be loaded without running strangers' code. Raises ConfigError."""
    config = read_json(name, folder / CONFIG)
    if "auto_map" in config:
        raise ConfigError(
            f"model {name}: it needs Python code of its own, which is never run; "
            "take a model of an architecture that transformers has"
        )
    if not any((folder / weights).is_file() for weights in WEIGHTS):
        raise ConfigError(
            f"model {name}: {folder} has no model.safetensors; weights in other formats can carry code and are not read"
        )
    if not has_tokenizer(folder):  # transformers makes an empty one
        raise ConfigError(f"model {name}: {folder} has no tokenizer (tokenizer.json)")
    return ModelFiles(name, folder, config)


def read_json(name: str, file: Path) -> dict[str, Any]:
    """A JSON object of a model folder. Raises ConfigError when it is missing or something else."""
    try:
        value = json.loads(file.read_bytes())
    except OSError as err:
        raise ConfigError(f"model {name}: {file.name} cannot be read in {file.parent} ({err.strerror})") from err
    except ValueError as err:
        raise ModelError(f"model {name}: {file} is not JSON ({err})") from err
    if not isinstance(value, dict):
        raise ModelError(f"model {name}: {file} is not a JSON object")
    return value


def fingerprint(folder: Path) -> str:
    """sha256 over names and content of the files of a model, notes and caches left out."""
    digest = hashlib.sha256()
    files = [file for file in folder.rglob("*") if file.is_file() and file.suffix not in _IGNORED_SUFFIXES]
    for file in sorted(files, key=lambda file: file.relative_to(folder).as_posix()):
        relative = file.relative_to(folder).as_posix()
        if relative.startswith("."):
            continue
        digest.update(f"{len(relative)}:{relative}{file.stat().st_size}:".encode())
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()
