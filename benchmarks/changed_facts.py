"""One fact of a right claim is changed: does the claim keep its label of +1?

    python -m benchmarks.changed_facts [--ragtruth DIR] [--factscore FILE] [--verifier NAME] [--most N] [--json]

Claims (of the extractor `rules`) without a character in a human span, changed in one place, in their response:

    name              a name gives way to another of the same context, with as many words
    number            a number gives way to another of the same context, with as many digits
    negation          "not" is put behind the first "is", "was", "can", "will", ...
    negation left out the "not" of a claim is taken away

A changed claim may still be true, or be no sentence: read the shares against each other, not as errors. `unchanged` are
the same claims as they were, which is what catching the others costs. For `lexical` a second line has the labels
without the signs of pipeline/engines/contrary. Weights are those that ship: nothing of them depends on such changes.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
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
_SENTENCE_END: Final = '.!?:;\n"“*-•'


def changed(claim: str, context: str, choose: random.Random) -> Iterator[tuple[str, str]]:
    """(kind of change, the changed claim), at most one of each kind."""
    names, theirs = list(_names(claim)), {name for _, _, name in _names(context) if name.lower() not in claim.lower()}
    if names:
        start, end, name = choose.choice(names)
        others = sorted(other for other in theirs if len(other.split()) == len(name.split()))
        if others:
            yield "name", claim[:start] + choose.choice(others) + claim[end:]
    numbers = [match for match in _NUMBER.finditer(claim) if not _COUNTED.search(claim, 0, match.start())]
    if numbers:
        match = choose.choice(numbers)
        stated = {one.group() for one in numbers}
        others = sorted({n.group() for n in _NUMBER.finditer(context) if len(n.group()) == len(match.group())} - stated)
        if others:
            yield "number", claim[: match.start()] + choose.choice(others) + claim[match.end() :]
    verb, denial = _VERB.search(claim), _NOT.search(claim)
    if verb and not _DENIAL.search(claim):
        yield "negation", f"{claim[: verb.end()]} not{claim[verb.end() :]}"
    if denial:
        yield "negation left out", claim[: denial.start()] + claim[denial.end() :]


def _names(text: str) -> Iterator[tuple[int, int, str]]:
    """Capitalised words inside sentences."""
    for match in _NAME.finditer(text):
        before = text[: match.start()].rstrip()[-1:]
        if before and before not in _SENTENCE_END:
            yield match.start(), match.end(), match.group()


def changed_samples(samples: Sequence[Sample], seed: int = 0) -> Iterator[tuple[str, Sample, tuple[Claim, ...], int]]:
    """(kind, response, its claims, number of the claim in question) of every right claim, unchanged and changed."""
    choose, extractor = random.Random(seed), RulesExtractor()
    for sample in samples:
        text, claims = sample.response or "", extractor.extract(sample)
        wrong = label_scores.characters(sample.gold_spans or ())
        context = "\n".join(passage.text for passage in sample.context)
        for number, claim in enumerate(claims):
            (span,) = claim.spans
            if not wrong.isdisjoint(range(span.start, span.end)):
                continue
            yield UNCHANGED, sample, claims, number
            for kind, new in changed(claim.text, context, choose):
                response = text[: span.start] + new + text[span.end :]
                moved = _moved(claims, number, new)
                yield kind, replace(sample, response=response, gold_spans=None), moved, number


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
        seen[one[0]] += 1
        if seen[one[0]] <= most:
            chosen.append(one)
    pairs = [(sample, claims) for _, sample, claims, _ in chosen]
    judged = label_scores.verified(pairs, verifier)
    labels: dict[str, Counter[int]] = {}
    for (kind, _, _, number), claims in zip(chosen, judged, strict=True):
        labels.setdefault(kind, Counter()).update([_label(claims[number], band)])
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
