"""What `--wording` keeps of the embedded engine's +1 labels, and how many of these are right.

    python -m benchmarks.wording_shares --ragtruth DIR --factscore FILE

On RAGTruth QA, claims out of fold, right where people marked less than half of the claim; and on the reading of a small
model's claims (benchmarks/real_round.tsv), with the areas under the curve of the engine's score and of the share of
wording, and what a higher upper end of the neutral band would do instead. Seed 0 deals the folds.
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
from benchmarks.real_round import READING, read_rows
from pipeline.engines.lexical import NEUTRAL_BAND
from pipeline.wording import shared_wording
from schemas.records import SUPPORTED

SHARES: Final = (0.0, 0.1, 0.25, 0.5)  # of `--wording`
HIGHER: Final = (0.9, 0.95, 0.97, 0.99)  # upper ends of the neutral band
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


def reading() -> np.ndarray:
    """(N, 3) the same of the statements of a reading that the engine labels +1."""
    rows = [row for row in read_rows(READING) if row["judgement"] != "neither" and row["verdict"] == SUPPORTED]
    scored = [(float(row["wording"]), float(row["score"]), row["judgement"] == "supported") for row in rows]
    return np.array([row for row in scored if row[1] >= HIGH], dtype=float)


def print_table(claims: np.ndarray) -> None:
    """What each share, and each higher end of the band, keeps of the claims and of the right ones."""
    wording, score, right = claims.T
    for name, values, borders in (("--wording", wording, SHARES), ("band's end", score, HIGHER)):
        for border in borders:
            kept = values >= border
            print(
                f"    {name} {border:<5} {right[kept].sum():4.0f} of {kept.sum():4} right, {right[kept].mean():.1%};   "
                f"kept: {kept.mean():.0%} of all, {right[kept].sum() / right.sum():.0%} of the right ones"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description="What --wording keeps of +1 labels.")
    parser.add_argument("--ragtruth", type=Path, required=True, help="folder with response.jsonl and source_info.jsonl")
    parser.add_argument("--factscore", type=Path, required=True, help="factscore.jsonl")
    arguments = parser.parse_args()
    print("RAGTruth QA, out of fold")
    print_table(people(arguments.ragtruth, arguments.factscore))
    claims = reading()
    wording, score, right = claims.T
    print(f"a small model, {READING.name}: AUC of the wording {roc_auc_score(right, wording):.2f}", end="")
    print(f", of the score {roc_auc_score(right, score):.2f}")
    print_table(claims)


if __name__ == "__main__":
    main()
