"""Tiny models of every architecture that the suite runs through, made from configs with fixed seeds."""

from __future__ import annotations

from collections.abc import Callable

import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    GptOssConfig,
    LlamaConfig,
    MistralConfig,
    Olmo3Config,
    OPTConfig,
    Phi3Config,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

from trainer.policy import turn_off_dropout

VOCABULARY = 260
COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ROPE = {"rope_type": "default", "rope_theta": 10_000.0}
CONFIGS: dict[str, Callable[[], PreTrainedConfig]] = {
    "llama": lambda: LlamaConfig(**COMMON),
    "qwen2": lambda: Qwen2Config(**COMMON, tie_word_embeddings=True),
    "qwen3": lambda: Qwen3Config(**COMMON, head_dim=8),
    "gemma": lambda: GemmaConfig(**COMMON, head_dim=8),
    "gemma2": lambda: Gemma2Config(**COMMON, head_dim=8, sliding_window=12, query_pre_attn_scalar=8),
    "gemma3": lambda: Gemma3TextConfig(**COMMON, head_dim=8, sliding_window=12, query_pre_attn_scalar=8),
    "mistral": lambda: MistralConfig(**COMMON, head_dim=8, sliding_window=12),
    "gpt2": lambda: GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=512,
        bos_token_id=1,
        eos_token_id=2,
        attn_pdrop=0.0,
        embd_pdrop=0.0,
        resid_pdrop=0.0,
    ),
}
# Architectures beside those that whole runs are tried on: packed rows only.
MORE_CONFIGS: dict[str, Callable[[], PreTrainedConfig]] = {
    "llama, tied": lambda: LlamaConfig(**COMMON, tie_word_embeddings=True),
    "phi3": lambda: Phi3Config(**COMMON, sliding_window=12),
    "olmo3": lambda: Olmo3Config(**COMMON, sliding_window=12),
    "opt": lambda: OPTConfig(**COMMON, ffn_dim=48, word_embed_proj_dim=32, dropout=0.1),  # learned positions
    "gpt-oss": lambda: GptOssConfig(**COMMON, head_dim=8, num_local_experts=4, sliding_window=12, rope_parameters=ROPE),
}


def tiny_model(name: str, seed: int = 0, spread: float = 0.3) -> PreTrainedModel:
    """A model in float32. `spread` widens the initial weights: with the usual 0.02 all tokens are equally likely."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config({**CONFIGS, **MORE_CONFIGS}[name]())
    turn_off_dropout(model)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, spread)
    return model.train()
