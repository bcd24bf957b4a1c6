"""The verifier `lexical`: is a claim borne by the words of the context? No weights of others, no network: a heuristic.

A claim in the response's own words (the extractor `rules` gives such claims) is judged by CLAUSE_MODEL, which also sees
its place and its discourse cues. A reworded claim is judged by TEXT_MODEL from its text alone. Both then look at the
claims beside it, because inventions come in runs: the same claim may fare differently among others (lexical_model.py
has the constants, fitted by benchmarks/fit_lexical.py). Then rules:
  a number that the context does not bear makes a claim unsupported;
  so does it when the context has none of its words, with a probability of one half;
  a claim whose words nearly all stand in one context sentence, but with the opposite negation, is contradicted;
  a claim that says something else than a yes/no field of a data record is contradicted, or unsupported if the field is
  empty, and the field's name in the claim is named as the error; one that says what fields say is supported;
  a number that stands in another row of a table than the one that the claim names makes it contradicted, and so does
  an order that the table's cells do not have; one that says what its row says is supported;
  a wrong number in a claim whose other words one context sentence has makes it contradicted, not unsupported.
Numbers and names are named as the error where the rest of the claim is found; else the whole claim is the error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.engines.claim_features import question_of, read_claim, topic_of
from pipeline.engines.derived_numbers import sort_missing
from pipeline.engines.features import Reading, clause_features
from pipeline.engines.field_mentions import FieldMention, mentioned_fields
from pipeline.engines.fields import UNKNOWN
from pipeline.engines.lexical_model import CLAUSE_MODEL, MISSING_NUMBER_SCORE, NEUTRAL_BAND, TEXT_MODEL
from pipeline.engines.linear import ClaimModel
from pipeline.engines.negation import says_opposite
from pipeline.engines.numbers import Number
from pipeline.engines.row_claims import Denial, compare_rows
from pipeline.engines.tables import Row, Tables
from pipeline.engines.words import CONTENT, Tokens
from pipeline.gather_evidence import ContextIndex, best_sentence, evidence_of, index_context
from schemas.records import CONTRADICTED, OK, SUPPORTED, UNSUPPORTED, Claim, Evidence, Sample, Span

NO_CONTEXT = "unverified: no context"
_SAME_STATEMENT = 0.6  # share of a claim's words in one context sentence from which a mismatch is a contradiction
_WORD_FOR_WORD = 0.9  # share from which an opposite negation alone is a contradiction
_AGAINST_SCORE = 0.1  # P(supported) given to a claim that a context sentence or a field denies; our guess
_AGREES_SCORE = 0.8  # the least for a claim that says what fields say ("no" as "not", "wifi" as "WiFi"); our guess
_OTHER_NEW_WORDS = 1  # besides the fields' names: "accept" in "does not accept reservations"
_NOTHING_KNOWN_SCORE = 0.5  # the most for a claim of whose words the context has none: people call half of them right
_MIN_UNKNOWN = 3  # content words that such a claim has
_MAX_NAMED_WORDS = 5
_MAX_LABEL = 40  # characters


class LexicalVerifier:
    """Verifies claims by their words. `setup` and `teardown` have nothing to open or close.

    clause_model, text_model: other constants than the fitted ones; cross-validation passes those of a fold.
    """

    name = "lexical/4"
    prompt_version = ""
    neutral_band = NEUTRAL_BAND

    def __init__(self, clause_model: ClaimModel = CLAUSE_MODEL, text_model: ClaimModel = TEXT_MODEL) -> None:
        self.clause_model = clause_model
        self.text_model = text_model

    def setup(self) -> None:
        """Nothing to open."""

    def teardown(self) -> None:
        """Nothing to close."""

    def verify(self, sample: Sample, claims: tuple[Claim, ...]) -> tuple[Claim, ...]:
        """The claims in order, each with verdict, score, evidence and reason; without a context, with a status only."""
        if not sample.context:
            return tuple(_answered(claim, self.name, None, NO_CONTEXT, None, (), (), "") for claim in claims)
        index = index_context(sample.context)
        response = sample.response or ""
        reading: Reading | None = None
        question = question_of(sample)
        topic: frozenset[str] | None = None
        findings: list[Finding] = []
        for claim in claims:
            if len(claim.spans) == 1 and response[claim.spans[0].start : claim.spans[0].end] == claim.text:
                reading = reading or Reading(response, index)
                findings.append(find_in_response(reading, claim.spans[0], self.clause_model, question))
            else:
                topic = topic_of(sample) if topic is None else topic
                findings.append(find_in_text(claim.text, index, topic, self.text_model, question))
        logits = [finding.logit for finding in findings]
        by_model = {
            id(model): model.probabilities(logits) for model in {id(f.model): f.model for f in findings}.values()
        }
        return tuple(
            _decide(claim, self.name, index, finding, by_model[id(finding.model)][at])
            for at, (claim, finding) in enumerate(zip(claims, findings, strict=True))
        )


@dataclass(slots=True)
class Finding:
    """What was found about a claim before the rules speak.

    logit: of the model, before the claims beside it are looked at.   best: the context sentence that has most of the
    claim's words; covered: the share it has; negates: it says the opposite.   missing: numbers the context lacks;
    doubtful: those that may be worked out from its numbers; swapped: that stand in another row of a table than the one
    that the claim names; denial: what it says against a table.
    against: fields of a data record that the claim gets wrong; agrees: it names some, or rows of a table, all rightly,
    and next to nothing new.
    tokens: of the claim, or of the response; the claim is words [first, last) of them.   placed: whether the words'
    places are places in the response.
    """

    model: ClaimModel
    logit: float
    best: int | None
    covered: float
    negates: bool
    tokens: Tokens
    first: int
    last: int
    placed: bool
    missing: list[Span] = field(default_factory=list)
    doubtful: list[Span] = field(default_factory=list)
    swapped: list[tuple[Span, Row]] = field(default_factory=list)
    denial: Denial | None = None
    against: list[FieldMention] = field(default_factory=list)
    agrees: bool = False

    def compare_fields(self, index: ContextIndex) -> None:
        """Hold the claim against the yes/no fields of the context."""
        mentions = list(mentioned_fields(self.tokens, self.first, self.last, index.fields))
        self.against = [mention for mention in mentions if mention.is_wrong]
        named = {at for mention in mentions for at in range(mention.first, mention.last)}
        others = [at for at in self.new_words(index) if at not in named]
        self.agrees = bool(mentions) and not self.against and len(others) <= _OTHER_NEW_WORDS

    def compare_rows(self, index: ContextIndex, tables: Tables, numbers: list[Number]) -> None:
        """Hold the claim against the rows of tables that it names."""
        said = compare_rows(tables, self.tokens, self.first, self.last, numbers)
        self.swapped = [(number_span(self.tokens, number), row) for number, row in said.wrong]
        self.denial = said.denial
        if said.agrees and not self.against:
            counted = {at for number in numbers for at in range(number.first, number.last + 1)}
            others = [at for at in self.new_words(index) if at not in counted]
            self.agrees = self.agrees or len(others) <= _OTHER_NEW_WORDS

    def words_at(self, spans: list[Span]) -> list[str]:
        """The words of the claim at these places, one string for each."""
        tokens = self.tokens
        within = range(self.first, self.last)
        return [
            " ".join(tokens.words[at] for at in within if span.start <= tokens.starts[at] < span.end) for span in spans
        ]

    def knows_nothing(self) -> bool:
        """Whether no sentence of the context has a word of the claim, although it has some content words."""
        return not self.covered and self.tokens.kinds[self.first : self.last].count(CONTENT) >= _MIN_UNKNOWN

    def new_words(self, index: ContextIndex) -> list[int]:
        """Content words of the claim that the context lacks."""
        kinds, stems, known = self.tokens.kinds, self.tokens.stems, index.idf
        return [at for at in range(self.first, self.last) if kinds[at] == CONTENT and stems[at] not in known]


def find_in_response(reading: Reading, span: Span, model: ClaimModel = CLAUSE_MODEL, question: str = "") -> Finding:
    """The finding about a piece of the response, judged in its place.   question: see `question_of`."""
    first, last = reading.words_between(span.start, span.end)
    tokens, index = reading.analysis.tokens, reading.index
    stems, kinds = tokens.stems[first:last], tokens.kinds[first:last]
    asked = dict.fromkeys([stem for stem, kind in zip(stems, kinds, strict=True) if kind >= CONTENT])
    best = best_sentence(index, asked)
    covered = covered_share(index, best, asked)
    finding = Finding(
        model=model,
        logit=model.linear.logit(clause_features(reading, span.start, first, last)),
        best=best,
        covered=covered,
        negates=covered >= _WORD_FOR_WORD and says_opposite(index, best, tokens, first, last),
        tokens=tokens,
        first=first,
        last=last,
        placed=True,
    )
    numbers = reading.numbers_between(first, last)
    missing, doubtful = sort_missing(
        reading.missing_between(first, last), numbers, tokens, first, last, index, question
    )
    finding.missing = [number_span(tokens, number) for number in missing]
    finding.doubtful = [number_span(tokens, number) for number in doubtful]
    if index.tables:
        finding.compare_rows(index, index.tables, numbers)
    if index.fields:
        finding.compare_fields(index)
    return finding


def find_in_text(
    text: str,
    index: ContextIndex,
    topic: frozenset[str] = frozenset(),
    model: ClaimModel = TEXT_MODEL,
    question: str = "",
) -> Finding:
    """The finding about a claim that stands on its own.   topic: stems of the question."""
    claim = read_claim(text, index, topic, question)
    tokens = claim.tokens
    covered = covered_share(index, claim.best, claim.asked)
    finding = Finding(
        model=model,
        logit=model.linear.logit(claim.features),
        best=claim.best,
        covered=covered,
        negates=covered >= _WORD_FOR_WORD and says_opposite(index, claim.best, tokens, 0, len(tokens)),
        tokens=tokens,
        first=0,
        last=len(tokens),
        placed=False,
        missing=[number_span(tokens, number) for number in claim.missing],
        doubtful=[number_span(tokens, number) for number in claim.doubtful],
    )
    if index.tables:
        finding.compare_rows(index, index.tables, claim.numbers)
    if index.fields:
        finding.compare_fields(index)
    return finding


def number_span(tokens: Tokens, number: Number) -> Span:
    """The characters of a number."""
    return Span(tokens.starts[number.first], tokens.ends[number.last])


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


def covered_share(index: ContextIndex, sentence: int | None, asked: Mapping[str, object]) -> float:
    """The share of the asked stems that a context sentence has."""
    if sentence is None or not asked:
        return 0.0
    return len(index.sentences[sentence].stems.intersection(asked)) / len(asked)


def _decide(claim: Claim, verifier: str, index: ContextIndex, finding: Finding, unsupported: float) -> Claim:
    """The verdict from a finding and the model's P(not supported): the model first, then the rules."""
    if finding.agrees:
        unsupported = min(unsupported, 1 - _AGREES_SCORE)
    elif finding.knows_nothing() or finding.doubtful:
        unsupported = max(unsupported, 1 - _NOTHING_KNOWN_SCORE)
    otherwise_found = unsupported < finding.model.threshold
    if finding.missing:
        unsupported = max(unsupported, 1 - MISSING_NUMBER_SCORE)
    if finding.negates or finding.against or finding.swapped or finding.denial:
        unsupported = max(unsupported, 1 - _AGAINST_SCORE)
    denied = finding.negates or any(mention.field.value != UNKNOWN for mention in finding.against)
    if unsupported < finding.model.threshold:
        verdict = SUPPORTED
    elif denied or finding.swapped or finding.denial or (finding.missing and finding.covered >= _SAME_STATEMENT):
        verdict = CONTRADICTED
    else:
        verdict = UNSUPPORTED
    evidence = (evidence_of(index, finding.best),) if finding.best is not None else ()
    errors = () if verdict == SUPPORTED or not finding.placed else _name_errors(finding, index, otherwise_found)
    reason = _reason(finding, verdict, evidence, index)
    return _answered(claim, verifier, verdict, OK, 1 - unsupported, evidence, errors, reason)


def _name_errors(finding: Finding, index: ContextIndex, otherwise_found: bool) -> tuple[Span, ...]:
    """The wrong words of an unsupported claim: fields; numbers, if the rest is found; names, if all that is new are
    names; () when it is the whole claim."""
    starts, ends = finding.tokens.starts, finding.tokens.ends
    places = [Span(starts[at.first], ends[at.last - 1]) for at in finding.against]
    places += [span for span, _ in finding.swapped]
    if finding.denial:
        places.append(Span(starts[finding.denial.first], ends[finding.denial.last - 1]))
    places += finding.missing if otherwise_found or places else []
    if places:
        return tuple(sorted(set(places), key=lambda span: (span.start, span.end)))
    if finding.covered >= _SAME_STATEMENT and not finding.negates and not finding.missing:
        return name_spans(finding.tokens, finding.first, finding.new_words(index))
    return ()


def _reason(finding: Finding, verdict: str, evidence: tuple[Evidence, ...], index: ContextIndex) -> str:
    """One short sentence for people."""
    found = _of_numbers_and_records(finding)
    if found:
        return found
    if verdict == CONTRADICTED and finding.negates:
        return f"{evidence[0].passage_id} says the opposite: one of the two is negated"
    if verdict == SUPPORTED and finding.agrees:
        return "a record of the context says so"
    if verdict == SUPPORTED and evidence:
        return f"{finding.covered:.0%} of its words are in one sentence of {evidence[0].passage_id}"
    new = [finding.tokens.words[at] for at in finding.new_words(index)[:_MAX_NAMED_WORDS]]
    if new and verdict != SUPPORTED:
        return f"not in the context: {', '.join(dict.fromkeys(new))}"
    if not evidence:
        return "no word of it is in the context"
    if finding.covered < _SAME_STATEMENT:
        return f"only {finding.covered:.0%} of its words are in one sentence of the context"
    return f"{finding.covered:.0%} of its words are in one sentence; its form and the claims beside it speak against it"


def _of_numbers_and_records(finding: Finding) -> str:
    """What the rules have against a claim; "" when they have nothing."""
    if finding.missing:
        return f"number {', '.join(finding.words_at(finding.missing[:_MAX_NAMED_WORDS]))} is not in the context"
    if finding.against:
        named = dict.fromkeys(f"{at.field.label}: {at.field.value}" for at in finding.against[:_MAX_NAMED_WORDS])
        return f"the context says {', '.join(named)}"
    if finding.swapped:
        (number,), row = finding.words_at([finding.swapped[0][0]]), finding.swapped[0][1]
        return f"the table gives {number} for {row.label[:_MAX_LABEL]}"
    if finding.denial:
        return finding.denial.reason
    if finding.doubtful:
        numbers = ", ".join(finding.words_at(finding.doubtful[:_MAX_NAMED_WORDS]))
        return f"number {numbers} is not in the context, but may follow from its numbers"
    return ""


def _answered(
    claim: Claim, verifier: str, verdict: str | None, status: str, score: float | None,
    evidence: tuple[Evidence, ...], error_spans: tuple[Span, ...], reason: str,
) -> Claim:  # fmt: skip
    """The claim with its answer. The constructor, because `dataclasses.replace` takes three times as long."""
    return Claim(
        claim.claim_id, claim.text, claim.quotes, claim.sentence_ids, claim.spans, claim.alignment,
        verdict, status, score, error_spans, evidence, reason, claim.extractor, verifier, claim.prompt_version,
    )  # fmt: skip
