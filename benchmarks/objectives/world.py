"""A small world whose every sentence can be verified exactly: contexts of facts, questions, responses, verdicts.

A fact is an (entity, attribute, value) triple and three tokens long. A prompt states seven facts about two entities and
asks for attributes of one of them; its facts are asked for, the others are supported when repeated but nobody asked.
A response is a sequence of claims, `entity attribute value . entity attribute value and attribute value . <stop>`: a
claim after `and` shares its subject with the one before, so one token may belong to claims of different verdicts.
Invented claims have a source, as in life: every entity has a popular value for every attribute, which contexts do not
follow. A writer who invents either contradicts a stated attribute or adds one that the context lacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

import numpy as np

ENTITIES, ATTRIBUTES, VALUES = 8, 8, 16
PADDING, START, ASK, ANSWER, STOP, AND, FULL_STOP = range(7)
ENTITY, ATTRIBUTE, VALUE = 7, 7 + ENTITIES, 7 + ENTITIES + ATTRIBUTES  # first token of each kind
VOCABULARY = 40
FACTS, SUBJECTS = 7, 2
MOST_ASKED, NOTHING = 4, 39  # a question lists up to four attributes; NOTHING fills the places that it does not need
PROMPT_TOKENS = 3 * FACTS + MOST_ASKED + 4
MAX_RESPONSE_TOKENS = 40  # about twice what writers write, so that growth shows
Fact = tuple[int, int, int]
SharedToken = Literal["neutral", "unsupported_wins", "supported_wins"]
ClaimTokens = Literal["all", "first_wrong"]
Repeats = Literal["supported", "neutral", "lowered"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked. `facts` are the context's, in its order; `subject` is the entity that is asked for."""

    facts: tuple[Fact, ...]
    subject: int

    def asked(self) -> list[Fact]:
        """The facts that are asked for."""
        return [fact for fact in self.facts if fact[0] == self.subject]

    def tokens(self) -> list[int]:
        """(PROMPT_TOKENS,) token ids; every prompt has the same length, so no batch needs padding on the left."""
        asked = [ATTRIBUTE + attribute for _, attribute, _ in self.asked()]
        return [*self.open_tokens()[:-1], *asked, *[NOTHING] * (MOST_ASKED - len(asked)), ANSWER]

    def open_tokens(self) -> list[int]:
        """The same with a question that names the entity only."""
        stated = [token for e, a, v in self.facts for token in (ENTITY + e, ATTRIBUTE + a, VALUE + v)]
        return [START, *stated, ASK, ENTITY + self.subject, ANSWER]


def popular_value(entity: int, attribute: int) -> int:
    """What everybody believes about an entity, whatever a context says."""
    return (5 * entity + 3 * attribute + entity * attribute) % VALUES


def draw_prompt(draw: Random) -> Prompt:
    """Two entities; two to four facts of the asked one, the other has the rest of seven."""
    subjects = draw.sample(range(ENTITIES), SUBJECTS)
    asked = draw.randint(2, 4)
    facts = [
        (subject, attribute, draw.randrange(VALUES))
        for subject, count in zip(subjects, (asked, FACTS - asked), strict=True)
        for attribute in draw.sample(range(ATTRIBUTES), count)
    ]
    draw.shuffle(facts)
    return Prompt(tuple(facts), subjects[0])


def draw_response(draw: Random, prompt: Prompt, invented_share: float) -> list[int]:
    """Token ids of one response by a writer who invents each claim with this probability; ends with STOP.

    The writer goes through what is asked for, in the context's order, and adds up to two claims that nobody asked
    for. So the length suits the question: without inventions everything asked for is said, and saying more would add
    nothing.
    """
    others = [fact for fact in prompt.facts if fact[0] != prompt.subject]
    planned = list(prompt.asked())
    for fact in draw.sample(others, min(draw.randint(0, 2), len(others))):
        planned.insert(draw.randint(0, len(planned)), fact)
    claims = [_invent(draw, prompt, fact) if draw.random() < invented_share else fact for fact in planned]
    return _write(draw, claims)


def _invent(draw: Random, prompt: Prompt, fact: Fact) -> Fact:
    """In place of a fact: what everybody believes about its attribute, or about one that the context says nothing
    about.
    """
    subject, attribute, true_value = fact
    if draw.random() < 0.5:
        stated = {a for e, a, _ in prompt.facts if e == subject}
        attribute = draw.choice([a for a in range(ATTRIBUTES) if a not in stated])
        return subject, attribute, popular_value(subject, attribute)
    value = popular_value(subject, attribute)
    return subject, attribute, value if value != true_value else (value + draw.randrange(1, VALUES)) % VALUES


def draw_free_response(draw: Random, prompt: Prompt, invented_share: float) -> list[int]:
    """A writer without a plan, from whom models learn the world: three to six claims, mostly about what is asked."""
    unsaid, claims = list(prompt.facts), list[Fact]()
    for _ in range(draw.randint(3, 6)):
        if draw.random() < invented_share or not unsaid:
            claims.append(_invent_freely(draw, prompt))
            continue
        asked = [fact for fact in unsaid if fact[0] == prompt.subject]
        claims.append(draw.choice(asked if asked and draw.random() < 0.75 else unsaid))
        unsaid.remove(claims[-1])
    return _write(draw, claims)


def _invent_freely(draw: Random, prompt: Prompt) -> Fact:
    subject = prompt.subject if draw.random() < 0.8 else draw.choice(prompt.facts)[0]
    stated = {a: v for e, a, v in prompt.facts if e == subject}
    lacking = [a for a in range(ATTRIBUTES) if a not in stated]
    attribute = draw.choice(list(stated)) if draw.random() < 0.5 else draw.choice(lacking)
    value = popular_value(subject, attribute)
    if value == stated.get(attribute):
        value = (value + draw.randrange(1, VALUES)) % VALUES
    return subject, attribute, value


def _write(draw: Random, claims: list[Fact]) -> list[int]:
    tokens: list[int] = []
    before = -1
    for entity, attribute, value in claims:
        if entity == before and draw.random() < 0.5:
            tokens[-1] = AND
        else:
            tokens.append(ENTITY + entity)
        tokens += [ATTRIBUTE + attribute, VALUE + value, FULL_STOP]
        before = entity
    return [*tokens, STOP]


@dataclass(frozen=True, slots=True)
class Verified:
    """What one response says. `labels` (MAX_RESPONSE_TOKENS,) int8: +1, -1, 0; the counts are of claims."""

    labels: np.ndarray
    supported: int
    unsupported: int
    asked_for: int  # distinct facts among the asked ones
    not_asked_for: int  # supported claims about another entity
    repeated: int  # supported claims already made
    tokens: int  # the stop token counted
    stray: int  # tokens that belong to no claim and are no punctuation
    stopped: bool


def verify(
    prompt: Prompt,
    response: list[int],
    *,
    shared: SharedToken = "neutral",
    claim_tokens: ClaimTokens = "all",
    repeats: Repeats = "supported",
) -> Verified:
    """Verdicts and token labels of a response; what follows STOP is ignored.

    `shared`: the label of a subject that claims of both verdicts share. `claim_tokens`: whether an unsupported
    claim's label stands on all of its tokens, or on the first one at which it departs from the context (attribute or
    value). `repeats`: the label of a supported claim that the response has already made; `lowered` puts -1 on its
    attribute, the word that chooses what to say, so that it counts on the side of the words that are better replaced.
    """
    truth = {(e, a): v for e, a, v in prompt.facts}
    length = response.index(STOP) + 1 if STOP in response else len([t for t in response if t != PADDING])
    labels = np.zeros(MAX_RESPONSE_TOKENS, np.int8)
    claims, subject_verdicts, stray = _parsed(response[:length])
    said: set[Fact] = set()
    supported = repeated = other = 0
    for subject_at, at, fact in claims:
        right = truth.get(fact[:2]) == fact[2]
        again = right and fact in said and repeats != "supported"
        if not again:
            subject_verdicts[subject_at].append(right)
        if right:
            labels[at : at + 2] = not again
            labels[at] = -1 if again and repeats == "lowered" else labels[at]
            supported += 1
            repeated += fact in said
            other += fact[0] != prompt.subject
            said.add(fact)
        elif claim_tokens == "all":
            labels[at : at + 2] = -1
        else:
            labels[at + (fact[:2] in truth)] = -1
    for at, verdicts in subject_verdicts.items():
        labels[at] = _subject_label(verdicts, shared, claim_tokens)
    asked = len([fact for fact in said if fact[0] == prompt.subject])
    return Verified(
        labels, supported, len(claims) - supported, asked, other, repeated, length, stray, response[length - 1] == STOP
    )


def _subject_label(verdicts: list[bool], shared: SharedToken, claim_tokens: ClaimTokens) -> int:
    if not verdicts or (claim_tokens == "first_wrong" and not any(verdicts)):
        return 0
    if all(verdicts):
        return 1
    if not any(verdicts):
        return -1
    return {"neutral": 0, "unsupported_wins": -1, "supported_wins": 1}[shared]


def claims_of(response: list[int]) -> list[tuple[int, int, Fact]]:
    """The claims of a response as (place of the subject, place of the attribute, fact)."""
    return _parsed(response[: response.index(STOP)] if STOP in response else response)[0]


def _parsed(response: list[int]) -> tuple[list[tuple[int, int, Fact]], dict[int, list[bool]], int]:
    """Claims as (place of the subject, place of the attribute, fact); verdict lists by subject; stray tokens."""
    claims: list[tuple[int, int, Fact]] = []
    subjects: dict[int, list[bool]] = {}
    subject_at, at, used = -1, 0, 0
    while at < len(response):
        token = response[at]
        if ENTITY <= token < ATTRIBUTE:
            subject_at = at
            subjects[at] = []
        elif token == FULL_STOP:
            subject_at = -1
        elif ATTRIBUTE <= token < VALUE and subject_at >= 0 and at + 1 < len(response) and response[at + 1] >= VALUE:
            fact = (response[subject_at] - ENTITY, token - ATTRIBUTE, response[at + 1] - VALUE)
            claims.append((subject_at, at, fact))
            used += 2
            at += 1
        at += 1
    used += len({subject for subject, _, _ in claims})
    return claims, subjects, len([t for t in response if t >= ENTITY or t < STOP]) - used
