"""Claims with a known answer: as often as told, never in the result, and they tell a judge from a yes-sayer."""

import pytest

from pipeline.engines.llm.canaries import choose_canary
from pipeline.engines.llm.messages import ClaimLine
from pipeline.engines.llm.sealed_data import Seal
from pipeline.engines.llm.verification import LlmVerifier
from pipeline.engines.llm.windows import ContextPiece
from schemas.records import CONTRADICTED, SUPPORTED, UNSUPPORTED, Claim, Passage
from tests.llm_asks import KEY, Answering, run
from tests.llm_server.claim_answers import read_blocks
from tests.rows import make_sample

CONTEXT = [ContextPiece(1, "The Sund Bridge near Aalvik was opened in 1932. Its engineer was called Tove Lind.")]


def canaries(rate: float, calls: int = 2_000):
    seal = Seal(KEY)
    return [choose_canary(seal, CONTEXT, [ClaimLine(f"Claim {n}.")] * 3, rate) for n in range(calls)]


def test_as_many_calls_as_told_get_one_of_either_kind_at_any_place():
    assert [canary for canary in canaries(0.0) if canary] == []
    assert all(canaries(1.0))
    found = [canary for canary in canaries(0.1) if canary]
    assert 160 <= len(found) <= 240  # 200 expected, standard deviation 13
    assert {canary.position for canary in found} == {0, 1, 2, 3}
    assert 0.35 < sum(canary.expected == SUPPORTED for canary in found) / len(found) < 0.65
    assert canaries(0.1) == canaries(0.1)


def test_supported_ones_are_sentences_of_the_context_and_the_others_about_nobody():
    for canary in canaries(1.0, 300):
        stands = canary.line.text in CONTEXT[0].text
        assert stands == (canary.expected == SUPPORTED)
    invented = {canary.line.text for canary in canaries(1.0, 300) if canary.expected == UNSUPPORTED}
    assert len(invented) > 100  # no list of them can be kept


def test_a_context_without_a_full_sentence_gets_an_invented_one():
    table = [ContextPiece(1, "1932 | 25")]
    found = [choose_canary(Seal(KEY), table, [ClaimLine(f"{n}")], 1.0) for n in range(50)]
    assert {canary.expected for canary in found if canary} == {UNSUPPORTED}


def verify(change, calls: int = 60):
    engine = LlmVerifier("m", KEY, 32_768, canaries=1.0)
    ask = Answering(change)
    sample = make_sample(context=(Passage("p", CONTEXT[0].text),))
    results = [run(engine.verify(sample, (Claim("c1", f"The bridge is {n} metres long."),), ask)) for n in range(calls)]
    return results, ask, engine.tally.take()


def test_a_judge_passes_and_no_canary_reaches_the_result():
    results, ask, tally = verify(lambda _, answer: answer)
    assert all(len(ask.blocks(n)["claims"]) == 2 for n in range(60))
    assert all([claim.claim_id for claim in claims] == ["c1"] for claims in results)
    assert tally == {"canaries": 60}


@pytest.mark.parametrize(("verdict", "wrong_kind"), [(SUPPORTED, UNSUPPORTED), (UNSUPPORTED, SUPPORTED)])
def test_a_model_with_one_answer_for_everything_is_found_out(verdict, wrong_kind):
    always = lambda _, answer: {"answers": [{**one, "verdict": verdict} for one in answer["answers"]]}  # noqa: E731
    _, _, tally = verify(always)
    assert tally["canaries"] == 60
    assert 15 <= tally["canaries_failed"] <= 45


def test_contradicted_instead_of_unsupported_is_no_failure():
    (canary,) = [c for c in canaries(1.0, 20) if c and c.expected == UNSUPPORTED][:1]
    assert not canary.failed(CONTRADICTED)
    assert canary.failed(SUPPORTED)


def test_an_unanswered_canary_is_counted_and_not_asked_again():
    ask_only_real = lambda request, answer: {  # noqa: E731
        "answers": [one for one, text in zip(answer["answers"], _texts(request), strict=True) if "metres" in text]
    }
    _, ask, tally = verify(ask_only_real)
    assert len(ask.requests) == 60
    assert tally == {"canaries": 60, "canaries_unanswered": 60}
    _, ask, tally = verify(lambda *_: "no answer", 1)
    assert tally == {"canaries": 1, "canaries_unanswered": 1, "unreadable_answers": 3}
    assert [len(ask.blocks(n)["claims"]) for n in range(3)] == [2, 1, 1]


def _texts(request):
    return [line["claim"] for line in read_blocks(request.user)["claims"]]
