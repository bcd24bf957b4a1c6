"""Take passages away from contexts, or put foreign ones in their place, so that a policy invents more.

A policy that is asked without its evidence shows what it makes up; those responses give training its unsupported
tokens. What was done to a context is recorded in the record's `meta`, and the record becomes a prompt group of its own.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from schemas.errors import ConfigError
from schemas.records import Passage, Sample
from schemas.samples import default_group_id

POOL = 1_000  # passages of earlier prompts that a swap draws from


@dataclass(frozen=True, slots=True)
class Ablation:
    """drop, swap: probability that a passage is left out, or replaced by one of an earlier prompt.   seed: of both."""

    drop: float = 0.0
    swap: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in (("--drop-passages", self.drop), ("--swap-passages", self.swap)):
            if not 0 <= value <= 1:
                raise ConfigError(f"{name} {value}: must be in [0, 1]")
        if self.drop + self.swap > 1:
            raise ConfigError(
                f"--drop-passages {self.drop} and --swap-passages {self.swap}: must not exceed 1 together"
            )


def ablate_contexts(samples: Iterable[Sample], ablation: Ablation) -> Iterator[Sample]:
    """The samples with some passages dropped or swapped; the same for the same samples in the same order.

    A passage keeps its id when its text is swapped, so that a citation of it does not tell. `meta["ablated"]` is a JSON
    object {"dropped": [passage ids], "swapped": [passage ids]}. Samples left whole are passed on unchanged.
    """
    pool: deque[str] = deque(maxlen=POOL)
    for sample in samples:
        yield _ablate(sample, ablation, pool)
        pool.extend(passage.text for passage in sample.context)


def _ablate(sample: Sample, ablation: Ablation, pool: deque[str]) -> Sample:
    digest = hashlib.blake2b(f"{ablation.seed}\0{sample.group_id}".encode(), digest_size=8).digest()
    chance = random.Random(int.from_bytes(digest, "big"))  # noqa: S311  (sampling, not secrecy)
    kept: list[Passage] = []
    dropped: list[str] = []
    swapped: list[str] = []
    for passage in sample.context:
        draw = chance.random()
        if draw < ablation.drop:
            dropped.append(passage.passage_id)
        elif draw < ablation.drop + ablation.swap and pool:
            swapped.append(passage.passage_id)
            kept.append(Passage(passage.passage_id, pool[chance.randrange(len(pool))]))
        else:
            kept.append(passage)
    if not dropped and not swapped:
        return sample
    context = tuple(kept)
    meta = {**sample.meta, "ablated": json.dumps({"dropped": dropped, "swapped": swapped})}
    group_id = default_group_id(sample.prompt, context)
    return dataclasses.replace(sample, context=context, group_id=group_id, meta=meta)
