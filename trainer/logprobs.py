"""Log-probabilities of response tokens, without ever holding the logits of a batch.

The model's body runs once over the rows; its LM head runs in chunks over the tokens that are needed (with credit, or
anchored) and keeps one number per token. How a model turns hidden states into logits (tied weights, a bias, scaling,
soft-capping) is taken from its own head module and config, and held against its own forward by trainer.self_test.
Shapes: B rows, L row length, T response tokens, N needed ones, D hidden, V vocabulary.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from trainer.attention import SharedPrefix, packed_mask
from trainer.packing import TokenRows

HEAD_CHUNK_MIB: Final = 64  # one chunk's logits in float32; the head's peak is about four times that


@dataclass(frozen=True)
class LogitTransform:
    """What a model does to its head's output: logits = cap(scale * head(hidden)), cap(x) = c tanh(x / c)."""

    scale: float = 1.0
    softcap: float | None = None

    def __call__(self, logits: Tensor) -> Tensor:
        logits = logits.float() if self.scale == 1.0 else logits.float() * self.scale
        return logits if self.softcap is None else self.softcap * torch.tanh(logits / self.softcap)

    def slope(self, logits: Tensor) -> Tensor | float:
        """Derivative with respect to the head's output, given the transformed logits (float32)."""
        return self.scale if self.softcap is None else self.scale * (1 - (logits / self.softcap) ** 2)


def logit_transform(config: Any) -> LogitTransform:
    """From a config: Gemma's final_logit_softcapping, Cohere's logit_scale, Granite's logits_scaling (a divisor)."""
    config = config.get_text_config()
    scale = getattr(config, "logit_scale", None) or 1.0
    divisor = getattr(config, "logits_scaling", None) or 1.0
    return LogitTransform(float(scale) / float(divisor), getattr(config, "final_logit_softcapping", None))


class TokenLogprobs(nn.Module):
    """A causal language model seen as a function from rows to the log-probabilities of their response tokens.

    model: a transformers model with an LM head, possibly inside peft.   head_chunk_mib: see HEAD_CHUNK_MIB.
    """

    def __init__(self, model: nn.Module, head_chunk_mib: int = HEAD_CHUNK_MIB):
        super().__init__()
        self.model = model
        self.head_chunk_mib = head_chunk_mib
        self.transform = logit_transform(self.causal_lm.config)

    @property
    def causal_lm(self) -> PreTrainedModel:
        """The transformers model itself; adapters are inside its layers."""
        unwrap = getattr(self.model, "get_base_model", None)
        return unwrap() if unwrap else self.model  # pyright: ignore[reportReturnType]

    @property
    def head(self) -> nn.Module:
        """The module that turns hidden states into logits, before `transform`."""
        head = self.causal_lm.get_output_embeddings()
        assert isinstance(head, nn.Module)
        return head

    @property
    def head_chunk(self) -> int:
        """Tokens whose logits are held at once."""
        vocabulary = self.causal_lm.config.get_text_config().vocab_size
        return max(self.head_chunk_mib * 2**20 // (4 * vocabulary), 1)

    def forward(self, rows: TokenRows, needed: Tensor | None = None) -> Tensor:
        """(N,) float32 natural log-probabilities of the response tokens where `needed` (T,) bool is True; None: all."""
        targets = rows.targets if needed is None else rows.targets[needed]
        states = self.response_states(rows, needed)
        return token_logprobs(states, targets, self.head, self.transform, self.head_chunk)

    def response_states(self, rows: TokenRows, needed: Tensor | None = None) -> Tensor:
        """(N, D) hidden states that predict the needed response tokens."""
        hidden = self._hidden_states(rows)
        return hidden.reshape(-1, hidden.shape[-1])[rows.source if needed is None else rows.source[needed]]

    def logits(self, states: Tensor) -> Tensor:
        """(N, V) float32 of hidden states (N, D); for a chunk of tokens."""
        return self.transform(self.head(states))

    def adapters_off(self) -> AbstractContextManager[object]:
        """Inside, the model is without its LoRA adapters."""
        disable = getattr(self.model, "disable_adapter", None)
        if disable is None:
            raise TypeError("a model without adapters has none to turn off")
        return disable()

    def _hidden_states(self, rows: TokenRows) -> Tensor:
        """(B, L, D) after the body's last norm."""
        packed = {} if rows.groups is None else {"shared_prefix": SharedPrefix(rows.groups)}
        mask = rows.attention_mask if rows.groups is None else packed_mask(rows.input_ids.device)
        body = self.causal_lm.base_model
        if body is self.causal_lm:  # its class names another attribute than it has (Llama 4's text model)
            body = self.causal_lm.get_decoder()
        return body(
            input_ids=rows.input_ids,
            position_ids=rows.position_ids,
            attention_mask=mask,
            use_cache=False,
            **packed,
        ).last_hidden_state


def token_logprobs(hidden: Tensor, targets: Tensor, head: nn.Module, transform: LogitTransform, chunk: int) -> Tensor:
    """log softmax(transform(head(hidden)))[target], (N,) float32, `chunk` tokens at a time.

    hidden: (N, D).   targets: (N,) long. With a frozen linear head the forward keeps the gradient's direction per token
    (N, D) and the backward multiplies; with a trained head chunks are computed again in the backward pass.
    """
    if not len(targets):
        return (hidden.sum() * 0.0).float().expand(0)  # keeps the graph: every rank must reach the backward
    if torch.is_grad_enabled() and hidden.requires_grad and type(head) is nn.Linear and _is_frozen(head):
        compute = _frozen_head(head, transform, hidden.device.type)
    elif torch.is_grad_enabled():
        compute = functools.partial(checkpoint, _chosen_logprobs, head, transform, use_reentrant=False)
    else:
        compute = functools.partial(_chosen_logprobs, head, transform)
    pieces = zip(hidden.split(chunk), targets.split(chunk), strict=True)
    return torch.cat([compute(states, ids) for states, ids in pieces])  # pyright: ignore[reportArgumentType]


def _chosen_logprobs(head: nn.Module, transform: LogitTransform, states: Tensor, ids: Tensor) -> Tensor:
    logits = transform(head(states))  # (chunk, V) float32
    return logits.gather(1, ids[:, None])[:, 0] - logits.logsumexp(dim=1)


def _is_frozen(head: nn.Module) -> bool:
    return not any(parameter.requires_grad for parameter in head.parameters())


def _frozen_head(head: nn.Linear, transform: LogitTransform, device: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The chunk function of a linear head that is not trained, in the precision that autocast would choose."""
    weight, bias = head.weight, head.bias
    if torch.is_autocast_enabled(device):  # it does not reach into an autograd function
        dtype = torch.get_autocast_dtype(device)
        weight, bias = weight.to(dtype), None if bias is None else bias.to(dtype)

    def compute(states: Tensor, ids: Tensor) -> Tensor:
        return _FrozenHead.apply(states.to(weight.dtype), ids, weight, bias, transform)  # pyright: ignore[reportReturnType]

    return compute


class _FrozenHead(torch.autograd.Function):
    """One chunk through a linear head that is not trained.

    d logp / d hidden = W^T (slope * (onehot - softmax)), kept from the forward: two products with W instead of three.
    """

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, ids: Tensor, weight: Tensor, bias: Tensor | None, transform: LogitTransform
    ) -> Tensor:
        logits = transform(nn.functional.linear(states, weight, bias))  # (chunk, V) float32
        total = logits.logsumexp(dim=1)
        logprobs = logits.gather(1, ids[:, None])[:, 0] - total
        slope = transform.slope(logits)
        rest = logits.sub_(total[:, None]).exp_().neg_()  # -softmax, in place: logits are not needed any more
        rest.scatter_add_(1, ids[:, None], torch.ones_like(ids[:, None], dtype=rest.dtype))
        ctx.save_for_backward((rest.mul_(slope)).to(weight.dtype) @ weight)
        return logprobs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        (direction,) = ctx.saved_tensors
        return (grads[0][:, None] * direction).to(direction.dtype), None, None, None, None
