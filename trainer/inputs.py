"""What a run is made of: label sets, tokenizer and model, opened and held against one another.

In the order of what it costs: label sets and their tokenizer are refused before the weights of a large model are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from schemas.errors import ShardError
from schemas.hub import refuse_unreachable
from trainer.config import TrainConfig
from trainer.data.label_sets import LabelSet, check_tokenizer, may_hold_logprobs, open_label_sets, parse_source
from trainer.distributed import Ranks
from trainer.policy import Policy, check_folder, load_policy, load_tokenizer
from trainer.prompts import PromptRenderer


@dataclass(frozen=True)
class Inputs:
    """Opened label sets, the model and how prompts are rendered for it."""

    label_sets: tuple[LabelSet, ...]
    tokenizer: Any
    policy: Policy
    renderer: PromptRenderer


def open_inputs(config: TrainConfig, ranks: Ranks) -> Inputs:
    """Everything that a run reads. Raises BaltoError, one line, for what cannot be trained on or with.

    Shards are hashed once per machine, not once per rank.
    """
    check_folder(config.model)
    label_sets = open_label_sets([parse_source(one) for one in config.labels], config.verify and ranks.local == 0)
    if config.ratio == "behaviour" and not may_hold_logprobs(label_sets):
        raise ShardError(
            f"--ratio behaviour: no response of {', '.join(str(one.folder) for one in label_sets)} was stored with the "
            "log-probabilities of its sampling, which `balto generate` writes; leave the option out"
        )
    refuse_unreachable(config.model, f"--model {config.model}")  # by its own name, before its tokenizer is asked for
    tokenizer = load_tokenizer(config.tokenizer or config.model)
    check_tokenizer(label_sets, tokenizer, config.tokenizer or config.model)
    policy = load_policy(
        config.model,
        lora_rank=config.lora_rank,
        lora_alpha=config.adapter_alpha,
        frozen_dtype=torch.bfloat16 if uses_bfloat16(config, ranks) else torch.float32,
        checkpoint_activations=config.checkpoint_activations,
        head_chunk_mib=config.head_chunk_mib,
        seed=config.seed,
    )
    renderer = PromptRenderer(tokenizer, end_ids=policy.end_ids, embeddings=policy.embeddings)
    return Inputs(label_sets, tokenizer, policy, renderer)


def uses_bfloat16(config: TrainConfig, ranks: Ranks) -> bool:
    """bfloat16 autocast: where asked for, and by default on a GPU."""
    return config.precision == "bfloat16" or (config.precision == "auto" and ranks.device.type == "cuda")
