"""What is tried: an equal grid per method, and the chain of attempts at the balanced form. Selection prompts only.

    python -m benchmarks.objectives.search grid [--method NAME]... [--rate R]...
    python -m benchmarks.objectives.search chain

The grid gives every method four settings per rate (two learning rates by two clips or betas) and picks the one with the
highest Q at the last step; the figures come later, from other prompts and more seeds (`run`).
"""

from __future__ import annotations

import argparse
import itertools
import math
from dataclasses import replace

import torch

from benchmarks.objectives.experiment import Result, base_scores, run
from benchmarks.objectives.models import RATES
from benchmarks.objectives.objectives import Setting, describe
from benchmarks.objectives.scores import means

TIGHT, WIDE = {"clip_low": 0.4, "clip_high": 0.4}, {"clip_low": 0.9, "clip_high": 0.4}
STOP_ANCHORED = Setting(clip_low=0.9, continue_beta=1.0)  # where the chain led; see RESULTS.md

# name -> (setting, second axis): the first axis is the learning rate
METHODS: dict[str, tuple[Setting, tuple[dict[str, float], ...]]] = {
    "balanced, stop anchored": (STOP_ANCHORED, ({"clip_low": 0.9}, {"clip_low": 0.7})),
    "balanced, plain": (Setting(), (TIGHT, WIDE)),
    "token ±1": (Setting("token"), (TIGHT, WIDE)),
    "response": (Setting("response"), (TIGHT, WIDE)),
    "supported only": (Setting("supported"), ({"clip_high": 0.4}, {"clip_high": math.inf, "beta": 0.3})),
    "dpo": (Setting("dpo"), ({"beta": 0.1}, {"beta": 0.3})),
    "kto": (Setting("kto"), ({"beta": 0.1}, {"beta": 0.3})),
}
LEARNING_RATES: dict[str, tuple[float, float]] = {"dpo": (1e-4, 3e-4)}  # DPO's steps are larger: see RESULTS.md


def grid(method: str) -> list[Setting]:
    """The settings that are tried for a method, the same at every rate."""
    setting, second = METHODS[method]
    rates = LEARNING_RATES.get(method, (3e-4, 1e-3))
    return [
        replace(setting, learning_rate=rate, **axis)  # pyright: ignore[reportArgumentType]
        for rate, axis in itertools.product(rates, second)
    ]


def chosen_setting(method: str, rate: float) -> Setting:
    """The grid's setting with the highest Q on the selection prompts, seed 0."""
    return max(grid(method), key=lambda setting: run(setting, rate, 0).scores["q"])


def line(result: Result, rate: float) -> str:
    """A result in one line; length as a multiple of the base's."""
    names = ("f", "i", "q", "base_q", "asked_for", "not_asked_for", "repeated", "empty", "kl")
    found = [f"{name} {result.scores[name]:.3f}" for name in names]
    against = result.scores["length"] / means(base_scores(rate, "select")[0])["length"]
    return f"{' | '.join(found)} | length x{against:.2f} | {result.seconds:.0f} s"


def main() -> None:
    """Run what is missing and print everything."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("grid",))
    parser.add_argument("--method", action="append", choices=tuple(METHODS), help="default: all")
    parser.add_argument("--rate", action="append", type=float, help="default: all three")
    asked = parser.parse_args()
    for rate in asked.rate or RATES:
        print(f"invented {rate:.0%} | base | {means(base_scores(rate, 'select')[0])}", flush=True)
        for method in asked.method or METHODS:
            for setting in grid(method):
                print(f"invented {rate:.0%} | {describe(setting)} | {line(run(setting, rate, 0), rate)}", flush=True)


if __name__ == "__main__":
    main()
