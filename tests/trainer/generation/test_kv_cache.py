"""The roomy cache holds what transformers' own would, through growth, repetition and selection of rows."""

import torch
from transformers import LlamaConfig
from transformers.cache_utils import DynamicCache

from trainer.generation.kv_cache import BLOCK, RoomyLayer, roomy_cache

CONFIG = LlamaConfig(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1)


def states(rows: int, tokens: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, 1, tokens, 4, generator=torch.Generator().manual_seed(seed))


def test_tokens_rows_and_blocks_come_and_go_as_in_the_cache_of_transformers():
    ours, theirs = roomy_cache(CONFIG), DynamicCache(config=CONFIG)
    assert all(isinstance(layer, RoomyLayer) for layer in ours.layers)

    def both(rows: int, tokens: int, seed: int) -> None:
        for layer in (0, 1):
            key, value = states(rows, tokens, seed + layer), states(rows, tokens, seed + 100 + layer)
            found, expected = ours.update(key, value, layer), theirs.update(key, value, layer)
            assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
        assert ours.get_seq_length() == theirs.get_seq_length()

    both(2, 5, 0)
    for cache in (ours, theirs):
        cache.batch_repeat_interleave(3)
    for step in range(BLOCK + 3):  # beyond the first block of room
        both(6, 1, 1000 + step)
    for cache in (ours, theirs):
        cache.batch_select_indices(torch.tensor([0, 4]))
    both(2, 1, 9)
    both(2, 3, 10)


def test_a_token_is_written_in_place():
    cache = roomy_cache(CONFIG)
    cache.update(states(2, 5, 0), states(2, 5, 1), 0)
    first, _ = cache.update(states(2, 1, 2), states(2, 1, 3), 0)
    second, _ = cache.update(states(2, 1, 4), states(2, 1, 5), 0)
    assert first.data_ptr() == second.data_ptr()
