"""Human labels as feature rows of the lexical engine: for fitting it, and for measuring it out of fold.

RAGTruth's responses come with human spans. FActScore's biographies come with human-labelled claims, used twice: as
reworded claims, and, located in the biographies, as spans of clauses (`read_biographies`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from pipeline.corpora.files import open_corpus
from pipeline.corpora.read import read_corpus_file
from pipeline.engines.claim_features import TEXT_FEATURES, read_claim, topic_of
from pipeline.engines.clauses import analyse_response
from pipeline.engines.context_index import index_context
from pipeline.engines.features import CLAUSE_FEATURES, GROUP_FEATURES, Reading, clause_features
from pipeline.engines.group_words import group_words
from pipeline.engines.linear import neighbour_means
from pipeline.engines.rules import checkable_clauses
from pipeline.locate_spans import locate_claims
from pipeline.resolve import resolve
from pipeline.sibling_responses import know_each_other
from schemas.records import NEGATIVE, OK, SUPPORTED, UNSUPPORTED, Claim, GoldSpan, Passage, Sample, Span

_BY_CLAIM: Final = {"features", "unsupported", "missing", "response", "groups", "gold_chars", "chars"}


@dataclass(frozen=True, slots=True, eq=False)
class ClaimRows:
    """Labelled claims of several responses, in order, the claims of a response together. N claims, D features.

    features: (N, D), called `names`.   unsupported: (N,) bool.   missing: (N,) bool, a number that the context lacks.
    response: (N,) number of the response.   groups: (N,) the context each claim was written from.
    """

    names: tuple[str, ...]
    features: np.ndarray
    unsupported: np.ndarray
    missing: np.ndarray
    response: np.ndarray
    groups: np.ndarray

    def surroundings(self, logits: np.ndarray) -> np.ndarray:
        """(N, 2) each claim's logit, and the mean of the claims beside it in its response."""
        parts = np.split(logits, np.flatnonzero(np.diff(self.response)) + 1)
        return np.column_stack([logits, np.concatenate([neighbour_means(part.tolist()) for part in parts])])

    def part(self, chosen: np.ndarray) -> Self:
        """The claims of some whole responses; `samples` and other lists by response stay as they are.

        chosen: (N,) bool.
        """
        kept = {field.name: getattr(self, field.name)[chosen] for field in fields(self) if field.name in _BY_CLAIM}
        return replace(self, **kept)


@dataclass(frozen=True, slots=True, eq=False)
class ClauseRows(ClaimRows):
    """The checkable clauses of annotated responses; unsupported: at least half of the clause is in human spans.

    samples: by number of response.   spans: N.   gold_chars, chars: (N,) characters in human spans, and in all.
    """

    samples: list[Sample]
    spans: list[Span]
    gold_chars: np.ndarray
    chars: np.ndarray


def read_ragtruth(folder: Path) -> list[Sample]:
    """The annotated responses of a RAGTruth folder (response.jsonl beside source_info.jsonl), in prompt groups."""
    records = [record for file in open_corpus([str(folder / "response.jsonl")]) for record in read_corpus_file(file)]
    return in_groups([one for one in records if isinstance(one, Sample) and one.response is not None])


def in_groups(samples: Sequence[Sample]) -> list[Sample]:
    """The same samples, in order, each knowing its prompt group as in `balto label`."""
    groups: dict[str, list[int]] = {}
    for at, sample in enumerate(samples):
        groups.setdefault(sample.group_id, []).append(at)
    known = list(samples)
    for places in groups.values():
        for at, sample in zip(places, know_each_other([samples[at] for at in places]), strict=True):
            known[at] = sample
    return known


def by_themselves(samples: Sequence[Sample]) -> list[Sample]:
    """The same samples as if their prompt had no other response."""
    return [replace(sample, group_responses=()) for sample in samples]


def read_factscore(file: Path) -> list[dict[str, Any]]:
    """The records as they stand in the file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def read_biographies(records: Sequence[dict[str, Any]]) -> list[Sample]:
    """FActScore's responses with gold spans: the words of claims that people called unsupported, found by our locator.

    Words that a supported claim has as well are not gold, unless nothing else of the claim would be left.
    """
    samples = []
    for record in records:
        claims = [
            Claim(str(number), text, sentence_ids=(sentence,), verdict=UNSUPPORTED if wrong else SUPPORTED, status=OK)
            for number, (sentence, text, wrong) in enumerate(_facts(record))
        ]
        if claims:
            located = locate_claims(
                record["response"], claims, [Span(s["start"], s["end"]) for s in record["sentences"]]
            )
            labelled = resolve(located, "neutral").label_spans
            gold = tuple(GoldSpan(span.start, span.end, "NS") for span in labelled if span.label == NEGATIVE)
            samples.append(_sample(record, gold))
    return in_groups(samples)


def labelled_facts(records: Sequence[dict[str, Any]]) -> Iterator[tuple[Sample, list[tuple[int, str, bool]]]]:
    """Each record as a sample, with (sentence, text, not supported) of its human claims."""
    for record in records:
        yield _sample(record), list(_facts(record))


def _facts(record: dict[str, Any]) -> Iterator[tuple[int, str, bool]]:
    """(sentence, text, not supported) of the human claims; irrelevant ones (IR) are left out."""
    for number, sentence in enumerate(record["sentences"]):
        for fact in sentence["human_atomic_facts"] or ():
            if fact["label"] in ("S", "NS"):
                yield number, fact["text"], fact["label"] == "NS"


def _sample(record: dict[str, Any], gold: tuple[GoldSpan, ...] = ()) -> Sample:
    context = tuple(Passage(str(number), text) for number, text in enumerate(record["context"]))
    return Sample(record["id"], record["topic"], record["prompt"], context, record["response"], gold_spans=gold)


def group_rows(samples: list[Sample]) -> ClauseRows:
    """As `clause_rows`, with GROUP_FEATURES, of the responses whose prompt group is known."""
    known = [sample for sample in samples if group_words(sample.group_responses)]
    return _clause_rows(known, GROUP_FEATURES)


def clause_rows(samples: list[Sample]) -> ClauseRows:
    """One row per clause that the extractor `rules` makes a claim of, each response seen by itself."""
    return _clause_rows(by_themselves(samples), CLAUSE_FEATURES)


def _clause_rows(samples: list[Sample], names: tuple[str, ...]) -> ClauseRows:
    spans, features, gold, response, missing = [], [], [], [], []
    for at, sample in enumerate(samples):
        text = sample.response or ""
        marked = np.zeros(len(text) + 1, dtype=bool)
        for span in sample.gold_spans or ():
            marked[span.start : span.end] = True
        reading = Reading(text, index_context(sample.context), group_words(sample.group_responses))
        for clause in checkable_clauses(analyse_response(text)):
            features.append(clause_features(reading, clause.start, clause.first, clause.last))
            spans.append(Span(clause.start, clause.end))
            gold.append(int(marked[clause.start : clause.end].sum()))
            response.append(at)
            missing.append(bool(reading.missing_between(clause.first, clause.last)))
    chars = np.array([span.end - span.start for span in spans])
    return ClauseRows(
        names=names,
        features=np.array(features),
        unsupported=np.array(gold) >= 0.5 * chars,
        missing=np.array(missing),
        response=np.array(response),
        groups=np.array([samples[at].group_id for at in response]),
        samples=samples,
        spans=spans,
        gold_chars=np.array(gold),
        chars=chars,
    )


def text_rows(records: Sequence[dict[str, Any]]) -> ClaimRows:
    """One row per human FActScore claim labelled S or NS, read against its article."""
    features, unsupported, missing, response, groups = [], [], [], [], []
    for at, (sample, facts) in enumerate(labelled_facts(records)):
        index, topic = index_context(sample.context), topic_of(sample)
        for _, text, wrong in facts:
            claim = read_claim(text, index, topic)
            features.append(claim.features)
            unsupported.append(wrong)
            missing.append(bool(claim.missing))
            response.append(at)
            groups.append(sample.group_id)
    return ClaimRows(
        TEXT_FEATURES,
        np.array(features),
        np.array(unsupported),
        np.array(missing),
        np.array(response),
        np.array(groups),
    )
