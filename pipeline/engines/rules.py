"""The extractor `rules`: claims are the clauses of a response that say something checkable.

In: a sample. Out: one claim per clause with content words, with its exact characters; the claim's text is the clause as
it stands. Left out: a bare "Yes", greetings and closings, refusals, questions, lines that only
introduce a list, headings, list marks alone, the names of a table's columns, fenced code, the last clause of a response
that reached the limit of tokens in the middle of it, and statements that the passages lack
something, from the clause that says so to the end of its sentence or to a "but". Hedged advice ("it is important
to note that results may vary") stays in: people mark it when the context does not bear it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from itertools import pairwise
from operator import attrgetter

from pipeline.engines.clauses import LIST_MARKER, Clause, ResponseAnalysis, analyse_response
from pipeline.engines.words import CONTENT, NEGATION, NUMBER, stem, word_set
from schemas.records import CUT, EXACT, FINISH_REASON, Claim, Sample, Span

_REGRET = (
    r"^\W*(?:(?:therefore|thus|hence|so|consequently|however|but|as a result)\b[, ]*)?"
    r"(?:(?:I(?: am|['\u2019]m) (?:\w+ )?)?(?:sorry|afraid|unfortunately)\W+(?:but |that )?)?"
)
_COURTESY = re.compile(
    r"(?i)hope (?:this|that) (?:helps|answers)|\bI hope (?:this|these|the) (?:\w+ ){1,3}helps?\b"
    r"|let me know|feel free|any (?:other|further|more) questions|happy to help"
    r"|^\W*(?:sure|certainly|of course|great question|thank you|thanks|you're welcome|hello|hi|hey)\b(?! to\b|-)"
    r"|^\W*(?:(?:kind|best|warm) (?:regards|wishes)|yours (?:sincerely|faithfully|truly)|safe travels)\s*(?:[,!.]|$)"
    r"|^\W*dear (?:[\w.]{1,20} ){0,3}[\w.]{1,20}[,:!]?\s*$"
    r"|^\W*(?:enjoy(?: (?:it|them)| (?:your|the|this) \w{1,20})|happy (?:\w{1,20}ing|holidays|birthday))!"
    r"|\bI apologi[sz]e|\bas an ai\b"
    rf"|{_REGRET}I(?: do not|(?: ca| do)n['\u2019]t| cannot|(?: am|['\u2019]m) (?:not|un)) ?"
    r"(?:\w+ ){0,2}(?:know|sure|certain|able|aware|answer|say|tell|find)\b"
    rf"|{_REGRET}I(?: cannot| can['\u2019]t) (?:\w+ )?"
    r"(?:give|provide|offer|help|assist|share|discuss|comply|recommend|advise)\b"
)
# Markdown that states nothing.
_HEADING = re.compile(r"#{1,6}\s")
_BOLD_HEADING = re.compile(r"\*\*[^*\n]{1,60}(?<![.!?])\*\*:?")
_MOST_HEADING_WORDS = 5
_FENCED = re.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1|\Z)", re.DOTALL | re.MULTILINE)
# What a context lacks, in the words of responses: the verb or participle, negated ...
_TOLD = (
    "mention|state|provide|explain|specif|describ|discuss|giv|cover|address|includ|defin|clarif|contain|offer|answer"
    "|say|tell"
)
_LACKING = re.compile(
    rf"(?i)\bunable to\b|\bunclear\b|\b(?:leaves?|left) (?:\w{{1,15}} ){{0,2}}open\b|\bsilent (?:on|about)\b"
    rf"|(?:\b(?:not|never|cannot)|n['\u2019]t)(?: \w{{1,15}}){{0,2}} (?:{_TOLD}|determin|clear)\w{{0,6}}\b"
    rf"|\b(?:no|none)\b[^.,;\n]{{0,60}}?\b(?:{_TOLD})\w{{0,6}}\b"
    r"|\bno (?:\w{1,15} ){0,2}"
    r"(?:mention|information|indication|details?|instructions?|explanation|evidence|data|reference)\b"
)
# ... in a sentence that speaks of the context or of the task.
_ABOUT_CONTEXT = re.compile(
    r"(?i)\b(?:passages?|texts?|contexts?|documents?|articles?|sources?|e-?mails?|threads?|documentation|transcripts?"
    r"|information|data|question|provided|given"
    r"|(?:stated|mentioned|specified|indicated|said) (?:whether|if|who|whom|whose|what|when|where|which|why|how))\b"
)
# What the passages do say, behind what they lack.
_ADVERSE = re.compile(r"(?i)\b(?:but|although|though|whereas|however|yet)\b")
# One of these stands in every sentence that _COURTESY matches; looking for words is ten times cheaper than the pattern.
# As they stand, too: function words have no other stem.
_COURTEOUS = word_set(
    "hope free questions happy certainly course thank thanks welcome hello hi hey apologize apologise ai sure "
    "know certain able unable aware question answer say tell find give provide offer help assist share discuss comply "
    "recommend advise regards wishes yours dear safe enjoy"
)
_COURTEOUS_WORDS = _COURTEOUS | set(map(stem, _COURTEOUS))
_LACKING_WORDS = frozenset(map(stem, ("unable", "unclear", "open", "silent")))  # without a negation
_REFERRING = re.compile(r"(?i)\W*+(?:(?:passage|source|document|text)s?\W*+(?:\d+|and|or|[\s,&])*+)++\W*+")
_LIST_MARKS = re.compile(r"\W*+(?:\(?\d{1,2}+(?!\d)(?:\.\d{1,2}+(?!\d))*+[.)]?\s*+)++")  # "4. 4.", "(2)", "2.1"
_FINISHED = ".!?\u2026\u3002\uff01\uff1f\uff0e"  # the marks that end a sentence, and what may close behind them
_CLOSERS = "\"'\u201d\u2019)]*_`|"
_BARE_ANSWERS = (["Yes"], ["yes"])  # like "No.", which has no content word
_MAX_OPENING_CHARS = 400


class RulesExtractor:
    """Extracts claims without a model. Stateless: `setup` and `teardown` have nothing to open or close."""

    name = "rules/10"
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
        clauses = checkable_clauses(analysis)
        if clauses and sample.meta.get(FINISH_REASON) == CUT and _is_unfinished(analysis, clauses[-1]):
            clauses.pop()
        return tuple(
            _claim(f"c{number}", analysis, clause, self.name) for number, clause in enumerate(clauses, start=1)
        )


def _is_unfinished(analysis: ResponseAnalysis, clause: Clause) -> bool:
    """Whether a clause runs into the end of the response without a mark that ends a sentence."""
    return clause.end == analysis.clauses[-1].end and analysis.text.rstrip().rstrip(_CLOSERS)[-1:] not in _FINISHED


def _claim(claim_id: str, analysis: ResponseAnalysis, clause: Clause, extractor: str) -> Claim:
    quote = analysis.text[clause.start : clause.end]
    span = Span(clause.start, clause.end)
    return Claim(claim_id, quote, (quote,), (clause.sentence,), (span,), EXACT, extractor=extractor)


def checkable_clauses(analysis: ResponseAnalysis) -> list[Clause]:
    """The clauses that state something about the world, in order."""
    kinds = analysis.tokens.kinds
    silent = _silent_lines(analysis)
    kept: list[Clause] = []
    sentence, skip, lacks, in_lacking_list, may_lack = -1, False, False, False, False
    for clause in analysis.clauses:
        if clause.sentence != sentence:
            sentence = clause.sentence
            skip, in_lacking_list, may_lack = _judge_sentence(analysis, clause, in_lacking_list)
            skip, lacks = skip or sentence in silent, False
        lacking = _LACKING.search(analysis.text, clause.start, clause.end) if may_lack else None
        if lacking is not None:
            skip = in_lacking_list = lacks = True  # and what follows in the sentence says what is lacking
        behind = _behind_adverse(analysis, clause, lacking.end() if lacking else clause.start) if lacks else None
        if behind is not None:
            skip = lacks = False  # it says what they do tell
        told = behind or clause
        if not skip and _states_something(analysis, told, kinds[told.first : told.last]):
            kept.append(told)
    return kept


def _behind_adverse(analysis: ResponseAnalysis, clause: Clause, start: int) -> Clause | None:
    """The part of a clause from its "but" behind `start`, unless that says again what is lacking."""
    adverse = _ADVERSE.search(analysis.text, start, clause.end)
    if adverse is None or _LACKING.search(analysis.text, adverse.end(), clause.end):
        return None
    first = bisect_left(analysis.tokens.starts, adverse.start(), clause.first)
    return clause._replace(start=adverse.start(), first=first)


def _silent_lines(analysis: ResponseAnalysis) -> set[int]:
    """The sentences that are Markdown's and state nothing: headings, the names of a table's columns, fenced code."""
    text, sentences = analysis.text, analysis.sentences
    silent: set[int] = set()
    if "#" in text:
        silent.update(at for at, span in enumerate(sentences) if _HEADING.match(text, span.start))
    if "**" in text:
        silent.update(at for at, span in enumerate(sentences) if _is_bold_heading(text, span))
    if "|" in text:
        silent.update(at for at, (_, below) in enumerate(pairwise(sentences)) if _is_ruled(text, below))
    if "```" in text or "~~~" in text:
        for block in _FENCED.finditer(text):
            first = bisect_left(sentences, block.start(), key=attrgetter("end"))
            silent.update(range(first, bisect_left(sentences, block.end(), first, key=attrgetter("start"))))
    return silent


def _is_bold_heading(text: str, line: Span) -> bool:
    """Whether a line is a few words in bold and nothing else."""
    written = text[line.start : line.end]
    return _BOLD_HEADING.fullmatch(written) is not None and len(written.split()) <= _MOST_HEADING_WORDS


def _is_ruled(text: str, line: Span) -> bool:
    """Whether a sentence is the line between a table's column names and its rows: "|---|:--:|"."""
    marks = text[line.start : line.end]
    return "|" in marks and "--" in marks and not marks.strip("|:- \t")


def _states_something(analysis: ResponseAnalysis, clause: Clause, kinds: list[int]) -> bool:
    """Whether a clause has a content word, or a number that is not just a reference such as "(Passage 2)"."""
    if CONTENT in kinds:
        return analysis.tokens.words[clause.first : clause.last] not in _BARE_ANSWERS
    return NUMBER in kinds and not (
        _REFERRING.fullmatch(analysis.text, clause.start, clause.end)
        or (len(analysis.sentences) > 1 and _LIST_MARKS.fullmatch(analysis.text, clause.start, clause.end))
    )


def _judge_sentence(analysis: ResponseAnalysis, clause: Clause, in_lacking_list: bool) -> tuple[bool, bool, bool]:
    """Of the sentence that `clause` opens: skip it; list items after it are lacking; its clauses may say so.

    in_lacking_list: a sentence before said that the passages lack the following.
    """
    span = analysis.sentences[clause.sentence]
    text, tokens = analysis.text, analysis.tokens
    if in_lacking_list and LIST_MARKER.match(text, span.start):
        return True, True, False
    last = bisect_left(tokens.starts, span.end, clause.first)
    words = tokens.stems[clause.first : last]
    end = min(span.end, span.start + _MAX_OPENING_CHARS)
    negated = NEGATION in tokens.kinds[clause.first : last] or not _LACKING_WORDS.isdisjoint(words)
    may_lack = negated and _ABOUT_CONTEXT.search(text, span.start, end) is not None
    courteous = not _COURTEOUS_WORDS.isdisjoint(words) and _COURTESY.search(text[span.start : end]) is not None
    return courteous or text[span.end - 1] in "?:", False, may_lack
