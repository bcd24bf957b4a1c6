"""Reference log-probabilities: where the policy started from.

    adapter_off   LoRA: the same weights with the adapters off; no memory, one forward more
    copy          a frozen copy of the weights; one model more in memory
    cached        one pass over the label sets before training, kept on disk; neither memory nor time per step

All three go through the same code on the same rows as the policy, so the ratio is exactly 1 at step 0 (a cached value
is of another micro-batch: equal up to rounding).
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import torch
from safetensors.numpy import load_file, save
from torch import Tensor

from schemas.manifest import write_atomically
from trainer.batches import Piece, TokenBatch
from trainer.logprobs import TokenLogprobs


class Reference(Protocol):
    """Log-probabilities (N,) float32 of a batch's needed tokens under the reference; no gradient."""

    def __call__(self, batch: TokenBatch, piece: Piece) -> Tensor: ...


class AdapterOff:
    """The policy without its adapters."""

    def __init__(self, scorer: TokenLogprobs):
        self.scorer = scorer

    @torch.no_grad()
    def __call__(self, batch: TokenBatch, piece: Piece) -> Tensor:  # noqa: ARG002
        with self.scorer.adapters_off():
            return self.scorer(batch.rows, batch.needed)


class FrozenCopy:
    """A copy of the policy as it is now. Make it before the policy is sharded or trained."""

    def __init__(self, scorer: TokenLogprobs):
        self.scorer = copy.deepcopy(scorer).requires_grad_(False)

    @torch.no_grad()
    def __call__(self, batch: TokenBatch, piece: Piece) -> Tensor:  # noqa: ARG002
        return self.scorer(batch.rows, batch.needed)


class CachedReference:
    """Values from disk or memory: token log-probabilities by response, all tokens of each.

    tokens: (all tokens,) float32.   places: hash of a response -> (first, end) in `tokens`.
    """

    def __init__(self, tokens: np.ndarray, places: dict[bytes, tuple[int, int]]):
        self.tokens = tokens
        self.places = places

    def __call__(self, batch: TokenBatch, piece: Piece) -> Tensor:
        found = [self.places[_key(group.prompt_ids, r.row.token_ids)] for group in piece for r in group.responses]
        values = np.concatenate([self.tokens[first:end] for first, end in found])
        return torch.from_numpy(values).to(batch.needed.device)[batch.needed]


KEY_BYTES: Final = 16


def _key(prompt_ids: np.ndarray, token_ids: np.ndarray) -> bytes:
    """What a response is found by: its own tokens and those in front of them."""
    digest = hashlib.blake2b(prompt_ids.astype(np.int32).tobytes(), digest_size=KEY_BYTES)
    digest.update(b"|" + token_ids.astype(np.int32).tobytes())
    return digest.digest()


def score_all(batches: Iterable[tuple[TokenBatch, Piece]], score: Callable[[TokenBatch], Tensor], path: Path) -> None:
    """Score every token of every batch and write the cache file, atomically.

    path: must name model and label sets by content, so that another model or label set has another file.
    """
    keys: list[bytes] = []
    values: list[np.ndarray] = []
    for batch, piece in batches:
        keys += [_key(group.prompt_ids, r.row.token_ids) for group in piece for r in group.responses]
        lengths = [len(r.row) for group in piece for r in group.responses]
        values += np.split(score(batch).float().cpu().numpy(), np.cumsum(lengths)[:-1])
    stored = {
        "keys": np.frombuffer(b"".join(keys), np.uint8).reshape(-1, KEY_BYTES),
        "lengths": np.array([len(one) for one in values], np.int64),
        "logprobs": np.concatenate([np.zeros(0, np.float32), *values]),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, save(stored))


def read_cache(path: Path) -> CachedReference:
    """The reference of a file that `score_all` wrote."""
    tensors = load_file(path)
    ends = np.cumsum(tensors["lengths"])
    places = zip((ends - tensors["lengths"]).tolist(), ends.tolist(), strict=True)
    return CachedReference(tensors["logprobs"], dict(zip(map(bytes, tensors["keys"]), places, strict=True)))
