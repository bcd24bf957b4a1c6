"""How good the embedded engine's labels are against human labels: extractor `rules` + verifier `lexical`.

    python -m benchmarks.label_quality --ragtruth DIR --factscore FILE [--seeds 10] [--json]

RAGTruth (arXiv 2401.00396): official response-level P/R/F1 (positive = any span) and micro character-overlap span
P/R/F1. FActScore (arXiv 2305.14251): supported or not, on human claims against their article: accuracy and balanced
accuracy; and how many of its LLM-extracted claims are located, from their text alone, inside the sentence they came
from (`foreign`: claims of another document). `in_sample` runs the shipped constants on the data they were fitted on.
`out_of_fold` deals the contexts (persons) into five folds and, for each, fits weights and threshold on the other four
and runs the same engine; repeated over seeds: mean, standard deviation, extremes. The features themselves were chosen
on this data: expect a little less on new data.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from benchmarks import location_quality
from benchmarks.fit_lexical import clause_model, deal_folds, predict, text_model
from benchmarks.lexical_data import ClauseRows, TextRows, clause_rows, read_ragtruth, text_rows
from pipeline.engines.lexical import LexicalVerifier
from pipeline.engines.lexical_model import TEXT_MODEL
from pipeline.engines.linear import LinearModel
from pipeline.engines.rules import RulesExtractor
from pipeline.gather_evidence import index_context
from pipeline.score.span_overlap import Overlaps
from schemas.records import SUPPORTED, GoldSpan, Sample, Span


def predicted_spans(sample: Sample, verifier: LexicalVerifier) -> list[Span]:
    """The characters called wrong: of each claim without support, its error spans, or else the whole claim."""
    claims = verifier.verify(sample, RulesExtractor().extract(sample))
    wrong = [claim for claim in claims if claim.verdict not in (SUPPORTED, None)]
    return [span for claim in wrong for span in claim.error_spans or claim.spans]


def characters(spans: Sequence[Span | GoldSpan]) -> set[int]:
    """The union of spans as a set of characters."""
    return {at for span in spans for at in range(span.start, span.end)}


def span_overlaps(samples: Sequence[Sample], verifiers: Sequence[LexicalVerifier]) -> Overlaps:
    """Gold, predicted and shared characters of each sample, each labelled by its own verifier."""
    counts = []
    for sample, verifier in zip(samples, verifiers, strict=True):
        gold, predicted = characters(sample.gold_spans or ()), characters(predicted_spans(sample, verifier))
        counts.append((len(gold), len(predicted), len(gold & predicted)))
    return Overlaps(*np.array(counts).T)


def ragtruth_out_of_fold(samples: list[Sample], rows: ClauseRows, seed: int) -> Overlaps:
    """Every sample labelled by an engine that was fitted without its context."""
    fold = deal_folds(rows.groups, seed)
    fold_of = dict(zip(rows.groups, fold, strict=True))
    fitted = {number: LexicalVerifier(clause_model(rows, fold != number, seed)) for number in np.unique(fold)}
    untouched = LexicalVerifier()  # for contexts whose responses make no claim at all
    return span_overlaps(samples, [fitted.get(fold_of.get(sample.group_id, -1), untouched) for sample in samples])


def called_unsupported(model: LinearModel, features: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """(N,) bool: what the verifier says of reworded claims with these features."""
    coefficients = np.array([*model.weights, model.bias])
    return (predict(coefficients, features) >= model.threshold) | missing


def factscore_out_of_fold(rows: TextRows, seed: int) -> np.ndarray:
    """(N,) bool, each claim called by a model that was fitted without its person."""
    fold, called = deal_folds(rows.groups, seed), np.zeros(len(rows.unsupported), dtype=bool)
    for number in np.unique(fold):
        test = fold == number
        called[test] = called_unsupported(text_model(rows, ~test), rows.features[test], rows.missing[test])
    return called


def claim_scores(labels: np.ndarray, called: np.ndarray) -> dict[str, float]:
    """Accuracy and balanced accuracy in percent."""
    return {
        "accuracy": 100 * float(accuracy_score(labels, called)),
        "balanced_accuracy": 100 * float(balanced_accuracy_score(labels, called)),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean, standard deviation and extremes over seeds."""
    return {"mean": float(np.mean(values)), "sd": float(np.std(values)), "min": min(values), "max": max(values)}


def milliseconds_per_record(samples: Sequence[Sample], repeats: int = 10) -> float:
    """Processor time of extracting and verifying one record, the best of several passes with a cold context cache."""
    extractor, verifier, best = RulesExtractor(), LexicalVerifier(), float("inf")
    for _ in range(repeats):
        index_context.cache_clear()
        start = time.process_time()
        for sample in samples:
            verifier.verify(sample, extractor.extract(sample))
        best = min(best, time.process_time() - start)
    return 1000 * best / len(samples)


def measure_ragtruth(folder: Path, seeds: int) -> dict[str, Any]:
    """In-sample and out-of-fold scores on RAGTruth, and the speed."""
    samples = read_ragtruth(folder)
    rows = clause_rows(samples)
    runs = [ragtruth_out_of_fold(samples, rows, seed).summary() for seed in range(seeds)]
    return {
        "responses": len(samples),
        "in_sample": span_overlaps(samples, [LexicalVerifier()] * len(samples)).summary(),
        "out_of_fold": {
            level: {name: spread([run[level][name] for run in runs]) for name in ("precision", "recall", "f1")}
            for level in ("response", "span")
        },
        "ms_per_record": milliseconds_per_record(samples),
    }


def measure_factscore(file: Path, seeds: int) -> dict[str, Any]:
    """In-sample and out-of-fold scores on FActScore's human claims."""
    rows = text_rows(file)
    runs = [claim_scores(rows.unsupported, factscore_out_of_fold(rows, seed)) for seed in range(seeds)]
    records = [json.loads(line) for line in file.read_text().splitlines()]
    return {
        "claims": len(rows.unsupported),
        "location": _location(location_quality.measure(records)),
        "in_sample": claim_scores(rows.unsupported, called_unsupported(TEXT_MODEL, rows.features, rows.missing)),
        "out_of_fold": {name: spread([run[name] for run in runs]) for name in runs[0]},
    }


def _location(measured: dict[str, Any]) -> dict[str, float]:
    """What the label quality report says about location, in percent; benchmarks.location_quality has the rest."""
    plain = measured["text_only"]
    return {
        "located": 100 * plain["located"],
        "inside_gold_sentence": 100 * plain["inside_gold_sentence_of_located"],
        "foreign_located": 100 * measured["foreign"]["located"],
    }


def report(figures: dict[str, Any]) -> str:
    """The figures as lines for people."""
    lines = []
    for data, measured in figures.items():
        lines.append(f"{data}: {measured.get('responses') or measured.get('claims')} records")
        for name, value in measured.get("location", {}).items():
            lines.append(f"  location     {name:22} {value:5.1f}")
        for name, values in _flat(measured["in_sample"]):
            lines.append(f"  in sample    {name:22} {values:5.1f}")
        for name, values in _flat(measured["out_of_fold"], leaf="mean"):
            lines.append(
                f"  out of fold  {name:22} {values['mean']:5.1f} +- {values['sd']:.1f}"
                f"  ({values['min']:.1f} to {values['max']:.1f})"
            )
        if "ms_per_record" in measured:
            lines.append(f"  extract and verify: {measured['ms_per_record']:.2f} ms per record")
    return "\n".join(lines)


def _flat(values: dict[str, Any], leaf: str | None = None, prefix: str = "") -> list[tuple[str, Any]]:
    """(dotted name, value) pairs; a dict that has the key `leaf` is a value."""
    pairs: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, dict) and (leaf is None or leaf not in value):
            pairs += _flat(value, leaf, f"{prefix}{name} ")
        else:
            pairs.append((f"{prefix}{name}", value))
    return pairs


def main() -> None:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ragtruth", type=Path, help="folder: response.jsonl and source_info.jsonl")
    parser.add_argument("--factscore", type=Path, help="factscore.jsonl with contexts")
    parser.add_argument("--seeds", type=int, default=10, help="deals of the contexts into folds")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    if not (arguments.ragtruth or arguments.factscore):
        parser.error("give --ragtruth, --factscore or both")
    figures: dict[str, Any] = {}
    if arguments.ragtruth:
        figures["ragtruth"] = measure_ragtruth(arguments.ragtruth, arguments.seeds)
    if arguments.factscore:
        figures["factscore"] = measure_factscore(arguments.factscore, arguments.seeds)
    print(json.dumps(figures, indent=2) if arguments.json else report(figures))


if __name__ == "__main__":
    main()
