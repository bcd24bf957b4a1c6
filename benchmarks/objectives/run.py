"""The figures: every method with the setting that the search chose for it, on prompts that no choice has seen.

    python -m benchmarks.objectives.run            # trains what is missing, then prints the tables
    python -m benchmarks.objectives.run --rate 0.4 # only this base: for several processes side by side

Per base and method: F, I, Q and their paired differences to the balanced form (95 % bootstrap over prompts and
seeds), length against the base, claims asked for and not, KL, late drift, steps until the response-level objective's
last F is reached.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from benchmarks.objectives.experiment import Result, base_scores, is_kept, run
from benchmarks.objectives.models import RATES
from benchmarks.objectives.objectives import Setting, describe
from benchmarks.objectives.scores import means, paired_difference
from benchmarks.objectives.search import METHODS, chosen_setting

SEEDS = (0, 1, 2)
LONGEST = 1.1  # mean length over the base's that counts as kept
COLUMNS = ("f", "i", "q", "base_q", "length", "asked_for", "not_asked_for", "repeated", "empty", "kl")


def results(setting: Setting, rate: float, train_missing: bool) -> list[Result]:
    """One result per seed, on the report prompts; without training, of the seeds that were run before."""
    seeds = [seed for seed in SEEDS if train_missing or is_kept(setting, rate, seed, "report")]
    return [run(setting, rate, seed, "report") for seed in seeds]


def contestants(rate: float) -> dict[str, Setting]:
    """What is compared on a base: every method's choice, the balanced form first.

    A rival whose choice is ahead on the selection prompts and lengthens responses stands in a second row with its best
    setting that keeps the length.
    """
    chosen = {method: chosen_setting(method, rate) for method in METHODS}
    q = {method: run(setting, rate, 0).scores["q"] for method, setting in chosen.items() if setting}
    for method in METHODS:
        kept = chosen_setting(method, rate, LONGEST)
        if q[method] > q["balanced"] and kept != chosen[method]:
            chosen[f"{method}, length kept"] = kept
    return {name: setting for name, setting in chosen.items() if setting}


def average(found: list[Result], name: str) -> float:
    """Mean over seeds of a corpus score."""
    return float(np.mean([result.scores[name] for result in found]))


def drift(found: list[Result], name: str) -> float:
    """Last value of a score over its best on the way: 1 = no late drift.

    Mean over seeds of the curves, then compared.
    """
    steps = sorted(found[0].curve)
    curve = [float(np.mean([result.curve[step][name] for result in found])) for step in steps]
    return curve[-1] / max(curve)


def steps_to(found: list[Result], name: str, value: float) -> int | None:
    """First looked-at step at which the mean curve reaches a value; None if it never does."""
    for step in sorted(found[0].curve):
        if float(np.mean([result.curve[step][name] for result in found])) >= value:
            return step
    return None


def table(rate: float, train_missing: bool) -> str:
    """Markdown: a row per method, the base first."""
    base, _ = base_scores(rate, "report")
    at_start = means(base)
    settings = contestants(rate)
    everything = {name: results(setting, rate, train_missing) for name, setting in settings.items()}
    everything = {name: found for name, found in everything.items() if found}
    to_reach = average(everything["response"], "f")
    rows = [
        "| method | seeds | F | I | Q | Q (K of the base) | length | asked for | not asked | repeated | empty | KL "
        "| last/best F | last/best Q | steps to response's F |",
        "|" + "---|" * 15,
        f"| base | | {' | '.join(_number(at_start.get(name, 0.0), name, at_start) for name in COLUMNS)} | | | |",
    ]
    for method, found in everything.items():
        cells = [_number(average(found, name), name, at_start) for name in COLUMNS]
        reached = steps_to(found, "f", to_reach)
        ends = f"{drift(found, 'f'):.3f} | {drift(found, 'q'):.3f} | {'never' if reached is None else reached}"
        rows.append(f"| {method} | {len(found)} | {' | '.join(cells)} | {ends} |")
    rows += ["", "| balanced minus | F | Q | Q (K of the base) | chosen setting |", "|---|---|---|---|---|"]
    for method, found in everything.items():
        cells = "| | " if method == "balanced" else _differences(everything["balanced"], found)
        rows.append(f"| {method} | {cells} | {describe(settings[method])} |")
    rivals = {method: found for method, found in everything.items() if not method.startswith("balanced")}
    best = max(rivals, key=lambda method: average(rivals[method], "q"))
    rows += ["", f"| minus {best}, the rival of highest Q | F | Q | Q (K of the base) |", "|---|---|---|---|"]
    rows += [
        f"| {method} | {_differences(found, rivals[best])} |"
        for method, found in everything.items()
        if method not in rivals
    ]
    rows += ["", "By seed, F / Q / length: " + "; ".join(f"{m} {_by_seed(f)}" for m, f in everything.items())]
    return "\n".join(rows)


def _differences(ours: list[Result], theirs: list[Result]) -> str:
    """Cells: ours minus theirs in F, Q and Q with the base's K, with the interval."""
    cells = []
    for name in ("f", "q", "base_q"):
        middle, low, high = paired_difference([r.table[name] for r in ours], [r.table[name] for r in theirs])
        cells.append(f"{middle:+.4f} ({low:+.4f} to {high:+.4f})")
    return " | ".join(cells)


def _number(value: float, name: str, base: dict[str, float]) -> str:
    if name == "length":
        return f"{value:.1f} (x{value / base['length']:.2f})"
    return f"{value:.2f}" if name in ("asked_for", "not_asked_for", "repeated", "kl") else f"{value:.3f}"


def _by_seed(found: list[Result]) -> str:
    return ", ".join(f"{r.scores['f']:.3f}/{r.scores['q']:.3f}/{r.scores['length']:.1f}" for r in found)


def main() -> None:
    """Train what is missing and print one table per base."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", action="append", type=float, help="default: all three")
    parser.add_argument("--kept-only", action="store_true", help="train nothing: tables of the runs so far")
    asked = parser.parse_args()
    for rate in asked.rate or RATES:
        print(f"\n### Base that invents {rate:.0%}\n\n{table(rate, not asked.kept_only)}", flush=True)


if __name__ == "__main__":
    main()
