"""Prompts in, a corpus of sampled responses out. Resumable; the same seed gives the same responses."""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from schemas.records import FINISH_REASON, MAX_REJECTED_CHARS, STOPPED, Rejected, Sample
from schemas.samples import sample_to_json
from trainer.generation.sampling import SamplingParams
from trainer.generation.write_corpus import CorpusWriter, write_rejected

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
class Prompt:
    """A prompt that can be answered. token_ids: under the policy's tokenizer; empty where only the endpoint knows."""

    sample: Sample
    token_ids: list[int]


class Policy(Protocol):
    """Who answers prompts: a model on this machine, or an endpoint."""

    params: SamplingParams

    def described(self) -> dict[str, Any]:
        """What decides the responses beside model and sampling parameters, as JSON values."""
        ...

    def prompt(self, sample: Sample) -> Prompt | Rejected:
        """The prompt made ready, or why it cannot be answered."""
        ...

    def batches(self, prompts: Iterable[Prompt]) -> Iterator[list[Prompt]]:
        """Prompts that are answered together."""
        ...

    def answer(self, batch: list[Prompt], done: Set[str]) -> Iterator[list[Sample] | Rejected]:
        """`params.num_samples` records per prompt in any order, or why there are none.

        done: groups that have their responses already; they get none, and those of the others are what they would be
        had nothing interrupted the run.
        """
        ...


def generate_corpus(
    prompts: Iterable[Sample],
    policy: Policy,
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
    described = {**run, **dataclasses.asdict(policy.params), **policy.described()}
    with CorpusWriter(out, described, policy.params.num_samples, overwrite) as writer:
        if writer.done:
            log.info("resuming: %d prompts are answered already", len(writer.done))
        seen: set[str] = set()
        started, tokens, answered = time.monotonic(), 0, 0
        last_said = started
        # what an interrupted run has answered is planned again: a batch's last digits depend on who is in it
        for batch in policy.batches(_ready(prompts, policy, seen, rejected)):
            waiting = sum(prompt.sample.group_id not in writer.done for prompt in batch)
            if not waiting:
                continue
            for group in policy.answer(batch, writer.done):
                if isinstance(group, Rejected):
                    rejected.append(group)
                    continue
                writer.write(group)
                tokens += sum(len(sample.response_token_ids or ()) for sample in group)
            writer.flush()
            answered += waiting
            if time.monotonic() - last_said > LOG_EVERY_S:
                last_said = time.monotonic()
                rate = f" | {tokens / (last_said - started):.0f} tokens/s" if tokens else ""
                log.info("generating | %d prompts%s", answered + len(writer.done), rate)
        write_rejected(out.with_name(f"{out.name}.rejected.jsonl"), rejected)
        writer.finish()
    return _summary(out, len(seen), sum(one.stage == STAGE for one in rejected), len(rejected))


def _ready(prompts: Iterable[Sample], policy: Policy, seen: set[str], rejected: list[Rejected]) -> Iterator[Prompt]:
    """Prompts that can be answered; one per group, the first."""
    for sample in prompts:
        if sample.group_id in seen:
            continue
        seen.add(sample.group_id)
        prompt = policy.prompt(sample)
        if isinstance(prompt, Rejected):
            rejected.append(prompt)
        else:
            yield prompt


def sampling_meta(params: SamplingParams) -> dict[str, str]:
    """How a response was sampled, for its record."""
    return {"temperature": str(params.temperature), "top_p": str(params.top_p), "seed": str(params.seed)}


def refused(sample: Sample, reason: str) -> Rejected:
    """The record of a prompt that gets no answer."""
    text = json.dumps(sample_to_json(sample), ensure_ascii=False)[:MAX_REJECTED_CHARS]
    return Rejected(sample.id, sample.source, sample.source_row, STAGE, reason, text, sample.group_id)


def _summary(out: Path, groups: int, unanswered: int, rejected: int) -> GenerationSummary:
    """Counted from the file itself, so that a resumed run says the same as an unbroken one."""
    responses = cut = tokens = 0
    with open(out, "rb") as file:
        for line in file:
            record = json.loads(line)
            responses += 1
            tokens += len(record.get("response_token_ids") or ())
            cut += record["meta"][FINISH_REASON] != STOPPED
    generated = groups - unanswered
    return GenerationSummary(generated + rejected, generated, rejected, responses, cut, tokens)
