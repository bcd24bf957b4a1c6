"""A verifier that `balto train-verifier` wrote: its parts, and how their scores become one probability.

    V/verifier.json     this file's `TrainedVerifier`
    V/claims/           sequence classifier over (evidence, claim), one logit of support
    V/tokens/           token classifier over (evidence, response)

A calibration is a logistic regression of "not supported" over some features of a claim, fitted on prompt groups that
the models never saw. The one with most features that are all known decides: a claim without a place in the response has
no token scores.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import exp, fsum, isfinite, log
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipeline.engines.nli.model_files import VERIFIER_FILE, read_json
from schemas.errors import ModelError
from schemas.records import Span

FORMAT: Final = 1
CLAIMS: Final = "claims"
TOKENS: Final = "tokens"
# Features of a claim, each a log-odds of "not supported".
CLAIM, TOKEN_MAX, TOKEN_MEAN, WORDS = "claim", "token_max", "token_mean", "lexical"
FEATURES: Final = (CLAIM, TOKEN_MAX, TOKEN_MEAN, WORDS)
_LIMIT: Final = 8.0  # log-odds are cut there: beyond, a model is sure of itself and no more


@dataclass(frozen=True, slots=True)
class Calibration:
    """P(not supported) = 1 / (1 + exp(-(weights . features + bias))); from `threshold` on it is a verdict."""

    features: tuple[str, ...]
    weights: tuple[float, ...]
    bias: float
    threshold: float

    def unsupported(self, values: Mapping[str, float]) -> float:
        total = self.bias + fsum(w * values[name] for w, name in zip(self.weights, self.features, strict=True))
        return 1 / (1 + exp(-max(-500.0, min(500.0, total))))


@dataclass(frozen=True, slots=True)
class TrainedVerifier:
    """What verifier.json says.

    parts: of CLAIMS, TOKENS those that are there.   window: tokens of a pair.   calibrations: richest first.
    token_threshold: P(unsupported) from which a word inside an unsupported claim is named as the error.
    lexical: version of the lexical verifier whose score is among the features.   notes: how it was trained and what it
    scored on held-out groups, for people.
    """

    parts: tuple[str, ...]
    window: int
    calibrations: tuple[Calibration, ...]
    token_threshold: float
    lexical: str
    notes: Mapping[str, Any]

    def usable(self, lexical: str) -> tuple[Calibration, ...]:
        """The calibrations that hold with this version of the lexical verifier."""
        return tuple(one for one in self.calibrations if WORDS not in one.features or self.lexical == lexical)


def usable_calibration(calibrations: Iterable[Calibration], known: Collection[str]) -> Calibration | None:
    """The first calibration whose features are all known of a claim; None when there is none."""
    return next((one for one in calibrations if set(one.features).issubset(known)), None)


def log_odds(probability: float) -> float:
    """ln(p / (1 - p)), cut at ±8."""
    cut = min(max(probability, 1e-9), 1 - 1e-9)
    return max(-_LIMIT, min(_LIMIT, log(cut / (1 - cut))))


def token_features(scores: np.ndarray, spans: Sequence[Span]) -> dict[str, float]:
    """TOKEN_MAX and TOKEN_MEAN over the characters in `spans`; {} where none was scored.   scores: (C,), may be NaN."""
    inside = np.concatenate([scores[span.start : span.end] for span in spans]) if spans else np.zeros(0)
    known = inside[np.isfinite(inside)]
    if not len(known):
        return {}
    return {TOKEN_MAX: log_odds(float(known.max())), TOKEN_MEAN: log_odds(float(known.mean()))}


def named_words(text: str, scores: np.ndarray, spans: Sequence[Span], threshold: float) -> tuple[Span, ...]:
    """The words inside `spans` that hold a character scored `threshold` or more; neighbours joined.

    scores: (C,) of each character of `text`, may be NaN.
    """
    named: list[Span] = []
    for start, end in ((span.start, span.end) for span in spans):
        at = start
        while at < end:
            if text[at].isspace():
                at += 1
                continue
            stop = next((here for here in range(at, end) if text[here].isspace()), end)
            word = scores[at:stop]
            if np.any(word[np.isfinite(word)] >= threshold):
                if named and not text[named[-1].end : at].strip() and named[-1].end >= start:
                    named[-1] = Span(named[-1].start, stop)
                else:
                    named.append(Span(at, stop))
            at = stop
    return tuple(_without_edges(text, span) for span in named)


def _without_edges(text: str, span: Span) -> Span:
    """The span without punctuation at its end."""
    end = span.end
    while end - 1 > span.start and text[end - 1] in ".,;:!?)\"'":
        end -= 1
    return Span(span.start, end)


def write_trained(folder: Path, verifier: TrainedVerifier) -> None:
    """Write verifier.json; last, because a folder without it is unfinished."""
    text = json.dumps({"format": FORMAT, **asdict(verifier)}, indent=2)
    (folder / VERIFIER_FILE).write_text(text + "\n", encoding="utf-8")


def read_trained(name: str, folder: Path) -> TrainedVerifier:
    """What verifier.json in `folder` says. Raises ModelError when it is damaged or of another version."""
    value = read_json(name, folder / VERIFIER_FILE)
    if value.get("format") != FORMAT:
        raise ModelError(f"model {name}: {VERIFIER_FILE} is of format {value.get('format')}, this balto reads {FORMAT}")
    try:
        calibrations = tuple(
            Calibration(
                tuple(one["features"]), tuple(map(float, one["weights"])), float(one["bias"]), float(one["threshold"])
            )
            for one in value["calibrations"]
        )
        verifier = TrainedVerifier(
            tuple(value["parts"]), int(value["window"]), calibrations, float(value["token_threshold"]),
            str(value["lexical"]), dict(value["notes"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as err:
        raise ModelError(f"model {name}: {VERIFIER_FILE} is damaged ({type(err).__name__}: {err})") from err
    numbers = [n for one in calibrations for n in (*one.weights, one.bias, one.threshold)] + [verifier.token_threshold]
    known = all(set(one.features) <= set(FEATURES) and len(one.features) == len(one.weights) for one in calibrations)
    if not calibrations or not known or not all(map(isfinite, numbers)) or not set(verifier.parts) <= {CLAIMS, TOKENS}:
        raise ModelError(f"model {name}: {VERIFIER_FILE} is damaged: parts, features or numbers that cannot be")
    return verifier
