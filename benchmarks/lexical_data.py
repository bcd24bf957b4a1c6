"""Human labels as feature rows of the lexical engine: for fitting it, and for measuring it out of fold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.corpora.files import open_corpus
from pipeline.corpora.read import read_corpus_file
from pipeline.engines.claim_features import read_claim
from pipeline.engines.clauses import analyse_response
from pipeline.engines.features import Reading, clause_features
from pipeline.engines.rules import checkable_clauses
from pipeline.gather_evidence import index_context
from schemas.records import Passage, Sample, Span


@dataclass(frozen=True, slots=True, eq=False)
class ClauseRows:
    """The checkable clauses of annotated responses. N clauses, D features.

    features: (N, D).   gold_chars, chars: (N,) characters in human spans, and in all.   response: (N,) which sample.
    missing: (N,) bool, has a number that the context does not bear.
    """

    samples: list[Sample]
    spans: list[Span]
    features: np.ndarray
    gold_chars: np.ndarray
    chars: np.ndarray
    response: np.ndarray
    missing: np.ndarray

    @property
    def groups(self) -> np.ndarray:
        """(N,) the context each clause was written from."""
        return np.array([self.samples[at].group_id for at in self.response])

    @property
    def labels(self) -> np.ndarray:
        """(N,) bool: at least half of the clause is in human spans."""
        return self.gold_chars >= 0.5 * self.chars


def read_ragtruth(folder: Path) -> list[Sample]:
    """The annotated responses of a RAGTruth folder (response.jsonl beside source_info.jsonl)."""
    samples = [record for file in open_corpus([str(folder / "response.jsonl")]) for record in read_corpus_file(file)]
    return [sample for sample in samples if isinstance(sample, Sample) and sample.response is not None]


def clause_rows(samples: list[Sample]) -> ClauseRows:
    """One row per clause that the extractor `rules` makes a claim of."""
    spans, features, gold, response, missing = [], [], [], [], []
    for at, sample in enumerate(samples):
        text = sample.response or ""
        marked = np.zeros(len(text) + 1, dtype=bool)
        for span in sample.gold_spans or ():
            marked[span.start : span.end] = True
        reading = Reading(text, index_context(sample.context))
        for clause in checkable_clauses(analyse_response(text)):
            lacks = bool(reading.missing_between(clause.first, clause.last))
            features.append(clause_features(reading, clause.start, clause.first, clause.last))
            spans.append(Span(clause.start, clause.end))
            gold.append(int(marked[clause.start : clause.end].sum()))
            response.append(at)
            missing.append(lacks)
    chars = np.array([span.end - span.start for span in spans])
    return ClauseRows(samples, spans, np.array(features), np.array(gold), chars, np.array(response), np.array(missing))


@dataclass(frozen=True, slots=True, eq=False)
class TextRows:
    """Human-labelled claims. features: (N, D).   unsupported, missing: (N,) bool.   groups: (N,) the person."""

    features: np.ndarray
    unsupported: np.ndarray
    missing: np.ndarray
    groups: np.ndarray


def text_rows(factscore: Path) -> TextRows:
    """One row per human FActScore claim labelled S or NS, read against its article."""
    rows = list(_labelled_claims(factscore))
    features, unsupported, missing, groups = zip(*rows, strict=True)
    return TextRows(np.array(features), np.array(unsupported), np.array(missing), np.array(groups))


def _labelled_claims(factscore: Path) -> Iterator[tuple[tuple[float, ...], bool, bool, str]]:
    for line in factscore.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        index = index_context(tuple(Passage(str(number), text) for number, text in enumerate(record["context"])))
        for sentence in record["sentences"]:
            for fact in sentence["human_atomic_facts"] or ():
                if fact["label"] in ("S", "NS"):
                    claim = read_claim(fact["text"], index)
                    yield claim.features, fact["label"] == "NS", bool(claim.missing), record["topic"]
