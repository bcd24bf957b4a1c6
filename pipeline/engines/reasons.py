"""Why the lexical verifier says what it says, in one short sentence for people."""

from __future__ import annotations

from itertools import pairwise

from pipeline.engines.context_index import ContextIndex
from pipeline.engines.findings import Finding
from schemas.records import CONTRADICTED, SUPPORTED, Evidence

SAME_STATEMENT = 0.6  # share of a claim's words in one context sentence from which a mismatch is a contradiction
_MAX_NAMED_WORDS = 5
_MAX_LABEL = 40  # characters


def reason_of(finding: Finding, verdict: str, evidence: tuple[Evidence, ...], index: ContextIndex) -> str:
    """One short sentence for people."""
    found = _of_numbers_and_records(finding)
    if found:
        return found
    if verdict == CONTRADICTED and finding.negates:
        return f"{evidence[0].passage_id} says the opposite: one of the two is negated"
    if verdict == SUPPORTED and finding.contrary:
        return f"doubtful: {finding.contrary}"
    if verdict == SUPPORTED and finding.agrees:
        return "a record of the context says so"
    if verdict == SUPPORTED and evidence:
        return f"{finding.covered:.0%} of its words are in one sentence of {evidence[0].passage_id}"
    new = finding.new_words(index)
    if new and verdict != SUPPORTED:
        return _of_new_words(finding, new)
    if not evidence:
        return "no word of it is in the context"
    if finding.covered < SAME_STATEMENT:
        return f"only {finding.covered:.0%} of its words are in one sentence of the context"
    return f"{finding.covered:.0%} of its words are in one sentence; its form and the claims beside it speak against it"


def _of_numbers_and_records(finding: Finding) -> str:
    """What the rules have against a claim; "" when they have nothing."""
    if finding.missing:
        return f"number {', '.join(finding.words_at(finding.missing[:_MAX_NAMED_WORDS]))} is not in the context"
    if finding.against:
        named = dict.fromkeys(
            f"{at.field.label}: {at.field.cost or at.field.value}" for at in finding.against[:_MAX_NAMED_WORDS]
        )
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


def _of_new_words(finding: Finding, new: list[int]) -> str:
    """The claim's words that the context lacks; of a prompt group, those that no other response has, if there are."""
    alone = [at for at in new if not finding.is_echoed(at)] if finding.group else []
    named = dict.fromkeys(_written(finding, alone or new)[:_MAX_NAMED_WORDS])
    return f"not in the context{', nor in another response' if alone else ''}: {', '.join(named)}"


def _written(finding: Finding, words: list[int]) -> list[str]:
    """Words as they stand in the claim: "Wi" and "Fi" of "WiFi" are one."""
    tokens, written = finding.tokens, list[str]()
    for before, at in pairwise((-2, *words)):
        if before == at - 1 and tokens.starts[at] == tokens.ends[before]:
            written[-1] += tokens.words[at]
        else:
            written.append(tokens.words[at])
    return written
