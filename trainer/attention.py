"""Shared-prefix attention: in a packed row each response attends to its prompt and to itself.

A dense (L, L) mask would let the kernel compute, and throw away, every response against every other one. Here a group
is two calls of scaled_dot_product_attention instead: the prompt against itself, and its responses as a batch against
[prompt | own tokens]. Same result, on any device, P^2/2 + G R (P + R) products instead of (P + G R)^2, and no mask
larger than one response by one row. Sliding windows and score capping (Gemma 2) are honoured.

Registered with transformers under ATTENTION; `use_shared_prefix_attention(model)` selects it. The structure of the row
travels as the keyword `shared_prefix` through the model's forward; without it the function is ordinary attention, so
padded rows and generation work with the same model. A model that drops the keyword or computes attention of its own
does not pass the start-up self-test (trainer.self_test), and padded rows are used.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.attention.bias import causal_lower_right
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import sdpa_mask

from trainer.packing import GroupSpan

ATTENTION: Final = "balto_shared_prefix"
# Arguments that change attention in ways this function does not compute; None or absent is fine.
_NOT_SUPPORTED: Final = ("s_aux", "position_bias", "head_mask")


def use_shared_prefix_attention(model: PreTrainedModel) -> None:
    """Make `model` attend through this module. Raises ValueError for architectures that cannot choose."""
    AttentionInterface.register(ATTENTION, attend)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    model.set_attn_implementation(ATTENTION)


def packed_mask(device: torch.device) -> Tensor:
    """What to pass as attention_mask with a packed row: four dimensions, so that no other mask is made; never read."""
    return torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device)


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    shared_prefix: tuple[GroupSpan, ...] | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Output (B, L, H, D) of query (B, H, L, D), key and value (B, H_kv, L, D); the signature is transformers'.

    Dropout is never applied: at step 0 the ratio to the reference must be exactly 1.
    """
    for name in _NOT_SUPPORTED:
        if others.get(name) is not None:
            raise NotImplementedError(f"{type(module).__name__} asks for {name}, which {ATTENTION} does not compute")
    options = {"scale": scaling, "softcap": softcap}
    if shared_prefix is None:
        output = _attention(query, key, value, _dense_mask(module, query, key, attention_mask), **options)
        return output.transpose(1, 2).contiguous(), None
    pieces = []
    for group in shared_prefix:
        several = len(group.response_index) > 1
        # one response behind its prompt is an ordinary causal row
        first = slice(group.start, group.start + group.prompt_length if several else group.end)
        length = first.stop - first.start
        mask = _causal(length, length, sliding_window, query.device)
        output = _attention(query[:, :, first], key[:, :, first], value[:, :, first], mask, **options)
        pieces.append(output[0].transpose(0, 1))
        if several:
            pieces.append(_responses(query, key, value, group, sliding_window, options))
    return torch.cat(pieces)[None], None


def _responses(
    query: Tensor, key: Tensor, value: Tensor, group: GroupSpan, window: int | None, options: dict[str, Any]
) -> Tensor:
    """Output (tokens, H, D) of a group's responses: a batch of G rows of R queries over P + R keys."""
    responses, longest = group.response_index.shape
    prompt = slice(group.start, group.start + group.prompt_length)
    keys, values = (
        torch.cat(
            [
                tensor[0, :, prompt].expand(responses, -1, -1, -1),
                tensor[0][:, group.response_index].transpose(0, 1),
            ],
            dim=2,
        )
        for tensor in (key, value)
    )
    queries = query[0][:, group.response_index].transpose(0, 1)  # (G, H, R, D)
    mask = _causal(longest, group.prompt_length + longest, window, query.device)
    output = _attention(queries, keys, values, mask, **options)
    return output.transpose(1, 2)[group.is_token]


def _attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Any, *, scale: float | None, softcap: float | None
) -> Tensor:
    """(B, H, Q, D). mask: bool (.., Q, K), True = attends; a causal bias; "causal"."""
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    if softcap is None:
        causal = isinstance(mask, str)
        return scaled_dot_product_attention(
            query, key, value, attn_mask=None if causal else mask, is_causal=causal, scale=scale
        )
    scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scale is None else scale)
    scores = torch.tanh(scores / softcap) * softcap
    seen = _lower_right(query.shape[2], key.shape[2], None, query.device) if not isinstance(mask, Tensor) else mask
    # the same precision as the models' own eager attention: softmax in float32
    weights = scores.masked_fill(~seen, torch.finfo(scores.dtype).min).softmax(-1, dtype=torch.float32)
    return weights.to(query.dtype) @ value


def _causal(queries: int, keys: int, window: int | None, device: torch.device) -> Any:
    """Queries are the last of the keys. Without a window in reach no mask is stored where a kernel needs none."""
    if window is None or keys <= window:
        if queries == keys:
            return "causal"
        if device.type == "cuda":
            return causal_lower_right(queries, keys)
    return _lower_right(queries, keys, window, device)


def _lower_right(queries: int, keys: int, window: int | None, device: torch.device) -> Tensor:
    query_at = torch.arange(keys - queries, keys, device=device)[:, None]
    key_at = torch.arange(keys, device=device)
    seen = key_at <= query_at
    return seen if window is None else seen & (query_at - key_at < window)


def _dense_mask(module: nn.Module, query: Tensor, key: Tensor, attention_mask: Tensor | None) -> Any:
    """The mask of an ordinary call, as transformers made it. None means causal, or one query of a generation step."""
    if attention_mask is not None:
        return attention_mask
    if query.shape[2] > 1 and getattr(module, "is_causal", True):
        return (
            "causal"
            if query.shape[2] == key.shape[2]
            else _lower_right(query.shape[2], key.shape[2], None, query.device)
        )
    return torch.ones(query.shape[2], key.shape[2], dtype=torch.bool, device=query.device)
