"""Which prompts are decoded together: of similar length, and no more than the cache may hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Prompt = TypeVar("Prompt")
WINDOW = 512  # prompts that are sorted by length together; read no further ahead


def plan_batches(
    prompts: Iterable[tuple[Prompt, int]], num_samples: int, max_new_tokens: int, max_cached_tokens: int
) -> Iterator[list[Prompt]]:
    """Batches of prompts, a pure function of the prompts' order and lengths.

    prompts: (prompt, tokens).   max_cached_tokens: bound on G * (longest prompt + new tokens) * prompts of a batch;
    a prompt that is over it alone is a batch of its own.
    """
    source = iter(prompts)
    while window := list(islice(source, WINDOW)):
        window.sort(key=lambda prompt: prompt[1])  # stable: equal lengths keep the corpus's order
        batch: list[Prompt] = []
        for prompt, length in window:
            rows = num_samples * (len(batch) + 1)
            if batch and rows * (length + max_new_tokens) > max_cached_tokens:
                yield batch
                batch = []
            batch.append(prompt)
        yield batch
