"""What the responses to one prompt say alike: a word that one alone has is more often invented.

Models that answer from the same context tell the same facts in each other's words, but seldom invent the same thing
(SelfCheckGPT, arXiv 2303.08896, asks that of samples of one model). The other responses are no evidence: a word that
the context has needs none of them, and one that they all have is not thereby borne.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from pipeline.engines.clauses import analyse_response


@dataclass(frozen=True, slots=True, eq=False)
class GroupWords:
    """The content words of the responses of a prompt group.

    counts: stem -> responses that have it.   others: how many responses there are besides one's own, at least 1.
    """

    counts: Counter[str]
    others: int

    def unechoed(self, stem: str) -> float:
        """The chance that neither of two other responses, drawn at random, has a word of one's own response.

        The square of the share without it: its mean hardly depends on how many others there are, unlike that of
        "no other response has it".
        """
        share = 1.0 - max(0, self.counts[stem] - 1) / self.others
        return share * share


def group_words(responses: tuple[str, ...]) -> GroupWords | None:
    """The words of a prompt group; None when no two responses differ in their content words."""
    return _group_words(responses) if len(responses) > 1 else None


@lru_cache(maxsize=32)
def _group_words(responses: tuple[str, ...]) -> GroupWords | None:
    said = {frozenset(analyse_response(response).tokens.content_stems()) for response in responses} - {frozenset()}
    counts = Counter(stem for stems in said for stem in stems)
    return GroupWords(counts, len(said) - 1) if len(said) > 1 else None
