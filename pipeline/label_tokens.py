"""Stage: verdicts of located claims -> resolved spans -> token labels; a Draft becomes a LabelledResponse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pipeline.resolve import resolve
from pipeline.stages import Draft, Step
from pipeline.storage.whole_files import read_file
from pipeline.weigh_scores import NeutralBand, apply_threshold
from pipeline.wording import hold_to_wording
from schemas.records import LABELLED, NO_CLAIMS, PARTIAL, UNVERIFIED, Claim, LabelledResponse
from schemas.tokens import ResponseTokenizer, label_text, load_tokenizer, tokenizer_from_json

MAX_TOKENIZER_BYTES: Final = 256 << 20


def label_draft(
    draft: Draft,
    tokenizer: ResponseTokenizer,
    conflict_policy: str,
    threshold: float | None = None,
    band: NeutralBand | None = None,
    wording: float = 0.0,
) -> LabelledResponse:
    """The finished row. Sampled ids are kept when they are `tokenizer`'s own; else the text is tokenised.

    threshold, band: what scores are made into, see `pipeline.weigh_scores`.   wording: see `pipeline.wording`.

    Raises RecordError when sampled ids do not decode to the response.
    """
    sample = draft.sample
    claims = hold_to_wording(apply_threshold(draft.claims, threshold), sample.context, wording, band)
    resolved = resolve(claims, conflict_policy, band)
    ids = sampled_ids(sample.response_token_ids, sample.tokenizer, tokenizer)
    return LabelledResponse(
        sample=sample,
        claims=claims,
        label_spans=resolved.label_spans,
        tokens=label_text(tokenizer, sample.response or "", resolved.label_spans, ids),
        status=status_of(claims),
        conflicts=resolved.conflicts,
        doubtful=resolved.doubtful,
        behaviour_logprobs=None if ids is None else sample.response_logprobs,
    )


def sampled_ids(ids: Sequence[int] | None, name: str | None, tokenizer: ResponseTokenizer) -> Sequence[int] | None:
    """The ids that the policy sampled, if `name` says that they are `tokenizer`'s (its name or its fingerprint)."""
    return ids if name in (tokenizer.name, tokenizer.fingerprint) else None


def status_of(claims: Sequence[Claim]) -> str:
    """What became of the response as a whole: labelled, partial, unverified or no_claims."""
    verified = sum(claim.verdict is not None for claim in claims)
    if not claims:
        return NO_CLAIMS
    if verified == 0:
        return UNVERIFIED
    return LABELLED if verified == len(claims) else PARTIAL


class LabelTokens(Step):
    """Step: Draft -> LabelledResponse. The tokenizer is loaded on the worker: by its name, or from the copy of its
    tokenizer.json at `tokenizer_file`, where a worker on another machine finds it."""

    def __init__(
        self,
        tokenizer_name: str,
        conflict_policy: str,
        threshold: float | None = None,
        band: NeutralBand | None = None,
        tokenizer_file: str = "",
        wording: float = 0.0,
    ):
        self.tokenizer_name = tokenizer_name
        self.conflict_policy = conflict_policy
        self.threshold = threshold
        self.band = band
        self.wording = wording
        self.tokenizer_file = tokenizer_file
        self._tokenizer: ResponseTokenizer | None = None

    def setup(self) -> None:
        if self.tokenizer_file:
            data = read_file(self.tokenizer_file, MAX_TOKENIZER_BYTES)
            self._tokenizer = tokenizer_from_json(self.tokenizer_name, data)
        else:
            self._tokenizer = load_tokenizer(self.tokenizer_name)

    def teardown(self) -> None:
        self._tokenizer = None

    def __call__(self, draft: Draft) -> LabelledResponse:
        assert self._tokenizer is not None, "setup was not called"
        return label_draft(draft, self._tokenizer, self.conflict_policy, self.threshold, self.band, self.wording)
