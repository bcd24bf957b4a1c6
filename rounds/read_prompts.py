"""The distinct prompts of any corpus that the readers know, with what could not be read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from pipeline.corpora import open_corpus, read_corpus_file
from schemas.records import Rejected, Sample


def read_prompts(patterns: Sequence[str], format: str | None, refused: list[Rejected]) -> Iterator[Sample]:
    """One prompt per prompt group, in the corpus's order, without response; unreadable records go to `refused`.

    Raises ConfigError when a file is missing or its format cannot be told.
    """
    seen: set[str] = set()
    for file in open_corpus(patterns, format):
        for record in read_corpus_file(file):
            if isinstance(record, Rejected):
                refused.append(record)
            elif record.group_id not in seen:
                seen.add(record.group_id)
                yield dataclasses.replace(
                    record,
                    response=None,
                    policy=None,
                    response_token_ids=None,
                    response_logprobs=None,
                    tokenizer=None,
                    gold_spans=None,
                )
