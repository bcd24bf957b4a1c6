"""The whole of `balto train-verifier`: read, hold groups out, train, score the held-out groups, calibrate, write."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipeline.engines.lexical import LexicalVerifier
from pipeline.engines.nli.loading import OpenModel, check_encoder, quiet_transformers
from pipeline.engines.nli.model_files import VERIFIER_FILE, find_folder, fingerprint
from pipeline.engines.nli.settings import Compute, NliSettings
from pipeline.engines.nli.trained import (
    CLAIMS,
    TOKENS,
    WORDS,
    Calibration,
    TrainedVerifier,
    usable_calibration,
    write_trained,
)
from pipeline.engines.nli.training.calibrate import best_threshold, calibrate, measured_out_of_fold
from pipeline.engines.nli.training.examples import UNKNOWN, WRONG, Example, held_out, read_examples
from pipeline.engines.nli.training.fit import fit_claims, fit_tokens
from pipeline.engines.nli.training.options import TrainOptions
from pipeline.engines.nli.verifier import NliVerifier
from schemas.errors import ConfigError
from schemas.interruption import completing
from schemas.lock import only_run
from schemas.manifest import read_manifest

LOCK: Final = ".lock"
log = logging.getLogger(__name__)


def train_verifier(labels: Sequence[Path], out: Path, options: TrainOptions, overwrite: bool = False) -> dict[str, Any]:
    """Train a verifier on label sets and write it to `out`. Returns its notes.

    Raises ConfigError for what cannot work, before anything is trained.
    """
    import sentence_transformers  # noqa: F401  # the one whose extra is named when missing

    if out.exists() and not overwrite:
        raise ConfigError(f"--out {out}: is there already; name a new folder, or say --overwrite")
    if out.is_file() or (out.exists() and any(out.iterdir()) and not (out / VERIFIER_FILE).is_file()):
        raise ConfigError(f"--out {out}: holds no verifier of balto's; it is not replaced")
    _warn_of_circle(labels)
    examples = read_examples(labels, options.max_responses, options.seed)
    training, kept_back = held_out(examples, options.held_out, options.seed)
    check_both_kinds(training, "training")
    check_both_kinds(kept_back, "held-out")
    quiet_transformers()
    base = find_folder(options.base)
    check_encoder(options.base, base)
    work = out.with_name(f"{out.name}.unfinished")
    with only_run(out, work / LOCK):
        _empty(work)
        sources = [str(folder) for folder in labels]
        verifier = fit_and_calibrate(training, kept_back, base, work, options, sources)
        (work / LOCK).unlink(missing_ok=True)
        _give_name(work, out)
    return dict(verifier.notes)


def _warn_of_circle(labels: Sequence[Path]) -> None:
    """Labels of the embedded engine are learnt with its own score at hand."""
    for folder in labels:
        if read_manifest(folder).engines.get("verifier", "").startswith("lexical"):
            log.warning(
                "%s: its labels are the embedded engine's own, whose score the verifier sees too: its figures will say "
                "how well it imitates that engine, not how right it is",
                folder,
            )


def _empty(work: Path) -> None:
    """Remove what a killed run left, but for the lock that is ours now."""
    for path in work.iterdir():
        if path.name != LOCK:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _give_name(work: Path, out: Path) -> None:
    """The verifier is complete. An older one is renamed first: a kill leaves no half of it under its name."""
    old = out.with_name(f"{out.name}.replaced")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    with completing():
        work.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def check_both_kinds(examples: Sequence[Example], which: str) -> None:
    """Raise ConfigError unless there are supported and unsupported claims."""
    kinds = {one.supported for example in examples for one in example.claims}
    if len(kinds) < 2:
        missing = "supported" if False in kinds else "unsupported"
        hint = "" if missing == "supported" else " (of people's spans, those count that mark half of a clause or more)"
        raise ConfigError(f"the {which} prompt groups hold no {missing} claim; label more responses{hint}")


def fit_and_calibrate(
    training: Sequence[Example],
    kept_back: Sequence[Example],
    base: Path,
    out: Path,
    options: TrainOptions,
    sources: Sequence[str],
) -> TrainedVerifier:
    """Both models trained on `training`, calibrated on `kept_back`, written to `out`."""
    parts: list[str] = []
    notes: dict[str, Any] = {
        "base": options.base,
        "base_fingerprint": fingerprint(base),
        "labels": list(sources),
        "options": asdict(options),
        "responses": len(training),
        "held_out_responses": len(kept_back),
    }
    if options.claims:
        notes["pairs"] = fit_claims(training, base, out / CLAIMS, options)
        parts.append(CLAIMS)
        log.info("claim classifier trained on %d pairs", notes["pairs"])
    if options.tokens:
        notes["sequences"] = fit_tokens(training, base, out / TOKENS, options)
        parts.append(TOKENS)
        log.info("token classifier trained on %d sequences", notes["sequences"])
    draft = TrainedVerifier(tuple(parts), options.window, (), 1.0, LexicalVerifier.name, notes)
    values, wrong, groups, characters = score_held_out(draft, kept_back, out, options)
    sizes = np.array([claim.size for example in kept_back for claim in example.claims])
    calibrations = calibrate(values, wrong, sizes)
    if not calibrations:
        raise ConfigError("the held-out claims could not be scored; hold more out with --held-out")
    notes["held_out"] = measured_out_of_fold(values, wrong, sizes, groups, options.seed)
    alone = [{name: known[name] for name in known if name == WORDS} for known in values]
    notes["held_out_lexical"] = measured_out_of_fold(alone, wrong, sizes, groups, options.seed)
    threshold = (
        token_threshold(kept_back, characters, called_unsupported(calibrations, values)) if options.tokens else 1.0
    )
    verifier = TrainedVerifier(tuple(parts), options.window, calibrations, threshold, LexicalVerifier.name, notes)
    write_trained(out, verifier)
    return verifier


def score_held_out(
    draft: TrainedVerifier,
    examples: Sequence[Example],
    folder: Path,
    options: TrainOptions,
    lexical: LexicalVerifier | None = None,
) -> tuple[list[dict[str, float]], np.ndarray, list[str], list[np.ndarray | None]]:
    """(features of each claim, (N,) that it is not supported, its prompt group, each response's character scores)."""
    opened = open_draft(draft, folder, options)
    verifier = NliVerifier(NliSettings(model=str(folder), precision="float32"), Compute(device=options.device), lexical)
    verifier.use(opened)
    asked = [(one.sample, tuple(labelled.claim for labelled in one.claims)) for one in examples]
    found, characters = verifier.features(asked)
    values = [known for own in found for known in own]
    labelled = [(one, claim) for one in examples for claim in one.claims]
    wrong = np.array([not claim.supported for _, claim in labelled], dtype=bool)
    return values, wrong, [one.sample.group_id for one, _ in labelled], characters


def open_draft(draft: TrainedVerifier, folder: Path, options: TrainOptions) -> OpenModel:
    """The models in `folder` as the engine opens them, before there is a verifier.json."""
    from pipeline.engines.nli.loading import open_trained

    settings = NliSettings(model=str(folder), precision="float32")
    return open_trained(settings, Compute(device=options.device), folder, None, draft)


def called_unsupported(calibrations: Sequence[Calibration], values: Sequence[Mapping[str, float]]) -> list[bool]:
    """Whether each claim is called unsupported; one that no calibration fits is not."""
    usable = [usable_calibration(calibrations, known) for known in values]
    return [
        one is not None and one.unsupported(known) >= one.threshold for one, known in zip(usable, values, strict=True)
    ]


def token_threshold(
    examples: Sequence[Example], characters: Sequence[np.ndarray | None], called: Sequence[bool]
) -> float:
    """The score with the best F1 over the held-out characters of claims that are called unsupported.

    In such claims most characters may well be wrong, so that the best may be the lowest: then all of a claim is the
    error.   called: of each claim in order.
    """
    scores, marks = [], []
    verdicts = iter(called)
    for example, own in zip(examples, characters, strict=True):
        inside = np.zeros(len(example.marks), dtype=bool)
        for claim in example.claims:
            if next(verdicts):
                for span in claim.claim.spans:
                    inside[span.start : span.end] = True
        if own is not None:
            judged = inside & np.isfinite(own) & (example.marks != UNKNOWN)
            scores.append(own[judged])
            marks.append(example.marks[judged] == WRONG)
    if not any(map(len, scores)):
        return 1.0
    return best_threshold(np.concatenate(scores), np.concatenate(marks))
