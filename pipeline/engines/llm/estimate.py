"""How many requests and tokens a corpus will take, and what they cost, before a single call.

The engines themselves build the requests; an `Ask` that only counts answers them. What cannot be known beforehand:
  - the claims of a response, where the model extracts them: taken to be those that the extractor `rules` finds;
  - the tokens: characters divided by CHARS_PER_TOKEN, which is right for English within a tenth or two;
  - the length of the answers: what the examples in the prompts take per claim;
  - requests that have to be repeated, and answers that are in the cache already: neither is counted.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from pipeline.engines import AskingExtractor, AskingVerifier, Extractor
from pipeline.engines.llm.examples import EXTRACTION_EXAMPLES, VERIFICATION_EXAMPLES
from pipeline.engines.rules import RulesExtractor
from pipeline.llm.chat import API_ERROR, OK, ChatReply, ChatRequest, Usage
from schemas.records import Claim, Sample

CHARS_PER_TOKEN: Final = 4.0
_NO_CLAIMS: Final = ChatReply(OK, '{"claims":[]}')
_NO_ANSWER: Final = ChatReply(API_ERROR)  # ends a verification call without another


@dataclass(slots=True)
class StageEstimate:
    """Of one stage. cacheable_tokens: input that repeats the beginning of an earlier request of the stage."""

    requests: int = 0
    input_tokens: float = 0.0
    cacheable_tokens: float = 0.0
    output_tokens: float = 0.0

    def usage(self, prefix_cache: bool) -> Usage:
        """As an endpoint would count it. prefix_cache: it bills repeated beginnings as cached."""
        cached = self.cacheable_tokens if prefix_cache else 0.0
        return Usage(round(self.input_tokens), round(cached), round(self.output_tokens))


@dataclass(slots=True)
class Estimate:
    """Of a corpus. stages: `extract` and `verify`, as far as a model is asked.   claims: verified ones."""

    records: int = 0
    rejected: int = 0
    claims: int = 0
    stages: dict[str, StageEstimate] = field(default_factory=dict)

    def summary(self, model: str, cost_of: Callable[[Usage], float] | None) -> dict[str, Any]:
        """For people and programs. cost_of: US dollars for a usage; None when the model's price is not known."""
        stages = {
            name: {
                "requests": stage.requests,
                "input_tokens": round(stage.input_tokens),
                "output_tokens": round(stage.output_tokens),
                "cost_usd": cost_of(stage.usage(False)) if cost_of else None,
                "cost_usd_with_prefix_cache": cost_of(stage.usage(True)) if cost_of else None,
            }
            for name, stage in self.stages.items()
        }
        totals = {key: _total([stage[key] for stage in stages.values()]) for key in next(iter(stages.values()), {})}
        counts = {"records": self.records, "rejected": self.rejected, "claims": self.claims}
        return {"model": model, **counts, "stages": stages, "total": totals}


def _total(values: list[Any]) -> Any:
    return None if None in values else sum(values)


class _Counter:
    """An `Ask` that sends nothing."""

    def __init__(self) -> None:
        self.stages: dict[str, StageEstimate] = {}
        self._contexts: set[str] = set()

    async def __call__(self, request: ChatRequest) -> ChatReply:
        stage = self.stages.setdefault(request.purpose, StageEstimate())
        system = len(request.system) / CHARS_PER_TOKEN
        stage.cacheable_tokens += system if stage.requests else 0
        stage.requests += 1
        stage.input_tokens += system + len(request.user) / CHARS_PER_TOKEN
        if request.purpose == "extract":
            return _NO_CLAIMS
        self._count_prefix(stage, request.user)
        return _NO_ANSWER

    def _count_prefix(self, stage: StageEstimate, user: str) -> None:
        """The context of a verification call, if a call before had the same."""
        context = user[: user.find("\nEND context ")]
        tag = context[: context.find("\n")]  # a hash of the context
        if tag in self._contexts:
            stage.cacheable_tokens += len(context) / CHARS_PER_TOKEN
        self._contexts.add(tag)


def estimate(
    samples: Iterable[Sample | None],
    extractor: Extractor | AskingExtractor,
    verifier: AskingVerifier | None,
) -> Estimate:
    """What labelling these samples will ask for. None in `samples` is a record that will be rejected unasked.

    verifier: None when no model verifies.
    """
    return asyncio.run(_estimate(samples, extractor, verifier))


async def _estimate(
    samples: Iterable[Sample | None], extractor: Extractor | AskingExtractor, verifier: AskingVerifier | None
) -> Estimate:
    counter, total, rules = _Counter(), Estimate(), RulesExtractor()
    per_claim = answer_tokens_per_claim()
    for sample in samples:
        if sample is None:
            total.rejected += 1
            continue
        total.records += 1
        claims = rules.extract(sample)
        total.claims += len(claims)
        if isinstance(extractor, AskingExtractor):
            await extractor.extract(sample, counter)
            claims = tuple(map(_as_a_model_would_write, claims))
            if "extract" in counter.stages:
                counter.stages["extract"].output_tokens += len(claims) * per_claim["extract"]
        if verifier is not None and claims:
            await verifier.verify(sample, claims, counter)
            if "verify" in counter.stages:
                counter.stages["verify"].output_tokens += len(claims) * per_claim["verify"]
    total.stages = counter.stages
    return total


def _as_a_model_would_write(claim: Claim) -> Claim:
    """A claim whose text differs from its quote, as decontextualised ones do: that decides what is sent with it."""
    return Claim(claim.claim_id, f"{claim.text}.", claim.quotes, claim.sentence_ids, claim.spans, claim.alignment)


@cache
def answer_tokens_per_claim() -> dict[str, float]:
    """Tokens of an answer per claim, by stage: what the examples of the prompts take."""
    tokens = {}
    for stage, examples in (("extract", EXTRACTION_EXAMPLES), ("verify", VERIFICATION_EXAMPLES)):
        answers = [one for example in examples for (many,) in [example.shown()[1].values()] for one in many]
        characters = sum(len(json.dumps(one, ensure_ascii=False)) for one in answers)
        tokens[stage] = characters / len(answers) / CHARS_PER_TOKEN
    return tokens
