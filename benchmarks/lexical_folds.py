"""The embedded engine measured on what its constants were not fitted on: out of fold, nested, and across sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from benchmarks import label_scores
from benchmarks.fit_lexical import (
    Labels,
    clause_model,
    deal_folds,
    fit_clauses,
    logits_of,
    out_of_fold,
    probabilities_of,
    text_model,
)
from benchmarks.label_scores import Asked
from benchmarks.lexical_data import ClauseRows, by_themselves, read_ragtruth
from pipeline.engines.lexical import LexicalVerifier
from pipeline.engines.linear import ClaimModel, LinearModel
from pipeline.weigh_scores import NeutralBand
from schemas.records import Sample

Fit = Callable[[ClauseRows, ClauseRows | None, np.ndarray, int], ClaimModel]
_GAIN: Final = 1e-3  # a feature is added while it lowers the inner log-loss by so much


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """What is fitted on, and the records it comes from."""

    labels: Labels
    samples: list[Sample]
    asked: list[Asked]

    @classmethod
    def read(cls, ragtruth: Path | None, records: Sequence[dict[str, Any]]) -> Data:
        """Empty parts for what is not given."""
        samples = read_ragtruth(ragtruth) if ragtruth else []
        return cls(Labels.of(samples, records), samples, label_scores.as_claims(records))

    def by_themselves(self) -> Data:
        """The same responses as if their prompts had no other."""
        return replace(self, samples=by_themselves(self.samples))


def responses(data: Data, seed: int, band: NeutralBand | None) -> dict[str, Any]:
    """Every response labelled by an engine that was fitted without its context."""
    return label_scores.of_responses(data.samples, judged_out_of_fold(data, seed), band)


def judged_out_of_fold(data: Data, seed: int) -> list[label_scores.Claims]:
    """The verified claims of every response, each by an engine that was fitted without its context."""
    return _judged_by_fold(data, seed, clause_model)


def _judged_by_fold(data: Data, seed: int, fit: Fit) -> list[label_scores.Claims]:
    groups = data.labels.clauses.groups
    folds = dict(zip(groups.tolist(), deal_folds(groups, seed).tolist(), strict=True))
    verifiers = {
        number: fitted_without(data.labels, {group for group, at in folds.items() if at == number}, seed, fit)
        for number in set(folds.values())
    }
    anyone = LexicalVerifier()  # for contexts whose responses make no claim at all
    return [
        label_scores.judge([sample], verifiers.get(folds.get(sample.group_id, -1), anyone))[0]
        for sample in data.samples
    ]


def fitted_without(labels: Labels, contexts: set[str], seed: int, fit: Fit = clause_model) -> LexicalVerifier:
    """The verifier fitted on RAGTruth without some contexts, and on all biographies.

    fit: what gives the model of some rows, from (rows, biographies, rows to fit on, seed).
    """
    alone, grouped = (
        fit(rows, biographies, ~np.isin(rows.groups, list(contexts)), seed)
        for rows, biographies in (
            (labels.clauses, labels.biographies),
            (labels.group_clauses, labels.group_biographies),
        )
    )
    return LexicalVerifier(alone, group_model=grouped)


def claims(data: Data, seed: int) -> dict[str, Any]:
    """Every FActScore claim judged by an engine that was fitted without its person."""
    rows = data.labels.texts
    fold = deal_folds(rows.groups, seed)
    fold_of = dict(zip(rows.groups.tolist(), fold.tolist(), strict=True))
    verifiers = {
        number: LexicalVerifier(text_model=text_model(rows, fold != number, seed))
        for number in np.unique(fold).tolist()
    }
    judged = [label_scores.judge_claims([one], verifiers[fold_of[one.sample.group_id]])[0] for one in data.asked]
    return label_scores.of_claims(data.asked, judged)


def nested_responses(data: Data, seed: int, band: NeutralBand | None) -> dict[str, Any]:
    """As `responses`, with the features chosen anew inside every fold; features that are not chosen weigh nothing."""
    return label_scores.of_responses(data.samples, _judged_by_fold(data, seed, _model_of_chosen), band)


def _model_of_chosen(rows: ClauseRows, biographies: ClauseRows | None, train: np.ndarray, seed: int) -> ClaimModel:
    """The model of the features that are chosen on some rows."""
    chosen = choose_features(rows, biographies, train, seed)
    model = clause_model(_only(rows, chosen), _only(biographies, chosen), train, seed)
    weights = np.zeros(len(rows.names))
    weights[chosen] = model.linear.weights
    return replace(model, linear=LinearModel(rows.names, tuple(weights.tolist()), model.linear.bias))


def choose_features(rows: ClauseRows, extra: ClauseRows | None, train: np.ndarray, seed: int) -> list[int]:
    """Greedy forward choice by the log-loss out of fold inside the training rows."""
    fold = deal_folds(rows.groups, 7000 + seed)
    chosen: list[int] = []
    best = np.inf
    while len(chosen) < len(rows.names):
        losses = {}
        for feature in set(range(len(rows.names))) - set(chosen):
            some, more = _only(rows, [*chosen, feature]), _only(extra, [*chosen, feature])
            logits = out_of_fold(lambda part, s=some, m=more: fit_clauses(s, m, part), some.features, fold, train)
            losses[feature] = log_loss(rows.unsupported[train], 1 / (1 + np.exp(-logits[train])))
        feature = min(losses, key=losses.__getitem__)
        if losses[feature] > best - _GAIN:
            break
        best = losses[feature]
        chosen.append(feature)
    return chosen


def _only(rows: Any, features: list[int]) -> Any:
    """The rows with some of their features; None stays None."""
    if rows is None:
        return None
    return replace(rows, features=rows.features[:, features], names=tuple(rows.names[at] for at in features))


def transfer(data: Data) -> dict[str, Any]:
    """How well clauses of one set are ranked by a fit on the other set alone, and by one on their own, out of fold."""
    ragtruth, biographies = data.labels.clauses, data.labels.biographies
    return {
        "RAGTruth by biographies": _ranked(ragtruth, biographies),
        "biographies by RAGTruth": _ranked(biographies, ragtruth),
        "biographies by the shipped constants": _shipped(biographies),
    }


def _ranked(tested: ClauseRows, fitted: ClauseRows) -> dict[str, float]:
    everything = np.ones(len(fitted.chars), dtype=bool)
    foreign = logits_of(fit_clauses(fitted, None, everything), tested.features)
    own = out_of_fold(
        lambda part: fit_clauses(tested, None, part),
        tested.features,
        deal_folds(tested.groups, 0),
        np.ones(len(tested.chars), dtype=bool),
    )
    return _ranking(tested, foreign) | {f"own_{name}": value for name, value in _ranking(tested, own).items()}


def _ranking(rows: ClauseRows, scores: np.ndarray) -> dict[str, float]:
    return {
        "auc": 100 * float(roc_auc_score(rows.unsupported, scores)),
        "average_precision": 100 * float(average_precision_score(rows.unsupported, scores)),
    }


def _shipped(rows: ClauseRows) -> dict[str, float]:
    from pipeline.engines.lexical_model import CLAUSE_MODEL

    probabilities = probabilities_of(CLAUSE_MODEL, rows)
    return {
        "mean_probability": 100 * float(probabilities.mean()),
        "share_unsupported": 100 * float(rows.unsupported.mean()),
    }
