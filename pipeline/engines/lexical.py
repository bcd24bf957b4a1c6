"""The verifier `lexical`: is a claim borne by the words of the context? No weights of others, no network: a heuristic.

A claim in the response's own words (the extractor `rules` gives such claims) is judged by CLAUSE_MODEL, which also sees
the claim's neighbours, its place and its discourse cues. A reworded claim is judged by TEXT_MODEL from its text alone.
Both are logistic regressions (lexical_model.py, fitted by benchmarks/fit_lexical.py). Then three rules:
  a number that the context does not bear makes a claim unsupported, and is named as the error;
  a claim that one context sentence has almost word for word, but with the opposite negation, is contradicted;
  a wrong number in a claim whose other words one context sentence has makes it contradicted, not unsupported.
In a claim that is otherwise found, new names are named as the error too; the rest of the errors are whole claims.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.engines.claim_features import read_claim
from pipeline.engines.features import Reading, clause_features
from pipeline.engines.lexical_model import CLAUSE_MODEL, MISSING_NUMBER_SCORE, TEXT_MODEL
from pipeline.engines.linear import LinearModel
from pipeline.engines.words import CONTENT, NEGATION, Tokens
from pipeline.gather_evidence import ContextIndex, best_sentence, evidence_of, index_context
from schemas.records import CONTRADICTED, OK, SUPPORTED, UNSUPPORTED, Claim, Evidence, Sample, Span

NO_CONTEXT = "unverified: no context"
_SAME_STATEMENT = 0.6  # share of a claim's words in one context sentence from which a mismatch is a contradiction
_WORD_FOR_WORD = 0.9  # share from which an opposite negation alone is a contradiction
_NEGATED_SCORE = 0.2  # P(supported) given to a claim that a context sentence negates
_MAX_NAMED_WORDS = 5


class LexicalVerifier:
    """Verifies claims by their words. `setup` and `teardown` have nothing to open or close.

    clause_model, text_model: other constants than the fitted ones; cross-validation passes those of a fold.
    """

    name = "lexical/1"
    prompt_version = ""

    def __init__(self, clause_model: LinearModel = CLAUSE_MODEL, text_model: LinearModel = TEXT_MODEL) -> None:
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
        answers: list[Claim] = []
        for claim in claims:
            if len(claim.spans) == 1 and response[claim.spans[0].start : claim.spans[0].end] == claim.text:
                reading = reading or Reading(response, index)
                finding = find_in_response(reading, claim.spans[0], self.clause_model)
            else:
                finding = find_in_text(claim.text, index, self.text_model)
            answers.append(_decide(claim, self.name, index, finding))
        return tuple(answers)


@dataclass(slots=True)
class Finding:
    """What was found about a claim before the rules speak.

    unsupported: the model's probability; from `threshold` on it is a verdict.   best: the context sentence that has
    most of the claim's words; covered: the share it has; negates: it says the opposite.   missing: numbers the context
    lacks; new_words: content words the context lacks.   named: the wrong words in the response, numbers or names, when
    the rest of the claim is found.
    """

    unsupported: float
    threshold: float
    best: int | None
    covered: float
    negates: bool
    missing: list[str]
    named: tuple[Span, ...]
    new_words: list[str]


def find_in_response(reading: Reading, span: Span, model: LinearModel = CLAUSE_MODEL) -> Finding:
    """The finding about a piece of the response, judged in its place."""
    first, last = reading.words_between(span.start, span.end)
    missing = reading.missing_between(first, last)
    features = clause_features(reading, span.start, first, last)
    tokens, index = reading.analysis.tokens, reading.index
    stems, kinds = tokens.stems[first:last], tokens.kinds[first:last]
    asked = dict.fromkeys([stem for stem, kind in zip(stems, kinds, strict=True) if kind >= CONTENT])
    best = best_sentence(index, asked)
    covered = covered_share(index, best, asked)
    negates = covered >= _WORD_FOR_WORD and says_opposite(index, best, len(asked), NEGATION in kinds)
    places = tuple([Span(tokens.starts[number.first], tokens.ends[number.last]) for number in missing])
    texts = [reading.analysis.text[place.start : place.end] for place in places]
    unsupported = model.probability(features)
    if unsupported < model.threshold:
        return Finding(unsupported, model.threshold, best, covered, negates, texts, places, [])
    new = [at for at in range(first, last) if tokens.kinds[at] == CONTENT and tokens.stems[at] not in index.idf]
    names = name_spans(tokens, first, new) if covered >= _SAME_STATEMENT else ()
    new_words = [tokens.words[at] for at in new]
    return Finding(unsupported, model.threshold, best, covered, negates, texts, names, new_words)


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


def find_in_text(text: str, index: ContextIndex, model: LinearModel = TEXT_MODEL) -> Finding:
    """The finding about a claim that stands on its own."""
    claim = read_claim(text, index)
    tokens = claim.tokens
    covered = covered_share(index, claim.best, claim.asked)
    return Finding(
        model.probability(claim.features),
        model.threshold,
        claim.best,
        covered,
        covered >= _WORD_FOR_WORD and says_opposite(index, claim.best, len(claim.asked), NEGATION in tokens.kinds),
        [text[tokens.starts[number.first] : tokens.ends[number.last]] for number in claim.missing],
        (),
        [tokens.words[at] for at in claim.new_words],
    )


def covered_share(index: ContextIndex, sentence: int | None, asked: Mapping[str, object]) -> float:
    """The share of the asked stems that a context sentence has."""
    if sentence is None or not asked:
        return 0.0
    return len(index.sentences[sentence].stems.intersection(asked)) / len(asked)


def says_opposite(index: ContextIndex, sentence: int | None, asked: int, negated: bool) -> bool:
    """Whether a context sentence about as long as the claim is negated and the claim is not, or the other way round.

    In a longer sentence the negation may belong to something that the claim does not speak of.
    """
    if sentence is None:
        return False
    found = index.sentences[sentence]
    return found.negated != negated and asked >= _WORD_FOR_WORD * len(found.stems)


def _decide(claim: Claim, verifier: str, index: ContextIndex, finding: Finding) -> Claim:
    """The verdict from a finding: the model first, then the rules about numbers and negation."""
    unsupported = finding.unsupported
    if finding.missing:
        unsupported = max(unsupported, 1 - MISSING_NUMBER_SCORE)
    elif finding.negates:
        unsupported = max(unsupported, 1 - _NEGATED_SCORE)
    if unsupported < finding.threshold:
        verdict = SUPPORTED
    elif (finding.missing and finding.covered >= _SAME_STATEMENT) or finding.negates:
        verdict = CONTRADICTED
    else:
        verdict = UNSUPPORTED
    evidence = (evidence_of(index, finding.best),) if finding.best is not None else ()
    reason = _reason(finding, verdict, evidence)
    return _answered(
        claim, verifier, verdict, OK, 1 - unsupported, evidence, () if verdict == SUPPORTED else finding.named, reason
    )


def _reason(finding: Finding, verdict: str, evidence: tuple[Evidence, ...]) -> str:
    """One short sentence for people."""
    if finding.missing:
        return f"number {', '.join(finding.missing[:_MAX_NAMED_WORDS])} is not in the context"
    if verdict == CONTRADICTED and finding.negates:
        return f"{evidence[0].passage_id} says the opposite: one of the two is negated"
    if verdict == SUPPORTED and evidence:
        return f"{finding.covered:.0%} of its words are in one sentence of {evidence[0].passage_id}"
    if finding.new_words and verdict != SUPPORTED:
        return f"not in the context: {', '.join(dict.fromkeys(finding.new_words[:_MAX_NAMED_WORDS]))}"
    if not evidence:
        return "no word of it is in the context"
    return f"only {finding.covered:.0%} of its words are in one sentence of the context"


def _answered(
    claim: Claim, verifier: str, verdict: str | None, status: str, score: float | None,
    evidence: tuple[Evidence, ...], error_spans: tuple[Span, ...], reason: str,
) -> Claim:  # fmt: skip
    """The claim with its answer. The constructor, because `dataclasses.replace` takes three times as long."""
    return Claim(
        claim.claim_id, claim.text, claim.quotes, claim.sentence_ids, claim.spans, claim.alignment,
        verdict, status, score, error_spans, evidence, reason, claim.extractor, verifier, claim.prompt_version,
    )  # fmt: skip
