"""Before training: is a packed row the same as single rows, on this very model?

Compares, on two responses to each of two prompts of the run, three computations of the same log-probabilities: single
(each response alone through the model's own forward and full logits, with the attention it came with), padded, and
packed. If packed differs, padded rows are used, with a warning (where it was flex attention that differs, packed rows
with ordinary calls); if padded differs too, the head is not understood and the run is refused.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from schemas.errors import ConfigError, first_line
from trainer.attention import use_shared_prefix_attention
from trainer.data.groups import PromptGroup
from trainer.logprobs import TokenLogprobs
from trainer.packing import Layout, TokenGroup, lay_out

log = logging.getLogger("trainer")

# In float32 another order of summation moves a log-probability by about 1e-6 per layer and unit of its size; a wrong
# mask or position moves it by 0.1 and more. A half-precision model is allowed some multiple of its own rounding, taken
# from what padding alone changes: both move the same sums about, but no more than that.
FLOOR: Final = 2e-4
TIMES_ROUNDING: Final = 4.0
HALF_PRECISION_FLOOR: Final = 0.05
PROMPT_TOKENS, RESPONSE_TOKENS = 768, 128  # of the rows that are compared; beyond the sliding windows of many models
_MOVED: Final = 8  # last tokens of a prompt that its responses begin with: one may be a stop token alone


def groups_to_test(groups: Iterable[PromptGroup]) -> list[TokenGroup]:
    """Two groups of two responses, between which and within which a wrong mask shows; [] without any response.

    Cut from the ids of the first two groups that have a response; a response or group that has no second stands twice.
    """
    cut = list(itertools.islice((_cut(group) for group in groups if any(map(len, group.responses))), 2))
    return (cut * 2)[:2]


def _cut(group: PromptGroup) -> TokenGroup:
    prompt = group.prompt_ids[-PROMPT_TOKENS:]
    prompt, begun = np.split(prompt, [len(prompt) - min(_MOVED, len(prompt) - 1)])
    responses = [row.token_ids[:RESPONSE_TOKENS] for row in group.responses if len(row)]
    return prompt, [np.concatenate([begun, response]) for response in (responses * 2)[:2]]


def choose_layout(scorer: TokenLogprobs, groups: Sequence[TokenGroup], wanted: Layout = "packed") -> Layout:
    """The layout that this model computes right, with its attention set up for it.

    groups: those of `groups_to_test`; with FSDP the same ones on all ranks. Raises ConfigError when even padded rows
    differ from the model's own forward.
    """
    model = scorer.causal_lm
    device = next(model.parameters()).device
    own = model.config._attn_implementation
    with _evaluating(model), torch.no_grad():
        single = _own_logprobs(model, groups, device)
        padded = _padded(scorer, groups, device)
        tolerance = _tolerance(model, padded, single)
        rounding = _difference(padded, single)
        if rounding > tolerance:
            raise ConfigError(
                f"{type(model).__name__}: log-probabilities through its LM head in chunks differ from its own forward "
                f"by {rounding:.2g} (allowed {tolerance:.2g}); this architecture is not supported"
            )
        if wanted == "padded":
            return "padded"
        allowed = max(tolerance, TIMES_ROUNDING * rounding)
        reason = _why_not_packed(scorer, groups, single, allowed)
        if reason is not None and scorer.attention == "flex":
            log.warning("%s: no flex attention, using two ordinary calls per group: %s", type(model).__name__, reason)
            scorer.attention = "calls"
            reason = _why_not_packed(scorer, groups, single, allowed)
        if reason is None:
            return "packed"
        model.set_attn_implementation(own or "eager")
    log.warning("%s: packed rows are not the same as single ones, using padded rows: %s", type(model).__name__, reason)
    return "padded"


def _why_not_packed(scorer: TokenLogprobs, groups: Sequence[TokenGroup], single: Tensor, allowed: float) -> str | None:
    """None where packed rows are computed right; sets the model's attention up for them."""
    try:
        use_shared_prefix_attention(scorer.causal_lm)
        packed = scorer(lay_out(groups, "packed").to(single.device)).logprobs
    except torch.OutOfMemoryError:
        raise
    except (NotImplementedError, ValueError, TypeError, RuntimeError) as err:
        return _said(err)
    difference = _difference(packed, single)
    if difference > allowed:
        return f"log-probabilities differ by {difference:.2g} (allowed {allowed:.2g})"
    log.info("self-test: packed = single within %.2g (allowed %.2g)", difference, allowed)
    return None


@contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    """model.eval() inside, its mode as before outside."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _own_logprobs(model: PreTrainedModel, groups: Sequence[TokenGroup], device: torch.device) -> Tensor:
    """Each response alone, logits of the model's own forward at its tokens."""
    found = []
    for prompt, responses in groups:
        for response in responses:
            ids = torch.cat([torch.as_tensor(prompt), torch.as_tensor(response)]).long().to(device)
            kept = model(input_ids=ids[None], use_cache=False, logits_to_keep=len(response) + 1).logits[0, :-1].float()
            found.append(kept.log_softmax(-1).gather(1, ids[len(prompt) :, None])[:, 0])
    return torch.cat(found)


def _padded(scorer: TokenLogprobs, groups: Sequence[TokenGroup], device: torch.device) -> Tensor:
    try:
        return torch.cat([scorer(lay_out([group], "padded").to(device)).logprobs for group in groups])
    except torch.OutOfMemoryError:
        raise
    except (NotImplementedError, AttributeError, ValueError, TypeError, RuntimeError) as err:
        name = type(scorer.causal_lm).__name__
        raise ConfigError(f"{name}: this architecture is not supported ({_said(err)})") from err


def _tolerance(model: PreTrainedModel, padded: Tensor, single: Tensor) -> float:
    size = max(float(single.abs().max()), 1.0)
    half = next(model.parameters()).dtype in (torch.bfloat16, torch.float16) or torch.is_autocast_enabled(
        padded.device.type
    )
    return (HALF_PRECISION_FLOOR if half else FLOOR) * size


def _said(err: Exception) -> str:
    """The kind of an exception and its first line."""
    return f"{type(err).__name__}: {first_line(err)}"


def _difference(ours: Tensor, theirs: Tensor) -> float:
    """Largest absolute difference; infinite where one is not a number."""
    difference = (ours - theirs).abs().max().item() if len(ours) else 0.0
    return difference if difference == difference else float("inf")
