"""What a small encoder learns from few labels: `balto train-verifier` in cross-validation, on RAGTruth's human spans.

    python -m benchmarks.fit_verifier --ragtruth DIR --base ENCODER [--factscore FILE] [--folds 5] [--epochs 3] [--json]

The contexts (questions) are dealt into folds. For each fold the models are fine-tuned on the other folds by the
functions of `balto train-verifier`, and score the fold's responses. With --factscore the encoder is first fine-
tuned on FActScore's human claims (other people, other texts). Then, for each fold, calibration and thresholds are
fitted on the scores that the other folds got while they were held out, and the fold's claims are judged as the
engine does. RAGTruth's official metrics: response-level P/R/F1 (positive = any span) and micro character-overlap
P/R/F1. Printed for the lexical score alone, for the models alone and together. Not nested: the models that scored
the other folds have seen this fold's labels, so the few calibration weights are very slightly optimistic.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.fit_lexical import Labels, deal_folds
from benchmarks.lexical_data import read_factscore, read_ragtruth
from benchmarks.lexical_folds import fitted_without
from pipeline.engines.lexical import LexicalVerifier
from pipeline.engines.nli.trained import CLAIM, TOKEN_MAX, TOKEN_MEAN, WORDS, Calibration, TrainedVerifier, named_words
from pipeline.engines.nli.training.calibrate import calibration_error, fit_calibration
from pipeline.engines.nli.training.examples import FINE, UNKNOWN, WRONG, Example, LabelledClaim, marked_share
from pipeline.engines.nli.training.fit import fit_claims, fit_tokens
from pipeline.engines.nli.training.options import BOTH, KINDS, TrainOptions
from pipeline.engines.nli.training.train_verifier import called_unsupported, score_held_out, token_threshold
from pipeline.engines.rules import RulesExtractor
from pipeline.locate_spans import locate_claims
from pipeline.resolve import resolve
from pipeline.score.span_overlap import Overlaps
from pipeline.sentences import split_sentences
from schemas.records import OK, SUPPORTED, UNSUPPORTED, Claim, Passage, Sample, Span

SETS: Final = {
    "lexical score alone": (WORDS,),
    "token classifier alone": (TOKEN_MAX, TOKEN_MEAN),
    "claim classifier alone": (CLAIM,),
    "tokens and lexical": (TOKEN_MAX, TOKEN_MEAN, WORDS),
    "all": (CLAIM, TOKEN_MAX, TOKEN_MEAN, WORDS),
}
_HALF: Final = 0.5


def ragtruth_examples(samples: Sequence[Sample]) -> list[Example]:
    """Human spans as marks; the claims are all clauses of the extractor `rules`, wrong if half of one is marked."""
    examples = []
    for sample in samples:
        marks = np.full(len(sample.response or ""), FINE, dtype=np.int8)
        for span in sample.gold_spans or ():
            marks[span.start : span.end] = WRONG
        claims = RulesExtractor().extract(sample)
        labelled = tuple(LabelledClaim(claim, marked_share(marks, claim.spans) < _HALF) for claim in claims)
        examples.append(Example(sample, labelled, marks))
    return examples


def factscore_examples(file: Path) -> list[Example]:
    """FActScore's human facts, located in their sentences; characters that both kinds claim stay unknown."""
    examples = []
    for line in file.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        context = tuple(Passage(str(n), text) for n, text in enumerate(record["context"]) if text.strip())
        sample = Sample(
            record["topic"] + record["response"][:20], record["topic"], record["prompt"], context, record["response"]
        )
        marks, claims = np.full(len(record["response"]), UNKNOWN, dtype=np.int8), []
        for sentence in record["sentences"]:
            facts = [one for one in sentence["human_atomic_facts"] or () if one["label"] in ("S", "NS")]
            text, start = record["response"][sentence["start"] : sentence["end"]], sentence["start"]
            located = locate_claims(
                text, tuple(Claim(str(n), one["text"]) for n, one in enumerate(facts)), split_sentences(text)
            )
            judged = [
                dataclasses.replace(one, verdict=SUPPORTED if fact["label"] == "S" else UNSUPPORTED, status=OK)
                for one, fact in zip(located, facts, strict=True)
            ]
            for span in resolve(judged, "neutral").label_spans:
                marks[start + span.start : start + span.end] = WRONG if span.label < 0 else FINE
            for one in judged:
                spans = tuple(Span(start + span.start, start + span.end) for span in one.spans)
                claims.append(LabelledClaim(dataclasses.replace(one, spans=spans), one.verdict == SUPPORTED))
        examples.append(Example(sample, tuple(claims), marks))
    return [one for one in examples if one.claims]


@dataclasses.dataclass(slots=True)
class Scored:
    """What the held-out models said of one response."""

    example: Example
    features: list[dict[str, float]]
    characters: np.ndarray | None


def train_parts(
    training: Sequence[Example], bases: dict[str, Path], out: Path, options: TrainOptions
) -> tuple[str, ...]:
    """The wanted models, each from its own base, saved under `out`."""
    parts = []
    for name, wanted, fit in (("claims", options.claims, fit_claims), ("tokens", options.tokens, fit_tokens)):
        if wanted:
            fit(training, bases[name], out / name, options)
            parts.append(name)
    return tuple(parts)


def score_parts(
    parts: tuple[str, ...], test: Sequence[Example], folder: Path, options: TrainOptions, lexical: LexicalVerifier
) -> list[Scored]:
    """The features of every claim and character of `test`."""
    draft = TrainedVerifier(parts, options.window, (), 1.0, LexicalVerifier.name, {})
    values, _, _, characters = score_held_out(draft, test, folder, options, lexical)
    remaining = iter(values)
    return [Scored(one, [next(remaining) for _ in one.claims], own) for one, own in zip(test, characters, strict=True)]


def calibrated(scored: Sequence[Scored], features: tuple[str, ...]) -> tuple[Calibration, float]:
    """The calibration of some features and the token threshold, from held-out scores."""
    pairs = [(values, claim) for one in scored for values, claim in zip(one.features, one.example.claims, strict=True)]
    known = [(values, claim) for values, claim in pairs if set(features) <= set(values)]
    matrix = np.array([[values[name] for name in features] for values, _ in known])
    wrong = np.array([not claim.supported for _, claim in known])
    calibration = fit_calibration(features, matrix, wrong, np.array([claim.size for _, claim in known]))
    called = called_unsupported([calibration], [values for values, _ in pairs])
    return calibration, token_threshold([one.example for one in scored], [one.characters for one in scored], called)


def judge(
    one: Scored, calibration: Calibration, threshold: float
) -> tuple[tuple[int, int, int], list[tuple[float, bool]]]:
    """(gold, predicted, shared characters) of a response, and what was said of each claim against what is so."""
    predicted: set[int] = set()
    said = []
    for values, claim in zip(one.features, one.example.claims, strict=True):
        if not set(calibration.features) <= set(values):
            continue
        unsupported = calibration.unsupported(values)
        said.append((unsupported, not claim.supported))
        if unsupported >= calibration.threshold:
            spans = claim.claim.spans
            named = (
                named_words(one.example.response, one.characters, spans, threshold)
                if one.characters is not None
                else ()
            )
            predicted.update(at for span in named or spans for at in range(span.start, span.end))
    gold = set(np.flatnonzero(one.example.marks == WRONG).tolist())
    return (len(gold), len(predicted), len(gold & predicted)), said


def cross_validated(scored: list[Scored], folds: np.ndarray, features: tuple[str, ...]) -> dict[str, Any] | None:
    """Official scores with everything fitted on the other folds; None when the models did not give these features."""
    if not any(set(features) <= set(values) for one in scored for values in one.features):
        return None
    counts, said = np.zeros((len(scored), 3), dtype=int), []
    for number in np.unique(folds):
        calibration, threshold = calibrated([scored[at] for at in np.flatnonzero(folds != number).tolist()], features)
        for at in np.flatnonzero(folds == number).tolist():
            shown = scored[at] if TOKEN_MAX in features else dataclasses.replace(scored[at], characters=None)
            counts[at], own = judge(shown, calibration, threshold)
            said += own
    probabilities, wrong = np.array([p for p, _ in said]), np.array([w for _, w in said])
    return {**Overlaps(*counts.T).summary(), "calibration_error": calibration_error(probabilities, wrong)}


def lexical_fits(examples: Sequence[Example], factscore: Path | None) -> Callable[[set[str]], LexicalVerifier]:
    """Gives the lexical verifier fitted without some contexts; the shipped constants have seen them all."""
    labels = Labels.of([one.sample for one in examples], read_factscore(factscore) if factscore else [])
    return lambda contexts: fitted_without(labels, contexts, seed=0)


def measure(arguments: argparse.Namespace, options: TrainOptions) -> dict[str, Any]:
    """All figures."""
    started = time.process_time()
    examples = ragtruth_examples(read_ragtruth(arguments.ragtruth))
    groups = np.array([one.sample.group_id for one in examples])
    lexical_without = lexical_fits(examples, arguments.factscore)
    folds = deal_folds(groups, arguments.deal, arguments.folds)
    scored: list[Scored | None] = [None] * len(examples)
    with tempfile.TemporaryDirectory() as scratch:
        bases = {"claims": arguments.base, "tokens": arguments.base}
        if arguments.factscore:
            first = dataclasses.replace(options, epochs=arguments.first_epochs, unsupported_weight=1.0)
            parts = train_parts(factscore_examples(arguments.factscore), bases, Path(scratch), first)
            bases = {part: Path(scratch) / part for part in parts}
            log.info("first stage | %.0f CPU s", time.process_time() - started)
        for number in np.unique(folds):
            with tempfile.TemporaryDirectory() as folder:
                training = [examples[at] for at in np.flatnonzero(folds != number).tolist()]
                places = np.flatnonzero(folds == number).tolist()
                parts = train_parts(training, bases, Path(folder), options)
                test = [examples[at] for at in places]
                found = score_parts(parts, test, Path(folder), options, lexical_without({*groups[places].tolist()}))
                for at, one in zip(places, found, strict=True):
                    scored[at] = one
            log.info("fold %d | %.0f CPU s", number, time.process_time() - started)
    done = [one for one in scored if one is not None]
    if arguments.keep:
        keep(done, folds, arguments.keep)
    figures = {name: cross_validated(done, folds, features) for name, features in SETS.items()}
    return {"responses": len(done), "cpu_s": time.process_time() - started, "token_auc": token_auc(done), **figures}


def token_auc(scored: Sequence[Scored]) -> float | None:
    """Area under the ROC curve of the held-out character scores."""
    from sklearn.metrics import roc_auc_score

    pairs = [(one.characters, one.example.marks == WRONG) for one in scored if one.characters is not None]
    if not pairs:
        return None
    said, wrong = np.concatenate([said for said, _ in pairs]), np.concatenate([wrong for _, wrong in pairs])
    return float(roc_auc_score(wrong[np.isfinite(said)], said[np.isfinite(said)]))


def keep(scored: Sequence[Scored], folds: np.ndarray, file: Path) -> None:
    """Held-out scores of claims and characters as JSON lines, for a closer look."""
    lines = [
        {"id": one.example.sample.id, "fold": int(fold), "features": one.features,
         "wrong": [not claim.supported for claim in one.example.claims],
         "characters": None if one.characters is None else one.characters.round(4).tolist()}
        for one, fold in zip(scored, folds, strict=True)
    ]  # fmt: skip
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def report(figures: dict[str, Any]) -> str:
    """The figures as lines for people."""
    auc, seconds = figures["token_auc"] or 0, figures["cpu_s"]
    lines = [f"{figures['responses']} responses, {seconds:.0f} s of processor time, character AUC {auc:.3f}"]
    for name in SETS:
        found = figures[name]
        if found:
            levels = [
                f"{level} P/R/F1 " + " ".join(f"{found[level][part]:5.1f}" for part in ("precision", "recall", "f1"))
                for level in ("response", "span")
            ]
            lines.append(f"  {name:24} {'   '.join(levels)}   ECE {found['calibration_error']:.3f}")
    return "\n".join(lines)


log = logging.getLogger("benchmarks")


def main() -> None:
    """Cross-validate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ragtruth", type=Path, required=True, help="folder: response.jsonl and source_info.jsonl")
    parser.add_argument("--base", type=Path, required=True, help="folder of an encoder (safetensors)")
    parser.add_argument("--factscore", type=Path, help="factscore.jsonl with contexts: a first stage of fine-tuning")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--deal", type=int, default=0, help="seed of the folds")
    parser.add_argument("--kind", choices=KINDS, default=BOTH)
    parser.add_argument("--epochs", type=float, default=3.0)
    parser.add_argument("--first-epochs", type=float, default=2.0)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--window", type=int, default=384)
    parser.add_argument("--frozen-layers", type=int, default=2)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--corruptions", type=float, default=0.3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0, help="of training")
    parser.add_argument("--keep", type=Path, help="file for the held-out scores")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    import torch

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(arguments.threads)
    options = TrainOptions(
        base=str(arguments.base),
        kind=arguments.kind,
        epochs=arguments.epochs,
        learning_rate=arguments.learning_rate,
        batch_size=arguments.batch_size,
        window=arguments.window,
        corruptions=arguments.corruptions,
        frozen_layers=arguments.frozen_layers,
        precision=arguments.precision,
        device=arguments.device,
        seed=arguments.seed,
    )
    figures = measure(arguments, options)
    print(json.dumps(figures, indent=2) if arguments.json else report(figures))


if __name__ == "__main__":
    main()
