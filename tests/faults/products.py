"""What a command leaves behind, looked at as its readers would: what is lost, doubled, unreadable, or not the same.

Every function takes the output of a disturbed run and that of an undisturbed one, and returns problems as text; none
may be there after a kill, and none after the run that resumed it. `whole`: the run has ended, nothing may be missing.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import torch
from safetensors.torch import load_file

from schemas.errors import ShardError
from schemas.manifest import MANIFEST, Manifest, read_manifest
from trainer.checkpoint import read_state

_TIMES = ("seconds", "tokens_per_s", "groups_per_s", "memory_gib")  # of a step, never the same twice
LOST, DOUBLED, UNREADABLE, DIFFERENT, LEFT = "lost", "doubled", "unreadable", "different", "left over"


def label_set_problems(out: Path, undisturbed: Path, whole: bool) -> list[str]:
    """A label set is refused as unfinished, or is all there."""
    if not (out / MANIFEST).exists():
        return [f"{LOST}: no manifest in {out}"] if whole else _refused_problems(out)
    try:
        manifest = read_manifest(out)
        found, expected = _ids(out, manifest), _ids(undisturbed, read_manifest(undisturbed))
    except Exception as err:  # whatever a reader may run into
        return [f"{UNREADABLE}: {out}: {type(err).__name__}: {err}"]
    problems = [f"{LOST}: {one}" for one in expected - found]
    problems += [f"{DOUBLED}: {one}" for one in found - expected]
    problems += _altered(out, manifest)
    if _without_usage(out) != _without_usage(undisturbed):
        problems.append(f"{DIFFERENT}: the manifest of {out}")
    if whole and _files(out) != _files(undisturbed):
        problems += [f"{LEFT}: {name}" for name in sorted(_files(out).keys() ^ _files(undisturbed).keys())]
        problems += [
            f"{DIFFERENT}: {name}"
            for name in _files(out).keys() & _files(undisturbed).keys() - {MANIFEST}
            if _files(out)[name] != _files(undisturbed)[name]
        ]
    return problems


def _refused_problems(out: Path) -> list[str]:
    try:
        read_manifest(out)
    except ShardError:
        return []
    return [f"{UNREADABLE}: {out} is read without a manifest"]


def _ids(out: Path, manifest: Manifest) -> Counter[tuple[str, str, int]]:
    """What became of every record. Read as the README says, so that a stray file in `shards` counts."""
    rows: Counter[tuple[str, str, int]] = Counter()
    if manifest.shards:
        rows.update((one, "labelled", 0) for one in pl.scan_parquet(out / "shards").collect()["id"])
    for entry in manifest.rejected:
        table = pl.read_parquet(out / entry.path)
        rows.update((f"{source}:{row}", "rejected", 0) for source, row in table["source", "source_row"].iter_rows())
    return rows


def _altered(out: Path, manifest: Manifest) -> list[str]:
    entries = (*manifest.shards, *manifest.rejected)
    return [
        f"{UNREADABLE}: {entry.path} is not what the manifest says"
        for entry in entries
        if not (out / entry.path).is_file()
        or hashlib.sha256((out / entry.path).read_bytes()).hexdigest() != entry.sha256
    ]


def _without_usage(out: Path) -> Any:
    values = json.loads((out / MANIFEST).read_bytes())
    values.pop("usage")
    return values


def _files(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): b"" if path.name == MANIFEST else path.read_bytes()
        for path in out.rglob("*")
        if path.is_file()
    }


def corpus_problems(out: Path, undisturbed: Path, whole: bool) -> list[str]:
    """A generated corpus: not there, or the same, to the last probability. Nothing stands beside it in the end."""
    if not out.exists():
        return [f"{LOST}: no {out}"] if whole else []
    expected = [json.loads(line) for line in undisturbed.read_bytes().splitlines()]
    try:
        found = [json.loads(line) for line in out.read_bytes().splitlines()]
    except ValueError as err:
        return [f"{UNREADABLE}: {out}: {err}"]
    ids, wanted = Counter(one["id"] for one in found), Counter(one["id"] for one in expected)
    problems = [f"{LOST}: {one}" for one in wanted - ids] + [f"{DOUBLED}: {one}" for one in ids - wanted]
    by_id = {one["id"]: one for one in expected}
    problems += [f"{DIFFERENT}: {one['id']}" for one in found if one != by_id.get(one["id"])]
    return problems + (_left_beside(out) if whole else [])


def _left_beside(out: Path) -> list[str]:
    return [f"{LEFT}: {path.name}" for path in out.parent.glob(f".{out.name}*")]


def run_problems(out: Path, undisturbed: Path, whole: bool) -> list[str]:
    """A training run: every checkpoint can be loaded, and in the end curve and weights are the undisturbed ones."""
    problems = []
    for checkpoint in sorted((out / "checkpoints").glob("step-*")):
        try:
            read_state(checkpoint)
            load_file(checkpoint / "model.safetensors")
            torch.load(checkpoint / "optimizer.pt", weights_only=True)
        except Exception as err:  # whatever loading may run into
            problems.append(f"{UNREADABLE}: {checkpoint}: {type(err).__name__}: {err}")
    model = out / "model" / "model.safetensors"
    if model.is_file() and model.read_bytes() != (undisturbed / "model" / "model.safetensors").read_bytes():
        problems.append(f"{DIFFERENT}: {model}")
    if not whole:
        return problems
    if not model.is_file():
        problems.append(f"{LOST}: no {model}")
    steps, expected = Counter(one["step"] for one in _curve(out)), Counter(one["step"] for one in _curve(undisturbed))
    problems += [f"{LOST}: step {one}" for one in expected - steps]
    problems += [f"{DOUBLED}: step {one}" for one in steps - expected]
    if _curve(out) != _curve(undisturbed):
        problems.append(f"{DIFFERENT}: the curve of {out}")
    return problems + [f"{LEFT}: {name}" for name in sorted(_names(out) ^ _names(undisturbed))]


def _names(run: Path) -> set[str]:
    """Paths in a run but for those that every start adds: events, and the index that a second start keeps.

    The checkpoints before the last go by their number: one that was asked to stop wrote its own between two others.
    """
    names = {path for path in run.rglob("*") if "tfevents" not in path.name and path.name != "index.npz"}
    earlier = sorted(path.name for path in (run / "checkpoints").glob("step-*"))[:-1]
    number = {name: f"earlier-{at}" for at, name in enumerate(earlier)}
    return {"/".join(number.get(part, part) for part in path.relative_to(run).parts) for path in names}


def _curve(run: Path) -> list[dict[str, Any]]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in _TIMES} for line in lines]


def page_problems(out: Path, undisturbed: Path, whole: bool) -> list[str]:
    """A report page: not there, or byte for byte the same."""
    if not out.exists():
        return [f"{LOST}: no {out}"] if whole else []
    problems = [] if out.read_bytes() == undisturbed.read_bytes() else [f"{DIFFERENT}: {out}"]
    return problems + (_left_beside(out) if whole else [])


def round_problems(out: Path, undisturbed: Path, whole: bool) -> list[str]:
    """A folder of rounds: each of its products as it would be by itself, prompts and scores the same or not there."""
    problems = []
    for path in sorted(undisturbed.rglob("*.json*")):
        name = path.relative_to(undisturbed)
        if path.name in ("answers.jsonl", "corpus.jsonl"):
            problems += corpus_problems(out / name, path, whole)
        elif path.name == MANIFEST:
            problems += label_set_problems(out / name.parent, path.parent, whole)
        elif path.name == "metrics.jsonl" and (out / name.parent).exists():
            problems += run_problems(out / name.parent, path.parent, whole)
        elif len(name.parts) <= 2 and (out / name).exists() and (out / name).read_bytes() != path.read_bytes():
            problems.append(f"{DIFFERENT}: {name}")
    found, expected = _names(out), _names(undisturbed)
    problems += [f"{LOST}: {name}" for name in sorted(expected - found) if whole]
    return problems + [f"{LEFT}: {name}" for name in sorted(found - expected) if whole]


def verifier_problems(out: Path, undisturbed: Path, whole: bool) -> list[str]:
    """A trained verifier: not there, or byte for byte the same. Nothing stands beside it in the end."""
    if not out.exists():
        return [f"{LOST}: no {out}"] if whole else []
    found, expected = _files(out), _files(undisturbed)
    problems = [f"{DIFFERENT}: {name}" for name in found.keys() | expected if found.get(name) != expected.get(name)]
    left = [path for path in out.parent.iterdir() if path != out and path.name.strip(".").startswith(out.name)]
    return problems + [f"{LEFT}: {path.name}" for path in left if whole]
