"""One experiment: a setting, a rate, a seed -> scores on a set of prompts. Results are kept, so nothing is paid for
twice.

A result file is named after everything that decides it, the world's version and the pretraining among it, but not
after the code of the objectives: delete `results/` below the cache folder after changing that.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from benchmarks.objectives.models import WORLD_VERSION, Pretraining, base_model, cache_folder
from benchmarks.objectives.objectives import Setting
from benchmarks.objectives.sampling import Rollouts, draw_prompts, mean_kl, sample
from benchmarks.objectives.scores import Table, means, score, supported_medians
from benchmarks.objectives.training import train

Purpose = Literal["select", "report"]
TRAIN_PROMPTS, GROUP = 256, 8
PROMPTS: dict[Purpose, int] = {"select": 384, "report": 384}
EVALUATION_GROUP = 4
KEPT = ("f", "i", "q", "base_q", "length")  # per-prompt values that a result carries


@dataclass(frozen=True, eq=False)
class Result:
    """What came out.

    scores: corpus means at the last step; curve: f, i, q, length by step; table: per-prompt values.
    """

    scores: dict[str, float]
    curve: dict[int, dict[str, float]]
    table: Table
    metrics: dict[str, float]
    seconds: float


@functools.lru_cache
def base(rate: float) -> torch.nn.Module:
    """The frozen base of a rate."""
    return base_model(rate).requires_grad_(False)


@functools.lru_cache(maxsize=4)
def training_rollouts(rate: float, seed: int) -> Rollouts:
    """What the base wrote on the training prompts: the same for every method of this seed."""
    return sample(base(rate), draw_prompts("train", TRAIN_PROMPTS), GROUP, seed=1000 + seed)


@functools.lru_cache
def base_scores(rate: float, purpose: Purpose) -> tuple[Table, np.ndarray]:
    """Scores of the base itself on these prompts, and its median supported claims per prompt."""
    rollouts = sample(base(rate), draw_prompts(purpose, PROMPTS[purpose]), EVALUATION_GROUP, seed=1)
    medians = supported_medians(rollouts)
    return score(rollouts, medians), medians


def run(setting: Setting, rate: float, seed: int, purpose: Purpose = "select") -> Result:
    """Train and score, or read what an earlier call found."""
    identity, path = _kept_at(setting, rate, seed, purpose)
    if path.is_file():
        return _read(json.loads(path.read_text()))
    found = _run(setting, rate, seed, purpose)
    path.parent.mkdir(parents=True, exist_ok=True)
    half_written = path.with_suffix(f".{os.getpid()}")
    half_written.write_text(json.dumps({**found, "identity": identity}))
    half_written.rename(path)
    return _read(json.loads(path.read_text()))


def is_kept(setting: Setting, rate: float, seed: int, purpose: Purpose) -> bool:
    """Whether `run` would read instead of train."""
    return _kept_at(setting, rate, seed, purpose)[1].is_file()


def _kept_at(setting: Setting, rate: float, seed: int, purpose: Purpose) -> tuple[list[object], Path]:
    changed = {name: value for name, value in asdict(setting).items() if value != getattr(Setting(), name)}
    world = [WORLD_VERSION, asdict(Pretraining())]
    identity = [*world, changed, rate, seed, purpose, PROMPTS[purpose], TRAIN_PROMPTS]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:20]
    return identity, cache_folder() / "results" / f"{key}.json"


def _read(found: dict) -> Result:
    return Result(
        found["scores"],
        {int(step): scores for step, scores in found["curve"].items()},
        {name: np.array(values, float) for name, values in found["table"].items()},
        found["metrics"],
        found["seconds"],
    )


def _run(setting: Setting, rate: float, seed: int, purpose: Purpose) -> dict:
    began = time.perf_counter()
    prompts = draw_prompts(purpose, PROMPTS[purpose])
    _, medians = base_scores(rate, purpose)
    watched = prompts[:128]

    def look(model) -> dict[str, float]:
        found = means(score(sample(model, watched, EVALUATION_GROUP, seed=3)))
        return {name: found[name] for name in ("f", "i", "q", "length")}

    looks = tuple(setting.steps * part // 8 for part in (1, 2, 4, 6, 8))
    trained = train(
        base(rate), training_rollouts(rate, seed), setting, seed=seed,
        look_at=looks if purpose == "report" else (), look=look,
    )  # fmt: skip
    rollouts = sample(trained.model, prompts, EVALUATION_GROUP, seed=3)
    table = score(rollouts, medians)
    scores = {**means(table), "kl": mean_kl(trained.model, base(rate), rollouts)}
    kept = {name: [None if np.isnan(v) else round(float(v), 6) for v in table[name]] for name in KEPT}
    seconds = time.perf_counter() - began
    return {
        "scores": scores,
        "curve": trained.curve,
        "table": kept,
        "metrics": trained.last_metrics,
        "seconds": seconds,
    }
