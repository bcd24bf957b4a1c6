"""One fact of a right claim is changed: does the claim keep its label of +1?

    python -m benchmarks.changed_facts [--ragtruth DIR] [--factscore FILE] [--verifier NAME] [--most N] [--json]

Claims (of the extractor `rules`) without a character in a human span, changed in one place, in their response:

    name              a name gives way to another of the same context, with as many words
    name nearby       ... to the one that stands nearest to it in the context
    two names         two names of the claim change places
    number            a number gives way to another of the same context, with as many digits
    number nearby     ... to the one that stands nearest to it in the context
    two numbers       two numbers of the claim change places
    negation          "not" is put behind the first "is", "was", "can", "will", ...
    negation left out the "not" of a claim is taken away

A changed claim may still be true, or be no sentence: read the shares against each other, not as errors. `unchanged` are
the same claims as they were, which is what catching the others costs. For `lexical` a second line has the labels
without the signs of pipeline/engines/contrary. Weights are those that ship; those of
contrary/displaced.py were fitted on such changes, and fit_displaced.py prints what they find out of fold.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest import mock

from benchmarks import label_scores
from benchmarks.label_quality import LEXICAL, named_verifier, sets_of
from benchmarks.lexical_data import read_factscore
from pipeline.engines import BatchVerifier, Verifier
from pipeline.engines.rules import RulesExtractor
from pipeline.weigh_scores import NeutralBand
from schemas.records import SUPPORTED, Claim, Sample, Span

UNCHANGED: Final = "unchanged"
_NAME: Final = re.compile(r"\b[A-Z][\w’'-]+(?: (?:of |the )?[A-Z][\w’'-]+)*")
_NUMBER: Final = re.compile(r"(?<![\w.,])\d(?:[\d,.]*\d)?(?![\w.,]\d)")
_COUNTED: Final = re.compile(r"(?:passages?|steps?|versions?|parts?)[ \d,and]*$|^[\s*#-]*$", re.IGNORECASE)
_VERB: Final = re.compile(r"\b(?:is|are|was|were|can|will|should|may|must|could|would|has been|have been)\b(?! not\b)")
_NOT: Final = re.compile(r" not\b(?! only)|(?<=\w)n't\b")
_DENIAL: Final = re.compile(r"\b(?:not|no|never)\b|n't", re.IGNORECASE)
_Placed = tuple[int, int, str]  # start, end, what stands there
_SENTENCE_END: Final = '.!?:;\n"“*-•'


class Change(NamedTuple):
    """A claim changed in its characters `spans`."""

    kind: str
    text: str
    spans: tuple[Span, ...]


def changed(claim: str, context: str, choose: random.Random) -> Iterator[Change]:
    """At most one change of each kind."""
    names, theirs = list(_names(claim)), [one for one in _names(context) if one[2].lower() not in claim.lower()]
    yield from _exchanged("name", claim, context, names, theirs, lambda name: len(name.split()), choose)
    numbers = [match for match in _NUMBER.finditer(claim) if not _COUNTED.search(claim, 0, match.start())]
    stated = {match.group() for match in numbers}
    told = [_placed(match) for match in _NUMBER.finditer(context) if match.group() not in stated]
    yield from _exchanged("number", claim, context, [*map(_placed, numbers)], told, len, choose)
    verb, denial = _VERB.search(claim), _NOT.search(claim)
    if verb and not _DENIAL.search(claim):
        yield _replaced("negation", claim, (verb.end(), verb.end(), " not"))
    if denial:
        yield _replaced("negation left out", claim, (denial.start(), denial.end(), ""))


def _exchanged(
    kind: str,
    claim: str,
    context: str,
    ours: list[_Placed],
    theirs: list[_Placed],
    size: Callable[[str], int],
    choose: random.Random,
) -> Iterator[Change]:
    """One fact gives way to another one of its size, to the nearest such in the context, to another of the claim."""
    if not ours:
        return
    start, end, fact = choose.choice(ours)
    others = [other for other in theirs if size(other[2]) == size(fact)]
    if others:
        yield _replaced(kind, claim, (start, end, choose.choice(sorted({other for _, _, other in others}))))
        places = [match.start() for match in re.finditer(re.escape(fact), context)]
        if places:
            _, _, nearest = min(others, key=lambda other: min(abs(other[0] - place) for place in places))
            yield _replaced(f"{kind} nearby", claim, (start, end, nearest))
    rest = [other for other in ours if other[2] != fact and size(other[2]) == size(fact)]
    if rest:
        other_start, other_end, other = choose.choice(rest)
        yield _replaced(f"two {kind}s", claim, *sorted(((start, end, other), (other_start, other_end, fact))))


def _replaced(kind: str, claim: str, *pieces: _Placed) -> Change:
    text, spans, at = "", [], 0
    for start, end, new in pieces:
        text += claim[at:start]
        spans.append(Span(len(text), len(text) + len(new)))
        text, at = text + new, end
    return Change(kind, text + claim[at:], tuple(spans))


def _names(text: str) -> Iterator[_Placed]:
    """Capitalised words inside sentences."""
    for match in _NAME.finditer(text):
        before = text[: match.start()].rstrip()[-1:]
        if before and before not in _SENTENCE_END:
            yield _placed(match)


def _placed(match: re.Match[str]) -> _Placed:
    return match.start(), match.end(), match.group()


class Asked(NamedTuple):
    """Claim `number` of a response, as it was or changed.   spans: its changed characters, in the claim."""

    kind: str
    sample: Sample
    claims: tuple[Claim, ...]
    number: int
    spans: tuple[Span, ...] = ()


def changed_samples(samples: Sequence[Sample], seed: int = 0) -> Iterator[Asked]:
    """Every right claim, unchanged and changed."""
    choose, extractor = random.Random(seed), RulesExtractor()
    for sample in samples:
        text, claims = sample.response or "", extractor.extract(sample)
        wrong = label_scores.characters(sample.gold_spans or ())
        context = "\n".join(passage.text for passage in sample.context)
        for number, claim in enumerate(claims):
            (span,) = claim.spans
            if not wrong.isdisjoint(range(span.start, span.end)):
                continue
            yield Asked(UNCHANGED, sample, claims, number)
            for change in changed(claim.text, context, choose):
                response = text[: span.start] + change.text + text[span.end :]
                moved = _moved(claims, number, change.text)
                anew = replace(sample, response=response, gold_spans=None)
                yield Asked(change.kind, anew, moved, number, change.spans)


def _moved(claims: tuple[Claim, ...], number: int, new: str) -> tuple[Claim, ...]:
    """The claims of the response in which one of them now reads `new`."""
    (changed_span,) = claims[number].spans
    by = len(new) - (changed_span.end - changed_span.start)
    moved = []
    for at, claim in enumerate(claims):
        (span,) = claim.spans
        start = span.start + (by if span.start > changed_span.start else 0)
        end = span.end + (by if span.end >= changed_span.end else 0)
        moved.append(replace(claim, text=new if at == number else claim.text, spans=(Span(start, end),)))
    return tuple(moved)


def measure(
    samples: Sequence[Sample], verifier: Verifier | BatchVerifier, band: NeutralBand | None, most: int
) -> dict[str, Any]:
    """Shares of labels in percent, by kind of change.   most: claims of each kind, the first of a random order."""
    asked = list(changed_samples(samples))
    random.Random(1).shuffle(asked)
    seen: Counter[str] = Counter()
    chosen = []
    for one in asked:
        seen[one.kind] += 1
        if seen[one.kind] <= most:
            chosen.append(one)
    pairs = [(one.sample, one.claims) for one in chosen]
    judged = label_scores.verified(pairs, verifier)
    labels: dict[str, Counter[int]] = {}
    for one, claims in zip(chosen, judged, strict=True):
        labels.setdefault(one.kind, Counter()).update([_label(claims[one.number], band)])
    return {
        kind: {"claims": found.total()}
        | {name: 100 * found[label] / found.total() for name, label in (("+1", 1), ("0", 0), ("-1", -1))}
        for kind, found in sorted(labels.items(), key=lambda item: item[0] != UNCHANGED)
    }


def _label(claim: Claim, band: NeutralBand | None) -> int:
    if claim.verdict is None or (band is not None and band.is_doubtful(claim)):
        return 0
    return 1 if claim.verdict == SUPPORTED else -1


def main() -> None:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ragtruth", type=Path, help="folder: response.jsonl and source_info.jsonl")
    parser.add_argument("--factscore", type=Path, help="factscore.jsonl with contexts")
    parser.add_argument("--verifier", default=LEXICAL, help="any that needs no endpoint: lexical, nli:PATH")
    parser.add_argument("--most", type=int, default=10_000, help="claims of each kind")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    if not (arguments.ragtruth or arguments.factscore):
        parser.error("give --ragtruth, --factscore or both")
    verifier, band = named_verifier(arguments.verifier)
    verifier.setup()
    figures: dict[str, Any] = {"verifier": verifier.name}
    records = read_factscore(arguments.factscore) if arguments.factscore else []
    for name, samples in sets_of(arguments.ragtruth, records):
        figures[name] = measure(samples, verifier, band, arguments.most)
        if arguments.verifier == LEXICAL:
            with mock.patch("pipeline.engines.findings.find_contrary", return_value=""):
                figures[f"{name}, without signs"] = measure(samples, verifier, band, arguments.most)
    verifier.teardown()
    print(json.dumps(figures, indent=2) if arguments.json else _report(figures))


def _report(figures: dict[str, Any]) -> str:
    lines = [
        f"verifier {figures['verifier']}: labels in percent of claims",
        f"{'':18}{'claims':>8}{'+1':>8}{'0':>8}{'-1':>8}",
    ]
    for name, kinds in figures.items():
        if isinstance(kinds, dict):
            lines.append(name)
            for kind, row in kinds.items():
                lines.append(
                    f"  {kind:16}{row['claims']:>10}" + "".join(f"{row[key]:>8.1f}" for key in ("+1", "0", "-1"))
                )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
