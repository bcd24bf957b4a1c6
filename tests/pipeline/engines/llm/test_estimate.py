"""The estimate against what an undisturbed run really asks."""

import pytest

from pipeline.engines import EngineChoice, LlmSettings
from pipeline.engines.llm.estimate import CHARS_PER_TOKEN, StageEstimate, answer_tokens_per_claim, estimate
from pipeline.engines.rules import RulesExtractor
from pipeline.llm.chat import Usage
from pipeline.locate_spans import locate_claims
from pipeline.sentences import split_sentences
from schemas.records import Passage
from tests.llm_asks import KEY, Answering, run
from tests.rows import make_sample

SETTINGS = LlmSettings("m", claims_per_call=2, context_window=16_384, canaries=0.0)
LONG = " ".join(f"Bridge {n} was opened in {1800 + n} by the mayor of town {n}." for n in range(90))
SAMPLES = [
    make_sample("r1", response="The bridge opened in 1937. It is long. It is red."),
    make_sample("r2", response="The bridge opened in 1932."),
    make_sample("r3", response="What do you mean?"),
    make_sample("r4", response=LONG, context=(Passage("p", LONG * 8),)),
    make_sample("r5", response=""),
]


def engines():
    chosen = EngineChoice("llm", "llm", SETTINGS)
    return chosen.make_extractor(KEY), chosen.make_verifier(KEY)


async def label(ask):
    extractor, verifier = engines()
    for sample in SAMPLES:
        claims = await extractor.extract(sample, ask)
        located = locate_claims(sample.response, claims, split_sentences(sample.response))
        await verifier.verify(sample, located, ask)


def test_requests_are_exact_and_input_close_when_one_claim_comes_of_a_sentence():
    found = estimate([*SAMPLES, None], *engines())
    ask = Answering()
    run(label(ask))
    assert (found.records, found.rejected, found.claims) == (5, 1, 94)
    for purpose, stage in found.stages.items():
        sent = ask.of(purpose)
        assert stage.requests == len(sent)
        characters = sum(len(request.system) + len(request.user) for request in sent)
        assert stage.input_tokens == pytest.approx(characters / CHARS_PER_TOKEN, rel=0.01)
    assert set(found.stages) == {"extract", "verify"}


def test_repeated_beginnings_are_counted_as_cacheable():
    stages = estimate(SAMPLES[:1], *engines()).stages
    assert stages["extract"].cacheable_tokens == 0  # the first request of all
    verify = stages["verify"]
    assert verify.requests == 2  # three claims, two a call, one context
    assert 0.4 < verify.cacheable_tokens / verify.input_tokens < 0.5


def test_only_the_stages_that_ask_a_model_are_estimated():
    extractor, verifier = engines()
    assert set(estimate(SAMPLES, RulesExtractor(), verifier).stages) == {"verify"}
    assert set(estimate(SAMPLES, extractor, None).stages) == {"extract"}


def test_usage_with_and_without_a_prefix_cache():
    stage = StageEstimate(requests=2, input_tokens=1_000.4, cacheable_tokens=400, output_tokens=99.6)
    assert stage.usage(False) == Usage(1_000, 0, 100)
    assert stage.usage(True) == Usage(1_000, 400, 100)


def test_summary_adds_up_and_an_unknown_price_is_no_price():
    found = estimate(SAMPLES, *engines())
    known = found.summary("m", lambda usage: usage.prompt_tokens - usage.cached_prompt_tokens / 2)
    assert known["total"]["requests"] == sum(stage["requests"] for stage in known["stages"].values())
    assert known["total"]["cost_usd"] > known["total"]["cost_usd_with_prefix_cache"] > 0
    unknown = found.summary("m", None)
    assert unknown["total"]["cost_usd"] is None
    assert unknown["total"]["requests"] == known["total"]["requests"]


def test_answers_take_plausible_tokens_per_claim():
    tokens = answer_tokens_per_claim()
    assert 15 < tokens["extract"] < 60
    assert 30 < tokens["verify"] < 120
