"""Sampling G responses per prompt: one shared prefill against G separate calls, same seeds, same samples.

    python -m benchmarks.generation_speed [--prompts 4] [--prompt-tokens 512] [--new-tokens 64] [--samples 8]

Prints the ratio of the median times of interleaved repetitions, and how many responses are equal (all of them should
be: a response's random stream does not depend on what it is decoded with). One thread, processor time of this process:
what else runs on the machine counts less.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from trainer.generation.sampling import SampledResponse, SamplingParams, sample_responses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--prompt-tokens", type=int, default=512)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=4096,
        hidden_size=args.hidden,
        intermediate_size=3 * args.hidden,
        num_hidden_layers=args.layers,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=args.prompt_tokens + args.new_tokens,
    )
    model = LlamaForCausalLM(config).eval()
    prompts = [(f"g{i}", torch.randint(3, 4096, (args.prompt_tokens,)).tolist()) for i in range(args.prompts)]
    params = SamplingParams(args.samples, args.new_tokens)

    def together() -> list[list[SampledResponse]]:
        return sample_responses(model, prompts, params, frozenset({2}))

    def apart() -> list[list[SampledResponse]]:
        calls = [
            sample_responses(model, prompts, replace(params, num_samples=1, first_sample=number), frozenset({2}))
            for number in range(args.samples)
        ]
        return [[call[prompt][0] for call in calls] for prompt in range(args.prompts)]

    times: dict[str, list[float]] = {"shared prefill": [], "separate calls": []}
    answers: dict[str, list[list[SampledResponse]]] = {}
    for _ in range(args.repeat):
        for name, sample in (("shared prefill", together), ("separate calls", apart)):
            started = time.process_time()
            answers[name] = sample()
            times[name].append(time.process_time() - started)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    responses = args.prompts * args.samples
    for name, median in medians.items():
        print(f"{name:15} {responses / median:8.1f} responses/s")
    equal = sum(
        mine.token_ids == other.token_ids
        for group, others in zip(answers["shared prefill"], answers["separate calls"], strict=True)
        for mine, other in zip(group, others, strict=True)
    )
    print(f"ratio {medians['separate calls'] / medians['shared prefill']:.2f}   equal responses {equal} of {responses}")


if __name__ == "__main__":
    main()
