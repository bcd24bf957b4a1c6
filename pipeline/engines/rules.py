"""The extractor `rules`: claims are the clauses of a response that say something checkable.

In: a sample. Out: one claim per clause with content words, with its exact characters; the claim's text is the clause as
it stands. Left out: greetings and closings, refusals, questions, lines that only introduce a list, and statements that
the passages lack something. Hedged advice ("it is important to note that results may vary") stays in: people mark it
when the context does not bear it.
"""

from __future__ import annotations

import re
from bisect import bisect_left

from pipeline.engines.clauses import LIST_MARKER, Clause, ResponseAnalysis, analyse_response
from pipeline.engines.words import CONTENT, NEGATION, NUMBER, stem, word_set
from schemas.records import EXACT, Claim, Sample, Span

_COURTESY = re.compile(
    r"(?i)hope (?:this|that) (?:helps|answers)|let me know|feel free|any (?:other|further|more) questions|happy to help"
    r"|^\W*(?:sure|certainly|of course|great question|thank you|thanks|you're welcome|hello|hi there)\b"
    r"|\bI apologi[sz]e|\bas an ai\b"
)
_LACKING = re.compile(
    r"(?i)unable to answer|(?:cannot|can't) (?:be )?(?:answer|determin)"
    r"|(?:passages?|text|context|documents?)\b[^.\n]{0,40}\b(?:do|does|did)(?: not|n't) (?:\w{1,20}ly )?(?:provide"
    r"|mention|contain|specify|state|address|discuss|include|give|explain|cover|clarify|define|describe|offer|say)\b"
    r"|\bno\b[^.\n]{0,40}\b(?:information|mention|instructions)\b[^.\n]{0,40}\b(?:provided|given|found"
    r"|available|in the)\b"
)
# One of these stands in every sentence that _COURTESY matches; looking for words is ten times cheaper than the pattern.
_COURTEOUS_WORDS = {"question"} | set(
    map(
        stem,
        word_set(
            "hope free questions happy certainly course thank thanks welcome hello hi apologize apologise ai sure know"
        ),
    )
)
_UNABLE = stem("unable")
_MAX_OPENING_CHARS = 400


class RulesExtractor:
    """Extracts claims without a model. Stateless: `setup` and `teardown` have nothing to open or close."""

    name = "rules/1"
    prompt_version = ""

    def setup(self) -> None:
        """Nothing to open."""

    def teardown(self) -> None:
        """Nothing to close."""

    def extract(self, sample: Sample) -> tuple[Claim, ...]:
        """The claims of the response in order of appearance; () when it says nothing checkable."""
        if not sample.response:
            return ()
        analysis = analyse_response(sample.response)
        return tuple(
            _claim(f"c{number}", analysis, clause, self.name)
            for number, clause in enumerate(checkable_clauses(analysis), start=1)
        )


def _claim(claim_id: str, analysis: ResponseAnalysis, clause: Clause, extractor: str) -> Claim:
    quote = analysis.text[clause.start : clause.end]
    span = Span(clause.start, clause.end)
    return Claim(claim_id, quote, (quote,), (clause.sentence,), (span,), EXACT, extractor=extractor)


def checkable_clauses(analysis: ResponseAnalysis) -> list[Clause]:
    """The clauses that state something about the world, in order."""
    kinds = analysis.tokens.kinds
    kept: list[Clause] = []
    sentence, skip, in_lacking_list = -1, False, False
    for clause in analysis.clauses:
        if clause.sentence != sentence:
            sentence = clause.sentence
            skip, in_lacking_list = _is_uncheckable(analysis, clause, in_lacking_list)
        words = kinds[clause.first : clause.last]
        if not skip and (CONTENT in words or NUMBER in words):
            kept.append(clause)
    return kept


def _is_uncheckable(analysis: ResponseAnalysis, clause: Clause, in_lacking_list: bool) -> tuple[bool, bool]:
    """(skip the sentence that `clause` opens, the list items after it name what the passages lack)."""
    span = analysis.sentences[clause.sentence]
    text, tokens = analysis.text, analysis.tokens
    if in_lacking_list and LIST_MARKER.match(text, span.start):
        return True, True
    last = bisect_left(tokens.starts, span.end, clause.first)
    words = tokens.stems[clause.first : last]
    end = min(span.end, span.start + _MAX_OPENING_CHARS)
    if (NEGATION in tokens.kinds[clause.first : last] or _UNABLE in words) and _LACKING.search(text[span.start : end]):
        return True, True
    courteous = not _COURTEOUS_WORDS.isdisjoint(words) and _COURTESY.search(text[span.start : end]) is not None
    return courteous or text[span.end - 1] in "?:", False
