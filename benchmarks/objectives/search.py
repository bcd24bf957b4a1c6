"""What is tried: an equal grid per method, and the chain of attempts at the balanced form. Selection prompts only.

    python -m benchmarks.objectives.search grid [--method NAME]... [--rate R]...
    python -m benchmarks.objectives.search chain [--change NAME]... [--rate R]...

The grid gives every rival three settings per rate (two learning rates, and another clip, anchor or beta) and picks
the one with the highest Q at the last step; the balanced form is its default. The figures come later, from other
prompts and more seeds (`run`).
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

# The trainer's defaults, where the chain led; see RESULTS.md.
BALANCED = Setting(mass="unit", clip_low=0.95, clip_high=0.4, pull="log", beta=0.2, anchor="neutral", stop_beta=0.3)

# What this world alone would choose: nothing that training on human labels needs and this world does not.
UNHELD = replace(BALANCED, learning_rate=6e-4, clip_low=0.98, pull="ratio", anchor="all", beta=0.0)

# What is tried per method, the same at every rate: two or three learning rates, then another clip, anchor or beta. The
# balanced form is one default for all rates; what else it can be, one setting each, stands beside it.
METHODS: dict[str, tuple[Setting, ...]] = {
    "balanced": (BALANCED,),
    "balanced, ratio pull": (replace(BALANCED, pull="ratio"),),
    "balanced, for this world": (UNHELD,),
    "balanced, length free": (replace(UNHELD, learning_rate=3e-4, stop_beta=0.0),),
    "token ±1": (
        Setting("token", clip_low=0.9),
        Setting("token", clip_low=0.97),
        Setting("token", 6e-4, clip_low=0.97),
        Setting("token", 1e-3, clip_low=0.97),
    ),
    "response": (
        Setting("response", clip_low=0.9),
        Setting("response", clip_low=0.97),
        Setting("response", 1e-3, clip_low=0.9),
    ),
    "supported only": (
        Setting("supported"),
        Setting("supported", learning_rate=1e-3),
        Setting("supported", clip_high=math.inf, beta=0.3),
    ),
    "dpo": (Setting("dpo", 1e-4, 0.1), Setting("dpo", 1e-4, 0.3), Setting("dpo", 3e-4, 0.3)),
    "kto": (Setting("kto", 3e-4, 0.1), Setting("kto", 1e-3, 0.1), Setting("kto", 1e-3, 0.3)),
}

# One thing changed at a time, from the default; what each taught is in RESULTS.md.
CHAIN: dict[str, Setting] = {
    "the default": BALANCED,
    "no stop anchor": replace(BALANCED, stop_beta=0.0),
    "sampled stop tokens anchored instead": replace(BALANCED, stop_beta=0.0, sampled_stop_beta=0.1),
    "pull by the ratio": replace(BALANCED, pull="ratio"),
    "clip as before: 0.9 below, 0.2 above": replace(BALANCED, clip_low=0.9, clip_high=0.2),
    "symmetric clip 0.4": replace(BALANCED, clip_low=0.4, clip_high=0.4),
    "mass sqrt": replace(BALANCED, mass="sqrt"),
    "mass harmonic": replace(BALANCED, mass="harmonic"),
    "block response": replace(BALANCED, block="response"),
    "block step": replace(BALANCED, block="step"),
    "cap 3": replace(BALANCED, cap=3.0),
    "anchor on all tokens, 0.02": replace(BALANCED, anchor="all", beta=0.02),
    "anchor on labelled tokens": replace(BALANCED, anchor="labelled"),
    "no squared anchor": replace(BALANCED, beta=0.0),
    "squared anchor 1.0": replace(BALANCED, beta=1.0),
    "labels on whole claims": replace(BALANCED, claim_tokens="all"),
    "repeats supported": replace(BALANCED, repeats="supported"),
    "repeats lowered": replace(BALANCED, repeats="lowered"),
    "shared subject: unsupported wins": replace(BALANCED, claim_tokens="all", shared="unsupported_wins"),
    "what both sides share cancels": replace(BALANCED, contrast=2),
    "claims weigh the same": replace(BALANCED, mass="sqrt", per_claim=True),
    "single-class blocks raised": replace(BALANCED, single_class="supported"),
    "cosine, twice the rate": replace(BALANCED, learning_rate=6e-4, schedule="cosine"),
    "three passes": replace(BALANCED, steps=96),
    "twelve passes": replace(BALANCED, steps=384),
    "token ±1 with our clip and stop anchor": replace(BALANCED, method="token"),
    "supported only with our clip and stop anchor": replace(BALANCED, method="supported"),
}


def grid(method: str) -> tuple[Setting, ...]:
    """The settings that are tried for a method."""
    return METHODS[method]


def chosen_setting(method: str, rate: float, longest: float = math.inf) -> Setting | None:
    """The grid's setting with the highest Q on the selection prompts, seed 0; None if all make responses too long.

    longest: mean length allowed, as a multiple of the base's.
    """
    fitting = [setting for setting in grid(method) if _stretch(setting, rate) <= longest]
    return max(fitting, key=lambda setting: run(setting, rate, 0).scores["q"], default=None)


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
