"""What the context only plans and the claim says is done: "has built a hall" of "wants to build a hall"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pipeline.engines.likeness import ALIKE, Likeness
from pipeline.engines.words import CONTENT, Tokens, word_set

_PLANS: Final = word_set(  # with "to" behind them
    "is are plan plans planned planning want wants wanted intend intends intended hope hopes hoped aim aims aimed due"
    " expected scheduled set likely supposed proposed proposes seek seeks sought"
)
_MODALS: Final = word_set("will would shall may might could should")
_MARKS: Final = frozenset(("to", *_MODALS))
_DONE: Final = word_set("was were has have had")
_STANDING: Final = word_set("is are be being get gets to")  # "are refunded" is a rule
_BETWEEN: Final = word_set("be been also already now just since not")  # "was", "will" and the verb

_MOST_SENTENCES: Final = 8


def done_of_planned(like: Likeness, tokens: Tokens, first: int, last: int) -> str:
    """Which deed of the claim in words [first, last) the sentence only plans; "" if there is none."""
    _, read = like.words()
    if _MARKS.isdisjoint(read.stems):
        return ""
    planned = dict(_planned(read, 0, len(read)))
    if planned.keys().isdisjoint(tokens.stems[first:last]) or like.share() < ALIKE:
        return ""
    done = dict(_done(tokens, first, last))
    still_planned = {word for word, _ in _planned(tokens, first, last)}
    happened = {word for word, at in _done(read, 0, len(read)) if planned.get(word) != at}
    for word, at in done.items():
        if word in planned and word not in happened | still_planned and not _is_done_elsewhere(like, word):
            said = " ".join(read.words[max(0, planned[word] - 2) : planned[word] + 1])
            return f"the context says “{said}” where the claim says “{tokens.words[at]}”"
    return ""


def _is_done_elsewhere(like: Likeness, verb: str) -> bool:
    """Whether another sentence that is about as like the claim says that it is done."""
    for sentence in [at for at in like.near() if at != like.best][:_MOST_SENTENCES]:
        _, read = like.index.words_of(sentence)
        if any(word == verb for word, _ in _done(read, 0, len(read))):
            return True
    return False


def _planned(tokens: Tokens, first: int, last: int) -> Iterator[tuple[str, int]]:
    """(stem, place) of verbs that say what is planned."""
    for at in range(first, last - 1):
        word = tokens.words[at]
        is_plan = word == "to" and at > first and tokens.words[at - 1].lower() in _PLANS
        if is_plan or word in _MODALS:
            verb = _verb_behind(tokens, at, last)
            if verb is not None:
                yield tokens.stems[verb], verb


def _done(tokens: Tokens, first: int, last: int) -> Iterator[tuple[str, int]]:
    """(stem, place) of verbs that say what has been done: "started", "was completed", "has built"."""
    for at in range(first, last):
        word = tokens.words[at]
        if tokens.kinds[at] == CONTENT and word.endswith("ed") and not word.endswith("eed") and word.islower():
            if at == first or tokens.words[at - 1].lower() not in _STANDING:
                yield tokens.stems[at], at
        elif word.lower() in _DONE:
            verb = _verb_behind(tokens, at, last)
            if verb is not None:
                yield tokens.stems[verb], verb


def _verb_behind(tokens: Tokens, at: int, last: int) -> int | None:
    """The content word right behind a place, words such as "be" and "also" left out."""
    behind = at + 1
    while behind < last and tokens.words[behind].lower() in _BETWEEN:
        behind += 1
    return behind if behind < last and tokens.kinds[behind] == CONTENT else None
