"""What a second reader says of the claims that the embedded engine labels -1 (benchmarks/flagged_claims.tsv).

    python -m benchmarks.flagged_claims

The list holds the claims of RAGTruth QA whose P(supported), out of fold, lies below the neutral band: id of the
response, characters, score, whether people had marked it, our judgement after reading response and context, and why.
`partly`: some detail of the claim is not in the context, which makes the claim unsupported.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

LIST: Final = Path(__file__).with_name("flagged_claims.tsv")
WRONG: Final = ("unsupported", "partly")


def read_judgements() -> list[dict[str, str]]:
    """The rows of the list."""
    with LIST.open(encoding="utf-8") as lines:
        return list(csv.DictReader((line for line in lines if not line.startswith("#")), delimiter="\t"))


def shares(rows: list[dict[str, str]]) -> dict[str, float]:
    """Share of claims, and of their characters, that people marked or that the second reader calls unsupported."""
    sizes = [int(row["end"]) - int(row["start"]) for row in rows]
    agreed = {
        "in human spans": [row["in_human_span"] == "yes" for row in rows],
        "unsupported to a second reader": [row["judgement"] == "unsupported" for row in rows],
        "unsupported or partly": [row["judgement"] in WRONG for row in rows],
    }
    found: dict[str, float] = {}
    for name, hits in agreed.items():
        found[f"claims {name}"] = sum(hits) / len(rows)
        found[f"characters {name}"] = sum(size for size, hit in zip(sizes, hits, strict=True) if hit) / sum(sizes)
    return found


def main() -> None:
    """Print the shares."""
    rows = read_judgements()
    print(f"{len(rows)} claims of {len({row['id'] for row in rows})} responses")
    for name, share in shares(rows).items():
        print(f"{name:45} {share:.1%}")


if __name__ == "__main__":
    main()
