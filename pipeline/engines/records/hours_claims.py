"""What a response makes of the opening hours of a context: "closes at 9 PM on Sunday" where it is 8.

A time of the claim belongs to the weekdays named right before it or right behind it; it is wrong when it fits neither.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from pipeline.engines.numerals.clock import other_half
from pipeline.engines.numerals.numbers import Number
from pipeline.engines.records.denial import Denial
from pipeline.engines.records.opening_hours import Day, Opening, OpeningHours, days_of
from pipeline.engines.words import CONTENT, NEGATION, Tokens, word_set

_OPEN: Final = word_set("open opens opening operates operating operational hours")
_CLOSED: Final = word_set("closed closes close closing")
_BESIDE: Final = word_set("am pm a p m noon midnight late early earlier later week weeks stays remains business every")
_TO_OPEN: Final = word_set("opens opening from starts starting")
_TO_CLOSE: Final = word_set("close closes closing until till to through ends -")
_BETWEEN: Final = word_set("to through thru and or &")
_EVERY: Final = (("every", "day"), ("each", "day"), ("seven", "days"), ("7", "days"))
_SHORT: Final = word_set("mon tue tues wed thu thur thurs fri sat sun")
_WHOLE_WEEK: Final = tuple(range(7))
_NAMED_TIMES: Final = {"noon": 12 * 60, "midnight": 0}
_EXCEPTIONS: Final = word_set("other others but rest remaining if unless holiday holidays some most happy select")
_EXCEPT: Final = word_set("except excluding excepting")
_MOST_DAYS: Final = 4  # where so many have hours, the others are closed
_MAX_WORDS: Final = 80
_TOLD: Final = 60  # characters


class HoursSaid(NamedTuple):
    """denial: what is wrong.   agrees: it speaks of opening hours, and all of it is right.   day: that decides."""

    denial: Denial | None = None
    agrees: bool = False
    day: Day | None = None


class _Days(NamedTuple):
    """Weekdays named in words [first, last) of a text."""

    first: int
    last: int
    days: Sequence[int]


class _Time(NamedTuple):
    """A time of day in words [first, last) of a text.   kind: "opens", "closes" or ""."""

    first: int
    last: int
    minutes: int
    either: bool
    kind: str


def compare_hours(
    hours: OpeningHours, text: str, tokens: Tokens, first: int, last: int, numbers: Sequence[Number]
) -> HoursSaid:
    """The claim in words [first, last) of a text against the opening hours.   numbers: that the claim states."""
    words = [word.lower() for word in tokens.words[first:last]]
    if len(words) > _MAX_WORDS or (_OPEN | _CLOSED).isdisjoint(words) or not _EXCEPTIONS.isdisjoint(words):
        return HoursSaid()
    groups = [*_named_days(text, tokens, first, last)]
    if not _EXCEPT.isdisjoint(words):
        return _compare_exception(hours, groups, text, tokens, first, last, numbers)
    times = [*_times(text, tokens, first, last, numbers)]
    if not groups:
        return _compare_times_of_any_day(hours, times)
    if times:
        return _compare_times(hours, groups, times)
    if NEGATION in tokens.kinds[first:last]:
        return HoursSaid()
    return _compare_days(hours.days, groups, tokens, first, last)


def _compare_exception(
    hours: OpeningHours,
    groups: list[_Days],
    text: str,
    tokens: Tokens,
    first: int,
    last: int,
    numbers: Sequence[Number],
) -> HoursSaid:
    """ "From 8 AM to 2 PM every day except Monday": Monday is otherwise than that, and the other days as it is told.
    Times behind the exception are its own: "except on Monday, when it opens at 10 AM"."""
    if len(groups) == 1:  # "from 8 AM to 2 PM, except on Mondays"
        groups = [_Days(first, first, _WHOLE_WEEK), *groups]
    if len(groups) != 2 or not any(it.lower() in _EXCEPT for it in tokens.words[groups[0].last : groups[1].first]):
        return HoursSaid()
    whole, without = groups
    told = [*_times(text, tokens, first, last, numbers)]
    times = [time for time in told if time.first < without.first]
    excepted = [time for time in told if time.first > without.first]
    for number in without.days:
        day = hours.days.get(number)
        if day is not None and day.openings and all(_is_exact(day, time) for time in times):
            return HoursSaid(Denial(without.first, without.last, _told(day)), day=day)
    rest = whole._replace(days=[number for number in whole.days if number not in without.days])
    said = _compare_times(hours, [rest], times) if times else _compare_days(hours.days, [rest], tokens, first, last)
    if said.denial or not excepted:
        return said
    other = _compare_times(hours, [without], excepted)
    return other if other.denial else said._replace(agrees=said.agrees and other.agrees)


def is_of_hours(word: str) -> bool:
    """Whether a word belongs to what texts say of opening hours, and so adds nothing to a claim about them."""
    lower = word.lower()
    return lower in _OPEN or lower in _CLOSED or lower in _BESIDE or lower == "daily" or _is_day(word)


def _named_days(text: str, tokens: Tokens, first: int, last: int) -> Iterator[_Days]:
    """The weekdays in a claim, those that only "to", "and" or a sign parts together."""
    begin = end = -1
    for at in range(first, last):
        word = tokens.words[at].lower()
        is_day = _is_day(tokens.words[at])
        is_every = (word, tokens.words[at + 1].lower() if at + 1 < last else "") in _EVERY
        if is_every or (word == "daily" and begin < 0):
            yield _Days(at, at + 1 + is_every, _WHOLE_WEEK)
        elif is_day:
            begin = at if begin < 0 else begin
            end = at + 1
        elif begin >= 0 and word not in _BETWEEN:
            yield _group(text, tokens, begin, end)
            begin = -1
    if begin >= 0:
        yield _group(text, tokens, begin, end)


def _is_day(word: str) -> bool:
    is_whole = word.lower().endswith(("day", "days", "weekend", "weekends"))
    return (is_whole or (word[0].isupper() and word.lower() in _SHORT)) and bool(days_of(word))


def _group(text: str, tokens: Tokens, begin: int, end: int) -> _Days:
    return _Days(begin, end, days_of(text[tokens.starts[begin] : tokens.ends[end - 1]]))


def _times(text: str, tokens: Tokens, first: int, last: int, numbers: Sequence[Number]) -> Iterator[_Time]:
    told = [
        (number.first, number.last + 1, int(number.value), number.approximate) for number in numbers if number.clock
    ]
    named = [at for at in range(first, last) if tokens.words[at].lower() in _NAMED_TIMES]
    told += [(at, at + 1, _NAMED_TIMES[tokens.words[at].lower()], False) for at in named]
    behind = first
    for start, end, minutes, either in sorted(told):
        between = tokens.words[behind:start]
        if behind > first and text[tokens.ends[behind - 1] : tokens.starts[start]].strip() in ("-", "\u2013"):
            between = ["-"]
        elif behind > first and between == ["and"]:
            between = ["to"]  # "between 9 AM and 5 PM"
        yield _Time(start, end, minutes, either, _kind(between))
        behind = end


def _kind(words: Sequence[str]) -> str:
    """What the last of some words makes of a time behind them; "from Tuesday to Thursday" makes nothing of it."""
    for word in reversed(words):
        if _is_day(word):
            break
        if word.lower() in _TO_OPEN or word.lower() in _TO_CLOSE:
            return "opens" if word.lower() in _TO_OPEN else "closes"
    return ""


def _compare_times(hours: OpeningHours, groups: list[_Days], times: list[_Time]) -> HoursSaid:
    left_out = _opens_on_left_out(hours.days, groups[0]) if len(groups[0].days) == len(_WHOLE_WEEK) else None
    if left_out is not None:
        return left_out
    starts = [group.first for group in groups]
    agrees = True
    for time in times:
        behind = bisect_left(starts, time.first)
        beside = groups[max(0, behind - 1) : behind + 1]
        against = [_against(hours.days, group, time) for group in beside]
        day = against[0]
        if day is not None and None not in against and not _is_elsewhere(hours, time):
            return HoursSaid(Denial(time.first, time.last, _told(day)), day=day)
        agrees &= any(all(_is_exact(hours.days.get(day), time) for day in group.days) for group in beside)
    return HoursSaid(agrees=agrees, day=_first(hours.days, groups))


def _compare_times_of_any_day(hours: OpeningHours, times: list[_Time]) -> HoursSaid:
    """ "It closes at 5 PM", with no weekday: wrong where no day of the context does."""
    for time in times:
        if (
            time.kind
            and not any(_is_exact(day, time) for day in hours.days.values())
            and not _is_elsewhere(hours, time)
        ):
            day = next(day for day in hours.days.values() if day.openings)
            return HoursSaid(Denial(time.first, time.last, _told(day)), day=day)
    some = [day for day in hours.days.values() if day.openings]
    return HoursSaid(agrees=bool(times) and all(_is_exact(day, time) for day in some for time in times), day=some[0])


def _is_elsewhere(hours: OpeningHours, time: _Time) -> bool:
    """Whether the context has the time in another place, where it may say anything."""
    said = {float(time.minutes), float(other_half(time.minutes))} if time.either else {float(time.minutes)}
    return not hours.other_times.isdisjoint(said)


def _against(days: dict[int, Day], group: _Days, time: _Time) -> Day | None:
    """A day of a group whose hours a time does not fit; None when it fits those of all that the context tells."""
    for number in group.days:
        day = days.get(number)
        if day is not None and (day.openings or day.closed) and not _fits(day, time):
            return day
    return None


def _fits(day: Day, time: _Time) -> bool:
    if _is_exact(day, time):
        return True
    return not time.kind and any(opening.either or opening.holds(time.minutes) for opening in day.openings)


def _is_exact(day: Day | None, time: _Time) -> bool:
    """Whether the day opens or closes at the time, as the claim says."""
    return day is not None and any(_at(opening, time) for opening in day.openings)


def _at(opening: Opening, time: _Time) -> bool:
    said = {time.minutes, other_half(time.minutes)} if time.either or opening.either else {time.minutes}
    return (time.kind != "closes" and opening.opens in said) or (time.kind != "opens" and opening.closes in said)


def _compare_days(days: dict[int, Day], groups: list[_Days], tokens: Tokens, first: int, last: int) -> HoursSaid:
    """What "closed on Mondays" and "open every day" say, against what the context has for these days."""
    (group, *others) = groups
    words = [word.lower() for word in tokens.words[first:last]]
    says_closed = "closed" in words
    if others or (says_closed and not _OPEN.isdisjoint(words)) or not (says_closed or "open" in words):
        return HoursSaid()
    at = first + words.index("closed" if says_closed else "open")
    between = range(at + 1, group.first) if at < group.first else range(group.last, at)
    if any(tokens.kinds[it] >= CONTENT for it in between):
        return HoursSaid()
    told = [days[number] for number in group.days if number in days]
    left_out = None if says_closed else _opens_on_left_out(days, group)
    if left_out is not None:
        return left_out
    if not told:
        return HoursSaid(agrees=says_closed and len(days) >= _MOST_DAYS, day=next(iter(days.values())))
    against = [day for day in told if (day.openings if says_closed else day.closed and not day.openings)]
    if against:
        return HoursSaid(Denial(at, at + 1, _told(against[0])), day=against[0])
    agrees = len(told) == len(group.days) and all(day.closed if says_closed else day.openings for day in told)
    return HoursSaid(agrees=agrees, day=_first(days, groups))


def _opens_on_left_out(days: dict[int, Day], group: _Days) -> HoursSaid | None:
    """That a claim has it open on a day which is left out where most days have hours; None when there is none."""
    if len(days) < _MOST_DAYS or all(number in days for number in group.days):
        return None
    day = next(iter(days.values()))
    named = (
        "the context has no hours for some of these days" if len(group.days) > 1 else "the context has no hours then"
    )
    return HoursSaid(Denial(group.first, group.last, named), day=day)


def _first(days: dict[int, Day], groups: list[_Days]) -> Day | None:
    return next((days[number] for group in groups for number in group.days if number in days), None)


def _told(day: Day) -> str:
    return f"the context says {day.written[:_TOLD]}"
