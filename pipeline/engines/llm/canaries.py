"""Claims whose answer is known, put among the others now and then: does this model still judge?

A canary is either a sentence of the context, word for word (supported), or a statement about somebody who does not
exist (unsupported). A model that says "supported" to everything, by nature or because a text told it to, fails the
second kind; one that rejects everything fails the first. Canaries are never part of a label set: only what became of
them is counted. Which calls get one, which kind, and where among the claims it stands follows from the seal's key, so
that no text can avoid it and a repeated run asks the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.engines.llm.messages import ClaimLine
from pipeline.engines.llm.sealed_data import Seal
from pipeline.engines.llm.windows import ContextPiece
from pipeline.location.split_words import CONTENT, split_words
from pipeline.sentences import split_sentences
from schemas.records import SUPPORTED, UNSUPPORTED

_MIN_CONTENT_WORDS: Final = 4
_MAX_SENTENCE_CHARS: Final = 300
_MAX_PIECE_CHARS: Final = 20_000  # of the context that is searched for a sentence
_ONSET_LIST: Final = "Bra Dor Fen Gal Hul Kes Lom Mar Nev Ost Pel Rud Sil Tor Vel Wen"
_ENDING_LIST: Final = "bick dane garth holt kin low mere nock rand sby stad vik wen worth zel ard"
_ONSETS: Final = _ONSET_LIST.split()
_ENDINGS: Final = _ENDING_LIST.split()
_STATEMENTS: Final = (
    "{name} was elected treasurer of the {place} rowing club in {year}.",
    "{name} kept {number} beehives behind the railway station of {place}.",
    "The {place} town council paid {name} {number} pounds for a weather vane in {year}.",
    "{name} missed the {year} chess final in {place} because of a broken bicycle.",
    "A lighthouse keeper called {name} repainted the door of the {place} chapel in {year}.",
)


@dataclass(frozen=True, slots=True)
class Canary:
    """A claim with its known answer, and before which of the other claims it stands."""

    line: ClaimLine
    position: int
    expected: str

    def failed(self, verdict: str | None) -> bool:
        """Whether the verdict shows a model that does not judge."""
        return (verdict == SUPPORTED) != (self.expected == SUPPORTED)


def choose_canary(
    seal: Seal, context: Sequence[ContextPiece], claims: Sequence[ClaimLine], rate: float
) -> Canary | None:
    """The canary of a call about these claims; None for all but a share `rate` of the calls."""
    if rate <= 0:
        return None
    about = seal.digest("canary", *(piece.text for piece in context), *(claim.text for claim in claims))
    if int.from_bytes(about[:6], "big") >= rate * 2**48:
        return None
    position = about[6] % (len(claims) + 1)
    sentence = _sentence_of(context, int.from_bytes(about[8:12], "big")) if about[7] % 2 else None
    if sentence is not None:
        return Canary(ClaimLine(sentence), position, SUPPORTED)
    return Canary(ClaimLine(_invented(about[12:])), position, UNSUPPORTED)


def _sentence_of(context: Sequence[ContextPiece], draw: int) -> str | None:
    """A sentence of the context that says something; None if there is none."""
    piece = context[draw % len(context)].text[:_MAX_PIECE_CHARS]
    sentences = [piece[span.start : span.end] for span in split_sentences(piece)]
    fit = [
        text
        for text in sentences
        if len(text) <= _MAX_SENTENCE_CHARS
        and text[-1] in ".!\u3002"
        and split_words(text).kinds.count(CONTENT) >= _MIN_CONTENT_WORDS
    ]
    return fit[(draw >> 8) % len(fit)] if fit else None


def _invented(draw: bytes) -> str:
    """A statement that no context holds, about a person and a place made of syllables."""
    parts = [_ONSETS[draw[at] % 16] + _ENDINGS[draw[at + 1] % 16] for at in (0, 2, 4)]
    return _STATEMENTS[draw[6] % len(_STATEMENTS)].format(
        name=f"{parts[0]} {parts[1]}", place=parts[2], year=1850 + draw[7] % 130, number=11 + draw[8]
    )
