"""Prompts in, a corpus of sampled responses out. Resumable; the same seed gives the same responses."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import ConfigError
from schemas.records import FINISH_REASON, MAX_REJECTED_CHARS, STOPPED, Rejected, Sample
from schemas.samples import sample_to_json
from schemas.tokens import ResponseTokenizer
from trainer.generation.plan_batches import plan_batches
from trainer.generation.sampling import SampledResponse, SamplingParams, sample_responses
from trainer.generation.write_corpus import CorpusWriter, write_rejected
from trainer.prompts import PromptError, PromptRenderer

STAGE = "generate"
LOG_EVERY_S = 10.0
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GenerationSummary:
    """prompts: distinct prompt groups and unreadable records = generated + rejected.   responses: written.
    cut: of these, how many ended at max_new_tokens rather than at a stop token.   tokens: sampled."""

    prompts: int
    generated: int
    rejected: int
    responses: int
    cut: int
    tokens: int


@dataclass(frozen=True, slots=True)
class _Prompt:
    sample: Sample
    token_ids: list[int]


class ResponseGenerator:
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
        self.renderer = PromptRenderer(tokenizer)
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

    def prompt(self, sample: Sample) -> _Prompt | Rejected:
        """The rendered prompt, or why it cannot be answered."""
        try:
            token_ids = self.renderer.render(sample.prompt, sample.context).prompt_ids.tolist()
        except PromptError as err:
            return _refused(sample, str(err))
        room = math.inf if self.window is None else self.window - self.params.max_new_tokens
        if len(token_ids) > room:
            return _refused(
                sample,
                f"the prompt has {len(token_ids)} tokens and the model's window is {self.window}, which leaves no room "
                f"for {self.params.max_new_tokens} new ones",
            )
        return _Prompt(sample, token_ids) if token_ids else _refused(sample, "the prompt is empty")

    def answer(self, prompts: list[_Prompt]) -> Iterator[list[Sample]]:
        """The responses of every prompt, as records of a corpus."""
        asked = [(prompt.sample.group_id, prompt.token_ids) for prompt in prompts]
        answers = sample_responses(self.model, asked, self.params, self.stop_ids)
        for prompt, responses in zip(prompts, answers, strict=True):
            yield [self._record(prompt.sample, number, response) for number, response in enumerate(responses)]

    def _record(self, sample: Sample, number: int, response: SampledResponse) -> Sample:
        """The record. A stop token that is not text stays with its log-probability; one that is text goes."""
        number += self.params.first_sample
        token_ids, logprobs = response.token_ids, response.logprobs
        if response.finish_reason == STOPPED and token_ids[-1] not in self.special_ids:
            token_ids, logprobs = token_ids[:-1], logprobs[:-1]
        meta = {
            **sample.meta,
            FINISH_REASON: response.finish_reason,
            "temperature": str(self.params.temperature),
            "top_p": str(self.params.top_p),
            "seed": str(self.params.seed),
        }
        return dataclasses.replace(
            sample,
            id=f"{sample.group_id}:{number}",
            response=self.tokenizer.tokenizer.decode(list(token_ids), skip_special_tokens=True),
            policy=self.policy,
            response_token_ids=token_ids,
            response_logprobs=logprobs,
            tokenizer=self.tokenizer.fingerprint,
            gold_spans=None,
            meta=meta,
        )


def generate_corpus(
    prompts: Iterable[Sample],
    generator: ResponseGenerator,
    out: Path,
    run: Mapping[str, Any],
    rejected: list[Rejected],
    overwrite: bool = False,
) -> GenerationSummary:
    """Answer every distinct prompt group of `prompts` and write the corpus `out` (JSONL).

    run: what decides the result beside the sampling parameters (model, prompts); another one does not resume.
    rejected: what the reader of `prompts` rejects while it is read; prompts that cannot be answered are added, and all
    of them go to `<out>.rejected.jsonl`, one object each with its reason.
    """
    described = {**run, **dataclasses.asdict(generator.params), "stop_ids": sorted(generator.stop_ids)}
    with CorpusWriter(out, described, generator.params.num_samples, overwrite) as writer:
        if writer.done:
            log.info("resuming: %d prompts are answered already", len(writer.done))
        seen: set[str] = set()
        started, tokens, answered = time.monotonic(), 0, 0
        last_said = started
        pending = _pending(prompts, generator, writer.done, seen, rejected)
        params = generator.params
        for batch in plan_batches(pending, params.num_samples, params.max_new_tokens, generator.max_cached_tokens):
            for group in generator.answer(batch):
                writer.write(group)
                tokens += sum(len(sample.response_token_ids or ()) for sample in group)
            writer.flush()
            answered += len(batch)
            if time.monotonic() - last_said > LOG_EVERY_S:
                last_said = time.monotonic()
                rate = tokens / (last_said - started)
                log.info("generating | %d prompts | %.0f tokens/s", answered + len(writer.done), rate)
        write_rejected(out.with_name(f"{out.name}.rejected.jsonl"), rejected)
        writer.finish()
    return _summary(out, len(seen), sum(one.stage == STAGE for one in rejected), len(rejected))


def _pending(
    prompts: Iterable[Sample],
    generator: ResponseGenerator,
    done: set[str],
    seen: set[str],
    rejected: list[Rejected],
) -> Iterator[tuple[_Prompt, int]]:
    """Prompts that still wait for an answer, with their length; one per group, the first."""
    for sample in prompts:
        if sample.group_id in seen:
            continue
        seen.add(sample.group_id)
        if sample.group_id in done:
            continue
        prompt = generator.prompt(sample)
        if isinstance(prompt, Rejected):
            rejected.append(prompt)
        else:
            yield prompt, len(prompt.token_ids)


def _refused(sample: Sample, reason: str) -> Rejected:
    text = json.dumps(sample_to_json(sample), ensure_ascii=False)[:MAX_REJECTED_CHARS]
    return Rejected(sample.id, sample.source, sample.source_row, STAGE, reason, text, sample.group_id)


def _summary(out: Path, groups: int, unanswered: int, rejected: int) -> GenerationSummary:
    """Counted from the file itself, so that a resumed run says the same as an unbroken one."""
    responses = cut = tokens = 0
    with open(out, "rb") as file:
        for line in file:
            record = json.loads(line)
            responses += 1
            tokens += len(record["response_token_ids"])
            cut += record["meta"][FINISH_REASON] != STOPPED
    generated = groups - unanswered
    return GenerationSummary(generated + rejected, generated, rejected, responses, cut, tokens)
