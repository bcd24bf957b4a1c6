"""Shared-prefix attention: in a packed row each response attends to its prompt and to itself.

A dense (L, L) mask would let the kernel compute, and throw away, every response against every other one. Here a group
is two calls of scaled_dot_product_attention instead: the prompt against itself, and its responses as a batch against
[prompt | own tokens]. Same result, on any device, P^2/2 + G R (P + R) products instead of (P + G R)^2, and no mask
larger than one response by one row. Sliding windows, score capping (Gemma 2) and sinks (gpt-oss) are honoured. On a
GPU `trainer.flex_attention` computes the same in one masked call, when it is asked for.

Registered with transformers under ATTENTION; `use_shared_prefix_attention(model)` selects it. The structure of the row
travels as the keyword `shared_prefix` through the model's forward; without it the function is ordinary attention, so
padded rows and generation work with the same model. A model that drops the keyword or computes attention of its own
does not pass the start-up self-test (trainer.self_test), and padded rows are used. torch.compile leaves it out: every
step has groups of other lengths, and a graph made for one of them would be made again for the next.
"""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.attention.bias import causal_lower_right
from torch.nn.attention.flex_attention import BlockMask
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import sdpa_mask

from trainer.flex_attention import attend_in_one_call, block_mask, reach_of
from trainer.packing import GroupSpan

PackedAttention = Literal["calls", "flex"]
PACKED_ATTENTIONS = get_args(PackedAttention)
ATTENTION: Final = "balto_shared_prefix"
# Arguments that change attention in ways this function does not compute; None or absent is fine.
_NOT_SUPPORTED: Final = ("position_bias", "head_mask")


class SharedPrefix:
    """The structure of a packed row on its way through the model's forward, opaque to torch.compile.

    how: calls (two per group), flex (one masked call).
    """

    def __init__(self, groups: tuple[GroupSpan, ...], how: PackedAttention = "calls"):
        self.groups = groups
        self.how = how
        self._masks: dict[int | None, BlockMask] = {}

    def mask(self, window: int | None) -> BlockMask:
        """For flex attention; made once for all layers with this window."""
        if window not in self._masks:
            self._masks[window] = block_mask(reach_of(self.groups, window))
        return self._masks[window]


def use_shared_prefix_attention(model: PreTrainedModel) -> None:
    """Make `model` attend through this module. Raises ValueError for architectures that cannot choose.

    Chunked attention (Llama 4) stands in the model's own mask only, which is not read here: it is refused, because the
    groups of the self-test are too short to see it.
    """
    if getattr(model.config.get_text_config(), "attention_chunk_size", None):
        raise ValueError("it attends in chunks")
    AttentionInterface.register(ATTENTION, attend)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    model.set_attn_implementation(ATTENTION)


def packed_mask(device: torch.device) -> Tensor:
    """What to pass as attention_mask with a packed row: four dimensions, so that no other mask is made; never read."""
    return torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device)


@torch.compiler.disable
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
    s_aux: Tensor | None = None,
    shared_prefix: SharedPrefix | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Output (B, L, H, D) of query (B, H, L, D), key and value (B, H_kv, L, D); the signature is transformers'.

    s_aux: (H,) scores of the attention sinks.   Dropout is never applied: at step 0 the ratio to the reference must be
    exactly 1.
    """
    for name in _NOT_SUPPORTED:
        if others.get(name) is not None:
            raise NotImplementedError(f"{type(module).__name__} asks for {name}, which {ATTENTION} does not compute")
    query, key, value = _in_one_precision(query, key, value)
    options = {"scale": scaling, "softcap": softcap, "sinks": s_aux}
    if shared_prefix is None:
        output = _attention(query, key, value, _dense_mask(module, query, key, attention_mask), **options)
        return output.transpose(1, 2).contiguous(), None
    if shared_prefix.how == "flex":
        output = attend_in_one_call(query, key, value, shared_prefix.mask(sliding_window), **options)
        return output.transpose(1, 2).contiguous(), None
    pieces = []
    for group in shared_prefix.groups:
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
    return output.transpose(1, 2)[group.token_places[0], group.token_places[1]]


def _in_one_precision(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Under autocast, rotary embeddings leave queries and keys in float32 beside values in bfloat16.

    Autocast mends that for the plain call only, not for one with a causal bias, which refuses them.
    """
    device = tensors[0].device.type
    if not torch.is_autocast_enabled(device):
        return tensors
    return tuple(tensor.to(torch.get_autocast_dtype(device)) for tensor in tensors)


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    *,
    scale: float | None,
    softcap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """(B, H, Q, D). mask: bool (.., Q, K), True = attends; None: causal, the queries being the last of the keys."""
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    queries, keys, device = query.shape[2], key.shape[2], query.device
    if softcap is None and sinks is None:
        is_causal = mask is None and queries == keys
        if mask is None and not is_causal:  # on a GPU a kernel needs no stored mask for it
            mask = causal_lower_right(queries, keys) if device.type == "cuda" else _lower_right(queries, keys, device)
        return scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=is_causal, scale=scale)
    scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    seen = _lower_right(queries, keys, device) if mask is None else mask
    scores = scores.masked_fill(~seen, torch.finfo(scores.dtype).min)
    if sinks is not None:  # one more score per query, which takes weight and gives nothing
        scores = torch.cat([scores, sinks.to(scores.dtype)[:, None, None].expand(*scores.shape[:3], 1)], dim=-1)
    # the same precision as the models' own eager attention: softmax in float32
    weights = scores.softmax(-1, dtype=torch.float32)[..., :keys]
    return weights.to(value.dtype) @ value


def _causal(queries: int, keys: int, window: int | None, device: torch.device) -> Tensor | None:
    """Queries are the last of the keys. None where no window is in reach: no mask has to be stored then."""
    return None if window is None or keys <= window else _lower_right(queries, keys, device, window)


def _lower_right(queries: int, keys: int, device: torch.device, window: int | None = None) -> Tensor:
    query_at = torch.arange(keys - queries, keys, device=device)[:, None]
    key_at = torch.arange(keys, device=device)
    seen = key_at <= query_at
    return seen if window is None else seen & (query_at - key_at < window)


def _dense_mask(module: nn.Module, query: Tensor, key: Tensor, attention_mask: Tensor | None) -> Tensor | None:
    """The mask of an ordinary call, as transformers made it. None means causal, or one query of a generation step."""
    if attention_mask is not None:
        return attention_mask
    if query.shape[2] > 1 and getattr(module, "is_causal", True):
        return None
    return torch.ones(query.shape[2], key.shape[2], dtype=torch.bool, device=query.device)
