"""Verdicts become disjoint label spans: each policy by hand, and against a per-character reference."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.resolve import POLICIES, Resolved, resolve
from schemas.errors import ConfigError
from schemas.records import CONTRADICTED, EXACT, OK, SUPPORTED, UNSUPPORTED, Claim, LabelSpan, Span


def claim(verdict: str | None, *spans: tuple[int, int], errors: tuple[tuple[int, int], ...] = ()) -> Claim:
    return Claim(
        claim_id="c",
        text="t",
        spans=tuple(Span(*span) for span in spans),
        error_spans=tuple(Span(*span) for span in errors),
        alignment=EXACT,
        verdict=verdict,
        status=OK if verdict else "unverified: no answer",
    )


def labels(resolved: Resolved) -> list[tuple[int, int, int]]:
    return [(span.start, span.end, span.label) for span in resolved.label_spans]


def test_claims_apart_keep_their_labels():
    resolved = resolve([claim(UNSUPPORTED, (5, 9)), claim(SUPPORTED, (0, 3))], "neutral")
    assert resolved == Resolved((LabelSpan(0, 3, 1), LabelSpan(5, 9, -1)))


def test_contradicted_counts_as_unsupported():
    assert labels(resolve([claim(CONTRADICTED, (2, 4))], "neutral")) == [(2, 4, -1)]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("neutral", [(0, 4, 1), (6, 10, -1)]),
        ("unsupported_wins", [(0, 4, 1), (4, 10, -1)]),
        ("supported_wins", [(0, 6, 1), (6, 10, -1)]),
    ],
)
def test_overlap_is_decided_by_the_policy(policy: str, expected: list[tuple[int, int, int]]):
    resolved = resolve([claim(SUPPORTED, (0, 6)), claim(UNSUPPORTED, (4, 10))], policy)
    assert labels(resolved) == expected
    assert resolved.conflicts == 2


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("neutral", [(0, 3, 1), (3, 5, -1), (5, 9, 1)]),
        ("unsupported_wins", [(0, 3, 1), (3, 5, -1), (5, 9, 1)]),
        ("supported_wins", [(0, 9, 1)]),
    ],
)
def test_unsupported_claim_inside_supported_ones_keeps_its_quote_unless_they_win(policy, expected):
    # Two supported claims that touch cover the unsupported one together.
    resolved = resolve([claim(SUPPORTED, (0, 4)), claim(SUPPORTED, (4, 9)), claim(UNSUPPORTED, (3, 5))], policy)
    assert labels(resolved) == expected
    assert resolved.conflicts == 3


def test_unsupported_claim_with_one_own_character_does_not_keep_its_quote():
    resolved = resolve([claim(SUPPORTED, (0, 4)), claim(UNSUPPORTED, (0, 2), (4, 5))], "neutral")
    assert labels(resolved) == [(2, 4, 1), (4, 5, -1)]


def test_only_named_error_words_are_negative_and_the_rest_stays_neutral():
    assert labels(resolve([claim(UNSUPPORTED, (0, 20), errors=((5, 8),))], "neutral")) == [(5, 8, -1)]


def test_supported_claim_labels_what_error_words_leave():
    resolved = resolve([claim(UNSUPPORTED, (0, 20), errors=((5, 8),)), claim(SUPPORTED, (0, 5))], "neutral")
    assert labels(resolved) == [(0, 5, 1), (5, 8, -1)]
    assert resolved.conflicts == 0


def test_claims_without_verdict_or_without_place_say_nothing():
    silent = [claim(None, (0, 4)), claim(UNSUPPORTED), claim(UNSUPPORTED, errors=((1, 2),))]
    assert resolve(silent, "neutral") == Resolved(())


def test_touching_spans_of_one_label_become_one():
    assert labels(resolve([claim(SUPPORTED, (0, 2), (2, 3)), claim(SUPPORTED, (1, 5))], "neutral")) == [(0, 5, 1)]


def test_no_claims_no_labels():
    assert resolve([], "supported_wins") == Resolved(())


def test_unknown_policy_is_refused_by_name():
    with pytest.raises(ConfigError, match="'majority'.*neutral, unsupported_wins, supported_wins"):
        resolve([], "majority")


def per_character(claims: list[Claim], policy: str) -> Resolved:
    """The rules read literally, one character at a time."""
    parts = []
    for one in claims:
        if one.verdict and one.spans:
            sign = 1 if one.verdict == SUPPORTED else -1
            contributed = one.spans if sign == 1 else one.error_spans or one.spans
            parts.append((sign, {i for span in contributed for i in range(span.start, span.end)}))
    plus = set().union(*(chars for sign, chars in parts if sign == 1))
    minus = set().union(*(chars for sign, chars in parts if sign == -1))
    label = dict.fromkeys(plus, 1) | dict.fromkeys(minus, -1)
    both = {"neutral": 0, "unsupported_wins": -1, "supported_wins": 1}[policy]
    label |= dict.fromkeys(plus & minus, both)
    kept = [chars for sign, chars in parts if policy == "neutral" and sign == -1 and chars <= plus]
    label |= dict.fromkeys(set().union(*kept), -1)
    spans: list[LabelSpan] = []
    for i in sorted(i for i in label if label[i]):
        if spans and spans[-1].end == i and spans[-1].label == label[i]:
            spans[-1] = LabelSpan(spans[-1].start, i + 1, label[i])
        else:
            spans.append(LabelSpan(i, i + 1, label[i]))
    conflicts = sum(bool(chars & (minus if sign == 1 else plus)) for sign, chars in parts)
    return Resolved(tuple(spans), conflicts)


pairs = st.tuples(st.integers(0, 24), st.integers(1, 6)).map(lambda pair: (pair[0], pair[0] + pair[1]))
span_lists = st.lists(pairs, max_size=3)
verdicts = st.sampled_from([SUPPORTED, UNSUPPORTED, CONTRADICTED, None])
claims_of_a_response = st.lists(
    st.builds(lambda v, s, e: claim(v, *s, errors=tuple(e)), verdicts, span_lists, span_lists), max_size=8
)


@given(claims_of_a_response, st.sampled_from(POLICIES))
def test_sweep_equals_the_per_character_reference(claims: list[Claim], policy: str):
    assert resolve(claims, policy) == per_character(claims, policy)


@given(claims_of_a_response, st.sampled_from(POLICIES), st.randoms())
def test_order_of_claims_does_not_matter(claims: list[Claim], policy: str, random):
    shuffled = random.sample(claims, len(claims))
    assert resolve(shuffled, policy) == resolve(claims, policy)
