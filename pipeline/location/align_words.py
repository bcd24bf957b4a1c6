"""Which words of a sentence are the words of a quote or a claim.

Two alignments. `align_in_order`: the words of a quote stand in the text in their order, others may lie between them
(the shortest such window). `align_any_order`: the words of a reworded claim stand in one sentence in any order.
Both work on the keys of `split_words` and return word positions; light words never decide, they only fill gaps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from pipeline.location.split_words import CONTENT, LIGHT, NEGATION, Words

# Longest run of light words that still joins two matched words into one piece.
MAX_LIGHT_GAP: Final = 4
# Pairs of a required word and a word of the text that one alignment may look at. Sentences and quotes need a few
# thousand; a quote of one word repeated a thousand times against a text of the same word would need billions.
MAX_PAIRS: Final = 50_000


def align_in_order(required: Sequence[str], words: Words, start: int, end: int) -> list[int] | None:
    """Positions in [start, end) of the shortest window that holds all `required` keys in order; None without one.

    One pass: `opened[k]` is the latest position from which the first k keys are matched in order.
    """
    places: dict[str, list[int]] = {}
    for k in range(len(required) - 1, -1, -1):
        places.setdefault(required[k], []).append(k)
    if len(required) > end - start or max(map(len, places.values()), default=0) * (end - start) > MAX_PAIRS:
        return None
    opened = [-1] * (len(required) + 1)
    best: tuple[int, int] | None = None
    for here in range(start, end):
        for k in places.get(words.keys[here], ()):
            opened[k + 1] = here if k == 0 else opened[k]
            is_window = k + 1 == len(required) and opened[k + 1] >= 0
            if is_window and (best is None or here - opened[k + 1] < best[1] - best[0]):
                best = (opened[k + 1], here)
    return None if best is None else _match_backwards(required, words, *best)


def _match_backwards(required: Sequence[str], words: Words, first: int, last: int) -> list[int]:
    positions: list[int] = []
    k = len(required) - 1
    for here in range(last, first - 1, -1):
        if k >= 0 and words.keys[here] == required[k]:
            positions.append(here)
            k -= 1
    return positions[::-1]


def align_any_order(required: Sequence[str], words: Words, start: int, end: int) -> list[int | None]:
    """For every required key its position in [start, end), or None; no position is used twice.

    Keys that stand there once are anchors. The others take the free place nearest to where their neighbours in
    `required` stand, so that "from 2015 to 2016" finds its own "2016" and not another one.
    """
    places: dict[str, list[int]] = {key: [] for key in required}
    for here in range(start, end):
        if words.keys[here] in places:
            places[words.keys[here]].append(here)
    if sum(len(places[key]) for key in required) + len(required) ** 2 > 4 * MAX_PAIRS:
        return [None] * len(required)
    chosen: list[int | None] = [places[key][0] if len(places[key]) == 1 else None for key in required]
    taken: set[int] = set()
    for k, position in enumerate(chosen):
        if position in taken:
            chosen[k] = None
        elif position is not None:
            taken.add(position)
    for k, key in enumerate(required):
        free = [here for here in places[key] if here not in taken] if chosen[k] is None else ()
        if free:
            expected = _expected_positions(chosen, k)
            best = min(free, key=lambda here: min((abs(here - there) for there in expected), default=0))
            chosen[k] = best
            taken.add(best)
    return chosen


def _expected_positions(chosen: Sequence[int | None], k: int) -> list[int]:
    """Where key k would stand right after the aligned key before it, and right before the aligned key after it."""
    before = [position + 1 for position in chosen[:k] if position is not None]
    after = [position - 1 for position in chosen[k + 1 :] if position is not None]
    return before[-1:] + after[:1]


def has_unclaimed_negation(positions: Sequence[int], words: Words, reach: int) -> bool:
    """Whether a negation that was not matched stands between matched words or up to `reach` words before one."""
    matched = set(positions)
    for here in positions:
        for before in range(max(0, here - reach), here):
            if words.kinds[before] == NEGATION and before not in matched:
                return True
    return False


def join_pieces(positions: Iterable[int], words: Words, content_gap: int = 0) -> list[tuple[int, int]]:
    """Word intervals [first, last] of matched positions; joined over light words, and `content_gap` content words."""
    pieces: list[tuple[int, int]] = []
    for here in sorted(positions):
        if pieces and _may_join(words, pieces[-1][1] + 1, here, content_gap):
            pieces[-1] = (pieces[-1][0], here)
        else:
            pieces.append((here, here))
    return pieces


def _may_join(words: Words, start: int, end: int, content_gap: int) -> bool:
    kinds = words.kinds[start:end]
    heavy = [kind for kind in kinds if kind != LIGHT]
    if len(kinds) > MAX_LIGHT_GAP:
        return False
    return len(heavy) <= content_gap and all(kind == CONTENT for kind in heavy)
