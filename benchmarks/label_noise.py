"""What label noise does to training: the credit that the engine's labels give, against the credit of human labels.

    python -m benchmarks.label_noise --ragtruth DIR --factscore FILE [--seeds 3] [--json]

The trainer moves probability by credit: in each prompt group, tokens labelled +1 share +M, those labelled -1 share -M
(`trainer.credit`, balanced). Here tokens are words, labels those of the embedded engine out of fold, and the truth is
the human spans (-1) with all other words of claims +1. To first order, a policy that follows the credit changes the
log-odds of sound against invented words by sum A_t y_t (y: +1 sound, -1 invented), so

    push_down_right   share of the negative credit that lies on words that people marked
    push_up_wrong     share of the positive credit that lies on words that people marked
    aim               sum A_t y_t / sum |A_t|: 1 all credit is right, 0 no better than chance, below 0 harmful
    groups            prompt groups that get credit, of those with a marked word / of the others

in percent, with labels of all verdicts (`no band`), with the default neutral band, and as a control with as many words
labelled -1, drawn anywhere in claims (`random`).
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from benchmarks import label_scores
from benchmarks.label_quality import spread
from benchmarks.lexical_data import read_factscore
from benchmarks.lexical_folds import Data, judged_out_of_fold
from pipeline.engines.lexical_model import NEUTRAL_BAND
from pipeline.resolve import resolve
from pipeline.weigh_scores import NeutralBand
from schemas.records import Sample
from trainer.credit import advantages

_WORD: Final = re.compile(r"\S+")


def word_labels(sample: Sample, claims: label_scores.Claims, band: NeutralBand | None) -> tuple[np.ndarray, np.ndarray]:
    """(W,) labels of the words of a response, and (W,) bool which of them people marked."""
    text = sample.response or ""
    marked, labels = np.zeros(len(text), dtype=bool), np.zeros(len(text), dtype=np.int64)
    for span in sample.gold_spans or ():
        marked[span.start : span.end] = True
    for span in resolve(claims, "neutral", band).label_spans:
        labels[span.start : span.end] = span.label
    words = [slice(*match.span()) for match in _WORD.finditer(text)]
    negative, positive = [labels[w].min(initial=0) < 0 for w in words], [labels[w].max(initial=0) > 0 for w in words]
    return np.where(negative, -1, np.where(positive, 1, 0)), np.array([marked[w].any() for w in words], dtype=bool)


def aim(labels: np.ndarray, marked: np.ndarray, group: np.ndarray) -> dict[str, float]:
    """The figures of the module's docstring.   labels, marked, group: (W,) over all responses."""
    credit = advantages(torch.tensor(labels), torch.tensor(group)).numpy().astype(np.float64)
    down, up, size = -credit.clip(max=0), credit.clip(min=0), np.abs(credit)
    flawed = np.bincount(group, weights=marked) > 0
    active = np.bincount(group, weights=size) > 0
    return {
        "push_down_right": 100 * float(down[marked].sum() / max(down.sum(), 1e-12)),
        "push_up_wrong": 100 * float(up[marked].sum() / max(up.sum(), 1e-12)),
        "aim": 100 * float((credit * np.where(marked, -1, 1)).sum() / max(size.sum(), 1e-12)),
        "groups_with_marks": 100 * float(active[flawed].mean()),
        "groups_without": 100 * float(active[~flawed].mean()),
        "negative_words": float((labels < 0).sum()),
    }


def measure(data: Data, seed: int) -> dict[str, Any]:
    """One deal of the prompts into folds."""
    judged = judged_out_of_fold(data, seed)
    number = {name: at for at, name in enumerate(dict.fromkeys(sample.group_id for sample in data.samples))}
    figures = {}
    for name, band in (("no band", None), ("default band", NeutralBand(*NEUTRAL_BAND))):
        parts = [word_labels(sample, claims, band) for sample, claims in zip(data.samples, judged, strict=True)]
        labels, marked = (np.concatenate(column) for column in zip(*parts, strict=True))
        group = np.repeat([number[s.group_id] for s in data.samples], [len(part[0]) for part in parts])
        figures[name] = aim(labels, marked, group)
        figures[f"random, as many as with {name}"] = aim(_shuffled(labels, seed), marked, group)
    return figures


def _shuffled(labels: np.ndarray, seed: int) -> np.ndarray:
    """The labels of the labelled words in random order."""
    mixed = labels.copy()
    mixed[labels != 0] = np.random.default_rng(seed).permutation(labels[labels != 0])
    return mixed


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ragtruth", type=Path, required=True, help="folder: response.jsonl and source_info.jsonl")
    parser.add_argument("--factscore", type=Path, required=True, help="factscore.jsonl with contexts: part of the fit")
    parser.add_argument("--seeds", type=int, default=3, help="deals of the prompts into folds")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    data = Data.read(arguments.ragtruth, read_factscore(arguments.factscore))
    figures = spread([measure(data, seed) for seed in range(arguments.seeds)])
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    for name, values in figures.items():
        print(f"{name:36}", ", ".join(f"{key} {value:.1f}" for key, value in values.items() if not key.endswith("_sd")))


if __name__ == "__main__":
    main()
