"""The synthetic world's verifier against responses judged by hand."""

from random import Random

import pytest

from benchmarks.objectives.world import (
    AND,
    ATTRIBUTE,
    ENTITY,
    FULL_STOP,
    PROMPT_TOKENS,
    STOP,
    VALUE,
    VOCABULARY,
    Prompt,
    draw_prompt,
    draw_response,
    verify,
)

# entity 0 is asked about: attribute 0 is 5, attribute 1 is 6; entity 1: attribute 2 is 7
PROMPT = Prompt(((0, 0, 5), (1, 2, 7), (0, 1, 6)), 0)


def said(*claims: tuple[int, int, int], joined: tuple[int, ...] = ()) -> list[int]:
    tokens: list[int] = []
    for number, (e, a, v) in enumerate(claims):
        if number in joined:
            tokens[-1] = AND
        else:
            tokens.append(ENTITY + e)
        tokens += [ATTRIBUTE + a, VALUE + v, FULL_STOP]
    return [*tokens, STOP]


def labels(response: list[int], **policy) -> list[int]:
    return verify(PROMPT, response, **policy).labels[: len(response)].tolist()


def test_supported_and_invented_claims_are_told_apart_and_counted():
    found = verify(PROMPT, said((0, 0, 5), (1, 2, 7), (0, 1, 9), (0, 3, 1)))
    assert (found.supported, found.unsupported) == (2, 2)
    assert (found.asked_for, found.not_asked_for, found.repeated, found.stray) == (1, 1, 0, 0)
    assert found.tokens == 17  # four tokens a claim and the stop
    assert found.stopped


def test_whole_claim_labels_stand_on_subject_attribute_and_value():
    assert labels(said((0, 0, 5), (0, 1, 9))) == [1, 1, 1, 0, -1, -1, -1, 0, 0]


def test_first_wrong_word_is_the_value_of_a_stated_attribute_and_the_attribute_otherwise():
    assert labels(said((0, 1, 9), (0, 3, 1)), claim_tokens="first_wrong") == [0, 0, -1, 0, 0, -1, 0, 0, 0]


@pytest.mark.parametrize(("shared", "label"), [("neutral", 0), ("unsupported_wins", -1), ("supported_wins", 1)])
def test_a_subject_that_both_verdicts_share_follows_the_policy(shared, label):
    assert labels(said((0, 0, 5), (0, 1, 9), joined=(1,)), shared=shared) == [label, 1, 1, 0, -1, -1, 0, 0]


def test_a_repeated_fact_counts_once_as_asked_for_and_may_be_neutral():
    response = said((0, 0, 5), (0, 0, 5))
    found = verify(PROMPT, response)
    assert (found.supported, found.asked_for, found.repeated) == (2, 1, 1)
    assert labels(response) == [1, 1, 1, 0, 1, 1, 1, 0, 0]
    assert labels(response, repeats="neutral") == [1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert labels(response, repeats="lowered") == [1, 1, 1, 0, 0, -1, 0, 0, 0]


def test_nonsense_makes_no_claims_and_is_counted_as_stray():
    found = verify(PROMPT, [ATTRIBUTE, VALUE, ENTITY, FULL_STOP, ENTITY, ATTRIBUTE, STOP])
    assert (found.supported, found.unsupported, found.stray) == (0, 0, 5)


def test_writers_of_the_world_invent_their_share_and_write_only_claims():
    draw = Random(0)
    counts = [0, 0]
    for _ in range(500):
        prompt = draw_prompt(draw)
        assert len(prompt.tokens()) == PROMPT_TOKENS
        assert max(prompt.tokens()) < VOCABULARY
        found = verify(prompt, draw_response(draw, prompt, 0.4))
        assert found.stray == 0
        assert found.stopped
        counts[0] += found.supported
        counts[1] += found.unsupported
    assert abs(counts[1] / sum(counts) - 0.4) < 0.03  # 2,000 claims: standard error 0.011


def test_a_writer_who_invents_nothing_says_everything_that_is_asked():
    draw = Random(1)
    for _ in range(50):
        prompt = draw_prompt(draw)
        found = verify(prompt, draw_response(draw, prompt, 0.0))
        assert (found.asked_for, found.unsupported) == (len(prompt.asked()), 0)
