"""Responses from a policy in big batches, verified: the data that every objective trains on, and what scores are
read from.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from transformers import DynamicCache

from benchmarks.objectives.models import response_logits
from benchmarks.objectives.world import (
    MAX_RESPONSE_TOKENS,
    PADDING,
    STOP,
    ClaimTokens,
    Prompt,
    Repeats,
    SharedToken,
    Verified,
    draw_prompt,
    verify,
)


@dataclass(frozen=True, eq=False)
class Rollouts:
    """N prompts, G responses each. tokens (N, G, T) int64 padded; logprobs (N, G, T) of the policy that wrote them."""

    prompts: list[Prompt]
    prompt_tokens: torch.Tensor  # (N, PROMPT_TOKENS)
    tokens: torch.Tensor
    logprobs: torch.Tensor
    verified: list[list[Verified]]

    @property
    def labels(self) -> torch.Tensor:
        """(N, G, T) int64."""
        return torch.from_numpy(np.array([[v.labels for v in group] for group in self.verified])).long()[
            :, :, : self.tokens.shape[2]
        ]

    @functools.cached_property
    def faithfulness(self) -> torch.Tensor:
        """(N, G) share of supported claims, NaN for a response without claims; the same under every labelling."""
        counts = torch.tensor([[(v.supported, v.unsupported) for v in group] for group in self.verified])
        return counts[..., 0] / counts.sum(-1)

    def relabelled(self, shared: SharedToken, claim_tokens: ClaimTokens, repeats: Repeats) -> Rollouts:
        """The same responses under another labelling."""
        return Rollouts(
            self.prompts, self.prompt_tokens, self.tokens, self.logprobs,
            _verify_all(self.prompts, self.tokens, shared, claim_tokens, repeats),
        )  # fmt: skip


def draw_prompts(purpose: str, count: int) -> list[Prompt]:
    """Prompts of a purpose ("train", "select", "report"): always the same ones, no two purposes share a draw."""
    draw = Random(f"prompts for {purpose}")
    return [draw_prompt(draw) for _ in range(count)]


@torch.no_grad()
def sample(model, prompts: list[Prompt], group: int, seed: int, batch: int = 256) -> Rollouts:
    """G responses per prompt at temperature 1, with the log-probabilities they were drawn with."""
    generator = torch.Generator().manual_seed(seed)
    prompt_tokens = torch.tensor([prompt.tokens() for prompt in prompts])
    parts = [_sample_batch(model, chunk, group, generator) for chunk in prompt_tokens.split(batch)]
    tokens = torch.cat([tokens for tokens, _ in parts])
    logprobs = torch.cat([logprobs for _, logprobs in parts])
    longest = int((tokens != PADDING).any(0).any(0).sum())
    verified = _verify_all(prompts, tokens)
    return Rollouts(prompts, prompt_tokens, tokens[:, :, :longest], logprobs[:, :, :longest], verified)


def _sample_batch(model, prompt_tokens, group: int, generator) -> tuple[torch.Tensor, torch.Tensor]:
    cache = DynamicCache()
    logits = model(prompt_tokens, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
    cache.batch_repeat_interleave(group)
    logits = logits.repeat_interleave(group, 0)
    tokens = torch.full((len(logits), MAX_RESPONSE_TOKENS), PADDING)
    logprobs = torch.zeros(tokens.shape)
    running = torch.ones(len(logits), dtype=torch.bool)
    for at in range(MAX_RESPONSE_TOKENS):
        distribution = logits.log_softmax(-1)
        token = torch.multinomial(distribution.exp(), 1, generator=generator)
        tokens[running, at] = token[running, 0]
        logprobs[running, at] = distribution.gather(1, token)[running, 0]
        running = running & (token[:, 0] != STOP)
        if not running.any() or at + 1 == MAX_RESPONSE_TOKENS:
            break
        logits = model(token, past_key_values=cache, use_cache=True).logits[:, -1]
    shape = (len(prompt_tokens), group, MAX_RESPONSE_TOKENS)
    return tokens.view(shape), logprobs.view(shape)


def _verify_all(
    prompts, tokens, shared: SharedToken = "neutral", claim_tokens: ClaimTokens = "all", repeats: Repeats = "supported"
) -> list[list[Verified]]:
    return [
        [verify(prompt, response, shared=shared, claim_tokens=claim_tokens, repeats=repeats) for response in group]
        for prompt, group in zip(prompts, tokens.tolist(), strict=True)
    ]


@torch.no_grad()
def mean_kl(model, base, rollouts: Rollouts, batch: int = 128) -> float:
    """KL(policy || base) of whole responses in nats, from the policy's own samples; per token exact over the
    vocabulary.
    """
    total, count = 0.0, 0
    for prompts, tokens in zip(rollouts.prompt_tokens.split(batch), rollouts.tokens.split(batch), strict=True):
        ours = response_logits(model, prompts, tokens).log_softmax(-1)
        theirs = response_logits(base, prompts, tokens).log_softmax(-1)
        per_token = (ours.exp() * (ours - theirs)).sum(-1)  # (B, G, T)
        total += float((per_token * (tokens != PADDING)).sum())
        count += tokens.shape[0] * tokens.shape[1]
    return total / count
