"""Tiny Llama models that live in the synthetic world: written from a config, pretrained there, kept on disk.

One model learns the world from writers of all rates who write without a plan, then from writers who answer what is
asked; each base is that model after some more text from writers of one rate, so that its own share of invented claims
is that rate's. Files are keyed by everything that decides their content.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Literal

import torch
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

from benchmarks.objectives.world import (
    MAX_RESPONSE_TOKENS,
    PADDING,
    PROMPT_TOKENS,
    START,
    STOP,
    VOCABULARY,
    draw_free_response,
    draw_prompt,
    draw_response,
)

WORLD_VERSION = 3  # raise it when the world's text changes: cached models are then written anew
Stage = Literal["world", "reader", "base"]
RATES = (0.70, 0.40, 0.10)  # invented share of the claims that a base is pretrained on


@dataclass(frozen=True, slots=True)
class Pretraining:
    """How the models are written. Steps are optimizer steps of `batch` (prompt, response) pairs."""

    hidden: int = 64
    layers: int = 2
    batch: int = 64
    world_steps: int = 2500
    reading_steps: int = 520
    rate_steps: int = 130
    learning_rate: float = 3e-3
    seed: int = 0


def cache_folder() -> Path:
    """Where pretrained models are kept: BALTO_CACHE, or the user's cache folder."""
    return Path(os.environ.get("BALTO_CACHE", Path.home() / ".cache" / "balto")) / "objectives"


def new_model(config: Pretraining) -> LlamaForCausalLM:
    """An untrained model, float32."""
    torch.manual_seed(config.seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=config.hidden,
            intermediate_size=2 * config.hidden,
            num_hidden_layers=config.layers,
            num_attention_heads=4,
            max_position_embeddings=PROMPT_TOKENS + MAX_RESPONSE_TOKENS,
            tie_word_embeddings=True,
            initializer_range=0.05,
            bos_token_id=START,
            eos_token_id=STOP,
            pad_token_id=None,  # no attention mask: every prompt has the same length, padding stands on the right
        )
    ).eval()


def response_logits(model: LlamaForCausalLM, prompts: torch.Tensor, responses: torch.Tensor) -> torch.Tensor:
    """(B, G, T, V) logits that predict each token of G responses per prompt; the prompt is computed once.

    prompts: (B, PROMPT_TOKENS), responses: (B, G, T), padded on the right; padding predicts nothing of use.
    """
    b, g, t = responses.shape
    cache = DynamicCache()
    first = model(prompts, past_key_values=cache, use_cache=True, logits_to_keep=1).logits  # (B, 1, V)
    cache.batch_repeat_interleave(g)
    rest = model(responses.reshape(b * g, t)[:, :-1], past_key_values=cache, use_cache=True).logits  # (B*G, T-1, V)
    return torch.cat([first.repeat_interleave(g, 0), rest], 1).view(b, g, t, -1)


def base_model(rate: float) -> LlamaForCausalLM:
    """The base of this rate: from the cache, or pretrained now (minutes) and kept."""
    config = Pretraining()
    return _cached(f"base-{rate:.2f}", config, lambda: _pretrain(reader_model(config), config, "base", (rate,)))


def reader_model(config: Pretraining) -> LlamaForCausalLM:
    """What all bases share: how to answer what a question lists, at mixed rates."""
    return _cached("reader", config, lambda: _pretrain(world_model(config), config, "reader", RATES))


def world_model(config: Pretraining) -> LlamaForCausalLM:
    """What readers start from: the world's grammar and how to find a fact, from open questions and writers without a
    plan.
    """
    return _cached("world", config, lambda: _pretrain(new_model(config), config, "world", RATES))


def _cached(name, config, make) -> LlamaForCausalLM:
    key = hashlib.sha256(json.dumps([WORLD_VERSION, asdict(config)], sort_keys=True).encode()).hexdigest()[:12]
    folder = cache_folder() / f"{name}-{key}"
    if not (folder / "model.safetensors").is_file():
        model = make()
        half_written = folder.with_name(folder.name + f".{os.getpid()}")
        model.save_pretrained(half_written)
        half_written.rename(folder)
    return LlamaForCausalLM.from_pretrained(folder).eval()


def _pretrain(model, config: Pretraining, stage: Stage, rates: tuple[float, ...]) -> LlamaForCausalLM:
    """Next-token prediction on responses; learning rate warmed up, then falling to zero."""
    draw = Random(f"{config.seed} {rates}")
    steps = {"world": config.world_steps, "reader": config.reading_steps, "base": config.rate_steps}[stage]
    peak = config.learning_rate * {"world": 1.0, "reader": 0.6, "base": 0.3}[stage]
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps, pct_start=0.1)
    for step in range(steps):
        prompts, responses = _texts(draw, config.batch, stage, rates)
        logits = response_logits(model, prompts, responses)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 2), responses.flatten(), ignore_index=PADDING)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % 100 == 0:
            print(f"pretrain {stage} {rates} | step {step + 1} of {steps} | loss {loss.item():.3f}", flush=True)
    return model


def _texts(draw: Random, count: int, stage: Stage, rates: tuple[float, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    prompts, responses = [], []
    for _ in range(count):
        prompt = draw_prompt(draw)
        prompts.append(prompt.open_tokens() if stage == "world" else prompt.tokens())
        write = draw_free_response if stage == "world" else draw_response
        responses.append(write(draw, prompt, draw.choice(rates)))
    longest = max(map(len, responses))
    padded = [response + [PADDING] * (longest - len(response)) for response in responses]
    return torch.tensor(prompts), torch.tensor(padded).unsqueeze(1)
