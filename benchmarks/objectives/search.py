"""What is tried: an equal grid per method, and the chain of attempts at the balanced form. Selection prompts only.

    python -m benchmarks.objectives.search grid [--method NAME]... [--rate R]...
    python -m benchmarks.objectives.search chain

The grid gives every method three settings per rate (two learning rates, and another clip, anchor or beta) and picks
the one with the highest Q at the last step; the figures come later, from other prompts and more seeds (`run`).
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace

import torch

from benchmarks.objectives.experiment import Result, base_scores, run
from benchmarks.objectives.models import RATES
from benchmarks.objectives.objectives import Setting, describe
from benchmarks.objectives.scores import means

BALANCED = Setting(mass="unit", clip_low=0.9, clip_high=0.2, continue_beta=0.5)  # where the chain led; see RESULTS.md

# What is tried per method, the same at every rate: two learning rates, then another clip, anchor or beta.
METHODS: dict[str, tuple[Setting, ...]] = {
    "balanced": (BALANCED, replace(BALANCED, learning_rate=6e-4), replace(BALANCED, clip_high=0.4, continue_beta=0.3)),
    "token ±1": tuple(Setting("token", **change) for change in ({}, {"learning_rate": 1e-3}, {"clip_low": 0.9})),
    "response": tuple(Setting("response", **change) for change in ({}, {"learning_rate": 1e-3}, {"clip_low": 0.9})),
    "supported only": tuple(
        Setting("supported", **change) for change in ({}, {"learning_rate": 1e-3}, {"clip_high": math.inf, "beta": 0.3})
    ),
    "dpo": tuple(Setting("dpo", lr, beta) for lr, beta in ((1e-4, 0.1), (3e-4, 0.1), (3e-4, 0.3))),
    "kto": tuple(Setting("kto", lr, beta) for lr, beta in ((3e-4, 0.1), (1e-3, 0.1), (1e-3, 0.3))),
}


def grid(method: str) -> tuple[Setting, ...]:
    """The settings that are tried for a method."""
    return METHODS[method]


def chosen_setting(method: str, rate: float) -> Setting:
    """The grid's setting with the highest Q on the selection prompts, seed 0.

    A rival is tuned for each base. The balanced form is a default and has to do for all bases: the highest mean Q
    over them.
    """
    rates = RATES if method == "balanced" else (rate,)
    return max(grid(method), key=lambda setting: sum(run(setting, at, 0).scores["q"] for at in rates))


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
