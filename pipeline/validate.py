"""Read samples -> samples that can be labelled: what a record must satisfy beyond the types of its fields.

A file can be well-formed and still hold a span outside its response or log-probs of another response; labels made
from such a record would be wrong without a sign.
"""

from __future__ import annotations

from typing import Final, NoReturn

from schemas.errors import RecordError
from schemas.records import Sample

MAX_RESPONSE_CHARS: Final = 1_000_000
MAX_CONTEXT_CHARS: Final = 20_000_000
MAX_LOGPROB: Final = 1e-3  # the log of a probability is at most 0; rounding in bfloat16 engines gives slightly more


def validate_sample(
    sample: Sample,
    *,
    max_response_chars: int = MAX_RESPONSE_CHARS,
    max_context_chars: int = MAX_CONTEXT_CHARS,
) -> Sample:
    """The same sample. Raises RecordError("validate", reason) for the first thing that is wrong with it.

    The limits bound the memory that one record can take.   An empty response is valid: nothing was said.
    """
    if not sample.id:
        _refuse("id: is empty; give every record its own")
    if sample.response is None:
        _refuse(
            "no response: the record is a prompt only, and `balto generate` writes responses; "
            "where another field holds it, --fields response=NAME names that"
        )
    if len(sample.response) > max_response_chars:
        _refuse(f"response: {len(sample.response)} characters, more than the limit of {max_response_chars}")
    _check_context(sample, max_context_chars)
    _check_gold_spans(sample, len(sample.response))
    _check_tokens(sample)
    return sample


def _check_context(sample: Sample, max_context_chars: int) -> None:
    chars = sum([len(passage.text) for passage in sample.context])
    if chars > max_context_chars:
        _refuse(f"context: {chars} characters, more than the limit of {max_context_chars}")
    seen: set[str] = set()
    for passage in sample.context:
        if passage.passage_id in seen:
            _refuse(f"context: two passages are called {passage.passage_id!r}; evidence could not name one of them")
        seen.add(passage.passage_id)


def _check_gold_spans(sample: Sample, response_chars: int) -> None:
    for index, span in enumerate(sample.gold_spans or ()):
        if not 0 <= span.start < span.end <= response_chars:
            place = f"gold_spans[{index}]: [{span.start}, {span.end})"
            _refuse(f"{place} is empty or outside the response of {response_chars} characters")


def _check_tokens(sample: Sample) -> None:
    ids, logprobs = sample.response_token_ids, sample.response_logprobs
    if ids is not None and not sample.tokenizer:
        _refuse("tokenizer: missing; response_token_ids mean nothing without the name of their tokenizer")
    if logprobs is None:
        return
    if ids is None:
        _refuse("response_logprobs: given without the response_token_ids they belong to")
    if len(logprobs) != len(ids):
        _refuse(f"response_logprobs: {len(logprobs)} for {len(ids)} response_token_ids")
    for index, value in enumerate(logprobs):
        if value > MAX_LOGPROB:  # NaN and -inf pass: they say "unknown", and the reference policy's is used there
            _refuse(f"response_logprobs[{index}]: {value} is positive; the log of a probability is at most 0")


def _refuse(reason: str) -> NoReturn:
    raise RecordError("validate", reason)
