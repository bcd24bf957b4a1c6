"""Label sets with rows that a test can reckon by hand: one character is one token."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from pipeline.runs.assemble import assemble
from pipeline.storage.shard_files import shard_name, shard_report
from schemas.manifest import write_manifest
from schemas.records import (
    CONTRADICTED,
    EXACT,
    NOT_VERIFIED_YET,
    OK,
    SUPPORTED,
    UNMATCHED,
    UNSUPPORTED,
    Claim,
    GoldSpan,
    LabelledResponse,
    LabelSpan,
    Sample,
    Span,
)
from schemas.rows import to_rejected_table, to_table
from schemas.tokens import label_text, load_tokenizer

VERDICTS = {"s": SUPPORTED, "c": CONTRADICTED, "u": UNSUPPORTED, "?": None}


def row(
    sample_id: str,
    group_id: str,
    claims: str = "",
    labels: str = "",
    *,
    policy: str | None = "a",
    gold: str | None = None,
    status: str | None = None,
    meta: dict[str, str] | None = None,
    text: str | None = None,
    conflicts: int = 0,
    claim_status: str = NOT_VERIFIED_YET,
) -> LabelledResponse:
    """A row: a letter of `claims` per claim (s, c, u, ? for unverified; upper case: unmatched); a sign of `labels` per
    character of the response (+, -, .); a letter x of `gold` per character that people marked."""
    response = text if text is not None else "a" * len(labels)
    runs = [LabelSpan(start, end, 1 if sign == "+" else -1) for sign, start, end in _runs(labels) if sign in "+-"]
    sample = Sample(
        sample_id,
        group_id,
        "?",
        (),
        response,
        policy=policy,
        gold_spans=None if gold is None else tuple(GoldSpan(a, b, "") for sign, a, b in _runs(gold) if sign == "x"),
        meta=meta or {},
        source="corpus.jsonl",
        source_row=1,
    )
    made = tuple(_claim(number, letter, claim_status) for number, letter in enumerate(claims))
    known = [claim.verdict is not None for claim in made]
    kind = "no_claims" if not made else "labelled" if all(known) else "partial" if any(known) else "unverified"
    tokens = label_text(load_tokenizer("bytes"), response, runs)
    return LabelledResponse(sample, made, tuple(runs), tokens, status or kind, conflicts)


def _claim(number: int, letter: str, claim_status: str) -> Claim:
    verdict = VERDICTS[letter.lower()]
    found = letter.islower() or letter == "?"
    return Claim(
        f"c{number}",
        "claim",
        quotes=("a",) if found else (),
        spans=(Span(0, 1),) if found else (),
        alignment=EXACT if found else UNMATCHED,
        verdict=verdict,
        status=OK if verdict else claim_status,
    )


def _runs(signs: str) -> list[tuple[str, int, int]]:
    """(sign, start, end) of every run of equal signs."""
    bounds = [0, *(at for at in range(1, len(signs)) if signs[at] != signs[at - 1]), len(signs)]
    return [(signs[a], a, b) for a, b in pairwise(bounds) if b > a]


def write_label_set(
    folder: Path, *shards: Sequence[LabelledResponse], fingerprint: str = "f", usage: dict | None = None, **config
) -> str:
    """Write a finished label set, one shard per sequence of rows; returns its folder as text."""
    described = {
        "config": config,
        "engines": {"extractor": "rules/1", "verifier": "lexical/1", "prompt_version": ""},
        "tokenizer": {"name": "bytes", "fingerprint": fingerprint},
        "balto_version": "",
    }
    reports = [
        shard_report(to_table(rows), to_rejected_table([]), str(folder), shard_name(number, len(shards)))
        for number, rows in enumerate(shards)
    ]
    shutil.rmtree(folder / ".work")
    manifest = assemble(reports, sum(map(len, shards)), [], {}, described, usage)
    write_manifest(folder, manifest)
    return str(folder)
