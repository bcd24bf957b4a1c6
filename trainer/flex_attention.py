"""Shared-prefix attention in one masked call: torch's flex attention (`--attention flex`).

A token reads two stretches of the packed row, its prompt and its own response up to itself, so four numbers per token
say everything: the mask inside a block of 128 x 128, and which blocks hold anything at all. Blocks in which nobody
reads are never computed, and no prompt's keys are copied per response, as `trainer.attention` does with ordinary calls.

torch has the backward pass on GPUs only; elsewhere this is the same sum, unfused, for tests without gradients.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import AuxRequest, BlockMask, flex_attention
from torch.nn.functional import pad

from trainer.packing import GroupSpan

BLOCK: Final = 128  # tokens on a side of a block: the kernel's
_LEAST_WIDTH: Final = 16  # of a head: the GPU kernel's; narrower ones get zeros


@dataclass(frozen=True)
class Reach:
    """What every token of a row of L reads: prompt_from <= key < prompt_to and own_from <= key <= itself; (L,) int.

    The first stretch is empty for tokens of a prompt: a prompt is its own second one.
    """

    prompt_from: Tensor
    prompt_to: Tensor
    own_from: Tensor

    def as_mask(self) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
        """Flex attention's mask function (batch, head, query, key) -> bool."""
        prompt_from, prompt_to, own_from = self.prompt_from, self.prompt_to, self.own_from

        def allows(_batch: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            in_prompt = (key >= prompt_from[query]) & (key < prompt_to[query])
            return in_prompt | ((key >= own_from[query]) & (key <= query))

        return allows


def reach_of(groups: Sequence[GroupSpan], window: int | None = None) -> Reach:
    """Of a packed row. window: a token reads itself and the window - 1 positions before it; None: all of them."""
    length, device = groups[-1].end, groups[0].response_index.device
    # tensors of their own: inductor's kernel for CPUs does not compile with slices of one
    prompt_from, prompt_to, own_from = (torch.zeros(length, dtype=torch.int32, device=device) for _ in range(3))
    for group in groups:
        row = slice(group.start, group.end)
        prompt_from[row] = prompt_to[row] = own_from[row] = group.start
        response, column = group.token_places
        tokens = group.response_index[response, column]
        prompt_to[tokens] = group.start + group.prompt_length
        own_from[tokens] = group.response_index[:, 0].to(torch.int32)[response]
    if window is not None:
        place = torch.arange(length, dtype=torch.int32, device=device)
        prompt_length = prompt_to - prompt_from  # 0 for tokens of a prompt
        position = place - own_from + prompt_length
        prompt_from = torch.minimum(torch.maximum(prompt_from, prompt_from + position - window + 1), prompt_to)
        own_from = torch.maximum(own_from, place - window + 1)
    return Reach(prompt_from, prompt_to, own_from)


def block_mask(reach: Reach) -> BlockMask:
    """Which blocks the kernel computes, and in which of them it asks the mask; no (L, L) tensor is made on the way."""
    length, device = len(reach.own_from), reach.own_from.device
    blocks = -(-length // BLOCK)
    first = torch.arange(blocks, dtype=torch.int32, device=device) * BLOCK
    place = torch.arange(length, dtype=torch.int32, device=device)
    seen = _overlap(reach.prompt_from, reach.prompt_to, first) + _overlap(reach.own_from, place + 1, first)  # (L, B)
    filled = seen[-1:].expand(blocks * BLOCK - length, blocks)  # the last block's missing rows: like the last row
    by_block = torch.cat([seen, filled]).view(blocks, BLOCK, blocks)
    full = by_block.amin(1) == BLOCK
    partial = (by_block.amax(1) > 0) & ~full
    return BlockMask.from_kv_blocks(
        *_listed(partial), *_listed(full), BLOCK_SIZE=BLOCK, mask_mod=reach.as_mask(), seq_lengths=(length, length)
    )


def _overlap(start: Tensor, stop: Tensor, first: Tensor) -> Tensor:
    """(L, B) int: keys of start <= key < stop (L,) inside each block."""
    return (torch.minimum(stop[:, None], first + BLOCK) - torch.maximum(start[:, None], first)).clamp(min=0)


def _listed(wanted: Tensor) -> tuple[Tensor, Tensor]:
    """How many key blocks each query block has, and which, in front: (1, 1, B) and (1, 1, B, B) int32."""
    order = wanted.to(torch.int8).argsort(dim=1, descending=True, stable=True)
    return wanted.sum(1, dtype=torch.int32)[None, None], order.to(torch.int32)[None, None]


def attend_in_one_call(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: BlockMask,
    *,
    scale: float | None,
    softcap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """Output (1, H, L, D) of a packed row's query (1, H, L, D), key and value (1, H_kv, L, D).

    softcap: scores become c tanh(score / c).   sinks: (H,) one more score per head, which takes weight and gives
    nothing: with the logarithm z of a query's summed weights the output shrinks by sigmoid(z - sink).
    """
    width = query.shape[-1]
    scale = width**-0.5 if scale is None else scale
    if width < _LEAST_WIDTH:
        query, key, value = (pad(tensor, (0, _LEAST_WIDTH - width)) for tensor in (query, key, value))
    options: dict[str, Any] = {
        "score_mod": None if softcap is None else _capped(softcap, query.device),
        "block_mask": mask,
        "scale": scale,
        "enable_gqa": query.shape[1] != key.shape[1],
    }
    kernel = _kernel(query.device.type)
    if sinks is None:
        return kernel(query, key, value, **options)[..., :width]
    output, aux = kernel(query, key, value, **options, return_aux=AuxRequest(lse=True))
    share = torch.sigmoid(aux.lse - sinks.float()[None, :, None])
    return output[..., :width] * share[..., None].to(output.dtype)


@functools.cache
def _capped(softcap: float, device: torch.device) -> Callable[..., Tensor]:
    """One function per value: a new one each time would be compiled each time."""
    cap = torch.tensor(softcap, device=device)  # a float would become a symbol, which the kernel's template refuses

    def capped(score: Tensor, *_place: Tensor) -> Tensor:
        return torch.tanh(score / cap) * cap

    return capped


@functools.cache
def _kernel(device: str) -> Callable[..., Any]:
    """The fused kernel on a GPU, for rows of all lengths; the one for few queries, which torch takes for rows of less
    than a block, has no backward pass and does not take our blocks where heads share keys."""
    if device != "cuda":
        return _unfused
    kernel = torch.compile(flex_attention, dynamic=True)
    return functools.partial(kernel, kernel_options={"FORCE_USE_FLEX_ATTENTION": True})


def _unfused(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "flex_attention called without torch.compile")
        return flex_attention(query, key, value, **options)
