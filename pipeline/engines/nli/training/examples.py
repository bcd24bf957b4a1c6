"""Label sets -> what a verifier learns from: claims with verdicts, responses with marked characters.

A label set of an engine gives its own claims. One of human spans (`--labels gold`) has none that an extractor would
make, so there the clauses of the extractor `rules` are the claims: unsupported when at least half of the characters are
marked, supported when none is, and left out in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.parquet as pq

from pipeline.engines.rules import RulesExtractor
from pipeline.sibling_responses import know_each_other
from schemas.errors import ConfigError, ShardError, first_line
from schemas.listed_files import check_files
from schemas.manifest import read_manifest
from schemas.records import NEGATIVE, SUPPORTED, Claim, LabelledResponse, Passage, Sample, Span
from schemas.rows import from_table

UNKNOWN, FINE, WRONG = -1, 0, 1  # of a character
_HALF: Final = 0.5
_HUMAN: Final = "gold/"  # how `pipeline.gold_labels` names itself; importing it would load Beam


@dataclass(frozen=True, slots=True)
class LabelledClaim:
    """A claim that somebody judged. supported: the verdict."""

    claim: Claim
    supported: bool

    @property
    def size(self) -> int:
        """Characters that it labels; of one that was not located, those of its text."""
        return sum(span.end - span.start for span in self.claim.spans) or len(self.claim.text)


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One judged response. marks: (C,) int8 of its characters: WRONG, FINE or UNKNOWN."""

    sample: Sample
    claims: tuple[LabelledClaim, ...]
    marks: np.ndarray

    @property
    def context(self) -> tuple[Passage, ...]:
        return self.sample.context

    @property
    def response(self) -> str:
        return self.sample.response or ""


def read_examples(folders: Sequence[Path], most: int, seed: int) -> list[Example]:
    """The judged responses of label sets, at most about `most`, whole prompt groups, ordered by a hash of the group.

    Raises ConfigError when there are fewer than two prompt groups with a context, ShardError for a damaged label set.
    """
    rows: list[LabelledResponse] = []
    for folder in folders:
        for path in check_files(folder, read_manifest(folder).shards):
            try:
                table = pq.read_table(path)
            except (OSError, ValueError) as err:
                raise ShardError(f"{path}: cannot be read ({first_line(err)})") from err
            rows += [row for row in from_table(table) if row.sample.context and row.sample.response and row.claims]
    rows.sort(key=lambda row: (share_of(row.sample.group_id, seed), row.sample.group_id, row.sample.id))
    last = min(most, len(rows))
    while 0 < last < len(rows) and rows[last].sample.group_id == rows[last - 1].sample.group_id:
        last -= 1
    rows = rows[: last or most]
    if len({row.sample.group_id for row in rows}) < 2:
        raise ConfigError("the label sets hold fewer than two prompt groups with a context, a response and claims")
    groups = groupby(rows, key=lambda row: row.sample.group_id)
    return [example_of(row) for _, members in groups for row in _in_group(list(members))]


def _in_group(rows: Sequence[LabelledResponse]) -> Iterator[LabelledResponse]:
    """The rows of one prompt group, knowing each other as when they are labelled."""
    known = know_each_other([row.sample for row in rows])
    return (replace(row, sample=sample) for row, sample in zip(rows, known, strict=True))


def share_of(group: str, seed: int) -> float:
    """A number in [0, 1) that depends on the group and the seed alone."""
    digest = hashlib.sha256(f"{seed}:{group}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def held_out(examples: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """(for training, held out): the groups with the smallest hashes are held out, at least one and not all."""
    groups = sorted({one.sample.group_id for one in examples}, key=lambda group: (share_of(group, seed + 1), group))
    count = min(len(groups) - 1, max(1, round(share * len(groups))))
    kept_back = set(groups[:count])
    return (
        [one for one in examples if one.sample.group_id not in kept_back],
        [one for one in examples if one.sample.group_id in kept_back],
    )


def example_of(row: LabelledResponse) -> Example:
    """What a row teaches."""
    marks = np.full(len(row.sample.response or ""), UNKNOWN, dtype=np.int8)
    for span in row.label_spans:
        marks[span.start : span.end] = WRONG if span.label == NEGATIVE else FINE
    if any(claim.verifier.startswith(_HUMAN) for claim in row.claims):
        return Example(row.sample, tuple(clause_labels(row.sample, marks)), marks)
    judged = [LabelledClaim(claim, claim.verdict == SUPPORTED) for claim in row.claims if claim.verdict is not None]
    return Example(row.sample, tuple(judged), marks)


def clause_labels(sample: Sample, marks: np.ndarray) -> Iterable[LabelledClaim]:
    """The clauses of a response, judged by the marks of its characters."""
    for claim in RulesExtractor().extract(sample):
        wrong = marked_share(marks, claim.spans)
        if wrong == 0 or wrong >= _HALF:
            yield LabelledClaim(claim, wrong == 0)


def marked_share(marks: np.ndarray, spans: Sequence[Span]) -> float:
    """The share of WRONG characters in spans."""
    inside = np.concatenate([marks[span.start : span.end] for span in spans]) if spans else np.zeros(0)
    return float((inside == WRONG).mean()) if len(inside) else 0.0
