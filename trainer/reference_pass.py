"""The pass of `--reference cached`: every response once through the policy as it was loaded, each rank its share.

Kept in the run as reference-KEY.safetensors, where KEY names model, stop tokens and label sets by content.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load, load_file, save

from schemas.disk import write_atomically
from schemas.errors import ShardError
from trainer.batches import CreditOptions, Piece, deal_credit
from trainer.config import TrainConfig
from trainer.data.stream import GroupStream
from trainer.gradient import StepGradient
from trainer.policy import Policy
from trainer.prepare import Data
from trainer.reference import KEY_BYTES, CachedReference, response_key

log = logging.getLogger("trainer")

Scored = dict[str, np.ndarray]  # keys (R, KEY_BYTES), lengths (R,), logprobs and maybe stop_odds (all tokens,)


def cached_reference(
    config: TrainConfig, policy: Policy, data: Data, stream: GroupStream, gradient: StepGradient
) -> CachedReference:
    """Scores of every response of the label sets, from the file of an earlier start or from a pass over them.

    Raises ShardError, and keeps nothing, when a row group that could be measured cannot be read: a later start may read
    it, and find no scores.
    """
    described = f"{policy.fingerprint} {data.index.key} {gradient.half} {policy.scorer.stop_ids}"
    key = hashlib.sha256(described.encode()).hexdigest()[:16]
    path = Path(config.out) / f"reference-{key}.safetensors"
    ranks = gradient.ranks
    if ranks.any(not path.is_file()):  # the same answer on all ranks: scoring is a collective
        log.info("reference log-probabilities: one pass over the label sets")
        mine = score_pieces(_pieces(config, data, stream, gradient), gradient)
        if ranks.any(bool(stream.quarantined)):
            reason = next(iter(stream.quarantined.values()), "another rank could not read its share")
            raise ShardError(
                f"{reason}; --reference cached needs every response: mend the label set or its disk and start again, "
                "or use another --reference"
            )
        parts = [load(ranks.from_rank(rank, lambda: save(mine))) for rank in range(ranks.size)]
        if ranks.local == 0:
            path.parent.mkdir(parents=True, exist_ok=True)  # on a machine that does not share the first rank's disk
            write_atomically(path, save(_joined(parts)))
        ranks.barrier()
    return read_cache(path)


def _pieces(config: TrainConfig, data: Data, stream: GroupStream, gradient: StepGradient) -> Iterator[Piece]:
    """This rank's share of all groups that are trained on or held out; as many pieces on every rank, some empty."""
    groups = np.sort(np.concatenate([data.split.train, data.split.held_out]))
    share = (gradient.ranks.rank, gradient.ranks.size)
    for step in stream.held_out(data.index, groups, config.micro_tokens, config.groups_per_step, None, *share):
        for micro_batch in step.micro_batches:
            dealt, _ = deal_credit(micro_batch.groups, CreditOptions(anchor="all"))
            yield tuple(group for group in dealt if any(len(response.row) for response in group.responses))


def score_pieces(pieces: Iterable[Piece], gradient: StepGradient) -> Scored:
    """Every token of every piece scored, in order."""
    keys: list[bytes] = []
    lengths: list[int] = []
    logprobs, stop_odds = [np.zeros(0, np.float32)], list[np.ndarray]()
    for piece in pieces:
        for part, scores in gradient.score(piece):
            keys += [response_key(group.prompt_ids, r.row.token_ids) for group in part for r in group.responses]
            lengths += [len(r.row) for group in part for r in group.responses]
            logprobs.append(scores.logprobs.float().cpu().numpy())
            if scores.stop_odds is not None:
                stop_odds.append(scores.stop_odds.float().cpu().numpy())
    scored = {
        "keys": np.frombuffer(b"".join(keys), np.uint8).reshape(-1, KEY_BYTES),
        "lengths": np.array(lengths, np.int64),
        "logprobs": np.concatenate(logprobs),
    }
    return scored | ({"stop_odds": np.concatenate(stop_odds)} if stop_odds else {})


def _joined(parts: Sequence[Scored]) -> Scored:
    """The ranks' shares in one; a rank without a single response has no stop_odds."""
    names = sorted(set().union(*parts))
    return {name: np.concatenate([part[name] for part in parts if name in part]) for name in names}


def read_cache(path: Path) -> CachedReference:
    """The reference of a file that a pass wrote."""
    tensors = load_file(path)
    ends = np.cumsum(tensors["lengths"])
    places = zip((ends - tensors["lengths"]).tolist(), ends.tolist(), strict=True)
    by_response = dict(zip(map(bytes, tensors["keys"]), places, strict=True))
    return CachedReference(tensors["logprobs"], tensors.get("stop_odds"), by_response)
