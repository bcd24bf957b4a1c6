"""Fit the constants of the lexical verifier on human labels, and say how good they are on contexts that the fit never saw.

    python benchmarks/fit_lexical.py --ragtruth DIR --factscore FILE [--write pipeline/engines/lexical_model.py]

Clause model: a ridge logistic regression of "at least half of the clause is in human hallucination spans" on CLAUSE_FEATURES.
Text model: the same of "not supported" on TEXT_FEATURES, on FActScore's human claims. Thresholds maximise the mean of response
F1 and span F1, and the balanced accuracy. Out of fold: contexts (persons) are dealt into folds; model and threshold are fitted
on the other folds, the threshold on their own out-of-fold probabilities; repeated over seeds.
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
from benchmarks.span_scores import Overlaps
from pipeline.engines.claim_features import TEXT_FEATURES
from pipeline.engines.features import CLAUSE_FEATURES

CLAUSE_RIDGE: Final = 10.0  # lambda on standardised features; 1 to 30 score the same within the noise
TEXT_RIDGE: Final = 1.0
FOLDS: Final = 5
SEEDS: Final = 10


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


def clause_predictions(rows: ClauseRows, seed: int) -> np.ndarray:
    """(N,) bool, flagged out of fold: model and threshold from other contexts only."""
    fold, flagged = deal_folds(rows.groups, seed), np.zeros(len(rows.labels), dtype=bool)
    for number in np.unique(fold):
        train, test = fold != number, fold == number
        inner = out_of_fold(lambda part: fit_clauses(rows, part), rows.features, fold, train)
        threshold = choose_clause_threshold(rows, inner, train)
        flagged[test] = predict(fit_clauses(rows, train), rows.features[test]) >= threshold
    return flagged | rows.missing


def text_predictions(rows: TextRows, seed: int) -> np.ndarray:
    """(N,) bool, called unsupported out of fold: model and threshold from other persons only."""
    fold, called = deal_folds(rows.groups, seed), np.zeros(len(rows.unsupported), dtype=bool)
    for number in np.unique(fold):
        train, test = fold != number, fold == number
        coefficients = fit_texts(rows, train)
        threshold = choose_text_threshold(rows.unsupported[train], predict(coefficients, rows.features[train]))
        called[test] = predict(coefficients, rows.features[test]) >= threshold
    return called | rows.missing


def model_source(name: str, names: tuple[str, ...], coefficients: np.ndarray, threshold: float) -> str:
    """A LinearModel literal, one feature per line."""
    weights = "".join(
        f"        {weight:.4f},  # {label}\n" for label, weight in zip(names, coefficients[:-1], strict=True)
    )
    return (
        f"{name}: Final = LinearModel(\n    names=(\n"
        + "".join(f'        "{label}",\n' for label in names)
        + f"    ),\n    weights=(\n{weights}    ),\n    bias={coefficients[-1]:.4f},\n    threshold={threshold:.4f},\n)\n"
    )


def constants_source(clauses: ClauseRows, texts: TextRows) -> str:
    """lexical_model.py with constants fitted on all the data, and the out-of-fold scores that they earned."""
    everywhere = np.ones(len(clauses.labels), dtype=bool)
    inner = np.mean(
        [
            out_of_fold(
                lambda part: fit_clauses(clauses, part), clauses.features, deal_folds(clauses.groups, seed), everywhere
            )
            for seed in range(SEEDS)
        ],
        axis=0,
    )
    clause_threshold = choose_clause_threshold(clauses, inner, everywhere)
    text_fit = fit_texts(texts, np.ones(len(texts.unsupported), dtype=bool))
    text_threshold = choose_text_threshold(texts.unsupported, predict(text_fit, texts.features))
    runs = [overlaps(clauses, clause_predictions(clauses, seed)) for seed in range(SEEDS)]
    response = np.array([run.response_scores().f1 for run in runs])
    span = np.array([run.span_scores().f1 for run in runs])
    balanced = np.array(
        [balanced_accuracy_score(texts.unsupported, text_predictions(texts, seed)) for seed in range(SEEDS)]
    )
    missing_supported = float((~texts.unsupported[texts.missing]).mean())
    return (
        '"""The fitted constants of the verifier `lexical/1`: written by benchmarks/fit_lexical.py, not by hand.\n\n'
        f"Fitted {datetime.date.today():%Y-%m-%d} on {len(clauses.labels)} clauses of {len(clauses.samples)} RAGTruth QA responses"
        f" ({int(clauses.labels.sum())} in human spans)\nand on {len(texts.unsupported)} human FActScore claims."
        f" Out of fold, {FOLDS} folds by context, mean and spread over {SEEDS} deals:\n"
        f"RAGTruth QA response F1 {response.mean():.1f} +- {response.std():.1f}, span F1 {span.mean():.1f} +- {span.std():.1f};"
        f" FActScore balanced accuracy {100 * balanced.mean():.1f}.\n"
        'The positive class of both models is "not supported". What each feature means: features.py, claim_features.py.\n"""\n\n'
        "from __future__ import annotations\n\nfrom typing import Final\n\nfrom pipeline.engines.linear import LinearModel\n\n"
        "# Claims in the response's own words.\n"
        + model_source("CLAUSE_MODEL", CLAUSE_FEATURES, fit_clauses(clauses, everywhere), clause_threshold)
        + "\n# Reworded claims.\n"
        + model_source("TEXT_MODEL", TEXT_FEATURES, text_fit, text_threshold)
        + f"\n# Share of supported claims among the {int(texts.missing.sum())} FActScore claims with a number that the article does not bear.\n"
        f"MISSING_NUMBER_SCORE: Final = {missing_supported:.2f}\n"
    )


def main() -> None:
    """Print the constants, or write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ragtruth", type=Path, required=True, help="folder with response.jsonl and source_info.jsonl")
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
