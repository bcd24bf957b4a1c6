"""One labelled response as plain values, for `balto show --json` and for the report page."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import PurePath
from typing import Any

from pipeline.weigh_scores import NeutralBand, labels_nothing
from schemas.records import NEGATIVE, POSITIVE, Claim, LabelledResponse


def record_values(record: LabelledResponse, band: NeutralBand | None) -> dict[str, Any]:
    """The sample, its claims and label spans as JSON values; tokens as counts, the corpus file without its folder.

    band: of its label set; a claim is `doubtful` when it labels no token because of it.

    Offsets are Unicode code points, half-open, as stored. `prompt` is a list of {role, content}; a plain prompt has
    the role "". Not in it: token ids, log-probabilities and meta.
    """
    sample, tokens = record.sample, record.tokens
    prompt = sample.prompt
    messages = [{"role": "", "content": prompt}] if isinstance(prompt, str) else [asdict(one) for one in prompt]
    return {
        "id": sample.id,
        "group_id": sample.group_id,
        "policy": sample.policy,
        "status": record.status,
        "source": PurePath(sample.source).name,
        "source_row": sample.source_row,
        "prompt": messages,
        "context": [asdict(passage) for passage in sample.context],
        "response": sample.response or "",
        "claims": [_claim_values(claim, band) for claim in record.claims],
        "label_spans": [asdict(span) for span in record.label_spans],
        "gold_spans": None if sample.gold_spans is None else [asdict(span) for span in sample.gold_spans],
        "n_tokens": len(tokens),
        "n_tokens_supported": int((tokens.labels == POSITIVE).sum()),
        "n_tokens_unsupported": int((tokens.labels == NEGATIVE).sum()),
        "n_conflicts": record.conflicts,
        "n_doubtful": record.doubtful,
    }


def _claim_values(claim: Claim, band: NeutralBand | None) -> dict[str, Any]:
    """A shard can hold a score that is no number, and JSON cannot: it is as none."""
    has_score = claim.score is not None and math.isfinite(claim.score)
    score = claim.score if has_score else None
    return {**asdict(claim), "score": score, "doubtful": labels_nothing(claim, band)}
