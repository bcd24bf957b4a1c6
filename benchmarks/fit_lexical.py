"""Fit the constants of the lexical verifier on human labels.

    python -m benchmarks.fit_lexical --ragtruth DIR --factscore FILE [--write pipeline/engines/lexical_model.py]

Clause model: a ridge logistic regression of "at least half of the clause is in human hallucination spans" on
CLAUSE_FEATURES, on RAGTruth's responses and, with a smaller weight and an intercept of their own, on FActScore's
biographies: what speaks for invention is much the same in both, how much is invented is not. Group model: the same on
GROUP_FEATURES, on the responses that have others beside them. Text model: the same of
"not supported" on TEXT_FEATURES, on FActScore's human claims. On out-of-fold logits of each, a second regression finds
how much the claims beside a claim count, and makes the probabilities mean what they say. The thresholds maximise the
mean of response F1 and span F1, and the balanced accuracy, on out-of-fold probabilities. Folds never split a context
(a person). label_quality.py repeats the whole procedure inside cross-validation to measure it.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from benchmarks.lexical_data import (
    ClaimRows,
    ClauseRows,
    clause_rows,
    group_rows,
    read_biographies,
    read_factscore,
    read_ragtruth,
    text_rows,
)
from pipeline.engines.linear import ClaimModel, LinearModel
from pipeline.score.span_overlap import Overlaps
from schemas.records import Sample

CLAUSE_RIDGE: Final = 10.0  # lambda on standardised features; 1 to 30 score the same within the noise
TEXT_RIDGE: Final = 30.0  # 1 to 100 score the same within the noise
BIOGRAPHY_CALIBRATION_WEIGHT: Final = 0.15  # of a clause of a biography in the second regression
BIOGRAPHY_WEIGHT: Final = 0.1  # of a clause of a biography; 0 to 0.3 score the same on RAGTruth within the noise
FOLDS: Final = 5
SMOOTHED: Final = 13  # of 40 candidate thresholds: the curve of F1 on 48 flawed responses is jagged
DEALS: Final = 4  # deals of the training contexts into folds, for the out-of-fold logits


def fit_logistic(
    features: np.ndarray, labels: np.ndarray, ridge: float, weights: np.ndarray | None = None
) -> np.ndarray:
    """(D + 1,) weights on raw features and the bias; the ridge acts on standardised features."""
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    model = LogisticRegression(C=1 / ridge, max_iter=1000).fit((features - mean) / scale, labels, sample_weight=weights)
    slopes = model.coef_[0] / scale
    return np.append(slopes, model.intercept_[0] - slopes @ mean)


def logits_of(coefficients: np.ndarray, features: np.ndarray) -> np.ndarray:
    """(N,) logits."""
    return features @ coefficients[:-1] + coefficients[-1]


def probabilities_of(model: ClaimModel, rows: ClaimRows) -> np.ndarray:
    """(N,) P(not supported) of every row, as the verifier computes it before its rules."""
    logits = logits_of(np.array([*model.linear.weights, model.linear.bias]), rows.features)
    return sigmoids(np.array([model.own, model.near, model.bias]), rows.surroundings(logits))


def sigmoids(coefficients: np.ndarray, features: np.ndarray) -> np.ndarray:
    """(N,) probabilities."""
    return 1 / (1 + np.exp(-logits_of(coefficients, features)))


def deal_folds(groups: np.ndarray, seed: int, folds: int = FOLDS) -> np.ndarray:
    """(N,) fold of each row; a group is never split."""
    names = np.unique(groups)
    fold_of = dict(zip(np.random.default_rng(seed).permutation(names), np.arange(len(names)) % folds, strict=True))
    return np.array([fold_of[group] for group in groups])


Train = Callable[[np.ndarray], np.ndarray]  # (N,) bool, rows to fit on -> coefficients


def out_of_fold(fit: Train, features: np.ndarray, fold: np.ndarray, within: np.ndarray) -> np.ndarray:
    """(N,) logits of the rows in `within`, each from a fit on the other folds of `within`; 0 elsewhere."""
    logits = np.zeros(len(features))
    for number in np.unique(fold[within]):
        test = within & (fold == number)
        logits[test] = logits_of(fit(within & ~test), features[test])
    return logits


def fit_clauses(rows: ClauseRows, biographies: ClauseRows | None, train: np.ndarray) -> np.ndarray:
    """Coefficients of the clause model; long clauses count more (square root), as the span metric counts characters.

    biographies: further clauses, all of them; their own intercept is dropped afterwards.
    """
    parts = [(rows, train, 1.0)]
    if biographies is not None:
        parts.append((biographies, np.ones(len(biographies.chars), dtype=bool), BIOGRAPHY_WEIGHT))
    features = [
        np.column_stack([part.features[chosen], np.full(chosen.sum(), at)])
        for at, (part, chosen, _) in enumerate(parts)
    ]
    weights = [weight * np.sqrt(part.chars / part.chars.mean())[chosen] for part, chosen, weight in parts]
    labels = [part.unsupported[chosen] for part, chosen, _ in parts]
    fitted = fit_logistic(np.concatenate(features), np.concatenate(labels), CLAUSE_RIDGE, np.concatenate(weights))
    return np.delete(fitted, -2)


def fit_texts(rows: ClaimRows, train: np.ndarray) -> np.ndarray:
    """Coefficients of the text model."""
    return fit_logistic(rows.features[train], rows.unsupported[train], TEXT_RIDGE)


def calibrate(parts: list[tuple[np.ndarray, np.ndarray, float]]) -> np.ndarray:
    """Coefficients (own, near, bias) of the second regression.

    parts: (surroundings of out-of-fold logits, labels, weight of each claim) of every set.
    """
    features, labels = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    return fit_logistic(features, labels, 1.0, np.concatenate([np.full(len(part[1]), part[2]) for part in parts]))


def clause_model(rows: ClauseRows, biographies: ClauseRows | None, train: np.ndarray, seed: int) -> ClaimModel:
    """The clause model of some rows, and of all biographies if there are any."""
    fit = partial(fit_clauses, rows, biographies)
    passes, parts = [], []
    for deal in range(DEALS):
        logits = out_of_fold(fit, rows.features, deal_folds(rows.groups, 1000 * seed + deal), train)
        passes.append(rows.surroundings(logits))
        parts.append((passes[-1][train], rows.unsupported[train], 1.0))
        if biographies is not None:
            foreign = _logits_of_biographies(rows, biographies, train, 1000 * seed + deal)
            parts.append((biographies.surroundings(foreign), biographies.unsupported, BIOGRAPHY_CALIBRATION_WEIGHT))
    calibration = calibrate(parts)
    thresholds = [choose_clause_threshold(rows, sigmoids(calibration, one), train) for one in passes]
    return _claim_model(rows.names, fit(train), calibration, float(np.mean(thresholds)))


def _logits_of_biographies(rows: ClauseRows, biographies: ClauseRows, train: np.ndarray, seed: int) -> np.ndarray:
    """(N,) logits of the biographies' clauses, each from a fit without its person, with RAGTruth's intercept."""
    fold, everything = deal_folds(biographies.groups, seed), np.ones(len(biographies.chars), dtype=bool)
    return out_of_fold(
        lambda part: fit_clauses(rows, biographies.part(part), train), biographies.features, fold, everything
    )


def text_model(rows: ClaimRows, train: np.ndarray, seed: int) -> ClaimModel:
    """The text model of some rows."""
    fit = partial(fit_texts, rows)
    folds = [deal_folds(rows.groups, 1000 * seed + deal) for deal in range(DEALS)]
    passes = [rows.surroundings(out_of_fold(fit, rows.features, fold, train)) for fold in folds]
    calibration = calibrate([(one[train], rows.unsupported[train], 1.0) for one in passes])
    thresholds = [choose_text_threshold(rows, sigmoids(calibration, one), train) for one in passes]
    return _claim_model(rows.names, fit(train), calibration, float(np.mean(thresholds)))


def _claim_model(names: tuple[str, ...], linear: np.ndarray, calibration: np.ndarray, threshold: float) -> ClaimModel:
    own, near, bias = calibration.tolist()
    return ClaimModel(LinearModel(names, tuple(linear[:-1].tolist()), float(linear[-1])), own, near, bias, threshold)


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
    everything = overlaps(rows, np.zeros(len(rows.chars)))
    inside = np.isin(np.arange(len(rows.samples)), rows.response[within])
    gold = everything.gold * inside
    values = []
    for candidate in candidates:
        found = overlaps(rows, within & ((probabilities >= candidate) | rows.missing))
        kept = Overlaps(gold, found.predicted, found.shared)
        values.append(kept.response_scores().f1 + kept.span_scores().f1)
    half = SMOOTHED // 2
    smooth = np.convolve(np.pad(values, half, mode="edge"), np.ones(SMOOTHED) / SMOOTHED, mode="valid")
    return float(candidates[int(np.argmax(smooth))])


def choose_text_threshold(rows: ClaimRows, probabilities: np.ndarray, within: np.ndarray) -> float:
    """The probability of best balanced accuracy."""
    labels, called = rows.unsupported[within], rows.missing[within]
    candidates = np.linspace(0.2, 0.8, 61)
    return float(
        max(candidates, key=lambda level: balanced_accuracy_score(labels, called | (probabilities[within] >= level)))
    )


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """All the rows the constants are fitted on."""

    clauses: Any  # ClauseRows, or None where a benchmark has none
    biographies: Any
    group_clauses: Any  # the same two with GROUP_FEATURES
    group_biographies: Any
    texts: Any  # ClaimRows

    @classmethod
    def of(cls, samples: list[Sample], records: Sequence[dict[str, Any]]) -> Labels:
        """samples: of RAGTruth.   records: of FActScore.   Either may be empty."""
        biographies = read_biographies(records)
        return cls(
            clause_rows(samples) if samples else None,
            clause_rows(biographies) if records else None,
            group_rows(samples) if samples else None,
            group_rows(biographies) if records else None,
            text_rows(records) if records else None,
        )


def constants_source(labels: Labels) -> str:
    """The text of lexical_model.py: constants fitted on all the data."""
    clauses, groups, texts = labels.clauses, labels.group_clauses, labels.texts
    all_clauses, all_groups, all_texts = (np.ones(len(one.unsupported), dtype=bool) for one in (clauses, groups, texts))
    return TEMPLATE.format(
        today=datetime.date.today(),
        clauses=len(clauses.chars),
        responses=len(clauses.samples),
        marked=int(clauses.unsupported.sum()),
        biographies=len(labels.biographies.chars),
        texts=len(texts.unsupported),
        clause_model=_literal(clause_model(clauses, labels.biographies, all_clauses, seed=0)),
        group_model=_literal(clause_model(groups, labels.group_biographies, all_groups, seed=0)),
        text_model=_literal(text_model(texts, all_texts, seed=0)),
        missing=int(texts.missing.sum()),
        missing_supported=float((~texts.unsupported[texts.missing]).mean()),
    )


def _literal(model: ClaimModel) -> str:
    """A ClaimModel as Python source, one feature per line."""
    linear = model.linear
    weights = "".join(
        f"            ({name!r}, {weight:.4f}),\n" for name, weight in zip(linear.names, linear.weights, strict=True)
    )
    return (
        f"ClaimModel(\n    LinearModel.of(\n        (\n{weights}        ),\n        bias={linear.bias:.4f},\n    ),\n"
        f"    own={model.own:.4f},\n    near={model.near:.4f},\n    bias={model.bias:.4f},\n"
        f"    threshold={model.threshold:.4f},\n)"
    ).replace("'", '"')


TEMPLATE: Final = '''"""The fitted constants of the verifier `lexical`, written by benchmarks/fit_lexical.py.

Fitted {today} on {clauses} clauses of {responses} RAGTruth QA responses ({marked} of them in human spans), on
{biographies} clauses of FActScore's biographies with a smaller weight, and on {texts} human FActScore claims. What they
score on contexts that the fit never saw: benchmarks/label_quality.py. The positive class of both models is "not
supported". What a feature means: features.py and claim_features.py.
"""

from __future__ import annotations

from typing import Final

from pipeline.engines.linear import ClaimModel, LinearModel

# Claims in the response's own words.
CLAUSE_MODEL: Final = {clause_model}

# The same where the other responses to the prompt are known.
GROUP_MODEL: Final = {group_model}

# Reworded claims.
TEXT_MODEL: Final = {text_model}

# P(supported) when a number of the claim is not in the context: the share among {missing} such FActScore claims.
MISSING_NUMBER_SCORE: Final = {missing_supported:.2f}

# A claim whose P(supported) lies between these labels no token, unless the user says otherwise.
# How many labels below the first are right in the eyes of a second reader: benchmarks/flagged_claims.tsv.
NEUTRAL_BAND: Final = (0.45, 0.70)
'''


def main() -> None:
    """Print the constants, or write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ragtruth", type=Path, required=True, help="folder: response.jsonl and source_info.jsonl")
    parser.add_argument("--factscore", type=Path, required=True, help="factscore.jsonl with contexts")
    parser.add_argument("--write", type=Path, help="file to write; without it the constants are printed")
    arguments = parser.parse_args()
    source = constants_source(Labels.of(read_ragtruth(arguments.ragtruth), read_factscore(arguments.factscore)))
    if arguments.write:
        arguments.write.write_text(source, encoding="utf-8")
    else:
        print(source)


if __name__ == "__main__":
    main()
