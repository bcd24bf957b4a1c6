"""The records that travel through the pipeline: Sample in, LabelledResponse out.

Every record is frozen: a stage returns a changed copy (`dataclasses.replace`). Offsets are Unicode code points
(Python string indices), half-open. Character spans are the truth; token labels are a projection of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

# Verdicts of a verifier about one claim.
SUPPORTED: Final = "supported"  # the context states or entails the claim
CONTRADICTED: Final = "contradicted"  # the context states something incompatible
UNSUPPORTED: Final = "unsupported"  # the context says nothing that bears the claim
VERDICTS: Final = (SUPPORTED, CONTRADICTED, UNSUPPORTED)

# How a claim was found in the response, from certain to not at all.
EXACT: Final = "exact"  # every quote stands in the response character by character
FOLDED: Final = "folded"  # equal after folding case, typography and whitespace
FUZZY: Final = "fuzzy"  # longest common word subsequence inside the cited sentences
UNMATCHED: Final = "unmatched"  # not found: the claim labels no token
ALIGNMENTS: Final = (EXACT, FOLDED, FUZZY, UNMATCHED)

# Claim.status: OK exactly when `verdict` is set; otherwise why there is none, behind WITHOUT_VERDICT.
OK: Final = "ok"
WITHOUT_VERDICT: Final = "unverified: "
NOT_VERIFIED_YET: Final = f"{WITHOUT_VERDICT}not verified yet"
NO_CONTEXT: Final = f"{WITHOUT_VERDICT}no context"

# LabelledResponse.status
LABELLED: Final = "labelled"  # every claim has a verdict
PARTIAL: Final = "partial"  # some claims have a verdict, some are unverified
UNVERIFIED: Final = "unverified"  # there are claims, none has a verdict
NO_CLAIMS: Final = "no_claims"  # nothing checkable was said (refusals, opinions, an empty response)

# Sample.meta: how a sampled response ended. One that was cut has no stop token behind it.
FINISH_REASON: Final = "finish_reason"
STOPPED: Final = "stop"
CUT: Final = "length"

# Token and span labels.
POSITIVE: Final = 1  # supported
NEGATIVE: Final = -1  # unsupported or contradicted
NEUTRAL: Final = 0  # no claim, no verdict, or claims that disagree


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message of a prompt."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Passage:
    """One passage of the context that the response must be faithful to."""

    passage_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Span:
    """Characters [start, end) of the response."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class GoldSpan:
    """Characters [start, end) of the response that a person marked, with the person's label."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class LabelSpan:
    """Characters [start, end) of the response with the label (+1 or -1) that they project onto tokens."""

    start: int
    end: int
    label: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Characters [start, end) of a passage that a verdict rests on."""

    passage_id: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One (prompt, context, response) of a corpus.

    id: unique in the corpus.   group_id: the prompt group; responses to one prompt and context share it.
    prompt: text, or a tuple of chat messages.   response: None for a prompt that still waits for one.
    gold_spans: what people marked as wrong; () says "annotated and clean", None says "not annotated".
    response_token_ids, response_logprobs: as sampled, aligned with each other, natural log, temperature 1;
    `tokenizer` names the tokenizer of those ids.   source, source_row: the corpus file and its 1-based record.
    group_responses: the different responses of its prompt group in the corpus, its own among them; () where they are
    not known. What a verifier may hold a response against beside its context; not stored, and no part of what makes
    two samples equal.
    """

    id: str
    group_id: str
    prompt: str | tuple[Message, ...]
    context: tuple[Passage, ...]
    response: str | None
    policy: str | None = None
    response_token_ids: tuple[int, ...] | None = None
    response_logprobs: tuple[float, ...] | None = None
    tokenizer: str | None = None
    gold_spans: tuple[GoldSpan, ...] | None = None
    meta: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    source_row: int = 0
    group_responses: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @property
    def has_context(self) -> bool:
        """Whether any passage holds more than white space."""
        return any(passage.text.strip() for passage in self.context)


@dataclass(frozen=True, slots=True)
class Claim:
    """One checkable statement of a response, where it stands, and what the verifier said.

    text: the claim on its own, decontextualised.   quotes: the pieces of the response it was taken from.
    sentence_ids: 0-based sentences it was taken from.   spans: where it stands.   error_spans: the wrong words
    inside `spans` when the verifier could name them.   score: P(supported) in [0, 1].
    extractor, verifier: engine and version, such as `rules/1`.   prompt_version: of the prompts that asked.
    Invariant: `verdict` is set exactly when `status` is "ok"; a failure is a status, never a verdict.
    """

    claim_id: str
    text: str
    quotes: tuple[str, ...] = ()
    sentence_ids: tuple[int, ...] = ()
    spans: tuple[Span, ...] = ()
    alignment: str = UNMATCHED
    verdict: str | None = None
    status: str = NOT_VERIFIED_YET
    score: float | None = None
    error_spans: tuple[Span, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    reason: str = ""
    extractor: str = ""
    verifier: str = ""
    prompt_version: str = ""

    def verbatim_span(self, response: str) -> Span | None:
        """Where the claim stands word for word; None when it is reworded or in several pieces."""
        if len(self.spans) != 1:
            return None
        (span,) = self.spans
        return span if response[span.start : span.end] == self.text else None


@dataclass(frozen=True, slots=True, eq=False)
class TokenLabels:
    """The tokens of a response and their labels; four arrays of one length T.

    ids: (T,) int32.   starts, ends: (T,) int32 characters of the response; empty for a token without any.
    labels: (T,) int8 in {-1, 0, +1}.
    """

    ids: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TokenLabels):
            return NotImplemented
        mine = (self.ids, self.starts, self.ends, self.labels)
        return all(map(np.array_equal, mine, (other.ids, other.starts, other.ends, other.labels)))

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class LabelledResponse:
    """One row of a label set: the sample, its claims, the resolved spans and their projection onto tokens.

    label_spans: disjoint, sorted; the characters that carry a label after conflicts were resolved.
    conflicts: claims whose characters were claimed by the opposite verdict too.
    doubtful: claims with a verdict that label nothing because their score lies in the neutral band.
    behaviour_logprobs: log-probabilities of the sampled tokens under the policy that wrote them, or None.
    """

    sample: Sample
    claims: tuple[Claim, ...]
    label_spans: tuple[LabelSpan, ...]
    tokens: TokenLabels
    status: str
    conflicts: int = 0
    behaviour_logprobs: tuple[float, ...] | None = None
    doubtful: int = 0


MAX_REJECTED_CHARS: Final = 2_000  # of a refused record's text that is kept


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that could not be labelled: which, where it came from, at which stage, and why.

    record: the record as JSON text as far as it could be read, cut to MAX_REJECTED_CHARS.
    group_id: empty when the record could not be read.
    """

    id: str
    source: str
    source_row: int
    stage: str
    reason: str
    record: str
    group_id: str = ""
