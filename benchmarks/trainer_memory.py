"""Peak memory and time of the LM head: full logits, chunks with a trained head, chunks with a frozen one (LoRA), and
both with the odds of two stop tokens, which the stop anchor reads.

    python -m benchmarks.trainer_memory --tokens 2048 --vocabulary 152000 --hidden 512 --needed 0.4 1.0

Each case in a process of its own: log-probabilities of the needed tokens and their gradient, float32.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable

import torch
from torch import nn

from benchmarks.trainer_step import measure
from trainer.logprobs import LogitTransform, token_scores

CASES = ("full", "chunks", "chunks and stop odds", "frozen", "frozen and stop odds")


def step_of(case: str, tokens: int, hidden: int, vocabulary: int, chunk_mib: int) -> Callable[[], float]:
    """Forward and backward of the head alone."""
    torch.manual_seed(0)
    head = nn.Linear(hidden, vocabulary, bias=False)
    head.requires_grad_(not case.startswith("frozen"))
    states = torch.randn(tokens, hidden, requires_grad=True)
    targets = torch.randint(vocabulary, (tokens,))
    weights = torch.randn(tokens)
    chunk = max(chunk_mib * 2**20 // (4 * vocabulary), 1)
    stop_ids = torch.tensor([5, 7]) if case.endswith("stop odds") else None

    def step() -> float:
        states.grad = head.weight.grad = None
        if case == "full":
            logprobs = head(states).log_softmax(-1).gather(1, targets[:, None])[:, 0]
        else:
            logprobs, odds = token_scores(states, targets, head, LogitTransform(), chunk, stop_ids)
            logprobs = logprobs if odds is None else logprobs + odds
        (logprobs * weights).sum().backward()
        assert states.grad is not None
        return float(states.grad.norm())

    return step


def main() -> None:
    """Print a Markdown table; with --case, measure one and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--needed", type=float, nargs="+", default=[0.4, 1.0], help="shares of tokens that are needed")
    for name, default in {"hidden": 512, "vocabulary": 152_000, "chunk-mib": 64}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    if args.case:
        torch.set_num_threads(1)
        step = step_of(args.case, args.tokens, args.hidden, args.vocabulary, args.chunk_mib)
        print(json.dumps(measure(step, 1, torch.device("cpu"))))
        return
    print("| head | needed tokens | seconds | peak MiB |\n|---|---|---|---|")
    for case in CASES:
        for share in [1.0] if case == "full" else args.needed:
            tokens = round(args.tokens * share)
            sizes = [f"--tokens={tokens}", f"--hidden={args.hidden}", f"--vocabulary={args.vocabulary}"]
            command = [sys.executable, "-m", "benchmarks.trainer_memory", f"--case={case}", *sizes]
            done = subprocess.run(
                [*command, f"--chunk-mib={args.chunk_mib}"], capture_output=True, text=True, check=True
            )
            found = json.loads(done.stdout.splitlines()[-1])
            print(f"| {case} | {tokens} | {found['seconds']:.1f} | {found['peak_mib']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
