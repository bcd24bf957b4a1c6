"""Every sample gets to know the other responses to its prompt, for verifiers that hold a response against them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from schemas.records import Sample


def know_each_other(members: Iterable[Sample]) -> Iterator[Sample]:
    """The samples of one prompt group, each with the different responses of all of them.

    members: iterated twice, since a group of a shuffle may be larger than memory.
    """
    responses = tuple(dict.fromkeys(sample.response for sample in members if sample.response))
    for sample in members:
        yield replace(sample, group_responses=responses) if len(responses) > 1 else sample
