"""Verdicts about overlapping claims -> disjoint label spans.

Two claims of one sentence share words, and their verdicts may differ. A supported claim puts +1 on its spans; an
unsupported or contradicted one puts -1 on the words the verifier named (`error_spans`), or on all its spans when
none were named. Claims without a verdict, or without a place in the response, say nothing, nor do those whose score
lies in the neutral band. Where both signs meet, the recorded policy decides:

    neutral            nobody knows: 0. An unsupported claim left without a character of its own keeps its spans as
                       -1, because otherwise an invention made of words that other claims use would be rewarded.
    unsupported_wins   -1: no invented word is ever rewarded, at the price of supported words
    supported_wins     +1: no supported word is ever punished, at the price of invented ones
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from pipeline.weigh_scores import NeutralBand, labels_nothing
from schemas.errors import ConfigError
from schemas.records import NEGATIVE, NEUTRAL, POSITIVE, SUPPORTED, Claim, LabelSpan, Span

POLICIES: Final = ("neutral", "unsupported_wins", "supported_wins")
_WHERE_BOTH_MEET: Final = {"neutral": NEUTRAL, "unsupported_wins": NEGATIVE, "supported_wins": POSITIVE}


@dataclass(frozen=True, slots=True)
class Resolved:
    """The label spans of one response, and how often the policy had to decide.

    label_spans: sorted, disjoint, only +1 and -1; neighbours that touch differ in label.
    conflicts: claims some of whose characters a claim of the opposite sign puts its label on as well.
    doubtful: located claims with a verdict that say nothing because their score lies in the neutral band.
    """

    label_spans: tuple[LabelSpan, ...]
    conflicts: int = 0
    doubtful: int = 0


def resolve(claims: Sequence[Claim], policy: str, band: NeutralBand | None = None) -> Resolved:
    """Label spans of one response from its verified claims, under one of POLICIES, doubtful claims left neutral."""
    if policy not in POLICIES:
        raise ConfigError(f"conflict policy {policy!r}: choose one of {', '.join(POLICIES)}")
    doubtful = sum(labels_nothing(claim, band) for claim in claims)
    if band and doubtful:
        claims = [claim for claim in claims if not band.is_doubtful(claim)]
    signed = [(sign, spans) for claim in claims for sign, spans in [_sign_of(claim)] if spans]
    positive = _union(span for sign, spans in signed if sign == POSITIVE for span in spans)
    negative = _union(span for sign, spans in signed if sign == NEGATIVE for span in spans)
    apart = _if_apart(positive, negative)
    if apart is not None:
        return Resolved(apart, doubtful=doubtful)
    hidden: list[Span] = []
    if policy == "neutral":
        for sign, spans in signed:
            hidden += spans if sign == NEGATIVE and all(_covers(positive, span) for span in spans) else ()
    label_spans = _sweep(positive, negative, _union(hidden), policy)
    conflicts = sum(_touches(negative if sign == POSITIVE else positive, spans) for sign, spans in signed)
    return Resolved(label_spans, conflicts, doubtful)


def _sign_of(claim: Claim) -> tuple[int, tuple[Span, ...]]:
    """The label a claim puts on characters, and on which."""
    if claim.verdict is None or not claim.spans:
        return NEUTRAL, ()
    if claim.verdict == SUPPORTED:
        return POSITIVE, claim.spans
    return NEGATIVE, claim.error_spans or claim.spans


def _union(spans: Iterable[Span]) -> list[Span]:
    """Sorted disjoint spans covering the same characters; spans that touch become one, empty ones go."""
    merged: list[Span] = []
    for span in sorted((span for span in spans if span.start < span.end), key=lambda span: span.start):
        if merged and span.start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return merged


def _if_apart(positive: list[Span], negative: list[Span]) -> tuple[LabelSpan, ...] | None:
    """The label spans when no character is claimed by both signs, which is the common case; else None."""
    labelled = [LabelSpan(span.start, span.end, POSITIVE) for span in positive]
    labelled += [LabelSpan(span.start, span.end, NEGATIVE) for span in negative]
    if positive and negative:
        labelled.sort(key=lambda span: span.start)
        if any(left.end > right.start for left, right in pairwise(labelled)):
            return None
    return tuple(labelled)


def _covers(union: list[Span], span: Span) -> bool:
    """Whether every character of `span` lies in `union`, which `_union` made."""
    before = bisect_right(union, span.start, key=lambda other: other.start) - 1
    return before >= 0 and span.end <= union[before].end


def _touches(union: list[Span], spans: Iterable[Span]) -> bool:
    """Whether any character of `spans` lies in `union`, which `_union` made."""
    for span in spans:
        before = bisect_right(union, span.end - 1, key=lambda other: other.start) - 1
        if before >= 0 and span.start < union[before].end and span.start < span.end:
            return True
    return False


def _sweep(positive: list[Span], negative: list[Span], kept: list[Span], policy: str) -> tuple[LabelSpan, ...]:
    """Walk over the borders of all three unions once; between two borders nothing changes."""
    borders: list[tuple[int, int, bool]] = []
    for kind, union in enumerate((positive, negative, kept)):
        borders += [(span.start, kind, True) for span in union] + [(span.end, kind, False) for span in union]
    borders.sort(key=lambda border: border[0])
    inside = [False, False, False]
    labelled: list[LabelSpan] = []
    for here, (start, kind, entering) in enumerate(borders):
        inside[kind] = entering
        end = borders[here + 1][0] if here + 1 < len(borders) else start
        label = _label_between(inside[0], inside[1], inside[2], policy)
        if end > start and label != NEUTRAL:
            _append_merged(labelled, LabelSpan(start, end, label))
    return tuple(labelled)


def _label_between(in_positive: bool, in_negative: bool, in_kept: bool, policy: str) -> int:
    if in_kept:
        return NEGATIVE
    if in_positive and in_negative:
        return _WHERE_BOTH_MEET[policy]
    return POSITIVE * in_positive + NEGATIVE * in_negative


def _append_merged(labelled: list[LabelSpan], span: LabelSpan) -> None:
    if labelled and labelled[-1].end == span.start and labelled[-1].label == span.label:
        span = LabelSpan(labelled.pop().start, span.end, span.label)
    labelled.append(span)
