"""Useful response tokens per second and peak memory of one training step: ours, padded rows, TRL's closest trainer.

    python -m benchmarks.trainer_speed --prompt 200 1500 4000 --responses 1 4 8 --response 300
    python -m benchmarks.trainer_speed --systems ours flex padded trl --precision bfloat16 --hidden 2048 --layers 8
        --head 128 --vocabulary 128256 --times 5

Same model, same group, same objective (the gradients' norms are compared), each system in a process of its own, in
turns, `--rounds` times; the best round counts. On a CPU one thread is used and time is the process's own, so other load
on the machine matters less. The second command is for a GPU. benchmarks.trainer_step says what each system is, and
takes all other options.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import subprocess
import sys
from collections.abc import Sequence

import torch

from benchmarks.trainer_step import SYSTEMS

# of the gradients' norms, relative: they are sums in another order, of float32 or of products of 8 bits
ALLOWED_DIFFERENCE = {"float32": 1e-3, "bfloat16": 3e-2}
Shape = tuple[int, int]  # tokens of the prompt, responses


def run(system: str, shapes: Sequence[Shape], rest: Sequence[str]) -> list[dict[str, float]]:
    """One system in one process. shapes: every prompt with every number of responses."""
    sizes = [f"--{name}" for name in ("prompt", "responses")]
    values = [[str(one) for one in dict.fromkeys(column)] for column in zip(*shapes, strict=True)]
    options = [part for name, own in zip(sizes, values, strict=True) for part in (name, *own)]
    command = [sys.executable, "-m", "benchmarks.trainer_step", f"--system={system}", *options, *rest]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if len(found) != len(shapes):
        raise SystemExit(f"{system}: {(done.stderr.strip().splitlines() or ['ended early'])[-1]}")
    return found


def compare(
    systems: Sequence[str], shapes: Sequence[Shape], rounds: int, allowed: float, rest: Sequence[str]
) -> list[dict[str, dict[str, float]]]:
    """For each shape best seconds and smallest peak per system.

    Raises SystemExit when a system does not compute the same gradient.
    """
    best: list[dict[str, dict[str, float]]] = [{} for _ in shapes]
    for _ in range(rounds):
        for system in systems:
            for mine, found in zip(best, run(system, shapes, rest), strict=True):
                before = mine.get(system, found)
                mine[system] = {name: min(before[name], found[name]) for name in found}
    for shape, mine in zip(shapes, best, strict=True):
        norms = {system: mine[system]["embedding_gradient"] for system in systems if mine[system]["seconds"] < math.inf}
        if max(norms.values()) - min(norms.values()) > allowed * max(norms.values()):
            raise SystemExit(f"the systems compute other gradients at {shape}: {norms}")
    return best


def main() -> None:
    """Print one Markdown row per shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompt", type=int, nargs="+", default=[200, 1500, 4000])
    parser.add_argument("--responses", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--response", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=["ours", "padded", "trl"])
    parser.add_argument("--precision", choices=ALLOWED_DIFFERENCE, default="float32")
    args, rest = parser.parse_known_args()
    rest += [f"--response={args.response}", f"--precision={args.precision}"]
    first, *others = args.systems
    ratios = " | ".join(f"{first} / {other}" for other in others)
    print(f"| P | R | G | {' | '.join(f'{one} tokens/s' for one in args.systems)} | {ratios} | "
          f"{' | '.join(f'MiB {one}' for one in args.systems)} |")  # fmt: skip
    print("|---" * (2 + 3 * len(args.systems)) + "|")
    shapes = list(itertools.product(args.prompt, args.responses))
    # on a CPU the peak is the process's, so every shape has one of its own
    for together in [shapes] if torch.cuda.is_available() else [[shape] for shape in shapes]:
        found = compare(args.systems, together, args.rounds, ALLOWED_DIFFERENCE[args.precision], rest)
        for (prompt, responses), best in zip(together, found, strict=True):
            rate = {system: args.response * responses / best[system]["seconds"] for system in args.systems}
            columns = [f"{rate[system]:.0f}" for system in args.systems]
            columns += [f"{rate[first] / rate[other]:.2f}" if rate[other] else "" for other in others]
            columns += [f"{best[system]['peak_mib']:.0f}" for system in args.systems]
            print(f"| {prompt} | {args.response} | {responses} | {' | '.join(columns)} |", flush=True)


if __name__ == "__main__":
    main()
