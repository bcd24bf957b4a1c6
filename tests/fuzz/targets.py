"""What reads a stranger's bytes, as functions of bytes: each ends in a result that keeps its promises or in our errors.

Anything else that a target raises (an assertion of its own, an IndexError, a RecursionError) is a defect.
"""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import orjson

from benchmarks.make_tiny_policy import TOKENIZER
from pipeline.corpora import open_corpus, read_corpus_file
from pipeline.engines.llm.answers import ClaimAnswers, ExtractedClaims, UnusableAnswerError, read_answer
from pipeline.llm.batch_lines import read_line
from pipeline.llm.cache import from_stored
from pipeline.llm.chat import ChatReply
from pipeline.llm.replies import Failure, read_completion, read_refused, retry_after
from pipeline.locate_spans import locate_claims
from pipeline.sentences import split_sentences
from pipeline.validate import validate_sample
from schemas.errors import BaltoError, RecordError, ShardError
from schemas.manifest import MANIFEST, Manifest, read_manifest
from schemas.records import ALIGNMENTS, UNMATCHED, Claim, LabelSpan, Rejected, Sample
from schemas.samples import sample_from_json, sample_to_json
from schemas.tokens import label_text, load_tokenizer

SEPARATOR = b"\x00"


@functools.cache
def _scratch() -> Path:
    return Path(tempfile.mkdtemp(prefix="fuzz"))


def _check_line(message: str) -> None:
    assert message
    assert "\n" not in message


def read_corpus(data: bytes) -> None:
    """A corpus file of any container and format: every record leaves as a sample or rejected, with its place."""
    path = _scratch() / "corpus"
    path.write_bytes(data)
    try:
        for file in open_corpus([str(path)]):
            for record in read_corpus_file(file):
                assert isinstance(record, Sample | Rejected)
                assert record.source_row >= 0
                if isinstance(record, Rejected):
                    _check_line(record.reason)
                    record.record.encode()
                else:
                    _round_trip(record)
    except BaltoError as err:
        _check_line(str(err))


def read_sample(data: bytes) -> None:
    """One record of the project's own format."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return
    try:
        sample = sample_from_json(value, source="a", source_row=1, default_id="a:1")
    except RecordError as err:
        _check_line(err.reason)
        return
    _round_trip(sample)


def _round_trip(sample: Sample) -> None:
    values = json.loads(orjson.dumps(sample_to_json(sample)))
    again = sample_from_json(values, source="", source_row=0, default_id=None)
    assert repr(again) == repr(sample)  # by repr, because NaN is not itself
    try:
        validate_sample(sample)
    except RecordError as err:
        _check_line(err.reason)


def read_label_set_manifest(data: bytes) -> None:
    """manifest.json: a manifest whose sums add up, or refused in one line."""
    (_scratch() / MANIFEST).write_bytes(data)
    try:
        manifest = read_manifest(_scratch())
    except ShardError as err:
        _check_line(str(err))
        return
    assert isinstance(manifest, Manifest)
    manifest.content_hash()
    assert all(".." not in Path(entry.path).parts for entry in (*manifest.shards, *manifest.rejected))


def read_reply(data: bytes) -> None:
    """What an endpoint sends: bodies, batch lines, kept replies, a header."""
    assert isinstance(read_completion(data), ChatReply | Failure)
    for status in (400, 429, 500):
        assert isinstance(read_refused(status, {}, data, 0.0), ChatReply | Failure)
    read_line(data)
    from_stored(data)
    wait = retry_after(data.decode("latin-1"), 0.0)
    assert wait is None or wait >= 0


def read_model_answer(data: bytes) -> None:
    """What a model says: claims or verdicts of the form asked for, or unusable."""
    text = data.decode("utf-8", "replace")
    for model in (ExtractedClaims, ClaimAnswers):
        try:
            read_answer(text, model).model_dump_json().encode()
        except UnusableAnswerError as err:
            _check_line(str(err))


def locate(data: bytes) -> None:
    """A response and claims about it (texts and quotes in turn): spans inside the response, sorted and disjoint."""
    response, *rest = (piece.decode("utf-8", "replace") for piece in data.split(SEPARATOR))
    sentences = split_sentences(response)
    assert _covers(response)
    ids = tuple(range(min(len(sentences), 2)))
    claims = [Claim(f"c{n}", text, (quote,), ids) for n, (text, quote) in enumerate(pairwise(rest))]
    located = locate_claims(response, claims, sentences)
    assert len(located) == len(claims)
    for claim in located:
        assert claim.alignment in ALIGNMENTS
        assert bool(claim.spans) == (claim.alignment != UNMATCHED)
        edges = [edge for span in claim.spans for edge in (span.start, span.end)]
        assert edges == sorted(edges)
        assert all(0 <= span.start < span.end <= len(response) for span in claim.spans)


def _covers(text: str) -> bool:
    """Every character that is not white space lies in exactly one sentence."""
    inside = [at for span in split_sentences(text) for at in range(span.start, span.end)]
    return len(inside) == len(set(inside)) and {at for at, c in enumerate(text) if not c.isspace()} <= set(inside)


def project(data: bytes) -> None:
    """A text and spans in it, projected to three tokenizers: one label per token, offsets inside the text."""
    head, _, body = data.partition(SEPARATOR)
    text = body.decode("utf-8", "replace")
    size = len(text) + 1
    edges = sorted({byte * size // 256 for byte in head[:16]})
    spans = [LabelSpan(a, b, 1 if n % 2 else -1) for n, (a, b) in enumerate(pairwise(edges))]
    for name in ("bytes", str(TOKENIZER)):
        tokenizer = load_tokenizer(name)
        tokens = label_text(tokenizer, text, spans)
        _check_tokens(tokens, text)
        ids = tokens.ids.tolist()
        try:  # the same ids as if they had been sampled, and ids that decode to anything
            _check_tokens(label_text(tokenizer, text, spans, ids), text)
            _check_tokens(label_text(tokenizer, text, spans, list(head)), text)
        except RecordError as err:
            _check_line(err.reason)


def _check_tokens(tokens: object, text: str) -> None:
    ids, starts, ends, labels = tokens.ids, tokens.starts, tokens.ends, tokens.labels  # type: ignore[attr-defined]
    assert len(ids) == len(starts) == len(ends) == len(labels)
    assert all(0 <= a <= b <= len(text) for a, b in zip(starts, ends, strict=True))
    assert set(labels.tolist()) <= {-1, 0, 1}


TARGETS: dict[str, Callable[[bytes], None]] = {
    "corpus": read_corpus,
    "sample": read_sample,
    "manifest": read_label_set_manifest,
    "reply": read_reply,
    "answer": read_model_answer,
    "locate": locate,
    "project": project,
}
