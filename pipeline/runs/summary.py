"""What people read of a finished run: sums that add up, the first records that were refused, what looks wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipeline.config import LabelConfig
from pipeline.llm.chat import API_ERROR
from pipeline.storage.whole_files import join, parquet_source
from schemas.manifest import Manifest
from schemas.records import CONTRADICTED, OK, UNMATCHED, UNSUPPORTED, WITHOUT_VERDICT
from schemas.tokens import BYTES, load_tokenizer

MAX_REJECTED_SHOWN = 5
MIN_CLAIMS_ALIKE = 30  # from so many judged claims on, one and the same verdict against all of them is suspicious
MOST_CLAIMS = 0.5  # more of them without a verdict, or without a place in their response, are worth a line
MIN_CLAIMS_WEAK = 100  # from so many judged claims on, more than MOST_WRONG of them unsupported are a weak policy's
MOST_WRONG = 0.2
MIN_TOKENS = 50  # from so many tokens on, one and the same token in half of the places is
MOST_ALIKE = 0.5  # a natural tokenizer's commonest token has about a twentieth of a text


def first_rejected(manifest: Manifest, out: str | Path) -> list[str]:
    """The first few rejected records as "file:row: stage: reason"."""
    lines: list[str] = []
    for entry in manifest.rejected:
        with parquet_source(join(str(out), entry.path)) as source:
            for batch in pq.ParquetFile(source).iter_batches(MAX_REJECTED_SHOWN):
                rows = batch.to_pylist()[: MAX_REJECTED_SHOWN - len(lines)]
                lines += [f"{row['source']}:{row['source_row']}: {row['stage']}: {row['reason']}" for row in rows]
                if len(lines) == MAX_REJECTED_SHOWN:
                    return lines
    return lines


def summary(manifest: Manifest, out: str | Path) -> dict[str, Any]:
    """What a finished run in `out` prints: sums that add up, and where the first rejected records stand."""
    return {
        **manifest.counts,
        "claims": manifest.claims.get("verdict", {}),
        "doubtful": manifest.claims.get("projection", {}).get("doubtful", 0),
        "tokens": {
            "supported": sum(shard.tokens_supported for shard in manifest.shards),
            "unsupported": sum(shard.tokens_unsupported for shard in manifest.shards),
            "all": sum(shard.tokens for shard in manifest.shards),
        },
        "rejected_by": dict(manifest.rejected_by),
        "first_rejected": first_rejected(manifest, out),
        "shards": len(manifest.shards),
        "engines": dict(manifest.engines),
        "tokenizer": dict(manifest.tokenizer),
        "usage": dict(manifest.usage),
        "config": LabelConfig(**manifest.config).as_dict(),
        "warnings": [*warnings_about(manifest), *of_tokenizer(manifest, out)],
    }


def warnings_about(manifest: Manifest) -> list[str]:
    """What hints that an engine did not do its work although nothing failed, or that labels are missing; each of the
    run as a whole, none for a sound run."""
    labelled, text = manifest.counts["labelled"], sum(shard.tokens for shard in manifest.shards)
    verdicts = {name: count for name, count in manifest.claims.get("verdict", {}).items() if count}
    if text and not verdicts:
        line = f"not one claim was found in {labelled:,} labelled records: {_to_check(manifest, 'extractor')}"
        return [line, *_of_endpoint(manifest)]
    places = _of_places(manifest, sum(verdicts.values()))
    return [*_of_verdicts(manifest, verdicts), *_of_weak_policy(manifest, verdicts), *places, *_of_endpoint(manifest)]


def _of_endpoint(manifest: Manifest) -> list[str]:
    """What got no answer after all tries, and may get one now."""
    records = sum(count for reason, count in manifest.rejected_by.items() if f": {API_ERROR}" in reason)
    claims = manifest.claims.get("status", {}).get(f"{WITHOUT_VERDICT}{API_ERROR}", 0)
    if not manifest.usage or not records + claims:
        return []
    return [
        f"the endpoint failed (records rejected for it: {records:,}; claims unverified: {claims:,}): the same command "
        "with --overwrite asks for these again, and for nothing that is in the reply cache"
    ]


def _of_verdicts(manifest: Manifest, verdicts: Mapping[str, int]) -> list[str]:
    """Claims without a verdict, or with one and the same."""
    judged = {name: count for name, count in verdicts.items() if name != str(None)}
    unjudged, claims = verdicts.get(str(None), 0), sum(verdicts.values())
    if unjudged > MOST_CLAIMS * claims:
        statuses = {name: count for name, count in manifest.claims["status"].items() if name != OK}
        status = max(statuses, key=lambda name: statuses[name])
        other_words = manifest.usage.get("noticed", {}).get("unknown_verdicts", 0)
        said = f"; {other_words:,} answers had another verdict than the three words" if other_words else ""
        return [
            f"{unjudged:,} of {claims:,} claims have no verdict and label nothing (most: {status}{said}): "
            + _to_check(manifest, "verifier")
        ]
    if len(judged) == 1:
        ((verdict, count),) = judged.items()
        if verdict in (UNSUPPORTED, CONTRADICTED) and count >= MIN_CLAIMS_ALIKE:
            return [f"all {count:,} judged claims are {verdict}: {_to_check(manifest, 'verifier')}"]
    return []


def _of_weak_policy(manifest: Manifest, verdicts: Mapping[str, int]) -> list[str]:
    """Responses that invent so much that the embedded engine's other verdicts, fitted on better ones, mean less."""
    judged = sum(count for name, count in verdicts.items() if name != str(None))
    wrong = sum(verdicts.get(verdict, 0) for verdict in (UNSUPPORTED, CONTRADICTED))
    if (
        judged < MIN_CLAIMS_WEAK
        or not MOST_WRONG * judged < wrong < judged
        or manifest.config.get("wording")
        or manifest.config.get("certainty") is not None
        or not manifest.engines.get("verifier", "").startswith("lexical")
    ):
        return []
    return [
        f"{wrong / judged:.0%} of the claims are unsupported or contradicted: of answers that invent so much the "
        "embedded engine believes too many; --wording 0.25 labels +1 only what keeps to the context's wording, "
        "--certainty -2.5 what a generating policy was sure of; a judge (--verifier llm, nli:MODEL) is better"
    ]


def _of_places(manifest: Manifest, claims: int) -> list[str]:
    """Claims that label nothing, or claims against a response of which none labels a token."""
    projection = manifest.claims.get("projection", {})
    unmatched = projection.get(UNMATCHED, 0)
    if unmatched > MOST_CLAIMS * claims:
        return [
            f"{unmatched:,} of {claims:,} claims were not found in their responses and label nothing: "
            + _to_check(manifest, "extractor")
        ]
    wrong = sum(manifest.claims.get("verdict", {}).get(verdict, 0) for verdict in (UNSUPPORTED, CONTRADICTED))
    if not wrong or any(shard.tokens_unsupported for shard in manifest.shards):
        return []
    causes = {
        "too doubtful (--neutral-band none labels them)": projection.get("doubtful", 0),
        "in conflict with a supported one (--conflicts unsupported_wins)": projection.get("conflicted", 0),
        "not found in their responses": unmatched,
    }
    found = ", ".join(f"{count:,} {cause}" for cause, count in causes.items() if count)
    return [
        f"no token is labelled -1, though {wrong:,} {'claim is' if wrong == 1 else 'claims are'} unsupported or "
        f"contradicted{found and f'; among all claims: {found}'}"
    ]


def _to_check(manifest: Manifest, stage: str) -> str:
    if manifest.config.get("labels") == "gold":
        return "check the corpus's gold_spans"
    engine, model = manifest.engines.get(stage, ""), manifest.config.get("model")
    asked = f", its model ({model})" if model and engine.startswith("llm") else ""
    return f"check the {stage} ({engine}){asked} and the records' {'responses' if stage == 'extractor' else 'contexts'}"


def of_tokenizer(manifest: Manifest, out: str | Path) -> list[str]:
    """A line when one token stands for half of the text, as an unknown-word token does; from the first rows alone."""
    name = manifest.tokenizer["name"]
    if name == BYTES or not manifest.shards:
        return []
    with parquet_source(join(str(out), manifest.shards[0].path)) as source:
        lists = pq.ParquetFile(source).read_row_group(0, columns=["token_ids"])["token_ids"].combine_chunks()
    ids, counts = np.unique(lists.flatten().to_numpy(), return_counts=True)
    tokens = counts.sum()
    if tokens < MIN_TOKENS or counts.max() < MOST_ALIKE * tokens:
        return []
    commonest = load_tokenizer(name).tokenizer.id_to_token(int(ids[counts.argmax()]))
    return [
        f"{counts.max() / tokens:.0%} of the first tokens are one and the same, {commonest!r}: the tokenizer {name} "
        f"does not know this text; balto project {out} --tokenizer T projects the same spans onto another"
    ]
