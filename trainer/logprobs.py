"""Log-probabilities of response tokens, without ever holding the logits of a batch.

The model's body runs once over the rows; its LM head runs in chunks over the tokens that are needed (with credit, or
anchored) and keeps two numbers per token: its log-probability, and the log-odds of stopping where it stands. How a
model turns hidden states into logits (tied weights, a bias, scaling, soft-capping) is taken from its own head module
and config, and held against its own forward by trainer.self_test.
Shapes: B rows, L row length, T response tokens, N needed ones, D hidden, V vocabulary, S stop tokens.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from trainer.attention import PackedAttention, SharedPrefix, packed_mask
from trainer.packing import TokenRows

HEAD_CHUNK_MIB: Final = 64  # one chunk's logits in float32; the head's peak is about four times that


class TokenScores(NamedTuple):
    """What the model says at the places of N response tokens, float32.

    logprobs: (N,) natural log-probability of the token that stands there.
    stop_odds: (N,) log P(stop) - log P(go on), P(stop) summed over the stop tokens; None when none are asked for.
    """

    logprobs: Tensor
    stop_odds: Tensor | None


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
    stop_ids: the tokens that end a response; where there are some, the odds of stopping are computed too.
    attention: how packed rows are attended over (trainer.attention).
    """

    def __init__(self, model: nn.Module, head_chunk_mib: int = HEAD_CHUNK_MIB, stop_ids: Collection[int] = ()):
        super().__init__()
        self.model = model
        self.head_chunk_mib = head_chunk_mib
        self.stop_ids = tuple(sorted(stop_ids))
        self.attention: PackedAttention = "calls"
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

    def forward(self, rows: TokenRows, needed: Tensor | None = None) -> TokenScores:
        """Scores of the response tokens where `needed` (T,) bool is True; None: all."""
        targets = rows.targets if needed is None else rows.targets[needed]
        states = self.response_states(rows, needed)
        stop_ids = torch.tensor(self.stop_ids, device=targets.device) if self.stop_ids else None
        return token_scores(states, targets, self.head, self.transform, self.head_chunk, stop_ids)

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
        packed = {} if rows.groups is None else {"shared_prefix": SharedPrefix(rows.groups, self.attention)}
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


def token_scores(
    hidden: Tensor,
    targets: Tensor,
    head: nn.Module,
    transform: LogitTransform,
    chunk: int,
    stop_ids: Tensor | None = None,
) -> TokenScores:
    """log softmax(transform(head(hidden)))[target] and the odds of the stop tokens, `chunk` tokens at a time.

    hidden: (N, D).   targets: (N,) long.   stop_ids: (S,) long. With a frozen linear head the forward keeps the
    gradient's directions per token (N, D) and the backward multiplies; with a trained head chunks are computed again
    in the backward pass.
    """
    if not len(targets):
        nothing = (hidden.sum() * 0.0).float().expand(0)  # keeps the graph: every rank must reach the backward
        return TokenScores(nothing, None if stop_ids is None else nothing)
    if torch.is_grad_enabled() and hidden.requires_grad and type(head) is nn.Linear and _is_frozen(head):
        compute = _frozen_head(head, transform, stop_ids, hidden.device.type)
    elif torch.is_grad_enabled():
        compute = functools.partial(checkpoint, _scores, head, transform, stop_ids, use_reentrant=False)
    else:
        compute = functools.partial(_scores, head, transform, stop_ids)
    pieces = zip(hidden.split(chunk), targets.split(chunk), strict=True)
    logprobs, stop_odds = zip(*(compute(states, ids) for states, ids in pieces), strict=True)
    return TokenScores(torch.cat(logprobs), None if stop_ids is None else torch.cat(stop_odds))


_Chunk = tuple[Tensor, Tensor | None]  # log-probabilities and odds of one chunk


def _scores(head: nn.Module, transform: LogitTransform, stop_ids: Tensor | None, states: Tensor, ids: Tensor) -> _Chunk:
    logits = transform(head(states))  # (chunk, V) float32
    chosen = logits.gather(1, ids[:, None])[:, 0]
    if stop_ids is None:
        return chosen - logits.logsumexp(dim=1), None
    stop = logits[:, stop_ids].logsumexp(dim=1)
    # summed without the stop tokens, not as 1 - P(stop): that has no digits left where stopping is all but certain
    go_on = logits.index_fill(1, stop_ids, -torch.inf).logsumexp(dim=1)
    return chosen - torch.logaddexp(stop, go_on), stop - go_on


def _is_frozen(head: nn.Module) -> bool:
    return not any(parameter.requires_grad for parameter in head.parameters())


def _frozen_head(
    head: nn.Linear, transform: LogitTransform, stop_ids: Tensor | None, device: str
) -> Callable[[Tensor, Tensor], _Chunk]:
    """The chunk function of a linear head that is not trained, in the precision that autocast would choose."""
    weight, bias = head.weight, head.bias
    if torch.is_autocast_enabled(device):  # it does not reach into an autograd function
        dtype = torch.get_autocast_dtype(device)
        weight, bias = weight.to(dtype), None if bias is None else bias.to(dtype)

    def compute(states: Tensor, ids: Tensor) -> _Chunk:
        return _FrozenHead.apply(states.to(weight.dtype), ids, weight, bias, transform, stop_ids)  # pyright: ignore[reportReturnType]

    return compute


class _FrozenHead(torch.autograd.Function):
    """One chunk through a linear head that is not trained.

    The gradients' directions are kept from the forward: two products with W instead of three. Let e be the row of W
    (times its slope) of the token, s the mean of the stop tokens' rows by their shares of P(stop), and a that of the
    other rows by their shares of P(go on). Then

        d odds / d hidden = s - a        d logp / d hidden = e - P(go on) a - P(stop) s

    and only a needs a product with W. For a token that goes on, a - e is multiplied instead: where it is all but
    certain, half precision does not tell a and e apart.
    """

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        ids: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        transform: LogitTransform,
        stop_ids: Tensor | None,
    ) -> _Chunk:
        logits = transform(nn.functional.linear(states, weight, bias))  # (chunk, V) float32
        chosen = logits.gather(1, ids[:, None])[:, 0]
        slope = transform.slope(logits)
        if stop_ids is None:
            total = logits.logsumexp(dim=1)
            ctx.save_for_backward(-_mean_row(logits, total, ids, torch.ones_like(chosen), slope, weight))
            return chosen - total, None
        stop = logits[:, stop_ids]  # (chunk, S)
        stop_total = stop.logsumexp(dim=1)
        go_on = logits.index_fill_(1, stop_ids, -torch.inf).logsumexp(dim=1)  # in place: a copy would double the chunk
        total = torch.logaddexp(stop_total, go_on)
        goes_on = (~torch.isin(ids, stop_ids)).float()  # 1 where the token does not stop
        others = _mean_row(logits, go_on, ids, goes_on, slope, weight).float()  # a - e, or a
        is_tensor = isinstance(slope, Tensor)
        shares = stop.softmax(dim=1) * (slope[:, stop_ids] if is_tensor else slope)
        token = (slope.gather(1, ids[:, None]) if is_tensor else slope) * weight[ids].float()  # e
        apart = shares @ weight[stop_ids].float() - goes_on[:, None] * token  # s - e, or s
        of_stop, of_go_on = ((part - total).exp()[:, None] for part in (stop_total, go_on))
        of_token = (1 - goes_on)[:, None] * token - of_stop * apart - of_go_on * others
        ctx.save_for_backward(of_token.to(weight.dtype), (apart - others).to(weight.dtype))
        return chosen - total, stop_total - go_on

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        directions = ctx.saved_tensors
        total = grads[0][:, None] * directions[0]
        if len(directions) > 1:
            total = total + grads[1][:, None] * directions[1]
        return total.to(directions[0].dtype), None, None, None, None, None


def _mean_row(
    logits: Tensor, total: Tensor, ids: Tensor, less: Tensor, slope: Tensor | float, weight: Tensor
) -> Tensor:
    """(N, D) sum over v of (exp(logits - total) - less * onehot(ids)) * slope * W[v]. Overwrites the logits (N, V)."""
    shares = logits.sub_(total[:, None]).exp_()
    shares.scatter_add_(1, ids[:, None], -less[:, None])
    return shares.mul_(slope).to(weight.dtype) @ weight
