"""The verifier over a plain coroutine: no answer, no verdict; every id comes back or the claim says why not."""

from dataclasses import replace

import pytest

from pipeline.engines.llm.verification import Finding, LlmVerifier, combine
from pipeline.llm.chat import API_ERROR, CONTENT_FILTER, LENGTH, REFUSAL, ChatReply
from schemas.errors import BaltoError, ConfigError
from schemas.records import CONTRADICTED, EXACT, OK, SUPPORTED, UNSUPPORTED, Claim, Evidence, Passage, Span
from tests.llm_asks import KEY, Answering, run
from tests.rows import make_sample

CONTEXT = (
    Passage("p1", "The Sund Bridge was opened in 1932. Its engineer was Tove Lind."),
    Passage("p2", "The toll is 25 kroner. \u201cNo lorries\u201d, says the sign."),
)
RESPONSE = "It opened in 1937. Tove Lind was its engineer. The toll is 25 kroner. It is painted green."


def claim(number: int, text: str, quote: str | None = None) -> Claim:
    quote = quote or text.rstrip(".")
    start = RESPONSE.find(quote)
    spans = (Span(start, start + len(quote)),) if start >= 0 else ()
    return Claim(f"c{number}", text, (quote,), (number - 1,), spans, EXACT, extractor="llm:m/1")


CLAIMS = (
    claim(1, "The Sund Bridge opened in 1937.", "It opened in 1937"),
    claim(2, "Tove Lind was the engineer of the Sund Bridge.", "Tove Lind was its engineer"),
    claim(3, "The toll is 25 kroner."),
    claim(4, "The Sund Bridge is painted green.", "It is painted green"),
)


def verifier(**settings) -> LlmVerifier:
    return LlmVerifier(**{"model": "m", "delimiter_key": KEY, "context_window": 32_768, **settings})


def sample(**fields):
    return make_sample(**{"response": RESPONSE, "context": CONTEXT, **fields})


def verify(ask, claims=CLAIMS, engine=None, **fields):
    return run((engine or verifier()).verify(sample(**fields), claims, ask))


def verdicts(claims):
    return [claim.verdict or claim.status for claim in claims]


def test_verdicts_with_evidence_and_wrong_words_in_their_places():
    found = verify(Answering())
    assert verdicts(found) == [CONTRADICTED, SUPPORTED, SUPPORTED, UNSUPPORTED]
    assert [(c.claim_id, c.text, c.spans, c.extractor) for c in found] == [
        (c.claim_id, c.text, c.spans, c.extractor) for c in CLAIMS
    ]
    assert [RESPONSE[s.start : s.end] for c in found for s in c.error_spans] == ["1937", "painted", "green"]
    for one in found[:3]:
        (evidence,) = one.evidence
        passage = next(p.text for p in CONTEXT if p.passage_id == evidence.passage_id)
        assert passage[evidence.start : evidence.end].endswith(".")
    assert {(c.verifier, c.prompt_version, c.status, c.score) for c in found} == {("llm:m/1", "llm-2", OK, None)}
    assert found[0].reason == "another number"


def test_context_comes_first_and_is_one_prefix_for_all_groups():
    ask = Answering()
    verify(ask, engine=verifier(claims_per_call=2))
    first, second = (request.user for request in ask.requests)
    prefix = first[: first.index("BEGIN claims")]
    assert prefix.startswith("BEGIN context ")
    assert second.startswith(prefix)
    assert [len(ask.blocks(i)["claims"]) for i in (0, 1)] == [2, 2]
    assert len({line["id"] for i in (0, 1) for line in ask.blocks(i)["claims"]}) == 4


def test_claims_are_sent_with_the_responses_own_words_and_under_ids_of_the_call():
    ask = Answering()
    verify(ask)
    lines = ask.blocks()["claims"]
    assert [(line["claim"], line.get("words")) for line in lines] == [
        ("The Sund Bridge opened in 1937.", ["It opened in 1937"]),
        ("Tove Lind was the engineer of the Sund Bridge.", ["Tove Lind was its engineer"]),
        ("The toll is 25 kroner.", ["The toll is 25 kroner"]),
        ("The Sund Bridge is painted green.", ["It is painted green"]),
    ]
    assert not {line["id"] for line in lines} & {"c1", "c2", "c3", "c4"}
    assert set(ask.blocks()) == {"context", "claims"}


def test_claims_in_the_responses_own_words_come_with_what_explains_them():
    own = replace(CLAIMS[0], text="It opened in 1937", extractor="rules/1")
    ask = Answering()
    verify(ask, (own,))
    assert ask.blocks()["response"] == [{"text": RESPONSE}]
    assert ask.blocks()["question"] == [{"text": "When did the bridge open?"}]
    assert "words" not in ask.blocks()["claims"][0]


def test_the_same_question_is_the_same_request():
    one, two = Answering(), Answering()
    verify(one)
    verify(two)
    assert one.requests == two.requests


@pytest.mark.parametrize("context", [(), (Passage("p", " \n"),)])
def test_without_a_context_nothing_is_asked_and_nothing_judged(context):
    ask = Answering()
    assert verdicts(verify(ask, context=context)) == ["unverified: no context"] * 4
    assert verify(ask, ()) == ()
    assert ask.requests == []


def test_only_missing_ids_are_asked_for_again():
    ask = Answering(lambda request, answer: {"answers": answer["answers"][: 2 if request.attempt == 0 else 9]})
    engine = verifier()
    assert verdicts(verify(ask, engine=engine)) == [CONTRADICTED, SUPPORTED, SUPPORTED, UNSUPPORTED]
    assert [[line["claim"] for line in ask.blocks(i)["claims"]] for i in (0, 1)] == [
        [c.text for c in CLAIMS],
        [c.text for c in CLAIMS[2:]],
    ]
    assert [request.attempt for request in ask.requests] == [0, 1]
    assert engine.tally.take() == {"missing_ids": 2}


def test_claims_that_never_come_back_stay_unverified_and_the_asking_ends():
    ask = Answering(lambda request, answer: {"answers": answer["answers"][:1] if request.attempt == 0 else []})
    assert verdicts(verify(ask)) == [CONTRADICTED, *["unverified: missing_ids"] * 3]
    assert len(ask.requests) == 3


def test_invented_ids_answer_nothing_and_are_counted():
    def invent(request, answer):
        lies = [{**one, "id": name, "verdict": SUPPORTED} for one in answer["answers"] for name in ("c1", "1", "")]
        return {"answers": [*lies, *answer["answers"]]}

    engine = verifier()
    assert verdicts(verify(Answering(invent), engine=engine)) == [CONTRADICTED, SUPPORTED, SUPPORTED, UNSUPPORTED]
    assert engine.tally.take() == {"invented_ids": 12}


def test_two_answers_that_disagree_are_none_and_two_that_agree_are_one():
    def twice(request, answer):
        extra = [{**one, "verdict": UNSUPPORTED} for one in answer["answers"]]
        return {"answers": [*answer["answers"], *extra]}

    engine = verifier()
    disagrees = "unverified: the answers disagree"
    assert verdicts(verify(Answering(twice), engine=engine)) == [disagrees, disagrees, disagrees, UNSUPPORTED]
    assert engine.tally.take() == {"disagreeing_answers": 3}


@pytest.mark.parametrize("verdict", ["incorrect", "partially supported", "", "true"])
def test_another_word_than_the_three_is_no_verdict(verdict):
    engine = verifier()
    ask = Answering(lambda _, answer: {"answers": [{**one, "verdict": verdict} for one in answer["answers"]]})
    assert verdicts(verify(ask, engine=engine)) == ["unverified: missing_ids"] * 4
    assert engine.tally.take()["unknown_verdicts"] == 12


@pytest.mark.parametrize(
    ("evidence", "stands"),
    [
        (["The toll is 25 kroner"], True),
        (["the TOLL  is 25 kroner."], True),
        (["\u201cThe toll is 25 kroner\u201d"], True),
        (['"No lorries"'], True),
        (["opened in 1932 ... Tove Lind"], True),
        (["The toll is 25 kroner", "the sign"], True),
        (["A toll of 25 kroner"], True),  # articles and endings may differ, in this order
        (["25 kroner is the toll"], False),
        (["The toll is not 25 kroner"], False),
        (["The toll is 26 kroner"], False),
        (["toll is 2"], False),
        (["The toll costs 25 kroner"], False),
        (["The toll is 25 kroner", "It is painted green"], False),
        (["is"], False),
        (["..."], False),
        ([], False),
    ],
)
def test_a_verdict_needs_evidence_that_stands_in_the_context(evidence, stands):
    def quote(_, answer):
        return {"answers": [{**one, "verdict": SUPPORTED, "evidence": evidence} for one in answer["answers"]]}

    engine = verifier()
    (found,) = verify(Answering(quote), CLAIMS[2:3], engine)
    assert found.verdict == (SUPPORTED if stands else None)
    assert stands or found.status == "unverified: evidence not in the context"
    assert engine.tally.take() == ({} if stands else {"evidence_not_in_context": 1})
    assert bool(found.evidence) == stands


def test_a_contradiction_needs_evidence_and_silence_needs_none():
    def without(verdict):
        return lambda _, answer: {"answers": [{**a, "verdict": verdict, "evidence": []} for a in answer["answers"]]}

    assert verdicts(verify(Answering(without(CONTRADICTED)), CLAIMS[:1])) == ["unverified: evidence not in the context"]
    assert verdicts(verify(Answering(without(UNSUPPORTED)), CLAIMS[:1])) == [UNSUPPORTED]


def test_evidence_is_placed_in_its_passage():
    def quote(_, answer):
        return {"answers": [{**a, "verdict": SUPPORTED, "evidence": ["no lorries"]} for a in answer["answers"]]}

    (found,) = verify(Answering(quote), CLAIMS[:1])
    start = CONTEXT[1].text.index("No lorries")
    assert found.evidence == (Evidence("p2", start, start + 10),)


def test_wrong_words_outside_the_claim_are_not_blamed_and_are_counted():
    def blame(_, answer):
        return {"answers": [{**a, "wrong_words": ["green", "1937", "ope"]} for a in answer["answers"]]}

    engine = verifier()
    (found,) = verify(Answering(blame), CLAIMS[:1], engine)
    assert [RESPONSE[s.start : s.end] for s in found.error_spans] == ["1937"]
    assert engine.tally.take() == {"wrong_words_not_in_claim": 2}


@pytest.mark.parametrize("status", [REFUSAL, CONTENT_FILTER, API_ERROR])
def test_a_failed_call_leaves_its_claims_unverified_with_the_reason(status):
    ask = Answering(lambda *_: ChatReply(status, reason="down for\nrepair"))
    found = verify(ask)
    assert verdicts(found) == [f"unverified: {status}"] * 4
    assert {one.reason for one in found} == {"down for repair"}
    assert len(ask.requests) == 1


def test_unreadable_answers_are_asked_for_again_and_then_left():
    ask = Answering(lambda request, answer: answer if request.attempt else "sorry")
    assert verdicts(verify(ask)) == [CONTRADICTED, SUPPORTED, SUPPORTED, UNSUPPORTED]
    ask = Answering(lambda *_: "sorry")
    assert verdicts(verify(ask)) == ["unverified: invalid_json"] * 4
    assert len(ask.requests) == 3


def test_an_answer_cut_at_the_limit_is_asked_for_in_halves():
    ask = Answering(lambda request, answer: ChatReply(LENGTH) if len(answer["answers"]) > 1 else answer)
    assert verdicts(verify(ask)) == [CONTRADICTED, SUPPORTED, SUPPORTED, UNSUPPORTED]
    assert len({request.user for request in ask.requests}) == len(ask.requests) == 7
    ask = Answering(lambda *_: ChatReply(LENGTH))
    assert verdicts(verify(ask, CLAIMS[:1])) == ["unverified: length"]
    assert [r.max_tokens // ask.requests[0].max_tokens for r in ask.requests] == [1, 2, 4]


def test_what_stops_the_run_is_raised_as_it_is():
    async def broke(request):
        raise BaltoError("the budget is spent")

    with pytest.raises(BaltoError, match="the budget is spent"):
        verify(broke, engine=verifier(claims_per_call=1))


# --- contexts that are larger than the window


def long_context() -> tuple[Passage, ...]:
    filler = " ".join(f"The ferry {n} goes to island {n} at noon." for n in range(400))
    return (
        Passage("p0", f"The Sund Bridge was opened in 1937. {filler}"),
        Passage("p1", f"{filler} It is painted green."),
    )


SMALL = 8_192


def test_any_chunk_may_support_and_none_is_too_long():
    ask = Answering()
    engine = verifier(context_window=SMALL)
    found = verify(ask, CLAIMS, engine, context=long_context())
    assert len(ask.requests) > 2
    assert verdicts(found)[0] == SUPPORTED
    for request in ask.requests:
        assert len((request.system + request.user).encode()) / 3 + request.max_tokens <= SMALL + 200


def test_a_chunk_that_fails_leaves_open_what_no_other_chunk_supports():
    def fail_without(text):
        return lambda request, answer: answer if text in request.user else ChatReply(API_ERROR, reason="gone")

    engine = verifier(context_window=SMALL)
    found = verify(Answering(fail_without("opened in 1937. The ferry")), CLAIMS, engine, context=long_context())
    assert verdicts(found) == [SUPPORTED, *["unverified: api_error"] * 3]


S, C, U = (Finding(verdict, OK) for verdict in (SUPPORTED, CONTRADICTED, UNSUPPORTED))
FAILED = Finding(None, "refusal")


@pytest.mark.parametrize(
    ("findings", "verdict"),
    [
        ([U, S, C], SUPPORTED),
        ([FAILED, S], SUPPORTED),
        ([U, C, U], CONTRADICTED),
        ([C, FAILED], None),
        ([U, FAILED], None),
        ([U, U], UNSUPPORTED),
        ([], None),
    ],
)
def test_how_chunks_add_up(findings, verdict):
    assert combine(findings).verdict == verdict


def test_words_that_one_chunk_bears_out_are_not_blamed():
    one = Finding(UNSUPPORTED, OK, error_spans=(Span(0, 4), Span(10, 14)))
    two = Finding(UNSUPPORTED, OK, error_spans=(Span(2, 12),))
    assert combine([one, two, U]).error_spans == (Span(2, 4), Span(10, 12))


def test_a_claim_that_leaves_no_room_for_context_is_unverified_and_the_others_are_judged():
    huge = replace(CLAIMS[3], text="green " * 5_000)
    engine = verifier(context_window=SMALL)
    found = verify(Answering(), (CLAIMS[2], huge), engine)
    assert verdicts(found) == [SUPPORTED, "unverified: claim too long for the context window"]


def test_a_window_too_small_for_the_prompt_is_refused_with_what_is_needed():
    with pytest.raises(ConfigError, match=r"--context-window 2048: too small .* it needs \d+ tokens"):
        verifier(context_window=2_048)
