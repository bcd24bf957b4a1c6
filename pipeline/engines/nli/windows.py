"""Evidence texts that fit into a model: the whole context where it fits, else its pieces that speak about the claim.

A chosen piece brings its neighbours in the passage along: what "it" and "there" stand for. Where a passage has to be
cut between two texts, both hold the sentence at the cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.engines.nli.units import ContextUnits, Unit

_MISSES: Final = 4  # chosen pieces that may be too long for the rest of the room before the search ends


@dataclass(frozen=True, slots=True)
class EvidenceWindow:
    """One evidence text. units: numbers of its units, in order.   tokens: at most what the text takes."""

    text: str
    units: tuple[int, ...]
    tokens: int


def whole_context(context: ContextUnits, room: int, most: int) -> list[EvidenceWindow] | None:
    """The context in at most `most` windows of `room` tokens; None when it takes more."""
    if sum(unit.tokens for unit in context.units) > room * most:
        return None
    packed = pack_windows(context, range(len(context.units)), room)
    return packed if len(packed) <= most else None


def chosen_windows(context: ContextUnits, ranked: Iterable[int], room: int, most: int) -> list[EvidenceWindow]:
    """The best of the `ranked` units with their neighbours, in the order of the context, in at most `most` windows."""
    chosen: set[int] = set()
    packed: list[EvidenceWindow] = []
    misses = 0
    for unit in ranked:
        if unit in chosen:
            continue
        for group in (_neighbours(context.units, unit), (unit,)):
            wider = chosen.union(group)
            tried = pack_windows(context, sorted(wider), room)
            if len(tried) <= most:
                chosen, packed = wider, tried
                break
        else:
            misses += 1
            if misses == _MISSES:
                break
    return packed


def _neighbours(units: Sequence[Unit], at: int) -> tuple[int, ...]:
    """The unit and the ones beside it in its passage."""
    near = (at - 1, at, at + 1)
    return tuple(one for one in near if 0 <= one < len(units) and units[one].passage == units[at].passage)


def pack_windows(context: ContextUnits, numbers: Sequence[int], room: int) -> list[EvidenceWindow]:
    """These units, in order, in windows of at most `room` tokens; passages stay whole where they can.

    room: at least twice the tokens of the longest unit, or the cut sentence is not repeated.
    """
    windows: list[list[int]] = []
    window: list[int] = []
    used = 0
    left_in_passage = _tokens_left(context.units, numbers)
    for at, number in enumerate(numbers):
        unit = context.units[number]
        starts_passage = at > 0 and context.units[numbers[at - 1]].passage != unit.passage
        whole_fits_alone = starts_passage and used + left_in_passage[at] > room >= left_in_passage[at]
        if window and (used + unit.tokens > room or whole_fits_alone):
            windows.append(window)
            last = context.units[window[-1]]
            repeat = window[-1] == number - 1 and last.passage == unit.passage and last.tokens + unit.tokens <= room
            window, used = ([window[-1]], last.tokens) if repeat else ([], 0)
        window.append(number)
        used += unit.tokens
    if window:
        windows.append(window)
    return [_window(context, one) for one in windows]


def _tokens_left(units: Sequence[Unit], numbers: Sequence[int]) -> list[int]:
    """For each number, the tokens of it and of the later ones in its passage."""
    left: list[int] = []
    for at in range(len(numbers) - 1, -1, -1):
        unit = units[numbers[at]]
        same = bool(left) and units[numbers[at + 1]].passage == unit.passage
        left.append(unit.tokens + (left[-1] if same else 0))
    return left[::-1]


def _window(context: ContextUnits, numbers: Sequence[int]) -> EvidenceWindow:
    pieces: list[str] = []
    start = 0
    for at, number in enumerate(numbers):
        unit = context.units[number]
        following = context.units[numbers[at + 1]] if at + 1 < len(numbers) else None
        if at == 0 or numbers[at - 1] != number - 1 or context.units[numbers[at - 1]].passage != unit.passage:
            start = unit.start
        if following is None or numbers[at + 1] != number + 1 or following.passage != unit.passage:
            pieces.append(context.passages[unit.passage].text[start : unit.end])
            if following is not None:
                pieces.append(" " if following.passage == unit.passage else "\n")
    tokens = sum(context.units[number].tokens for number in numbers)
    return EvidenceWindow("".join(pieces), tuple(numbers), tokens)
