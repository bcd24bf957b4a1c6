"""Unsupported claims without anybody's label: a supported sentence with one fact changed.

A number becomes another one, a name that of another context, or a plain verb is negated. The changed characters are
known, so a corrupted response teaches the token classifier too. Of the kinds in FactCC (arXiv 1910.12840), those that
need no parser. Made-up errors are easier than those of a model; they are added to labels, not instead of them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np

from pipeline.engines.nli.training.examples import FINE, WRONG, Example
from schemas.records import Span

_NUMBER: Final = re.compile(r"\b\d+(?:[.,]\d+)*\b")
_NAME: Final = re.compile(r"\b[A-Z][a-z]+(?: [A-Z][a-z]+)*\b")
_VERB: Final = re.compile(r"\b(?:is|are|was|were|can|will|should|must|could|has been|have been)\b(?! not\b)")


class Corrupted(NamedTuple):
    """A changed text, and where it was changed."""

    text: str
    span: Span


def corrupt(text: str, names: Sequence[str], rng: random.Random) -> Corrupted | None:
    """The text with one fact changed; None when it holds nothing that can be. names: of other contexts."""
    changes: list[Callable[[], Corrupted | None]] = [
        lambda: _change_number(text, rng),
        lambda: _change_name(text, names, rng),
        lambda: _negate(text, rng),
    ]
    rng.shuffle(changes)
    return next((made for change in changes if (made := change()) is not None), None)


def _replaced(text: str, start: int, end: int, new: str) -> Corrupted:
    return Corrupted(text[:start] + new + text[end:], Span(start, start + len(new)))


def _change_number(text: str, rng: random.Random) -> Corrupted | None:
    found = list(_NUMBER.finditer(text))
    if not found:
        return None
    number = rng.choice(found)
    digits = [at for at, char in enumerate(number.group()) if char.isdigit()]
    at = rng.choice(digits)
    old = number.group()[at]
    new = rng.choice([digit for digit in "123456789" if digit != old])
    return _replaced(text, number.start(), number.end(), number.group()[:at] + new + number.group()[at + 1 :])


def _change_name(text: str, names: Sequence[str], rng: random.Random) -> Corrupted | None:
    found = [name for name in _NAME.finditer(text) if name.start() > 0]  # the first word may be any
    others = [name for name in names if name.lower() not in text.lower()]
    if not found or not others:
        return None
    name = rng.choice(found)
    return _replaced(text, name.start(), name.end(), rng.choice(others))


def _negate(text: str, rng: random.Random) -> Corrupted | None:
    found = list(_VERB.finditer(text))
    if not found:
        return None
    verb = rng.choice(found)
    return _replaced(text, verb.start(), verb.end(), f"{verb.group()} not")


def names_in(texts: Sequence[str]) -> list[str]:
    """The names in texts that do not open a sentence, sorted."""
    found = {
        name.group()
        for text in texts
        for name in _NAME.finditer(text)
        if text[: name.start()].rstrip()[-1:] not in ".!?:"
    }
    return sorted(found)


def corrupted_response(example: Example, names: Sequence[str], rng: random.Random) -> tuple[str, np.ndarray] | None:
    """A response with one supported claim changed, and the marks of its characters; None when none can be."""
    spans = [one.claim.spans[0] for one in example.claims if one.supported and len(one.claim.spans) == 1]
    rng.shuffle(spans)
    for span in spans:
        made = corrupt(example.response[span.start : span.end], names, rng)
        if made is not None:
            marks = np.full(len(made.text), FINE, dtype=np.int8)
            marks[made.span.start : made.span.end] = WRONG
            text = example.response[: span.start] + made.text + example.response[span.end :]
            return text, np.concatenate([example.marks[: span.start], marks, example.marks[span.end :]])
    return None
