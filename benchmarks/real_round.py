"""A round with a real model on real prompts: prompts for `balto round`, and a blind reading of what came out.

    python -m benchmarks.real_round prompts --ragtruth DIR --factscore FILE --out prompts.jsonl
    balto round prompts.jsonl --model MODEL --out DIR ...
    python -m benchmarks.real_round novel DIR
    python -m benchmarks.real_round draw DIR --claims 60 --out reading.tsv
    python -m benchmarks.real_round unveil DIR reading.tsv --out read.tsv
    python -m benchmarks.real_round tally read.tsv

Prompts: the questions of RAGTruth QA with their passages as published, in one piece, and FActScore's biographies with
the first paragraphs of the article, so that there is something left to invent. The scores of `balto round` are the
labelling engine's own, so training could please the engine instead of telling the truth; hence the reading. `draw`
takes claims of the held-out answers before and after in random order, without saying which, nor what the engine said.
Whoever reads fills the column `judgement` (supported, unsupported, or neither for what states nothing about the
world); `tally` counts.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from benchmarks.lexical_data import read_factscore
from pipeline.doubt import least_sure, shared_wording
from pipeline.engines.lexical import NEUTRAL_BAND
from pipeline.engines.words import tokenize
from pipeline.weigh_scores import NeutralBand
from schemas.records import SUPPORTED, Claim, Passage, Span, TokenLabels

MOST_WORDS: Final = 350  # of a biography's context
SIDES: Final = ("before", "after")
JUDGEMENTS: Final = ("supported", "unsupported", "neither")
_TOKENS: Final = ("token_offsets", "behaviour_logprobs")  # columns of a label set
READING: Final = Path(__file__).with_name("real_round.tsv")
READING_WORDING: Final = Path(__file__).with_name("real_round_wording.tsv")  # of the round with --wording 0.25
READING_CERTAINTY: Final = Path(__file__).with_name("real_round_certainty.tsv")  # and with --certainty -2.5 as well


def real_prompts(ragtruth: Path, factscore: Path) -> Iterator[dict[str, Any]]:
    """Records of a corpus without responses, one per question or person."""
    with (ragtruth / "source_info.jsonl").open(encoding="utf-8") as lines:
        for source in map(json.loads, lines):
            asked = source["source_info"]
            yield _record(f"rag-{source['source_id']}", asked["question"], [asked["passages"]])
    seen: set[str] = set()
    for record in read_factscore(factscore):
        if record["prompt"] not in seen:
            seen.add(record["prompt"])
            yield _record(f"bio-{len(seen)}", record["prompt"], _first_words(record["context"]))


def _first_words(paragraphs: list[str]) -> list[str]:
    """Whole paragraphs up to MOST_WORDS words; the first one is cut there."""
    kept = [" ".join(paragraphs[0].split()[:MOST_WORDS])]
    words = len(kept[0].split())
    for paragraph in paragraphs[1:]:
        words += len(paragraph.split())
        if words > MOST_WORDS:
            break
        kept.append(" ".join(paragraph.split()))
    return kept


def _record(record_id: str, prompt: str, context: list[str]) -> dict[str, Any]:
    return {"id": record_id, "prompt": f"Answer only from the passages. {prompt.strip()}", "context": context}


def read_claims(folder: Path) -> dict[tuple[str, str, str], dict[str, Any]]:
    """(side, id of the response, id of the claim) -> claim and prompt, of the held-out answers of a round's folder."""
    found = {}
    for side, labels in zip(SIDES, (folder / "start/labels", folder / "round-1/answer-labels"), strict=True):
        for row in pl.read_parquet(
            labels / "shards/*.parquet", columns=["id", "prompt", "context", "claims", *_TOKENS]
        ).iter_rows(named=True):
            for claim in row["claims"]:
                found[side, row["id"], claim["claim_id"]] = {
                    **claim,
                    **{name: row[name] for name in ("prompt", "context", *_TOKENS)},
                }
    return found


def novel_shares(folder: Path) -> np.ndarray:
    """(G, 2) per held-out prompt, before and after: the share of the answers' content words and numbers, by stems, that
    neither its passages nor the prompt have. No engine is asked."""
    shares = [_novel_by_group(folder / name) for name in ("start/answers.jsonl", "round-1/answers.jsonl")]
    return np.array([[side[group] for side in shares] for group in sorted(shares[0])])


def _novel_by_group(corpus: Path) -> dict[str, float]:
    counts: dict[str, list[int]] = {}
    with corpus.open(encoding="utf-8") as lines:
        for record in map(json.loads, lines):
            given = set(_content("\n".join([*(one["text"] for one in record["context"]), record["prompt"]])))
            said = _content(record["response"])
            count = counts.setdefault(record["group_id"], [0, 0])
            count[0] += sum(stem not in given for stem in said)
            count[1] += len(said)
    return {group: novel / max(1, said) for group, (novel, said) in counts.items()}


def _content(text: str) -> list[str]:
    return tokenize(text).content_and_number_stems()


def _interval(differences: np.ndarray, draws: int = 5_000) -> tuple[float, float]:
    """The bootstrap's 95 % interval of a mean over prompts."""
    rng = np.random.default_rng(0)
    means = differences[rng.integers(0, len(differences), (draws, len(differences)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def draw(folder: Path, count: int, seed: int) -> list[dict[str, str]]:
    """`count` claims of each side, shuffled, without their side."""
    rng = random.Random(seed)
    claims = read_claims(folder)
    drawn = [key for side in SIDES for key in rng.sample(sorted(key for key in claims if key[0] == side), count)]
    rng.shuffle(drawn)
    return [
        {
            "id": key[1],
            "claim_id": key[2],
            "claim": claims[key]["text"],
            "prompt": claims[key]["prompt"],
            "judgement": "",
        }
        for key in drawn
    ]


def unveil(folder: Path, rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows of a reading with side, verdict, score and what `--wording` and `--certainty` look at, without texts.

    A claim that stands on both sides, word for word, tells nothing of either and is left out.
    """
    claims = read_claims(folder)
    found = []
    for row in rows:
        if row["judgement"] not in JUDGEMENTS:
            raise SystemExit(f"{row['id']} {row['claim_id']}: judged {row['judgement']!r}")
        sides = [side for side in SIDES if _text(claims, side, row) == row["claim"]]
        if len(sides) == 1:
            claim = claims[sides[0], row["id"], row["claim_id"]]
            context = tuple(Passage(one["passage_id"], one["text"]) for one in claim["context"])
            found.append(
                {
                    **{name: row[name] for name in ("id", "claim_id", "judgement")},
                    "side": sides[0],
                    "verdict": claim["verdict"],
                    "score": f"{claim['score']:.4f}",
                    "wording": f"{shared_wording(claim['text'], context):.3f}",
                    "certainty": f"{_certainty(claim):.3f}",
                }
            )
    return found


def _certainty(claim: dict[str, Any]) -> float:
    starts, ends = ([one[name] for one in claim["token_offsets"]] for name in ("start", "end"))
    nothing = np.zeros(len(starts))
    tokens = TokenLabels(nothing, np.array(starts), np.array(ends), nothing)
    spans = tuple(Span(one["start"], one["end"]) for one in claim["spans"])
    return least_sure(
        Claim(claim["claim_id"], claim["text"], spans=spans), tokens, np.array(claim["behaviour_logprobs"])
    )


def tally(rows: list[dict[str, str]], band: NeutralBand) -> dict[str, Counter[str]]:
    """Judgements by side, and by the label that a claim's score gets."""
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        for name in (row["side"], f"label {_label(row, band)}"):
            counts.setdefault(name, Counter())[row["judgement"]] += 1
    return counts


def _label(row: dict[str, str], band: NeutralBand) -> str:
    supported, score = row["verdict"] == SUPPORTED, float(row["score"])
    if supported:
        return "+1" if score >= band.high else "0"
    return "-1" if score <= band.low else "0"


def _text(claims: dict[tuple[str, str, str], dict[str, Any]], side: str, row: dict[str, str]) -> str | None:
    claim = claims.get((side, row["id"], row["claim_id"]))
    return claim["text"] if claim else None


def main() -> None:
    parser = argparse.ArgumentParser(description="A round with a real model: its prompts, and a blind reading.")
    commands = parser.add_subparsers(dest="command", required=True)
    prompts = commands.add_parser("prompts", help="write the prompts")
    prompts.add_argument(
        "--ragtruth", type=Path, required=True, help="folder with response.jsonl and source_info.jsonl"
    )
    prompts.add_argument("--factscore", type=Path, required=True, help="factscore.jsonl")
    prompts.add_argument("--out", type=Path, required=True)
    counted = commands.add_parser("novel", help="share of words that neither passages nor prompt have")
    counted.add_argument("folder", type=Path, help="what `balto round` wrote")
    drawing = commands.add_parser("draw", help="draw claims to be read")
    drawing.add_argument("folder", type=Path, help="what `balto round` wrote")
    drawing.add_argument("--claims", type=int, default=60, help="of each side")
    drawing.add_argument("--seed", type=int, default=0)
    drawing.add_argument("--out", type=Path, required=True)
    unveiling = commands.add_parser(
        "unveil", help="add side, verdict, score, wording and certainty to a reading; drop its texts"
    )
    unveiling.add_argument("folder", type=Path)
    unveiling.add_argument("reading", type=Path)
    unveiling.add_argument("--out", type=Path, required=True)
    counting = commands.add_parser("tally", help="count judgements")
    counting.add_argument("reading", type=Path, nargs="?", default=READING, help="what `unveil` wrote; default: ours")
    arguments = parser.parse_args()
    if arguments.command == "prompts":
        lines = [json.dumps(record) + "\n" for record in real_prompts(arguments.ragtruth, arguments.factscore)]
        arguments.out.write_text("".join(lines), encoding="utf-8")
    elif arguments.command == "novel":
        shares = novel_shares(arguments.folder)
        low, high = _interval(shares[:, 1] - shares[:, 0])
        before, after = shares.mean(axis=0)
        print(f"words of no source: {before:.1%} -> {after:.1%}, {after - before:+.1%} ({low:+.1%}, {high:+.1%})")
    elif arguments.command == "draw":
        write_rows(arguments.out, draw(arguments.folder, arguments.claims, arguments.seed))
    elif arguments.command == "unveil":
        write_rows(arguments.out, unveil(arguments.folder, read_rows(arguments.reading)))
    else:
        for name, counts in sorted(tally(read_rows(arguments.reading), NeutralBand(*NEUTRAL_BAND)).items()):
            total = counts["supported"] + counts["unsupported"]
            share = counts["supported"] / total if total else float("nan")
            told = ", ".join(f"{counts[judgement]} {judgement}" for judgement in JUDGEMENTS)
            print(f"{name:26} {told}; of those that state something, supported: {share:.0%}")


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    """A table with the columns of its first row, tab-separated."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of such a table."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


if __name__ == "__main__":
    main()
