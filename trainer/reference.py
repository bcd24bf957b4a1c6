"""Reference log-probabilities: where the policy started from.

    adapter_off   LoRA: the same weights with the adapters off; no memory, one forward more
    copy          a frozen copy of the weights; one model more in memory
    cached        one pass over the label sets before training (trainer.reference_pass), kept on disk; neither memory
                  nor time per step

All three go through the same code on the same rows as the policy, so the ratio is exactly 1 at step 0 (a cached value
is of another micro-batch: equal up to rounding).
"""

from __future__ import annotations

import copy
import hashlib
from typing import Final, Protocol

import numpy as np
import torch
from torch import Tensor

from trainer.batches import Piece, TokenBatch
from trainer.logprobs import TokenLogprobs, TokenScores


class Reference(Protocol):
    """Scores of a batch's needed tokens under the reference; no gradient."""

    def __call__(self, batch: TokenBatch, piece: Piece) -> TokenScores: ...


class AdapterOff:
    """The policy without its adapters."""

    def __init__(self, scorer: TokenLogprobs):
        self.scorer = scorer

    @torch.no_grad()
    def __call__(self, batch: TokenBatch, piece: Piece) -> TokenScores:  # noqa: ARG002
        with self.scorer.adapters_off():
            return self.scorer(batch.rows, batch.needed)


class FrozenCopy:
    """A copy of the policy as it is now. Make it before the policy is sharded or trained."""

    def __init__(self, scorer: TokenLogprobs):
        self.scorer = copy.deepcopy(scorer).requires_grad_(False)

    @torch.no_grad()
    def __call__(self, batch: TokenBatch, piece: Piece) -> TokenScores:  # noqa: ARG002
        return self.scorer(batch.rows, batch.needed)


class CachedReference:
    """Values from disk or memory: scores by response, all tokens of each.

    logprobs, stop_odds: (all tokens,) float32, the latter None without stop tokens.   places: hash of a response ->
    (first, end) in them.
    """

    def __init__(self, logprobs: np.ndarray, stop_odds: np.ndarray | None, places: dict[bytes, tuple[int, int]]):
        self.logprobs, self.stop_odds = logprobs, stop_odds
        self.places = places

    def __call__(self, batch: TokenBatch, piece: Piece) -> TokenScores:
        found = [
            self.places[response_key(group.prompt_ids, r.row.token_ids)] for group in piece for r in group.responses
        ]

        def needed(values: np.ndarray) -> Tensor:
            joined = np.concatenate([values[first:end] for first, end in found])
            return torch.from_numpy(joined).to(batch.needed.device)[batch.needed]

        return TokenScores(needed(self.logprobs), None if self.stop_odds is None else needed(self.stop_odds))


KEY_BYTES: Final = 16


def response_key(prompt_ids: np.ndarray, token_ids: np.ndarray) -> bytes:
    """What a response is found by: its own tokens and those in front of them."""
    digest = hashlib.blake2b(prompt_ids.astype(np.int32).tobytes(), digest_size=KEY_BYTES)
    digest.update(b"|" + token_ids.astype(np.int32).tobytes())
    return digest.digest()
