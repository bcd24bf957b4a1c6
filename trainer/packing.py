"""Prompt groups -> what the model reads: one shared-prefix row for all groups, or one padded row per response.

    packed   [prompt 1 | r11 | r12 | ... | prompt 2 | r21 | ...]   each prompt once, positions restart at a response
    padded   [prompt 1 | r11 | pad]   the reference: what everybody's trainer does
             [prompt 1 | r12 | pad]

Both give the same response tokens in the same order (group, response, position), so everything after the model is
blind to the layout. With prompts of 1500 and 8 responses of 300 tokens, packing reads 3,900 tokens instead of 14,400.
Shapes: B rows, L row length, T response tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

Layout = Literal["packed", "padded"]
LAYOUTS = get_args(Layout)

# A prompt's ids and its responses' ids (stop token included where there is one).
TokenGroup = tuple[Sequence[int] | np.ndarray, Sequence[Sequence[int] | np.ndarray]]


@dataclass(frozen=True)
class GroupSpan:
    """Where one group stands in a packed row. Responses follow the prompt without gaps.

    response_index: (G, R) long, places of the response tokens in the row, R the longest response; shorter ones are
        filled up with a valid place.   token_places: (2, T) long, response and column of each of the T tokens, in the
        row's order: indices, as a mask would make a GPU wait in every layer until its True values are counted.
    """

    start: int
    prompt_length: int
    end: int
    response_index: Tensor
    token_places: Tensor


@dataclass(frozen=True)
class TokenRows:
    """Rows for the model, and where its response tokens are predicted.

    input_ids, position_ids: (B, L) long.   attention_mask: (B, L) long, 1 = a token; None: packed.
    groups: the packed row's structure, read by the attention; None: padded.
    source: (T,) long, flat place (row * L + column) whose hidden state predicts the token; the last prompt token
        predicts the first token of every response.   targets: (T,) long, the tokens.
    """

    input_ids: Tensor
    position_ids: Tensor
    attention_mask: Tensor | None
    groups: tuple[GroupSpan, ...] | None
    source: Tensor
    targets: Tensor

    def to(self, device: torch.device | str) -> TokenRows:
        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        return replace(
            self,
            input_ids=moved(self.input_ids),
            position_ids=moved(self.position_ids),
            attention_mask=None if self.attention_mask is None else moved(self.attention_mask),
            groups=None
            if self.groups is None
            else tuple(
                replace(group, response_index=moved(group.response_index), token_places=moved(group.token_places))
                for group in self.groups
            ),
            source=moved(self.source),
            targets=moved(self.targets),
        )


def lay_out(groups: Sequence[TokenGroup], layout: Layout) -> TokenRows:
    """Rows of some groups. Every prompt must have a token: without one nothing predicts a response's first token."""
    if not all(len(prompt) for prompt, _ in groups):
        raise ValueError("a prompt without tokens: nothing would predict the first token of its responses")
    return pack(groups) if layout == "packed" else pad(groups)


def pack(groups: Sequence[TokenGroup]) -> TokenRows:
    """All groups in one row (1, L), each prompt once."""
    ids: list[Tensor] = []
    positions: list[Tensor] = []
    sources: list[Tensor] = []
    spans: list[GroupSpan] = []
    at = 0
    for prompt, responses in groups:
        start, prompt_length = at, len(prompt)
        ids.append(_long(prompt))
        positions.append(torch.arange(prompt_length))
        at += prompt_length
        lengths = torch.tensor([len(response) for response in responses])
        starts = at + lengths.cumsum(0) - lengths
        for response, first in zip(responses, starts.tolist(), strict=True):
            places = torch.arange(first, first + len(response))
            ids.append(_long(response))
            positions.append(places - first + prompt_length)
            # token i of a response is predicted at token i - 1, its first one at the end of the prompt
            sources.append(torch.cat([torch.tensor([start + prompt_length - 1]), places[:-1]])[: len(response)])
        at += int(lengths.sum())
        column = torch.arange(max(int(lengths.max()), 1))
        is_token = column < lengths[:, None]
        index = torch.where(is_token, starts[:, None] + column, start)
        spans.append(GroupSpan(start, prompt_length, at, index, is_token.nonzero().T.contiguous()))
    targets = torch.cat([_long(response) for _, responses in groups for response in responses])
    row, position = torch.cat(ids), torch.cat(positions)
    return TokenRows(row[None], position[None], None, tuple(spans), torch.cat(sources), targets)


def pad(groups: Sequence[TokenGroup]) -> TokenRows:
    """One row per response (B, L), prompt repeated, padded on the right: with any id, since the mask hides it."""
    rows = [(prompt, response) for prompt, responses in groups for response in responses]
    length = max(len(prompt) + len(response) for prompt, response in rows)
    input_ids = torch.zeros((len(rows), length), dtype=torch.long)
    attention_mask = torch.zeros((len(rows), length), dtype=torch.long)
    sources = []
    for row, (prompt, response) in enumerate(rows):
        tokens = len(prompt) + len(response)
        input_ids[row, :tokens] = torch.cat([_long(prompt), _long(response)])
        attention_mask[row, :tokens] = 1
        sources.append(torch.arange(len(response)) + row * length + len(prompt) - 1)
    position_ids = torch.arange(length).repeat(len(rows), 1)
    targets = torch.cat([_long(response) for _, response in rows])
    return TokenRows(input_ids, position_ids, attention_mask, None, torch.cat(sources), targets)


def _long(ids: Sequence[int] | np.ndarray) -> Tensor:
    return torch.as_tensor(ids, dtype=torch.long)
