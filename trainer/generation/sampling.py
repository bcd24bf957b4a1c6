"""Sample G responses per prompt with one prefill per prompt.

Shapes: B prompts, R = B * G rows being decoded, P prompt tokens (left-padded), V vocabulary.

The prompt of retrieval-augmented generation is long and the response short, so the prompt's keys and values are
computed once and repeated G times in the cache. Every row draws from a random stream of its own, keyed by
(seed, prompt group, sample): the same response comes out whatever else is in the batch.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch

from schemas.errors import ConfigError
from schemas.records import CUT, STOPPED
from trainer.generation.kv_cache import roomy_cache

LIKELY: Final = 1024  # tokens that hold the nucleus of a trained model nearly always
LOG_EVERY_S: Final = 10.0
log = logging.getLogger(__name__)

_COMPACT_BELOW: Final = 0.75  # share of rows still going at which the finished ones leave the batch


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """num_samples: responses per prompt (G).   max_new_tokens: per response.   temperature: 0 takes the likeliest
    token, for one response.   top_p: nucleus mass in (0, 1].   seed: of all random streams.   first_sample: number of
    the first response, so that more can be added to a prompt later."""

    num_samples: int = 8
    max_new_tokens: int = 512
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    first_sample: int = 0

    def __post_init__(self) -> None:
        _require(self.num_samples >= 1, "--samples", self.num_samples, "at least 1")
        _require(self.max_new_tokens >= 1, "--max-new-tokens", self.max_new_tokens, "at least 1")
        _require(self.temperature >= 0, "--temperature", self.temperature, "at least 0")
        _require(0 < self.top_p <= 1, "--top-p", self.top_p, "in (0, 1]")
        if self.temperature == 0 and self.num_samples > 1:
            raise ConfigError(
                f"--temperature 0 with --samples {self.num_samples}: the likeliest tokens make the same response every "
                "time; give --samples 1, or a temperature above 0"
            )


@dataclass(frozen=True, slots=True)
class SampledResponse:
    """token_ids: with the stop token that ended it, if one did.   logprobs: of these tokens under the policy at
    temperature 1 and without top-p, natural log.   finish_reason: `stop` or `length`."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: str


def _require(holds: bool, option: str, value: object, what: str) -> None:
    if not holds:
        raise ConfigError(f"{option} {value}: must be {what}")


def sample_responses(
    model: Any,
    prompts: Sequence[tuple[str, Sequence[int]]],
    params: SamplingParams,
    stop_ids: frozenset[int],
) -> list[list[SampledResponse]]:
    """Responses of every prompt, G each.

    model: a causal language model of transformers, in eval mode.   prompts: (group id, prompt token ids), none empty.
    stop_ids: tokens that end a response.
    """
    rows = _Rows([group_id for group_id, _ in prompts], params)
    last_said = time.monotonic()
    with torch.inference_mode():
        decoder = _Decoder(model, [ids for _, ids in prompts], params)
        logits = decoder.prefill()
        for step in range(params.max_new_tokens):
            if time.monotonic() - last_said > LOG_EVERY_S:
                last_said = time.monotonic()
                log.info(
                    "decoding | %d prompts together | token %d of at most %d | %d of %d responses going on",
                    len(prompts),
                    step + 1,
                    params.max_new_tokens,
                    rows.going,
                    rows.total,
                )
            tokens = choose_tokens(logits, rows.uniforms(step), params.temperature, params.top_p)
            logprobs = torch.log_softmax(logits.float(), -1).gather(1, tokens[:, None])[:, 0]
            keep = rows.extend(tokens.tolist(), logprobs.tolist(), stop_ids)
            if not keep or step + 1 == params.max_new_tokens:
                break
            if len(keep) < _COMPACT_BELOW * len(tokens):
                tokens = tokens[keep]
                decoder.select(keep)
                rows.select(keep)
            logits = decoder.step(tokens)
    return rows.responses()


def choose_tokens(logits: torch.Tensor, uniforms: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """One token per row by inverting the cumulative distribution at `uniforms`.

    logits: (R, V).   uniforms: (R,) in [0, 1).   Returns (R,) int64.
    """
    if temperature == 0:
        return logits.argmax(-1)
    probs = torch.softmax(logits.double() / temperature, -1)  # (R, V); in float32 a sum over 150k tokens drifts
    return _invert(probs, uniforms) if top_p == 1 else _choose_from_nucleus(probs, uniforms, top_p, LIKELY)


def _choose_from_nucleus(probs: torch.Tensor, uniforms: torch.Tensor, top_p: float, count: int) -> torch.Tensor:
    """One token per row from the likeliest tokens up to a mass of `top_p`, equally likely ones by their ids.

    count: so many of the likeliest are sorted, and all V only in rows whose nucleus may reach beyond them: the same
    tokens come out. Shapes as in `choose_tokens`; probs (R, V) float64.
    """
    if count < probs.shape[-1]:
        ids = probs.topk(count, sorted=False).indices.sort(-1).values  # by id, for the stable sort
        likely, order = probs.gather(1, ids).sort(dim=-1, descending=True, stable=True)
        ids = ids.gather(1, order)
    else:
        likely, ids = probs.sort(dim=-1, descending=True, stable=True)
    is_outside = likely.cumsum(-1) - likely >= top_p
    chosen = ids.gather(1, _invert(likely.masked_fill(is_outside, 0.0), uniforms)[:, None])[:, 0]
    if count < probs.shape[-1]:
        # tokens that were not sorted may be as likely as the least likely one that was, but no likelier
        is_whole = (is_outside | (likely > likely[:, -1:])).all(-1)
        rest = (~is_whole).nonzero()[:, 0]
        if len(rest):
            chosen[rest] = _choose_from_nucleus(probs[rest], uniforms[rest.cpu()], top_p, probs.shape[-1])
    return chosen


def _invert(weights: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """(R,) columns at which the running sums of weights (R, N) pass the share `uniforms` (R,) of the whole."""
    cumulative = weights.cumsum(-1)
    target = uniforms.to(cumulative.device)[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, target, right=True).clamp_(max=weights.shape[-1] - 1)[:, 0]


class _Rows:
    """What has been sampled so far: every row's tokens, and which rows are still being decoded."""

    def __init__(self, group_ids: Sequence[str], params: SamplingParams):
        self._samples = params.num_samples
        numbers = range(params.first_sample, params.first_sample + params.num_samples)
        keys = [(group_id, sample) for group_id in group_ids for sample in numbers]
        self._uniforms = np.stack([_stream(params.seed, *key).random(params.max_new_tokens) for key in keys])
        self._tokens: list[list[int]] = [[] for _ in keys]
        self._logprobs: list[list[float]] = [[] for _ in keys]
        self._reasons = [CUT] * len(keys)
        self._decoded = list(range(len(keys)))  # row of the batch -> row of the result
        self._going = [True] * len(keys)

    @property
    def total(self) -> int:
        return len(self._going)

    @property
    def going(self) -> int:
        return sum(self._going)

    def uniforms(self, step: int) -> torch.Tensor:
        return torch.from_numpy(self._uniforms[self._decoded, step])

    def extend(self, tokens: Sequence[int], logprobs: Sequence[float], stop_ids: frozenset[int]) -> list[int]:
        """Take one token per row of the batch; the rows of the batch that are still going."""
        keep: list[int] = []
        for at, (row, token, logprob) in enumerate(zip(self._decoded, tokens, logprobs, strict=True)):
            if not self._going[row]:
                continue
            self._tokens[row].append(token)
            self._logprobs[row].append(logprob)
            if token in stop_ids:
                self._going[row] = False
                self._reasons[row] = STOPPED
            else:
                keep.append(at)
        return keep

    def select(self, keep: Sequence[int]) -> None:
        self._decoded = [self._decoded[at] for at in keep]

    def responses(self) -> list[list[SampledResponse]]:
        flat = [
            SampledResponse(tuple(tokens), tuple(logprobs), reason)
            for tokens, logprobs, reason in zip(self._tokens, self._logprobs, self._reasons, strict=True)
        ]
        return [flat[at : at + self._samples] for at in range(0, len(flat), self._samples)]


def _stream(seed: int, group_id: str, sample: int) -> np.random.Generator:
    """The random stream of one response."""
    key = hashlib.blake2b(f"{seed}\0{sample}\0{group_id}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "big")))


class _Decoder:
    """The model, its cache and the mask over it."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], params: SamplingParams):
        self._model = model
        self._samples = params.num_samples
        longest = max(map(len, prompts))
        self._width = longest
        ids = torch.zeros(len(prompts), longest, dtype=torch.long)
        mask = torch.zeros(len(prompts), longest + params.max_new_tokens, dtype=torch.long)
        mask[:, longest:] = 1
        for row, prompt in enumerate(prompts):
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
            mask[row, longest - len(prompt) : longest] = 1
        self._prompt_ids, self._mask = ids.to(model.device), mask.to(model.device)
        self._cache = roomy_cache(model.config)

    def prefill(self) -> torch.Tensor:
        """Logits after the prompts, every prompt's G times: (R, V)."""
        mask = self._mask[:, : self._width]
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        logits = self._forward(self._prompt_ids, mask, positions)
        self._cache.batch_repeat_interleave(self._samples)
        self._mask = self._mask.repeat_interleave(self._samples, 0)
        self._next_position = mask.sum(-1).repeat_interleave(self._samples, 0)
        return logits.repeat_interleave(self._samples, 0)

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits after one more token per row.   tokens: (R,).   Returns (R, V)."""
        self._width += 1
        logits = self._forward(tokens[:, None], self._mask[:, : self._width], self._next_position[:, None])
        self._next_position = self._next_position + 1
        return logits

    def select(self, keep: Sequence[int]) -> None:
        """Go on with these rows of the batch only."""
        rows = torch.tensor(keep, device=self._mask.device)
        self._cache.batch_select_indices(rows)
        self._mask, self._next_position = self._mask[rows], self._next_position[rows]

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        output = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1]
