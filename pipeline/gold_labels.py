"""Stage: human spans straight into claims with verdicts (`--labels gold`); no engine is asked.

Every marked span is an unsupported claim, contradicted when its label says "conflict" or "contradict". The unmarked
rest of the response, sentence by sentence, is supported: an annotator read it and let it stand. Source: ours.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.sentences import split_sentences
from pipeline.stages import Draft
from schemas.errors import RecordError
from schemas.records import CONTRADICTED, EXACT, OK, SUPPORTED, UNSUPPORTED, Claim, GoldSpan, Sample, Span

ENGINE = "gold/1"


def gold_claims(sample: Sample) -> Draft:
    """Draft with one claim per marked span and one per unmarked stretch of a sentence.

    Raises RecordError when nobody annotated the record.
    """
    if sample.gold_spans is None:
        raise RecordError("gold_labels", "no gold_spans: nobody annotated this record; leave out `--labels gold`")
    response = sample.response or ""
    found = [(Span(gold.start, gold.end), _verdict(gold), gold.label) for gold in sample.gold_spans]
    found += [(span, SUPPORTED, "not marked") for span in _unmarked(response, sample.gold_spans)]
    found.sort(key=lambda one: (one[0].start, one[0].end))
    claims = (_claim(f"c{n}", response, *one) for n, one in enumerate(found, start=1))
    return Draft(sample, tuple(claims))


def _claim(claim_id: str, response: str, span: Span, verdict: str, reason: str) -> Claim:
    text = response[span.start : span.end]
    return Claim(
        claim_id=claim_id,
        text=text,
        quotes=(text,),
        spans=(span,),
        alignment=EXACT,
        verdict=verdict,
        status=OK,
        score=float(verdict == SUPPORTED),
        reason=reason,
        extractor=ENGINE,
        verifier=ENGINE,
    )


def _verdict(gold: GoldSpan) -> str:
    label = gold.label.lower()
    return CONTRADICTED if "conflict" in label or "contradict" in label else UNSUPPORTED


def _unmarked(response: str, gold_spans: tuple[GoldSpan, ...]) -> Iterator[Span]:
    """Stretches of sentences outside every marked span that hold at least one letter or digit."""
    marked = sorted((gold.start, gold.end) for gold in gold_spans)
    for sentence in split_sentences(response):
        position = sentence.start
        for start, end in [*marked, (sentence.end, sentence.end)]:
            stop = min(start, sentence.end)
            if position < stop and any(char.isalnum() for char in response[position:stop]):
                yield _trimmed(response, position, stop)
            position = max(position, end)


def _trimmed(response: str, start: int, end: int) -> Span:
    piece = response[start:end]
    return Span(start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip()))
