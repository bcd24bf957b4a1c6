"""A round with a real model on real prompts: prompts for `balto round`, and a blind reading of what came out.

    python -m benchmarks.real_round prompts --ragtruth DIR --factscore FILE --out prompts.jsonl
    balto round prompts.jsonl --model MODEL --out DIR ...
    python -m benchmarks.real_round draw DIR --claims 60 --out reading.tsv
    python -m benchmarks.real_round tally DIR reading.tsv

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

import polars as pl

from benchmarks.lexical_data import read_factscore
from schemas.records import SUPPORTED

MOST_WORDS: Final = 350  # of a biography's context
SIDES: Final = ("before", "after")
JUDGEMENTS: Final = ("supported", "unsupported", "neither")
_COLUMNS: tuple[str, ...] = ("id", "claim_id", "claim", "prompt", "judgement")


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


def read_claims(folder: Path, rounds: int = 1) -> dict[tuple[str, str, str], dict[str, Any]]:
    """(side, id of the response, id of the claim) -> claim and prompt, of the held-out answers of a round's folder."""
    found = {}
    for side, labels in zip(SIDES, (folder / "start/labels", folder / f"round-{rounds}/answer-labels"), strict=True):
        for row in pl.read_parquet(labels / "shards/*.parquet", columns=["id", "prompt", "claims"]).iter_rows(
            named=True
        ):
            for claim in row["claims"]:
                found[side, row["id"], claim["claim_id"]] = {**claim, "prompt": row["prompt"]}
    return found


def draw(folder: Path, count: int, seed: int) -> list[dict[str, str]]:
    """`count` claims of each side, shuffled; which side a claim is from stands in its hidden place, see `tally`."""
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


def tally(folder: Path, rows: list[dict[str, str]]) -> dict[str, Counter[str]]:
    """Judgements per side, and how they meet the engine's verdicts."""
    claims = read_claims(folder)
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        sides = [side for side in SIDES if _text(claims, side, row) == row["claim"]]
        if len(sides) != 1 or row["judgement"] not in JUDGEMENTS:
            raise SystemExit(f"{row['id']} {row['claim_id']}: found on {len(sides)} sides, judged {row['judgement']!r}")
        counts.setdefault(sides[0], Counter())[row["judgement"]] += 1
        verdict = claims[sides[0], row["id"], row["claim_id"]]["verdict"]
        engine = "engine: supported" if verdict == SUPPORTED else "engine: unsupported"
        counts.setdefault(engine, Counter())[row["judgement"]] += 1
    return counts


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
    drawing = commands.add_parser("draw", help="draw claims to be read")
    drawing.add_argument("folder", type=Path, help="what `balto round` wrote")
    drawing.add_argument("--claims", type=int, default=60, help="of each side")
    drawing.add_argument("--seed", type=int, default=0)
    drawing.add_argument("--out", type=Path, required=True)
    counting = commands.add_parser("tally", help="count judgements")
    counting.add_argument("folder", type=Path)
    counting.add_argument("reading", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "prompts":
        lines = [json.dumps(record) + "\n" for record in real_prompts(arguments.ragtruth, arguments.factscore)]
        arguments.out.write_text("".join(lines), encoding="utf-8")
    elif arguments.command == "draw":
        with arguments.out.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(_COLUMNS), delimiter="\t")
            writer.writeheader()
            writer.writerows(draw(arguments.folder, arguments.claims, arguments.seed))
    else:
        with arguments.reading.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        for name, counts in sorted(tally(arguments.folder, rows).items()):
            total = counts["supported"] + counts["unsupported"]
            share = counts["supported"] / total if total else float("nan")
            print(f"{name:20} {dict(counts)}  supported of what states something: {share:.2f}")


if __name__ == "__main__":
    main()
