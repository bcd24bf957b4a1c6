"""Fit the constants of the lexical verifier on human labels.

    python -m benchmarks.fit_lexical --ragtruth DIR --factscore FILE [--write pipeline/engines/lexical_model.py]

Clause model: a ridge logistic regression of "at least half of the clause is in human hallucination spans" on
CLAUSE_FEATURES. Text model: the same of "not supported" on TEXT_FEATURES, on FActScore's human claims. The thresholds
maximise the mean of response F1 and span F1, on out-of-fold probabilities, and the balanced accuracy. Folds never split
a context (a person). label_quality.py repeats the whole procedure inside cross-validation to measure it.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from benchmarks.lexical_data import ClauseRows, TextRows, clause_rows, read_ragtruth, text_rows
from pipeline.engines.claim_features import TEXT_FEATURES
from pipeline.engines.features import CLAUSE_FEATURES
from pipeline.engines.linear import LinearModel
from pipeline.score.span_overlap import Overlaps

CLAUSE_RIDGE: Final = 10.0  # lambda on standardised features; 1 to 30 score the same within the noise
TEXT_RIDGE: Final = 1.0
FOLDS: Final = 5
THRESHOLD_DEALS: Final = 4


def fit_logistic(
    features: np.ndarray, labels: np.ndarray, ridge: float, weights: np.ndarray | None = None
) -> np.ndarray:
    """(D + 1,) weights on raw features and the bias; the ridge acts on standardised features."""
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    model = LogisticRegression(C=1 / ridge, max_iter=1000).fit((features - mean) / scale, labels, sample_weight=weights)
    slopes = model.coef_[0] / scale
    return np.append(slopes, model.intercept_[0] - slopes @ mean)


def predict(coefficients: np.ndarray, features: np.ndarray) -> np.ndarray:
    """(N,) probabilities."""
    return 1 / (1 + np.exp(-(features @ coefficients[:-1] + coefficients[-1])))


def deal_folds(groups: np.ndarray, seed: int, folds: int = FOLDS) -> np.ndarray:
    """(N,) fold of each row; a group is never split."""
    names = np.unique(groups)
    fold_of = dict(zip(np.random.default_rng(seed).permutation(names), np.arange(len(names)) % folds, strict=True))
    return np.array([fold_of[group] for group in groups])


def out_of_fold(
    fit: Callable[[np.ndarray], np.ndarray], features: np.ndarray, fold: np.ndarray, within: np.ndarray
) -> np.ndarray:
    """(N,) probabilities of the rows in `within`, each from a fit on the other folds of `within`; 0 elsewhere."""
    probabilities = np.zeros(len(features))
    for number in np.unique(fold[within]):
        test = within & (fold == number)
        probabilities[test] = predict(fit(within & ~test), features[test])
    return probabilities


def fit_clauses(rows: ClauseRows, train: np.ndarray) -> np.ndarray:
    """Coefficients of the clause model; long clauses count more (square root), as the span metric counts characters."""
    weights = np.sqrt(rows.chars / rows.chars.mean())
    return fit_logistic(rows.features[train], rows.labels[train], CLAUSE_RIDGE, weights[train])


def fit_texts(rows: TextRows, train: np.ndarray) -> np.ndarray:
    """Coefficients of the text model."""
    return fit_logistic(rows.features[train], rows.unsupported[train], TEXT_RIDGE)


def overlaps(rows: ClauseRows, flagged: np.ndarray) -> Overlaps:
    """Gold, predicted and shared characters per response when the `flagged` clauses are the prediction."""
    count = len(rows.samples)
    gold = [
        len({at for span in sample.gold_spans or () for at in range(span.start, span.end)}) for sample in rows.samples
    ]
    predicted = np.bincount(rows.response, weights=rows.chars * flagged, minlength=count)
    shared = np.bincount(rows.response, weights=rows.gold_chars * flagged, minlength=count)
    return Overlaps(np.array(gold), predicted, shared)


def choose_clause_threshold(rows: ClauseRows, probabilities: np.ndarray, within: np.ndarray) -> float:
    """The probability from which a clause is flagged: best mean of both F1, smoothed over neighbouring candidates."""
    candidates = np.quantile(probabilities[within], np.linspace(0.80, 0.985, 40))
    everything = overlaps(rows, np.zeros(len(rows.labels)))
    inside = np.isin(np.arange(len(rows.samples)), rows.response[within])
    gold = everything.gold * inside
    values = []
    for candidate in candidates:
        found = overlaps(rows, within & ((probabilities >= candidate) | rows.missing))
        kept = Overlaps(gold, found.predicted, found.shared)
        values.append(kept.response_scores().f1 + kept.span_scores().f1)
    smooth = np.convolve(np.pad(values, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    return float(candidates[int(np.argmax(smooth))])


def choose_text_threshold(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The probability of best balanced accuracy."""
    candidates = np.linspace(0.2, 0.8, 61)
    return float(max(candidates, key=lambda candidate: balanced_accuracy_score(labels, probabilities >= candidate)))


def clause_model(rows: ClauseRows, train: np.ndarray, seed: int) -> LinearModel:
    """The clause model of some rows; its threshold is the mean of those chosen on several passes out of fold."""
    thresholds = []
    for deal in range(THRESHOLD_DEALS):
        fold = deal_folds(rows.groups, 1000 * seed + deal)
        inner = out_of_fold(lambda part: fit_clauses(rows, part), rows.features, fold, train)
        thresholds.append(choose_clause_threshold(rows, inner, train))
    return _linear_model(CLAUSE_FEATURES, fit_clauses(rows, train), float(np.mean(thresholds)))


def text_model(rows: TextRows, train: np.ndarray) -> LinearModel:
    """The text model of some rows."""
    coefficients = fit_texts(rows, train)
    probabilities = predict(coefficients, rows.features[train])
    return _linear_model(TEXT_FEATURES, coefficients, choose_text_threshold(rows.unsupported[train], probabilities))


def _linear_model(names: tuple[str, ...], coefficients: np.ndarray, threshold: float) -> LinearModel:
    return LinearModel(names, tuple(map(float, coefficients[:-1])), float(coefficients[-1]), threshold)


def constants_source(clauses: ClauseRows, texts: TextRows) -> str:
    """The text of lexical_model.py: constants fitted on all the data."""
    all_clauses, all_texts = np.ones(len(clauses.labels), dtype=bool), np.ones(len(texts.unsupported), dtype=bool)
    missing_supported = float((~texts.unsupported[texts.missing]).mean())
    return TEMPLATE.format(
        today=datetime.date.today(),
        clauses=len(clauses.labels),
        responses=len(clauses.samples),
        marked=int(clauses.labels.sum()),
        texts=len(texts.unsupported),
        clause_model=_literal(clause_model(clauses, all_clauses, seed=0)),
        text_model=_literal(text_model(texts, all_texts)),
        missing=int(texts.missing.sum()),
        missing_supported=missing_supported,
    )


def _literal(model: LinearModel) -> str:
    """A LinearModel as Python source, one feature per line."""
    weights = "".join(
        f"        ({name!r}, {weight:.4f}),\n" for name, weight in zip(model.names, model.weights, strict=True)
    )
    return (
        f"LinearModel.of(\n    (\n{weights}    ),\n    bias={model.bias:.4f},\n    threshold={model.threshold:.4f},\n)"
    ).replace("'", '"')


TEMPLATE: Final = '''"""The fitted constants of the verifier `lexical/1`, written by benchmarks/fit_lexical.py.

Fitted {today} on {clauses} clauses of {responses} RAGTruth QA responses ({marked} of them in human spans) and on
{texts} human FActScore claims. What they score on contexts that the fit never saw: benchmarks/label_quality.py.
The positive class of both models is "not supported". What a feature means: features.py and claim_features.py.
"""

from __future__ import annotations

from typing import Final

from pipeline.engines.linear import LinearModel

# Claims in the response's own words.
CLAUSE_MODEL: Final = {clause_model}

# Reworded claims.
TEXT_MODEL: Final = {text_model}

# P(supported) when a number of the claim is not in the context: the share among {missing} such FActScore claims.
MISSING_NUMBER_SCORE: Final = {missing_supported:.2f}
'''


def main() -> None:
    """Print the constants, or write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ragtruth", type=Path, required=True, help="folder: response.jsonl and source_info.jsonl")
    parser.add_argument("--factscore", type=Path, required=True, help="factscore.jsonl with contexts")
    parser.add_argument("--write", type=Path, help="file to write; without it the constants are printed")
    arguments = parser.parse_args()
    source = constants_source(clause_rows(read_ragtruth(arguments.ragtruth)), text_rows(arguments.factscore))
    if arguments.write:
        arguments.write.write_text(source, encoding="utf-8")
    else:
        print(source)


if __name__ == "__main__":
    main()
