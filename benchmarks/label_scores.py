"""Scores of verified claims against human labels, and the report of benchmarks.label_quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from benchmarks.calibration import calibration
from benchmarks.lexical_data import labelled_facts
from pipeline.engines import BatchVerifier, Verifier
from pipeline.engines.rules import RulesExtractor
from pipeline.resolve import resolve
from pipeline.score.bootstrap import interval
from pipeline.score.gold import both_f1
from pipeline.score.span_overlap import Overlaps
from pipeline.weigh_scores import NeutralBand
from schemas.records import NEGATIVE, SUPPORTED, Claim, GoldSpan, LabelSpan, Sample, Span

Claims = tuple[Claim, ...]
_COUNTS: Final = 3  # gold, predicted, shared


def judge(samples: Sequence[Sample], verifier: Verifier | BatchVerifier) -> list[Claims]:
    """The verified claims of every response."""
    extractor = RulesExtractor()
    return verified([(sample, extractor.extract(sample)) for sample in samples], verifier)


def verified(asked: Sequence[tuple[Sample, Claims]], verifier: Verifier | BatchVerifier) -> list[Claims]:
    """The answers to claims, in order, from a verifier of either kind."""
    if isinstance(verifier, BatchVerifier):
        return verifier.verify_many(asked)
    return [verifier.verify(sample, claims) for sample, claims in asked]


def wrong_spans(claims: Sequence[Claim]) -> list[Span]:
    """The characters called wrong: of each claim without support, its error spans, or else the whole claim."""
    wrong = [claim for claim in claims if claim.verdict not in (SUPPORTED, None)]
    return [span for claim in wrong for span in claim.error_spans or claim.spans]


def label_spans(claims: Sequence[Claim], band: NeutralBand | None) -> list[LabelSpan]:
    """The characters that are labelled -1 under the default conflict policy."""
    return [span for span in resolve(claims, "neutral", band).label_spans if span.label == NEGATIVE]


def characters(spans: Sequence[Span | GoldSpan | LabelSpan]) -> set[int]:
    """The union of spans as a set of characters."""
    return {at for span in spans for at in range(span.start, span.end)}


def of_responses(samples: Sequence[Sample], judged: Sequence[Claims], band: NeutralBand | None) -> dict[str, Any]:
    """Scores of verdicts and of labels, recall by kind of hallucination, calibration."""
    predicted = [wrong_spans(claims) for claims in judged]
    labelled = [label_spans(claims, band) for claims in judged]
    return {
        "responses": len(samples),
        "prompts": len({sample.group_id for sample in samples}),
        "verdicts": span_scores(samples, predicted),
        "labels": span_scores(samples, labelled) | {"share_of_flagged": _share(labelled, predicted)},
        "kinds": by_kind(samples, predicted, labelled),
        "calibration": calibration(*claim_outcomes(samples, judged)),
    }


def span_scores(samples: Sequence[Sample], predicted: Sequence[Sequence[Span | LabelSpan]]) -> dict[str, Any]:
    """P/R/F1 in percent on responses and characters, each F1 with its 95 % interval over prompts."""
    counts = _overlaps(samples, predicted)
    found = {"response": counts.response_scores(), "span": counts.span_scores()}
    groups, number = np.unique([sample.group_id for sample in samples], return_inverse=True)
    values = np.zeros((len(groups), 2 * _COUNTS))
    np.add.at(values, number, _counted(counts))
    low, high = interval(values, both_f1)
    scores: dict[str, Any] = {}
    for at, (level, score) in enumerate(found.items()):
        scores[level] = {
            "precision": score.precision,
            "recall": score.recall,
            "f1": score.f1,
            "low": float(low[at]),
            "high": float(high[at]),
        }
    return scores


def _overlaps(samples: Sequence[Sample], predicted: Sequence[Sequence[Span | LabelSpan]]) -> Overlaps:
    pairs = [(characters(s.gold_spans or ()), characters(p)) for s, p in zip(samples, predicted, strict=True)]
    return Overlaps(*np.array([(len(gold), len(found), len(gold & found)) for gold, found in pairs]).T)


def _counted(counts: Overlaps) -> np.ndarray:
    """(R, 6) per response: gold, predicted, shared as responses, then as characters."""
    gold, predicted = counts.gold > 0, counts.predicted > 0
    return np.column_stack([gold, predicted, gold & predicted, counts.gold, counts.predicted, counts.shared]).astype(
        float
    )


def _share(part: Sequence[Sequence[LabelSpan]], whole: Sequence[Sequence[Span]]) -> float:
    """Characters of `part` over those of `whole`, in percent."""
    return 100 * sum(len(characters(one)) for one in part) / max(1, sum(len(characters(one)) for one in whole))


def by_kind(
    samples: Sequence[Sample], predicted: Sequence[Sequence[Span]], labelled: Sequence[Sequence[LabelSpan]]
) -> dict[str, Any]:
    """Of the human spans of each kind: how many, how many are touched, which share of their characters is called wrong
    (`recall`) and labelled (`labelled`), in percent. A precision by kind does not exist: predictions have no kind."""
    kinds: dict[str, list[tuple[int, int, int]]] = {}
    for sample, wrong, kept in zip(samples, predicted, labelled, strict=True):
        wrong_at, kept_at = characters(wrong), characters(kept)
        for span in sample.gold_spans or ():
            gold = characters([span])
            kinds.setdefault(span.label, []).append((len(gold), len(gold & wrong_at), len(gold & kept_at)))
    table = {}
    for kind, rows in sorted(kinds.items()):
        size, found, kept = np.array(rows).sum(0)
        table[kind] = {
            "spans": len(rows),
            "touched": 100 * sum(row[1] > 0 for row in rows) / len(rows),
            "recall": 100 * float(found / size),
            "labelled": 100 * float(kept / size),
        }
    return table


def claim_outcomes(samples: Sequence[Sample], judged: Sequence[Claims]) -> tuple[np.ndarray, np.ndarray]:
    """(N,) P(supported) and (N,) bool "less than half of it is in human spans", of claims with a score and a place."""
    scores, sound = [], []
    for sample, claims in zip(samples, judged, strict=True):
        gold = characters(sample.gold_spans or ())
        for claim in claims:
            if claim.score is not None and claim.spans:
                own = characters(claim.spans)
                scores.append(claim.score)
                sound.append(len(own & gold) < 0.5 * len(own))
    return np.array(scores), np.array(sound, dtype=bool)


@dataclass(frozen=True, slots=True)
class Asked:
    """A response's human claims, as claims to verify, and which of them people called unsupported."""

    sample: Sample
    claims: Claims
    unsupported: tuple[bool, ...]


def as_claims(records: Sequence[dict[str, Any]]) -> list[Asked]:
    """FActScore's human claims, S or NS, without a place in the response."""
    asked = []
    for sample, facts in labelled_facts(records):
        claims = tuple(Claim(str(number), text) for number, (_, text, _) in enumerate(facts))
        if claims:
            asked.append(Asked(sample, claims, tuple(wrong for _, _, wrong in facts)))
    return asked


def judge_claims(asked: Sequence[Asked], verifier: Verifier | BatchVerifier) -> list[Claims]:
    """The verified claims of every record."""
    return verified([(one.sample, one.claims) for one in asked], verifier)


def of_claims(asked: Sequence[Asked], judged: Sequence[Claims]) -> dict[str, Any]:
    """Accuracy and balanced accuracy in percent, calibration. Claims without a verdict count as wrong answers."""
    labels = np.array([wrong for one in asked for wrong in one.unsupported])
    claims = [claim for one in judged for claim in one]
    called = np.array(
        [
            claim.verdict != SUPPORTED if claim.verdict else not wrong
            for claim, wrong in zip(claims, labels, strict=True)
        ]
    )
    scored = np.array([claim.score is not None for claim in claims])
    scores = np.array([claim.score for claim in claims if claim.score is not None])
    return {
        "claims": len(claims),
        "unverified": sum(claim.verdict is None for claim in claims),
        "accuracy": 100 * float(accuracy_score(labels, called)),
        "balanced_accuracy": 100 * float(balanced_accuracy_score(labels, called)),
        "calibration": calibration(scores, ~labels[scored]),
    }


def report(figures: dict[str, Any]) -> str:
    """The figures as lines for people."""
    lines = [f"verifier {figures['verifier']}, neutral band {figures['neutral_band']}"]
    for name, measured in figures.items():
        if isinstance(measured, dict):
            lines.append(name)
            lines += [f"  {line}" for line in _lines(measured)]
    return "\n".join(lines)


def _lines(values: dict[str, Any], prefix: str = "") -> list[str]:
    """One line per table of numbers, named by the way to it."""
    plain = {name: value for name, value in values.items() if isinstance(value, int | float | str)}
    lines = [f"{prefix or 'all'}: {', '.join(_shown(name, value) for name, value in plain.items())}"] if plain else []
    for name, value in values.items():
        if isinstance(value, dict):
            lines += _lines(value, f"{prefix} {name}".strip())
        elif name == "bins":
            lines.append(f"{prefix} predicted/observed: " + " ".join(f"{p:.2f}/{o:.2f}" for _, p, o in value))
    return lines


def _shown(name: str, value: float | str) -> str:
    if isinstance(value, float):
        return f"{name} {value:.3f}" if name.startswith(("ece", "brier")) else f"{name} {value:.1f}"
    return f"{name} {value}"
