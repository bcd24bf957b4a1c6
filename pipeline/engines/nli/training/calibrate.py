"""Scores on held-out prompt groups -> P(not supported) and thresholds, and an honest figure of what they are worth.

The calibration is a ridge logistic regression over log-odds (with one feature: Platt scaling). Its threshold has the
best F1 for "not supported" over the claims' characters, because characters are what gets labels. What is reported comes
from folds over the held-out groups: calibrated on some of them, measured on the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from pipeline.engines.nli.trained import CLAIM, TOKEN_MAX, TOKEN_MEAN, WORDS, Calibration, usable_calibration

FEATURE_SETS: Final = (
    (CLAIM, TOKEN_MAX, TOKEN_MEAN, WORDS),
    (TOKEN_MAX, TOKEN_MEAN, WORDS),
    (CLAIM, WORDS),
    (CLAIM, TOKEN_MAX, TOKEN_MEAN),
    (TOKEN_MAX, TOKEN_MEAN),
    (CLAIM,),
    (WORDS,),
)
RIDGE: Final = 1.0  # on log-odds: a handful of held-out groups must not give huge weights
FOLDS: Final = 5
BINS: Final = 10
_CANDIDATES: Final = 200


def calibrate(values: Sequence[Mapping[str, float]], wrong: np.ndarray, sizes: np.ndarray) -> tuple[Calibration, ...]:
    """One calibration for each set of features that is known for both kinds of claims, richest first.

    values: features of each held-out claim, as far as they are known.   wrong: (N,) bool, not supported.
    sizes: (N,) its characters.
    """
    calibrations = []
    for features in FEATURE_SETS:
        rows = [at for at, known in enumerate(values) if set(features) <= set(known)]
        if len({bool(wrong[at]) for at in rows}) == 2:
            matrix = np.array([[values[at][name] for name in features] for at in rows])
            calibrations.append(fit_calibration(features, matrix, wrong[rows], sizes[rows]))
    return tuple(calibrations)


def fit_calibration(features: tuple[str, ...], matrix: np.ndarray, wrong: np.ndarray, sizes: np.ndarray) -> Calibration:
    """matrix: (N, D) log-odds.   wrong: (N,) bool with both kinds.   sizes: (N,) characters."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1 / RIDGE, max_iter=1000).fit(matrix, wrong)
    probabilities = model.predict_proba(matrix)[:, 1]
    threshold = best_threshold(probabilities, wrong, sizes)
    return Calibration(features, tuple(map(float, model.coef_[0])), float(model.intercept_[0]), threshold)


def best_threshold(probabilities: np.ndarray, wrong: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The probability with the best F1, smoothed over neighbouring candidates; 0.5 when nothing is wrong."""
    weights = np.ones(len(wrong)) if weights is None else weights
    if not wrong.any():
        return 0.5
    candidates = np.unique(np.quantile(probabilities, np.linspace(0, 1, _CANDIDATES)))
    scores = []
    for candidate in candidates:
        called = probabilities >= candidate
        hits = weights[called & wrong].sum()
        scores.append(2 * hits / (weights[called].sum() + weights[wrong].sum()))
    smooth = np.convolve(np.pad(scores, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    return float(candidates[int(np.argmax(smooth))])


def calibration_error(probabilities: np.ndarray, wrong: np.ndarray) -> float:
    """Expected calibration error over BINS bins of equal width (Naeini et al., AAAI 2015)."""
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    gaps = [
        (bins == one).sum() * abs(probabilities[bins == one].mean() - wrong[bins == one].mean())
        for one in range(BINS)
        if (bins == one).any()
    ]
    return float(sum(gaps) / max(1, len(wrong)))


def measured_out_of_fold(
    values: Sequence[Mapping[str, float]], wrong: np.ndarray, sizes: np.ndarray, groups: Sequence[str], seed: int
) -> dict[str, Any]:
    """Figures of the whole calibration on groups it was not fitted on; {} when there are too few for two folds."""
    names = sorted(set(groups))
    folds = min(FOLDS, len(names))
    if folds < 2:
        return {}
    order = np.random.default_rng(seed).permutation(len(names))
    fold_of = {names[at]: place % folds for place, at in enumerate(order)}
    fold = np.array([fold_of[group] for group in groups])
    said, called = np.full(len(wrong), np.nan), np.zeros(len(wrong), dtype=bool)
    for number in range(folds):
        others = np.flatnonzero(fold != number)
        fitted = calibrate([values[at] for at in others.tolist()], wrong[others], sizes[others])
        for at in np.flatnonzero(fold == number).tolist():
            usable = usable_calibration(fitted, values[at])
            if usable is not None:
                said[at] = usable.unsupported(values[at])
                called[at] = said[at] >= usable.threshold
    known = np.isfinite(said)
    if not known.any():
        return {}
    return {"claims": int(known.sum()), **_figures(said[known], called[known], wrong[known])}


def _figures(said: np.ndarray, called: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    hits = int((called & wrong).sum())
    recall, specificity = hits / max(1, wrong.sum()), float((~called & ~wrong).sum() / max(1, (~wrong).sum()))
    return {
        "unsupported": int(wrong.sum()),
        "precision": round(hits / max(1, int(called.sum())), 4),
        "recall": round(float(recall), 4),
        "f1": round(2 * hits / max(1, int(called.sum() + wrong.sum())), 4),
        "balanced_accuracy": round(float(recall + specificity) / 2, 4),
        "calibration_error": round(calibration_error(said, wrong), 4),
    }
