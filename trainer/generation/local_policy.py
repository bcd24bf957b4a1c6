"""A Hugging Face policy on this machine answers prompts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Set
from typing import Any

from schemas.errors import ConfigError
from schemas.records import FINISH_REASON, STOPPED, Rejected, Sample
from schemas.tokens import ResponseTokenizer
from trainer.generation.generate import Prompt, refused, sampling_meta
from trainer.generation.plan_batches import plan_batches
from trainer.generation.sampling import SampledResponse, SamplingParams, sample_responses
from trainer.policy import end_ids
from trainer.prompts import PromptError, PromptRenderer


class LocalPolicy:
    """A policy that answers prompts.

    model: a causal language model of transformers in eval mode.   tokenizer: its transformers tokenizer.
    policy: name that the responses carry.   stop: further tokens, as text, that end a response.
    max_cached_tokens: bound on the key-value cache, in tokens over all rows of a batch.
    Raises ConfigError for a model without any stop token, or a `stop` that is no single token.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        policy: str,
        params: SamplingParams,
        stop: tuple[str, ...],
        max_cached_tokens: int,
    ):
        self.model = model
        self.policy = policy
        self.params = params
        self.max_cached_tokens = max_cached_tokens
        embeddings = model.get_input_embeddings().weight.shape[0]
        self.renderer = PromptRenderer(tokenizer, end_ids=end_ids(model), embeddings=embeddings)
        self.tokenizer = ResponseTokenizer(policy, tokenizer.backend_tokenizer)
        self.stop_ids = self.renderer.stop_ids | {self._stop_id(text) for text in stop}
        if not self.stop_ids:
            raise ConfigError("the model's tokenizer has no stop token; name one with --stop, such as --stop '</s>'")
        added = tokenizer.backend_tokenizer.get_added_tokens_decoder()
        self.special_ids = frozenset(token_id for token_id, token in added.items() if token.special)
        self.window: int | None = getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None)

    def _stop_id(self, text: str) -> int:
        token_id = self.tokenizer.tokenizer.token_to_id(text)
        if token_id is None:
            raise ConfigError(f"--stop {text}: is no single token of this tokenizer")
        return token_id

    def prompt(self, sample: Sample) -> Prompt | Rejected:
        """The rendered prompt, or why it cannot be answered."""
        try:
            token_ids = self.renderer.render(sample.prompt, sample.context).prompt_ids.tolist()
        except PromptError as err:
            return refused(sample, str(err))
        room = math.inf if self.window is None else self.window - self.params.max_new_tokens
        if len(token_ids) > room:
            return refused(
                sample,
                f"the prompt has {len(token_ids)} tokens and the model's window is {self.window}, which leaves no room "
                f"for {self.params.max_new_tokens} new ones",
            )
        return Prompt(sample, token_ids) if token_ids else refused(sample, "the prompt is empty")

    def described(self) -> dict[str, Any]:
        """What decides the responses beside model and sampling parameters."""
        return {"stop_ids": sorted(self.stop_ids), "rendering": self.renderer.fingerprint}

    def batches(self, prompts: Iterable[Prompt]) -> Iterator[list[Prompt]]:
        """Prompts that are decoded together."""
        sized = ((prompt, len(prompt.token_ids)) for prompt in prompts)
        return plan_batches(sized, self.params.num_samples, self.params.max_new_tokens, self.max_cached_tokens)

    def answer(self, batch: list[Prompt], done: Set[str]) -> Iterator[list[Sample] | Rejected]:
        """The responses of every prompt that is not done, as records of a corpus. All are decoded together: products of
        matrices of other shapes differ in their last digits."""
        asked = [(prompt.sample.group_id, prompt.token_ids) for prompt in batch]
        answers = sample_responses(self.model, asked, self.params, self.stop_ids)
        for prompt, responses in zip(batch, answers, strict=True):
            if prompt.sample.group_id not in done:
                yield [self._record(prompt.sample, number, response) for number, response in enumerate(responses)]

    def _record(self, sample: Sample, number: int, response: SampledResponse) -> Sample:
        """The record. A stop token that is not text stays with its log-probability; one that is text goes."""
        number += self.params.first_sample
        token_ids, logprobs = response.token_ids, response.logprobs
        if response.finish_reason == STOPPED and token_ids[-1] not in self.special_ids:
            token_ids, logprobs = token_ids[:-1], logprobs[:-1]
        return dataclasses.replace(
            sample,
            id=f"{sample.group_id}:{number}",
            response=self.tokenizer.tokenizer.decode(list(token_ids), skip_special_tokens=True),
            policy=self.policy,
            response_token_ids=token_ids,
            response_logprobs=logprobs,
            tokenizer=self.tokenizer.fingerprint,
            gold_spans=None,
            meta={**sample.meta, FINISH_REASON: response.finish_reason, **sampling_meta(self.params)},
        )
