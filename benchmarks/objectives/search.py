"""What is tried: an equal grid per method, and the chain of attempts at the balanced form. Selection prompts only.

    python -m benchmarks.objectives.search grid [--method NAME]... [--rate R]...
    python -m benchmarks.objectives.search chain [--change NAME]... [--rate R]...

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

BALANCED = Setting(mass="unit", clip_low=0.9, clip_high=0.2, stop_beta=0.5)  # where the chain led; see RESULTS.md

# What is tried per method, the same at every rate: two learning rates, then another clip, anchor or beta.
METHODS: dict[str, tuple[Setting, ...]] = {
    "balanced": (
        BALANCED,
        replace(BALANCED, learning_rate=6e-4),
        replace(BALANCED, clip_high=0.4, stop_beta=0.3),
    ),
    "token ±1": (Setting("token"), Setting("token", learning_rate=1e-3), Setting("token", clip_low=0.9)),
    "response": (Setting("response"), Setting("response", learning_rate=1e-3), Setting("response", clip_low=0.9)),
    "supported only": (
        Setting("supported"),
        Setting("supported", learning_rate=1e-3),
        Setting("supported", clip_high=math.inf, beta=0.3),
    ),
    "dpo": (Setting("dpo", 1e-4, 0.1), Setting("dpo", 3e-4, 0.1), Setting("dpo", 3e-4, 0.3)),
    "kto": (Setting("kto", 3e-4, 0.1), Setting("kto", 1e-3, 0.1), Setting("kto", 1e-3, 0.3)),
}

# One thing changed at a time, from the default; what each taught is in RESULTS.md.
CHAIN: dict[str, Setting] = {
    "the default": BALANCED,
    "no stop anchor": replace(BALANCED, stop_beta=0.0),
    "sampled stop tokens anchored instead": replace(BALANCED, stop_beta=0.0, sampled_stop_beta=0.1),
    "symmetric clip 0.4": replace(BALANCED, clip_low=0.4, clip_high=0.4),
    "mass sqrt": replace(BALANCED, mass="sqrt"),
    "mass harmonic": replace(BALANCED, mass="harmonic"),
    "block response": replace(BALANCED, block="response"),
    "block step": replace(BALANCED, block="step"),
    "cap 3": replace(BALANCED, cap=3.0),
    "anchor on neutral tokens": replace(BALANCED, anchor="neutral"),
    "anchor on labelled tokens": replace(BALANCED, anchor="labelled"),
    "no squared anchor": replace(BALANCED, beta=0.0),
    "squared anchor 0.3": replace(BALANCED, beta=0.3),
    "labels on whole claims": replace(BALANCED, claim_tokens="all"),
    "repeats supported": replace(BALANCED, repeats="supported"),
    "repeats lowered": replace(BALANCED, repeats="lowered"),
    "shared subject: unsupported wins": replace(BALANCED, claim_tokens="all", shared="unsupported_wins"),
    "what both sides share cancels": replace(BALANCED, contrast=2),
    "claims weigh the same": replace(BALANCED, mass="sqrt", per_claim=True),
    "single-class blocks raised": replace(BALANCED, single_class="supported"),
    "cosine, twice the rate": replace(BALANCED, learning_rate=6e-4, schedule="cosine"),
    "eight passes": replace(BALANCED, steps=256),
    "token ±1 with our clip and stop anchor": replace(BALANCED, method="token"),
    "supported only with our clip and stop anchor": replace(BALANCED, method="supported"),
}


def grid(method: str) -> tuple[Setting, ...]:
    """The settings that are tried for a method."""
    return METHODS[method]


def chosen_setting(method: str, rate: float, longest: float = math.inf) -> Setting | None:
    """The grid's setting with the highest Q on the selection prompts, seed 0; None if all make responses too long.

    A rival is tuned for each base. The balanced form is a default and has to do for all bases: the highest mean Q over
    them. longest: mean length allowed, as a multiple of the base's.
    """
    rates = RATES if method == "balanced" else (rate,)
    fitting = [setting for setting in grid(method) if all(_stretch(setting, at) <= longest for at in rates)]
    if not fitting:
        return None
    return max(fitting, key=lambda setting: sum(run(setting, at, 0).scores["q"] for at in rates))


def _stretch(setting: Setting, rate: float) -> float:
    return run(setting, rate, 0).scores["length"] / means(base_scores(rate, "select")[0])["length"]


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
    parser.add_argument("what", choices=("grid", "chain"))
    parser.add_argument("--method", action="append", choices=tuple(METHODS), help="default: all (grid)")
    parser.add_argument("--change", action="append", choices=tuple(CHAIN), help="default: all (chain)")
    parser.add_argument("--rate", action="append", type=float, help="default: all three")
    asked = parser.parse_args()
    for rate in asked.rate or RATES:
        print(f"invented {rate:.0%} | base | {means(base_scores(rate, 'select')[0])}", flush=True)
        if asked.what == "grid":
            settings = [(describe(s), s) for method in asked.method or METHODS for s in grid(method)]
        else:
            settings = [(name, CHAIN[name]) for name in asked.change or CHAIN]
        for name, setting in settings:
            print(f"invented {rate:.0%} | {name} | {line(run(setting, rate, 0), rate)}", flush=True)


if __name__ == "__main__":
    main()
