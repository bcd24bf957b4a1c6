"""Stage: verdicts of located claims -> resolved spans -> token labels; a Draft becomes a LabelledResponse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pipeline.doubt import Doubt, hold_to
from pipeline.resolve import resolve
from pipeline.stages import Draft, Step
from pipeline.storage.whole_files import read_file
from pipeline.weigh_scores import NeutralBand, apply_threshold
from schemas.errors import RecordError
from schemas.records import LABELLED, NO_CLAIMS, PARTIAL, UNVERIFIED, Claim, LabelledResponse, Sample
from schemas.tokens import ResponseTokenizer, label_text, load_tokenizer, tokenizer_from_json

MAX_TOKENIZER_BYTES: Final = 256 << 20
_NO_DOUBT: Final = Doubt()


def label_draft(
    draft: Draft,
    tokenizer: ResponseTokenizer,
    conflict_policy: str,
    threshold: float | None = None,
    band: NeutralBand | None = None,
    doubt: Doubt = _NO_DOUBT,
) -> LabelledResponse:
    """The finished row. Sampled ids are kept when they are `tokenizer`'s own; else the text is tokenised.

    threshold, band: what scores are made into, see `pipeline.weigh_scores`.   doubt: see `pipeline.doubt`.

    Raises RecordError when sampled ids do not decode to the response, or their log-probabilities are asked for and
    missing.
    """
    sample = draft.sample
    ids = sampled_ids(sample.response_token_ids, sample.tokenizer, tokenizer)
    claims = apply_threshold(draft.claims, threshold)
    if doubt.is_asked:
        claims = _doubted(claims, sample, tokenizer, ids, doubt, band)
    resolved = resolve(claims, conflict_policy, band)
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


def _doubted(
    claims: Sequence[Claim],
    sample: Sample,
    tokenizer: ResponseTokenizer,
    ids: Sequence[int] | None,
    doubt: Doubt,
    band: NeutralBand | None,
) -> tuple[Claim, ...]:
    if doubt.certainty is None:
        return hold_to(doubt, claims, sample.context, band)
    if ids is None or sample.response_logprobs is None:
        raise RecordError(
            "label_tokens",
            "no log-probabilities of this tokenizer, which --certainty asks for (`balto generate` writes them as "
            "response_logprobs); label such records without it",
        )
    tokens = label_text(tokenizer, sample.response or "", (), ids)
    return hold_to(doubt, claims, sample.context, band, tokens, sample.response_logprobs)


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
        doubt: Doubt = _NO_DOUBT,
    ):
        self.tokenizer_name = tokenizer_name
        self.conflict_policy = conflict_policy
        self.threshold = threshold
        self.band = band
        self.doubt = doubt
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
        return label_draft(draft, self._tokenizer, self.conflict_policy, self.threshold, self.band, self.doubt)
