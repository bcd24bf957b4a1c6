"""Where a reworded claim stands when no quote leads to it: the sentence that shares its words, and the words in it.

The sentence is the cited one, or the one that shares most with the claim, each shared word weighted by its rarity
among the response's sentences. In that sentence every number, negation and name of the claim must stand, and every
other content word, in any order, with two exceptions:

- the claim's subject may be missing where the sentence has a pronoun for it, if it opens another sentence of the
  response ("Marianne McAndrew was born in Cleveland" from "She was born in Cleveland"). Without this rule 51 % of the
  claims that name their topic are located, with it 95 %, and none of those of other documents;
- one lower-case word may be the extractor's own ("released in 1917" for "(1917)") when at least three others match.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.location.align_words import align_any_order
from pipeline.location.locate_quotes import Located, Used, runs_of
from pipeline.location.prepare_response import PreparedResponse
from pipeline.location.split_words import CONTENT, LIGHT, NEGATION, NUMBER, split_words
from schemas.records import FUZZY

# Sentences that hold one of a claim's words, over all its words, that are scored for one claim.
_MAX_POSTINGS: Final = 20_000
# How many of the best sentences are tried: the best may hold other facts about the same names.
_CANDIDATES: Final = 3
# FActScore's 6,165 claims, located here / claims of other documents located: 93.2 / 0.32 % without a reworded word,
# 97.1 / 0.35 % with one beside 3 matched words, 98.4 / 0.68 % beside 2 (benchmarks/location_quality.py).
_MIN_MATCHED_TO_REWORD: Final = 3
# So many of them must be what is said, not the subject: a full name alone is three words.
_MIN_SAID_TO_REWORD: Final = 2
# The subject says little about which sentence; a claim that names it must not be drawn to sentences that do too.
# Right sentence for claims that name the topic: weight 1 98.6 %, 0.5 98.9 %, 0.25 and 0.1 99.0 %.
_SUBJECT_WEIGHT: Final = 0.1
# A negation belongs to a word at most this far behind it.
_NEGATION_REACH: Final = 4


@dataclass(frozen=True, slots=True)
class _Claim:
    """The words of a claim that must match, and what is known of each.

    keys, kinds: per required word.   before: the key of the word before it, light or not.
    names: whether it is capitalised.   subject: the first so many required words are names or numbers.
    """

    text: str
    keys: list[str]
    kinds: list[int]
    before: list[str]
    names: list[bool]
    subject: int


def locate_reworded(
    response: PreparedResponse, text: str, cited: Sequence[int], used: Used, previous: int
) -> tuple[Located, int] | None:
    """Spans of a claim by its words, and its sentence. `previous`: the sentence of the claim before this one.

    Cited sentences that do not carry the claim may be cited wrongly: then another sentence must hold all its words.
    """
    claim = _read_claim(text)
    found = _locate_in(response, claim, cited, used, previous)
    if found is None and cited:
        found = _locate_across(response, claim, cited)
    if found is None and cited and len(claim.keys) >= _MIN_MATCHED_TO_REWORD:
        found = _locate_in(response, claim, (), used, previous, all_words=True)
    return found


def _read_claim(text: str) -> _Claim:
    words = split_words(text)
    required = [i for i, kind in enumerate(words.kinds) if kind != LIGHT]
    names = [words.kinds[i] == CONTENT and text[words.starts[i]].isupper() for i in required]
    kinds = [words.kinds[i] for i in required]
    said = (k for k, is_name in enumerate(names) if not is_name and kinds[k] != NUMBER)
    return _Claim(
        text=text,
        keys=[words.keys[i] for i in required],
        kinds=kinds,
        before=[words.keys[i - 1] if i else "" for i in required],
        names=names,
        subject=next(said, len(names)),
    )


def _locate_in(
    response: PreparedResponse,
    claim: _Claim,
    cited: Sequence[int],
    used: Used,
    previous: int,
    all_words: bool = False,
) -> tuple[Located, int] | None:
    """In the best of the cited sentences, or of all when none is cited.

    Extractors go through a response in its order, so of sentences that fit equally well the next one is taken.
    """
    best: tuple[float, bool, int, list[int]] | None = None
    for sentence, score in _rank_sentences(response, claim, cited, previous):
        if best is not None and score < best[0]:
            break
        positions = _align(response, claim, *response.word_bounds[sentence], all_words)
        fresh = (claim.text, "", response.sentences[sentence].start) not in used
        if positions and (best is None or (fresh and not best[1])):
            best = (score, fresh, sentence, positions)
    if best is None:
        return None
    used.add((claim.text, "", response.sentences[best[2]].start))
    return (response.spans_of(best[3]), FUZZY), best[2]


def _locate_across(response: PreparedResponse, claim: _Claim, cited: Sequence[int]) -> tuple[Located, int] | None:
    """In several adjacent cited sentences together."""
    for first, last in runs_of(cited):
        if first < last:
            low, high = response.word_bounds[first][0], response.word_bounds[last][1]
            positions = _align(response, claim, low, high, all_words=False)
            if positions:
                return (response.spans_of(positions), FUZZY), first
    return None


def _rank_sentences(
    response: PreparedResponse, claim: _Claim, cited: Sequence[int], previous: int
) -> list[tuple[int, float]]:
    """The sentences (of the cited ones, if any) that share most with the claim, and their weighted overlap."""
    scores: dict[int, float] = dict.fromkeys(cited, 0.0)
    subject = response.subjects.intersection(claim.keys[: claim.subject])
    for key in _telling_keys(response, claim):
        weight = response.rarity(key) * (_SUBJECT_WEIGHT if key in subject else 1.0)
        for sentence in response.postings[key]:
            if not cited or sentence in scores:
                scores[sentence] = scores.get(sentence, 0.0) + weight
    ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0] < previous, item[0]))
    return ranked[:_CANDIDATES]


def _telling_keys(response: PreparedResponse, claim: _Claim) -> list[str]:
    """The claim's keys that stand in the response, in one order, so that equal overlaps are equal sums.

    Of a response of thousands of sentences only the rarest, as far as _MAX_POSTINGS goes.
    """
    keys = sorted(set(claim.keys).intersection(response.postings))
    if sum(len(response.postings[key]) for key in keys) <= _MAX_POSTINGS:
        return keys
    rarest, left = set(), _MAX_POSTINGS
    for key in sorted(keys, key=lambda key: len(response.postings[key])):
        left -= len(response.postings[key])
        if left < 0:
            break
        rarest.add(key)
    return [key for key in keys if key in rarest]


def _align(response: PreparedResponse, claim: _Claim, low: int, high: int, all_words: bool) -> list[int] | None:
    """Positions among words [low, high) that carry the claim, or None."""
    found = align_any_order(claim.keys, response.words, low, high)
    missing = [k for k, position in enumerate(found) if position is None]
    matched = {k: position for k, position in enumerate(found) if position is not None}
    if not matched or (missing and (all_words or not _may_be_missing(response, claim, missing))):
        return None
    if response.is_negated(list(matched.values()), claim.kinds) or not _negates_the_same(claim, matched):
        return None
    return _without_subject(response, claim, matched) + _titles_of(response, claim, matched, low)


def _may_be_missing(response: PreparedResponse, claim: _Claim, missing: Sequence[int]) -> bool:
    """Whether what stands in the sentence is enough: neither a number alone is, nor the subject alone."""
    subject = {k for k in range(claim.subject) if claim.keys[k] in response.subjects}
    said = [kind for k, kind in enumerate(claim.kinds) if k not in missing and k not in subject]
    if CONTENT not in said:
        return False
    reworded = 0
    for k in missing:
        if claim.kinds[k] != CONTENT or (claim.names[k] and k not in subject):
            return False
        reworded += not claim.names[k]
    matched = len(claim.keys) - len(missing)
    may_reword = matched >= _MIN_MATCHED_TO_REWORD and len(said) >= _MIN_SAID_TO_REWORD
    return reworded == 0 or (reworded == 1 and may_reword)


def _negates_the_same(claim: _Claim, matched: dict[int, int]) -> bool:
    """Whether each negation stands before the word it stands before in the claim, and not elsewhere in the sentence."""
    for k, here in matched.items():
        if claim.kinds[k] == NEGATION:
            negated = next((matched[after] for after in range(k + 1, len(claim.keys)) if after in matched), None)
            if negated is not None and not 0 < negated - here <= _NEGATION_REACH:
                return False
    return True


def _without_subject(response: PreparedResponse, claim: _Claim, matched: dict[int, int]) -> list[int]:
    """Matched positions without the running topic's name, where it stands apart from what is said about it.

    "Guilmant was a composer" in "Guilmant was a French organist and composer" is carried by "composer". The name
    stays when it directly precedes the rest, when it stands in this sentence only, or when nothing else is left.
    """
    names, rest = [], []
    for k, here in matched.items():
        key = claim.keys[k]
        is_topic = k < claim.subject and key in response.subjects and len(response.postings[key]) > 1
        (names if is_topic and not rest else rest).append(here)
    if not names or not rest:
        return names or rest
    between = response.words.kinds[max(names) + 1 : min(rest)]
    stands_apart = max(names) > min(rest) or any(kind != LIGHT for kind in between)
    return rest if stands_apart else names + rest


def _titles_of(response: PreparedResponse, claim: _Claim, matched: dict[int, int], low: int) -> list[int]:
    """Capitalised light words that claim and response both have before a matched word: "The Game", "My Way"."""
    words = response.words
    return [
        here - 1
        for k, here in matched.items()
        if here - 1 > low
        and words.kinds[here - 1] == LIGHT
        and words.keys[here - 1] == claim.before[k]
        and response.is_capitalised(here - 1)
    ]
