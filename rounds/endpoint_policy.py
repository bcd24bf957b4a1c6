"""A policy behind an OpenAI-compatible endpoint answers prompts: `n` responses per call, with log-probabilities. A
server that gives fewer is asked again for the others; one that takes no `n` above 1, for one at a time.

The endpoint counts tokens its own way. Its log-probabilities are stored only where the tokenizer at hand cuts the
response into the very same pieces, and only at temperature 1 and without top-p, because servers differ in whether they
report them before or after these. Where nothing can be stored, the trainer's ratio is taken to the reference policy.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pipeline.llm.chat import ChatReply
from pipeline.llm.client import ChatClient, explain
from pipeline.llm.endpoint import Endpoint, resolve_key
from pipeline.llm.probe import QUESTION
from pipeline.llm.replies import FORBIDDEN, Failure, no_completion
from schemas.errors import BaltoError
from schemas.records import CUT, FINISH_REASON, STOPPED, Message, Rejected, Sample
from schemas.tokens import ResponseTokenizer
from trainer.generation.generate import Prompt, refused, sampling_meta
from trainer.generation.sampling import SamplingParams
from trainer.prompts import place_context

# The endpoint's finish reasons that leave a response one can label.
_REASONS: Final = {"stop": STOPPED, "length": CUT}
_REFUSED: Final = (400, 413, 422)  # about the prompt; after all attempts any other status is about the endpoint
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Choice:
    """One response as it came.   tokens: (UTF-8 of the piece, log-probability); None where they were not told."""

    text: str
    finish_reason: str
    tokens: list[tuple[bytes, float]] | None


def _read_choices(body: bytes) -> list[_Choice] | Failure:
    """The responses in the body of a 200."""
    try:
        return [_read_choice(choice) for choice in orjson.loads(body)["choices"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return no_completion(body)


def _read_choice(choice: Mapping[str, Any]) -> _Choice:
    text = choice["message"].get("content") or ""
    if not isinstance(text, str):
        raise TypeError("content is no text")
    told = (choice.get("logprobs") or {}).get("content")
    tokens = [(_bytes(token), float(token["logprob"])) for token in told] if told else None
    return _Choice(text, str(choice.get("finish_reason")), tokens)


async def _at_once(again: bool) -> None:
    """What comes before a call: nothing."""


async def _takes_key(client: ChatClient) -> bool:
    """Whether a 403 is about the prompt: the probe's question is not refused so."""
    result = await client.ask(QUESTION, _at_once)
    return not (isinstance(result, Failure) and (result.again or result.status == FORBIDDEN))


class EndpointPolicy:
    """Asks a chat endpoint for responses.

    endpoint: where, which model, which key by name.   name: that the responses carry.   tokenizer: the model's, to
    store token ids and log-probabilities; None stores text alone.   stop: texts that end a response.   in_flight:
    calls at once.   Raises ConfigError when the key's reference gives none.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        name: str,
        params: SamplingParams,
        tokenizer: ResponseTokenizer | None = None,
        stop: Sequence[str] = (),
        in_flight: int = 16,
    ):
        self.params = params
        self._endpoint = endpoint
        self._name = name
        self._tokenizer = tokenizer
        self._stop = tuple(stop)
        self._in_flight = in_flight
        resolve_key(endpoint)  # before any work
        self._most_at_once = params.num_samples
        self._said_few_at_once = False
        self._said_no_logprobs = False

    def described(self) -> dict[str, Any]:
        """What decides the responses beside model and sampling parameters."""
        fingerprint = self._tokenizer.fingerprint if self._tokenizer else None
        return {"base_url": self._endpoint.base_url, "stop": list(self._stop), "tokenizer": fingerprint}

    def prompt(self, sample: Sample) -> Prompt | Rejected:
        """The endpoint renders the prompt and knows its window, so nothing is refused beforehand."""
        return Prompt(sample, [])

    def batches(self, prompts: Iterable[Prompt]) -> Iterator[list[Prompt]]:
        """A few prompts per place in flight: what a kill can lose."""
        source = iter(prompts)
        while batch := list(itertools.islice(source, 4 * self._in_flight)):
            yield batch

    def answer(self, batch: list[Prompt], done: Set[str]) -> Iterator[list[Sample] | Rejected]:
        """The responses of every prompt that is not done. Raises BaltoError when the endpoint will not answer this run
        any more, after what it has answered."""
        answered, failed = asyncio.run(self._answer([one for one in batch if one.sample.group_id not in done]))
        yield from answered
        if failed:
            raise failed[0]

    async def _answer(self, prompts: list[Prompt]) -> tuple[list[list[Sample] | Rejected], list[Exception]]:
        """(what was answered or refused, in order; errors). After an error no call begins; those under way are paid
        for."""
        failed: list[Exception] = []
        slots = asyncio.Semaphore(self._in_flight)
        client = ChatClient(self._endpoint, self._in_flight)

        async def one(prompt: Prompt) -> list[Sample] | Rejected | None:
            async with slots:
                if failed:
                    return None
                try:
                    return await self._ask(client, prompt.sample)
                except Exception as err:
                    failed.append(err)
                    return None

        try:
            answered = await asyncio.gather(*map(one, prompts))
        finally:
            await client.close()
        return [one for one in answered if one is not None], failed

    async def _ask(self, client: ChatClient, sample: Sample) -> list[Sample] | Rejected:
        """As many responses as are wanted, in as many calls as that takes while each gives one that can be used."""
        wanted, answered, reasons = self.params.num_samples, [], set()
        most = self._most_at_once
        while len(answered) < wanted:
            asked = min(wanted - len(answered), most)
            choices = await self._choices(client, sample, asked, len(answered))
            if isinstance(choices, str):
                if asked == 1:
                    return refused(sample, f"the endpoint refused the prompt: {choices}")
                most = 1  # is it about the prompt, or about the number?
                continue
            usable = [choice for choice in choices if choice.finish_reason in _REASONS and choice.text]
            reasons |= {choice.finish_reason for choice in choices}
            answered += usable[:asked]
            if not usable:
                told = ", ".join(sorted(reasons)) or "none"
                return refused(
                    sample, f"the endpoint gave {len(answered)} usable responses of {wanted} (finish reasons: {told})"
                )
            if len(choices) < asked or most < self._most_at_once:
                self._most_at_once = most
                self._say_few_at_once(len(choices))
        return [
            self._record(sample, number, choice)
            for number, choice in enumerate(answered, start=self.params.first_sample)
        ]

    def _say_few_at_once(self, given: int) -> None:
        if not self._said_few_at_once:
            self._said_few_at_once = True
            log.warning(
                "the endpoint gives %d of %d responses in one call: it is asked again, with the prompt, for the others",
                *(given, self.params.num_samples),
            )

    async def _choices(self, client: ChatClient, sample: Sample, asked: int, before: int) -> list[_Choice] | str:
        """The choices of one call, or why the endpoint refuses this prompt.   before: responses that the prompt has
        already; part of the seed.   Raises BaltoError when the endpoint is gone."""
        body = orjson.dumps(self._body(sample, asked, before))
        result = await client.post(body, _at_once, read=_read_choices)
        if isinstance(result, ChatReply):
            return result.reason
        if not isinstance(result, Failure):
            return result
        if result.status in _REFUSED or (result.status == FORBIDDEN and await _takes_key(client)):
            return result.reason
        raise BaltoError(f"{explain(self._endpoint, result)}; the same command goes on there")

    def _body(self, sample: Sample, asked: int, before: int) -> dict[str, Any]:
        messages: tuple[Message, ...] = place_context(sample.prompt, sample.context)
        body: dict[str, Any] = {
            "model": self._endpoint.model,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "n": asked,
            self._endpoint.token_field: self.params.max_new_tokens,
            "temperature": self.params.temperature,
            "top_p": self.params.top_p,
            "seed": self.params.seed + self.params.first_sample + before,
        }
        if self._stop:
            body["stop"] = list(self._stop)
        if self._keeps_logprobs:
            body["logprobs"] = True
        return body

    @property
    def _keeps_logprobs(self) -> bool:
        return self._tokenizer is not None and self.params.temperature == 1.0 and self.params.top_p == 1.0

    def _record(self, sample: Sample, number: int, choice: _Choice) -> Sample:
        text = choice.text
        ids, logprobs = self._tokens(text, choice)
        return dataclasses.replace(
            sample,
            id=f"{sample.group_id}:{number}",
            response=text,
            policy=self._name,
            response_token_ids=ids,
            response_logprobs=logprobs,
            tokenizer=self._tokenizer.fingerprint if self._tokenizer and ids is not None else None,
            gold_spans=None,
            meta={**sample.meta, FINISH_REASON: _REASONS[choice.finish_reason], **sampling_meta(self.params)},
        )

    def _tokens(self, text: str, choice: _Choice) -> tuple[tuple[int, ...] | None, tuple[float, ...] | None]:
        """Ids and log-probabilities where endpoint and tokenizer agree on the pieces; a stop token at the end goes."""
        if self._tokenizer is None or not self._keeps_logprobs:
            return None, None
        told = choice.tokens
        ids, starts, ends = self._tokenizer.encode(text)
        pieces = [text[start:end].encode() for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        if told and [piece for piece, _ in told[: len(pieces)]] == pieces and len(told) <= len(pieces) + 1:
            return tuple(ids.tolist()), tuple(logprob for _, logprob in told[: len(pieces)])
        if not self._said_no_logprobs:
            self._said_no_logprobs = True
            why = "cuts responses otherwise than the tokenizer given" if told else "gives no log-probabilities"
            log.warning("the endpoint %s: none are stored; train with --ratio reference", why)
        return None, None


def _bytes(token: Mapping[str, Any]) -> bytes:
    return bytes(token["bytes"]) if token.get("bytes") else str(token.get("token")).encode()
