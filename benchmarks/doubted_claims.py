"""What `--wording` and `--certainty` keep of the embedded engine's +1 labels, and how many of these are right.

    python -m benchmarks.doubted_claims --ragtruth DIR --factscore FILE

On RAGTruth QA (wording only: it tells no log-probabilities), claims out of fold, right where people marked less than
half of the claim; and on three readings of a small model's claims (benchmarks/real_round*.tsv), with the areas under
the curve of the engine's score, of the wording and of the certainty, and what a higher upper end of the band would do
instead. Seed 0 deals the folds.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.label_scores import characters
from benchmarks.lexical_data import read_factscore
from benchmarks.lexical_folds import Data, judged_out_of_fold
from benchmarks.real_round import READING, READING_CERTAINTY, READING_WORDING, read_rows
from pipeline.doubt import shared_wording
from pipeline.engines.lexical import NEUTRAL_BAND
from schemas.records import SUPPORTED

SHARES: Final = (0.0, 0.1, 0.25, 0.5)  # of `--wording`
NATS: Final = (-4.0, -3.0, -2.5, -2.0)  # of `--certainty`
HIGHER: Final = (0.9, 0.95, 0.97, 0.99)  # upper ends of the neutral band
WORDING: Final = 0.25  # beside a certainty
HIGH: Final = NEUTRAL_BAND[1]


def people(ragtruth: Path, factscore: Path) -> np.ndarray:
    """(N, 3) per claim that RAGTruth's annotators saw and the engine labels +1: wording, score, whether it is right."""
    data = Data.read(ragtruth, read_factscore(factscore))
    found = []
    for sample, claims in zip(data.samples, judged_out_of_fold(data, 0), strict=True):
        marked = characters(sample.gold_spans or ())
        for claim in claims:
            if claim.verdict == SUPPORTED and claim.score is not None and claim.score >= HIGH:
                own = characters(claim.spans)
                right = len(own & marked) < 0.5 * len(own)
                found.append((shared_wording(claim.text, sample.context), claim.score, right))
    return np.array(found, dtype=float)


def reading(path: Path) -> np.ndarray:
    """(N, 4) per statement of a reading that its engine calls supported, and labels +1 if nothing but the score counts:
    wording, score, whether it is right, certainty.

    In a label set made with --wording the score of a doubted claim stands just below the band's end; it counts here.
    """
    rows = [row for row in read_rows(path) if row["judgement"] != "neither" and row["verdict"] == SUPPORTED]
    scored = [
        (float(row["wording"]), float(row["score"]), row["judgement"] == "supported", float(row["certainty"]))
        for row in rows
    ]
    return np.array([row for row in scored if row[1] >= HIGH], dtype=float)


def print_table(claims: np.ndarray) -> None:
    """What each share, certainty and higher end of the band keeps of the claims and of the right ones."""
    wording, score, right, *certainty = claims.T
    kept = {f"--wording {share}": wording >= share for share in SHARES}
    for values in certainty:
        kept |= {f"--certainty {nats}": values >= nats for nats in NATS}
        kept |= {f"--wording {WORDING} --certainty {nats}": (values >= nats) & (wording >= WORDING) for nats in NATS}
    kept |= {f"band's end {end}": score >= end for end in HIGHER}
    for name, chosen in kept.items():
        print(
            f"    {name:32} {right[chosen].sum():4.0f} of {chosen.sum():4} right, {right[chosen].mean():.1%};   "
            f"kept: {chosen.mean():.0%} of all, {right[chosen].sum() / right.sum():.0%} of the right ones"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="What --wording and --certainty keep of +1 labels.")
    parser.add_argument("--ragtruth", type=Path, required=True, help="folder with response.jsonl and source_info.jsonl")
    parser.add_argument("--factscore", type=Path, required=True, help="factscore.jsonl")
    arguments = parser.parse_args()
    print("RAGTruth QA, out of fold")
    print_table(people(arguments.ragtruth, arguments.factscore))
    for path in (READING, READING_WORDING, READING_CERTAINTY):
        claims = reading(path)
        wording, score, right, certainty = claims.T
        areas = {"wording": wording, "certainty": certainty, "score": score}
        told = ", ".join(f"{name} {roc_auc_score(right, values):.2f}" for name, values in areas.items())
        print(f"a small model, {path.name}: AUC of {told}")
        print_table(claims)


if __name__ == "__main__":
    main()
