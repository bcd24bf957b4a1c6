"""Useful response tokens per second and peak memory of one training step: ours, padded rows, TRL's closest trainer.

    python -m benchmarks.trainer_speed --prompt 200 1500 4000 --responses 1 4 8 --response 300

Same model, same group, same objective (the gradients' norms are compared), each system in a process of its own, in
turns, `--rounds` times; the best round counts. On a CPU one thread is used and time is the process's own, so other load
on the machine matters less. benchmarks.trainer_step says what each system is, and takes all other options: on a GPU
`--attention flex` measures packed rows with flex attention.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from benchmarks.trainer_step import SYSTEMS

ALLOWED_DIFFERENCE = 1e-3  # of the gradients' norms, relative: they are sums of float32 in another order


def run(system: str, prompt: int, response: int, responses: int, rest: list[str]) -> dict[str, float]:
    """One system, one shape, one process."""
    sizes = [f"--prompt={prompt}", f"--response={response}", f"--responses={responses}"]
    command = [sys.executable, "-m", "benchmarks.trainer_step", f"--system={system}", *sizes, *rest]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{system}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(prompt: int, response: int, responses: int, rounds: int, rest: list[str]) -> dict[str, dict[str, float]]:
    """Best seconds and smallest peak per system. Raises when a system does not compute the same gradient."""
    best: dict[str, dict[str, float]] = {}
    for _ in range(rounds):
        for system in SYSTEMS:
            found = run(system, prompt, response, responses, rest)
            if system not in best:
                best[system] = found
            best[system] = {name: min(best[system][name], found[name]) for name in found}
    norms = [best[system]["embedding_gradient"] for system in SYSTEMS]
    if max(norms) - min(norms) > ALLOWED_DIFFERENCE * max(norms):
        raise SystemExit(f"the systems compute other gradients: {dict(zip(SYSTEMS, norms, strict=True))}")
    return best


def main() -> None:
    """Print one Markdown row per shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompt", type=int, nargs="+", default=[200, 1500, 4000])
    parser.add_argument("--responses", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--response", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=2)
    args, rest = parser.parse_known_args()
    print("| P | R | G | ours tokens/s | padded | TRL | ours / padded | ours / TRL | MiB ours | padded | TRL |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for prompt in args.prompt:
        for responses in args.responses:
            best = compare(prompt, args.response, responses, args.rounds, rest)
            rate = {system: args.response * responses / best[system]["seconds"] for system in SYSTEMS}
            peaks = " | ".join(f"{best[system]['peak_mib']:.0f}" for system in SYSTEMS)
            rates = " | ".join(f"{rate[system]:.0f}" for system in SYSTEMS)
            ratios = " | ".join(f"{rate['ours'] / rate[system]:.2f}" for system in SYSTEMS[1:])
            print(f"| {prompt} | {args.response} | {responses} | {rates} | {ratios} | {peaks} |", flush=True)


if __name__ == "__main__":
    main()
