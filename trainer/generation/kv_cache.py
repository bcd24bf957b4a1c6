"""A key-value cache that has room for the tokens to come.

The cache of transformers joins old and new keys for every token, which copies all of them: with eight responses behind
a long prompt that takes longer than the attention. Here a block of room is added now and then, and a token is written
in place. Layers that keep a sliding window only are left as they are. Shapes: R rows, H heads, L tokens, D dimensions.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

BLOCK: Final = 64  # tokens of room that are added at once


def roomy_cache(config: Any) -> DynamicCache:
    """An empty cache for a model of this config."""
    cache = DynamicCache(config=config)
    cache.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


class RoomyLayer(DynamicLayer):
    """`keys` and `values` (R, H, L, D) are the filled part of larger tensors; whoever replaces them ends that."""

    _room: tuple[torch.Tensor, torch.Tensor] | None = None
    _filled: torch.Tensor | None = None  # the view that `update` left as `keys`

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append (R, H, new, D); all keys and values so far."""
        length = self.get_seq_length()
        if length == 0:
            return super().update(key_states, value_states, *args, **kwargs)
        assert self.keys is not None
        assert self.values is not None
        end = length + key_states.shape[-2]
        if self._room is None or self.keys is not self._filled or end > self._room[0].shape[-2]:
            self._room = _with_room(self.keys, end + BLOCK), _with_room(self.values, end + BLOCK)
        for room, new in zip(self._room, (key_states, value_states), strict=True):
            room[:, :, length:end] = new
        self.keys, self.values = (room[:, :, :end] for room in self._room)
        self._filled = self.keys
        return self.keys, self.values


def _with_room(states: torch.Tensor, length: int) -> torch.Tensor:
    roomy = states.new_empty(*states.shape[:2], length, states.shape[-1])
    roomy[:, :, : states.shape[-2]] = states
    return roomy
