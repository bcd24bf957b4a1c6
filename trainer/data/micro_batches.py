"""Deal one step's prompt groups over ranks and micro-batches. A pure function; every rank computes the same."""

from __future__ import annotations

from collections.abc import Sequence

Batches = list[list[int]]  # micro-batches of positions in the step


def deal(tokens: Sequence[int], world_size: int, token_budget: int) -> list[Batches]:
    """For every rank its micro-batches, as positions in `tokens`; as many on every rank, empty ones at the end.

    tokens: packed tokens of each group.   token_budget: of a micro-batch; a group above it stands alone.
    Longest first: each group goes to the rank with the fewest tokens so far, and there into the first micro-batch
    with room. A rank with fewer micro-batches than another cuts its largest in two, so that an empty one appears
    only where a rank has too few groups.
    """
    longest_first = sorted(range(len(tokens)), key=lambda position: (-tokens[position], position))
    loads = [0] * world_size
    ranks: list[list[int]] = [[] for _ in range(world_size)]
    for position in longest_first:
        rank = min(range(world_size), key=lambda r: (loads[r], len(ranks[r]), r))
        ranks[rank].append(position)
        loads[rank] += tokens[position]
    dealt = [_fill(positions, tokens, token_budget) for positions in ranks]
    most = max(len(batches) for batches in dealt)
    return [_stretch(batches, tokens, most) for batches in dealt]


def _fill(positions: Sequence[int], tokens: Sequence[int], token_budget: int) -> Batches:
    """First fit of positions that come longest first."""
    batches: Batches = []
    room: list[int] = []
    for position in positions:
        at = next((i for i, left in enumerate(room) if tokens[position] <= left), None)
        if at is None:
            batches.append([])
            room.append(token_budget)
            at = len(batches) - 1
        batches[at].append(position)
        room[at] -= tokens[position]
    return batches


def _stretch(batches: Batches, tokens: Sequence[int], count: int) -> Batches:
    """The same positions in `count` micro-batches."""
    batches = list(batches)
    while len(batches) < count:
        several = [i for i, batch in enumerate(batches) if len(batch) > 1]
        if not several:
            batches += [[] for _ in range(count - len(batches))]
            break
        largest = max(several, key=lambda i: (sum(tokens[position] for position in batches[i]), -i))
        batches[largest : largest + 1] = _halve(batches[largest], tokens)
    return batches


def _halve(batch: list[int], tokens: Sequence[int]) -> Batches:
    halves: Batches = [[], []]
    loads = [0, 0]
    for position in sorted(batch, key=lambda p: (-tokens[p], p)):
        side = int((loads[1], len(halves[1])) < (loads[0], len(halves[0])))
        halves[side].append(position)
        loads[side] += tokens[position]
    return halves
