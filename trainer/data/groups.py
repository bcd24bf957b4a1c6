"""What reading hands to training: prompt groups as token ids, in micro-batches of whole groups. numpy only.

Shape letters: P prompt tokens, R tokens of one response including its stop token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class ResponseRow:
    """One response of a prompt group, on the ids that the label set stores; nothing is tokenised again.

    id: of the response, unique in its label set.
    token_ids: (R,) int32; the last one is the stop token when `has_stop`.
    labels: (R,) int8: +1 supported, -1 unsupported or contradicted, 0 neutral; 0 on the stop token.
    old_logprobs: (R,) float32, natural log, of the policy that sampled the response; NaN where unknown (a stop token
    that rendering added, or a response whose log-probabilities were not stored).
    claims_supported, claims_unsupported: verdicts of its claims (contradicted ones count as unsupported), for the
    baseline that credits whole responses.
    R is 0 only for an empty response under a tokenizer that has no stop token.
    """

    id: str
    token_ids: np.ndarray
    labels: np.ndarray
    old_logprobs: np.ndarray
    has_stop: bool
    claims_supported: int = 0
    claims_unsupported: int = 0

    def __len__(self) -> int:
        return len(self.token_ids)

    @property
    def is_stop(self) -> np.ndarray:
        """(R,) bool, True at the stop token."""
        mask = np.zeros(len(self.token_ids), bool)
        if self.has_stop:
            mask[-1] = True
        return mask


@dataclass(frozen=True, slots=True, eq=False)
class PromptGroup:
    """A prompt with its context, and all responses to it.

    prompt_ids: (P,) int32, up to and including whatever opens the response.
    """

    group_id: str
    prompt_ids: np.ndarray
    responses: tuple[ResponseRow, ...]

    @property
    def packed_tokens(self) -> int:
        """Tokens of the group when its responses share the prompt: P + sum of R."""
        return len(self.prompt_ids) + sum(len(response) for response in self.responses)

    @property
    def longest_row(self) -> int:
        """Positions that the longest response needs: P + the longest R; bounded by the model's window."""
        return len(self.prompt_ids) + max((len(response) for response in self.responses), default=0)


@dataclass(frozen=True, slots=True, eq=False)
class MicroBatch:
    """Whole prompt groups that go through the model together, in a fixed order.

    `packed_tokens` stays within the token budget unless a single group exceeds it. An empty one is explicit: a rank
    without groups still takes part in the step's collectives.
    """

    groups: tuple[PromptGroup, ...] = ()

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def packed_tokens(self) -> int:
        return sum(group.packed_tokens for group in self.groups)


@dataclass(frozen=True, slots=True, eq=False)
class StepBatch:
    """One rank's share of one global step.

    epoch, step: 0-based, `step` within the epoch; (epoch, step + 1) is where reading goes on after it.
    micro_batches: as many on every rank of the step, empty ones included.
    skipped_groups: planned groups of this rank that could not be read (their row group is quarantined).
    """

    epoch: int
    step: int
    micro_batches: tuple[MicroBatch, ...]
    skipped_groups: int = 0

    @property
    def groups(self) -> Sequence[PromptGroup]:
        """All groups of this rank's share, in order."""
        return [group for batch in self.micro_batches for group in batch.groups]
