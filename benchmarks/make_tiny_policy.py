"""Make a tiny, untrained language model with the sample's tokenizer: something to train in seconds.

python -m benchmarks.make_tiny_policy --out demo-output/policy
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

TOKENIZER = Path(__file__).parents[1] / "data" / "sample" / "tokenizer.json"


def make_policy(out: Path, layers: int = 2, hidden: int = 64) -> None:
    """Write a Llama of `layers` layers and `hidden` dimensions with its tokenizer, as transformers saves one."""
    fast = PreTrainedTokenizerFast(tokenizer_file=str(TOKENIZER), eos_token="<eos>")
    eos = fast.convert_tokens_to_ids("<eos>")
    assert isinstance(eos, int)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        bos_token_id=None,
        eos_token_id=eos,
        pad_token_id=eos,
    )
    LlamaForCausalLM(config).save_pretrained(out)
    fast.save_pretrained(out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    transformers_logging.disable_progress_bar()
    make_policy(parser.parse_args().out)
