"""The verifier `lexical`: is a claim borne by the words of the context? No weights of others, no network: a heuristic.

A claim in the response's own words (the extractor `rules` gives such claims) is judged by CLAUSE_MODEL, which also sees
its place and its discourse cues; where the other responses to the prompt are known, by GROUP_MODEL, which sees besides
which of its words they lack. A reworded claim is judged by TEXT_MODEL from its text alone. All then look at the
claims beside it, because inventions come in runs: the same claim may fare differently among others (lexical_model.py
has the constants, fitted by benchmarks/fit_lexical.py). Then rules:
  a number that the context does not bear makes a claim unsupported, with one half if it may follow from its numbers;
  so does it when the context has none of its words, with a probability of one half;
  a claim whose words nearly all stand in one context sentence, but with the opposite negation, is contradicted;
  a claim that says something else than a yes/no field of a data record is contradicted, or unsupported if the field is
  empty, and the field's name in the claim is named as the error; one that says what fields say is supported;
  one that tells a number of another field of the record, or that opening hours deny, is contradicted;
  a number or a word of another row or column of a table than those that the claim names makes it contradicted, and so
  does an order that the table's cells do not have; one that says what its row says is supported;
  a wrong number in a claim whose other words one context sentence has makes it contradicted, not unsupported.
A claim that turns a word of its sentence round, or has a name that nobody else has (contrary/), stays supported, but is
doubtful: it labels nothing.
Numbers and names are named as the error where the rest of the claim is found; else the whole claim is the error.
"""

from __future__ import annotations

from pipeline.engines.claim_features import question_of, topic_of
from pipeline.engines.context_index import ContextIndex, evidence_of, index_context
from pipeline.engines.features import Reading
from pipeline.engines.findings import Finding, find_in_response, find_in_text
from pipeline.engines.group_words import group_words
from pipeline.engines.lexical_model import (
    CLAUSE_MODEL,
    GROUP_MODEL,
    MISSING_NUMBER_SCORE,
    NEUTRAL_BAND,
    TEXT_MODEL,
)
from pipeline.engines.linear import ClaimModel
from pipeline.engines.reasons import SAME_STATEMENT, reason_of
from pipeline.engines.records.fields import UNKNOWN
from pipeline.engines.words import Tokens
from schemas.records import CONTRADICTED, NO_CONTEXT, OK, SUPPORTED, UNSUPPORTED, Claim, Evidence, Sample, Span

_AGAINST_SCORE = 0.1  # P(supported) given to a claim that a context sentence or a field denies; our guess
_AGREES_SCORE = 0.8  # the least for a claim that says what fields say ("no" as "not", "wifi" as "WiFi"); our guess
_DOUBTFUL_SCORE = 0.5  # the most for a claim with a number that may follow from others; our guess
_CONTRARY_SCORE = 0.69  # the most for a claim with a sign of contrary/: people call 3 in 4 right; labels nothing
_NOTHING_KNOWN_SCORE = 0.5  # the most for a claim of whose words the context has none: people call half of them right


class LexicalVerifier:
    """Verifies claims by their words. `setup` and `teardown` have nothing to open or close.

    clause_model, text_model, group_model: other constants than the fitted ones; cross-validation passes those of a
    fold.
    """

    name = "lexical/11"
    prompt_version = ""
    neutral_band = NEUTRAL_BAND
    reads_group = True

    def __init__(
        self,
        clause_model: ClaimModel = CLAUSE_MODEL,
        text_model: ClaimModel = TEXT_MODEL,
        group_model: ClaimModel = GROUP_MODEL,
    ) -> None:
        self.clause_model = clause_model
        self.text_model = text_model
        self.group_model = group_model

    def setup(self) -> None:
        """Nothing to open."""

    def teardown(self) -> None:
        """Nothing to close."""

    def verify(self, sample: Sample, claims: tuple[Claim, ...]) -> tuple[Claim, ...]:
        """The claims in order, each with verdict, score, evidence and reason; without a context, with a status only."""
        if not sample.has_context:
            return tuple(_answered(claim, self.name, None, NO_CONTEXT, None, (), (), "") for claim in claims)
        index = index_context(sample.context)
        response = sample.response or ""
        reading: Reading | None = None
        question = question_of(sample)
        topic: frozenset[str] | None = None
        findings: list[Finding] = []
        for claim in claims:
            span = claim.verbatim_span(response)
            if span is not None:
                reading = reading or Reading(response, index, group_words(sample.group_responses))
                model = self.clause_model if reading.group is None else self.group_model
                findings.append(find_in_response(reading, span, model, question))
            else:
                topic = topic_of(sample) if topic is None else topic
                findings.append(find_in_text(claim.text, index, topic, self.text_model, question))
        return tuple(
            _decide(claim, self.name, index, finding, unsupported)
            for claim, finding, unsupported in zip(claims, findings, _probabilities(findings), strict=True)
        )


def _probabilities(findings: list[Finding]) -> list[float]:
    """P(not supported) of each claim of a response by the model that judges it, which sees the logits of all."""
    logits = [finding.logit for finding in findings]
    models = {id(finding.model): finding.model for finding in findings}  # a hash of all weights would take longer
    by_model = {key: model.probabilities(logits) for key, model in models.items()}
    return [by_model[id(finding.model)][at] for at, finding in enumerate(findings)]


def _decide(claim: Claim, verifier: str, index: ContextIndex, finding: Finding, unsupported: float) -> Claim:
    """The verdict from a finding and the model's P(not supported): the model first, then the rules."""
    if finding.agrees:
        unsupported = min(unsupported, 1 - _AGREES_SCORE)
    elif finding.knows_nothing():
        unsupported = max(unsupported, 1 - _NOTHING_KNOWN_SCORE)
    otherwise_found = unsupported < finding.model.threshold
    if finding.doubtful:
        unsupported = max(unsupported, 1 - _DOUBTFUL_SCORE)
    if finding.missing:
        unsupported = max(unsupported, 1 - MISSING_NUMBER_SCORE)
    if finding.negates or finding.against or finding.swapped or finding.denial:
        unsupported = max(unsupported, 1 - _AGAINST_SCORE)
    denied = finding.negates or any(mention.field.value != UNKNOWN for mention in finding.against)
    if unsupported < finding.model.threshold:
        verdict = SUPPORTED
        unsupported = max(unsupported, 1 - _CONTRARY_SCORE) if finding.contrary else unsupported
    elif denied or finding.swapped or finding.denial or (finding.missing and finding.covered >= SAME_STATEMENT):
        verdict = CONTRADICTED
    else:
        verdict = UNSUPPORTED
    evidence = (evidence_of(index, finding.best),) if finding.best is not None else ()
    errors = () if verdict == SUPPORTED or not finding.placed else _name_errors(finding, index, otherwise_found)
    reason = reason_of(finding, verdict, evidence, index)
    return _answered(claim, verifier, verdict, OK, round(1 - unsupported, 6), evidence, errors, reason)


def _name_errors(finding: Finding, index: ContextIndex, otherwise_found: bool) -> tuple[Span, ...]:
    """The wrong words of an unsupported claim: fields; numbers, if the rest is found; names, if all that is new are
    names; () when it is the whole claim."""
    starts, ends = finding.tokens.starts, finding.tokens.ends
    places = [Span(starts[at.first], ends[at.last - 1]) for at in finding.against]
    places += [span for span, _ in finding.swapped]
    if finding.denial:
        places.append(Span(starts[finding.denial.first], ends[finding.denial.last - 1]))
    is_known = finding.covered >= SAME_STATEMENT or not finding.new_words(index)
    places += finding.missing if otherwise_found or places or is_known else []
    if places:
        return tuple(sorted(set(places), key=lambda span: (span.start, span.end)))
    if finding.covered >= SAME_STATEMENT and not finding.negates and not finding.missing:
        return name_spans(finding.tokens, finding.first, finding.new_words(index))
    return ()


def name_spans(tokens: Tokens, first: int, new: list[int]) -> tuple[Span, ...]:
    """The words `new` as spans, neighbours joined, when all of them are names: capitalised, and not word `first`."""
    spans: list[Span] = []
    for at in new:
        if at == first or not tokens.words[at][0].isupper():
            return ()
        if spans and spans[-1].end == tokens.ends[at - 1]:
            spans[-1] = Span(spans[-1].start, tokens.ends[at])
        else:
            spans.append(Span(tokens.starts[at], tokens.ends[at]))
    return tuple(spans)


def _answered(
    claim: Claim, verifier: str, verdict: str | None, status: str, score: float | None,
    evidence: tuple[Evidence, ...], error_spans: tuple[Span, ...], reason: str,
) -> Claim:  # fmt: skip
    """The claim with its answer. The constructor, because `dataclasses.replace` takes three times as long."""
    return Claim(
        claim.claim_id, claim.text, claim.quotes, claim.sentence_ids, claim.spans, claim.alignment,
        verdict, status, score, error_spans, evidence, reason, claim.extractor, verifier, claim.prompt_version,
    )  # fmt: skip
