"""The extractor over a plain coroutine: what is asked, and what comes of every way in which an answer can go wrong."""

import pytest

from pipeline.engines.llm.extraction import LlmExtractor
from pipeline.llm.chat import API_ERROR, CONTENT_FILTER, LENGTH, REFUSAL, ChatReply
from pipeline.locate_spans import locate_claims
from pipeline.sentences import split_sentences
from schemas.errors import BaltoError, ConfigError, RecordError
from schemas.records import EXACT, Message
from tests.llm_asks import KEY, Answering, run
from tests.rows import make_sample

SENTENCES = [f"Bridge {n} was opened in {1800 + n} by the mayor of town {n}." for n in range(120)]


def extractor(window: int = 32_768) -> LlmExtractor:
    return LlmExtractor("m", KEY, window)


def extract(sample, ask, window: int = 32_768):
    return run(extractor(window).extract(sample, ask))


def test_one_call_per_response_over_numbered_sentences():
    ask = Answering()
    claims = extract(make_sample(response="The bridge opened in 1932. Is it long? It is."), ask)
    (request,) = ask.requests
    assert ask.blocks()["sentences"] == [
        {"sentence": 1, "text": "The bridge opened in 1932."},
        {"sentence": 2, "text": "Is it long?"},
        {"sentence": 3, "text": "It is."},
    ]
    assert ask.blocks()["question"] == [{"text": "When did the bridge open?"}]
    assert (request.purpose, request.prompt_version, request.attempt) == ("extract", "llm-2", 0)
    (claim,) = claims
    assert (claim.claim_id, claim.text, claim.quotes, claim.sentence_ids) == (
        "c1",
        "The bridge opened in 1932.",
        ("The bridge opened in 1932",),
        (0,),
    )
    assert (claim.extractor, claim.prompt_version, claim.verdict, claim.spans) == ("llm:m/1", "llm-2", None, ())


def test_instructions_stand_in_the_system_message_only_and_are_the_same_for_all():
    ask = Answering()
    extract(make_sample(response="Ada wrote it."), ask)
    extract(make_sample(response="Bob wrote it."), ask)
    assert ask.requests[0].system == ask.requests[1].system
    assert "Ada" not in ask.requests[0].system


@pytest.mark.parametrize("response", ["", " \n ", None])
def test_an_empty_response_asks_nothing_and_claims_nothing(response):
    ask = Answering()
    assert extract(make_sample(response=response), ask) == ()
    assert ask.requests == []


def test_no_claims_is_an_answer():
    assert extract(make_sample(response="I cannot say."), Answering(lambda *_: {"claims": []})) == ()


def test_a_long_response_is_split_at_sentences_and_no_sentence_is_left_out():
    ask = Answering()
    claims = extract(make_sample(response=" ".join(SENTENCES)), ask)
    asked = [line for i in range(len(ask.requests)) for line in ask.blocks(i)["sentences"]]
    assert len(ask.requests) > 1
    assert asked == [{"sentence": n, "text": text} for n, text in enumerate(SENTENCES, start=1)]
    assert [claim.claim_id for claim in claims] == [f"c{n}" for n in range(1, 121)]
    assert [claim.sentence_ids for claim in claims] == [(n,) for n in range(120)]
    # what stood before explains the pronouns of a later part
    first = ask.blocks(1)["sentences"][0]["sentence"]
    assert ask.blocks(1)["before"] == [{"text": " ".join(SENTENCES[first - 4 : first - 1])}]


def test_a_sentence_without_end_is_asked_in_pieces_that_lead_to_one_sentence_id():
    response = "Short one. " + " ".join(f"Item{n}" for n in range(1_500))
    ask = Answering()
    claims = extract(make_sample(response=response), ask)
    assert {claim.sentence_ids for claim in claims} == {(0,), (1,)}
    located = locate_claims(response, claims, split_sentences(response))
    assert {claim.alignment for claim in located} == {EXACT}
    assert sum(span.end - span.start for claim in located for span in claim.spans) > 0.99 * len(response)


def test_an_answer_cut_at_the_limit_is_asked_for_in_halves_and_never_repeated():
    ask = Answering(lambda request, answer: ChatReply(LENGTH, "{") if len(answer["claims"]) > 2 else answer)
    claims = extract(make_sample(response=" ".join(SENTENCES[:8])), ask)
    assert [claim.sentence_ids for claim in claims] == [(n,) for n in range(8)]
    assert len({request.user for request in ask.requests}) == len(ask.requests) == 7  # 8, 4 + 4, 2 + 2 + 2 + 2


def test_one_sentence_whose_answer_is_cut_gets_more_tokens_and_then_up():
    ask = Answering(lambda request, answer: ChatReply(LENGTH, "{"))
    with pytest.raises(RecordError, match="length"):
        extract(make_sample(response="The bridge opened."), ask)
    limits = [request.max_tokens for request in ask.requests]
    assert limits == [limits[0], 2 * limits[0], 4 * limits[0]]


@pytest.mark.parametrize("status", [REFUSAL, CONTENT_FILTER, API_ERROR])
def test_a_failed_call_rejects_the_record_at_once_with_the_reason(status):
    ask = Answering(lambda *_: ChatReply(status, reason="not\ntoday " + "x" * 500))
    with pytest.raises(RecordError) as caught:
        extract(make_sample(response="The bridge opened."), ask)
    assert caught.value.stage == "extract_claims"
    assert caught.value.reason.startswith(f"{status}: not today xxx")
    assert len(caught.value.reason) < 250
    assert len(ask.requests) == 1


def test_an_unreadable_answer_is_asked_for_again_under_another_attempt():
    ask = Answering(lambda request, answer: answer if request.attempt == 2 else "no JSON at all")
    engine = extractor()
    claims = run(engine.extract(make_sample(response="The bridge opened."), ask))
    assert len(claims) == 1
    assert [request.attempt for request in ask.requests] == [0, 1, 2]
    assert len({(request.user, request.system) for request in ask.requests}) == 2
    assert engine.tally.take() == {"unreadable_answers": 2}


def test_an_answer_that_stays_unreadable_rejects_the_record():
    ask = Answering(lambda *_: '{"claims": "none"}')
    with pytest.raises(RecordError, match="invalid_json: the answer's JSON is not of the form"):
        extract(make_sample(response="The bridge opened."), ask)
    assert len(ask.requests) == 3


def test_one_failed_part_of_a_long_response_rejects_the_whole_record():
    def fail_late(request, answer):
        late = any(claim["sentences"] == [100] for claim in answer["claims"])
        return ChatReply(REFUSAL) if late else answer

    with pytest.raises(RecordError, match="refusal"):
        extract(make_sample(response=" ".join(SENTENCES)), Answering(fail_late))


def test_what_stops_the_run_is_raised_as_it_is():
    async def broke(request):
        raise BaltoError("the budget is spent")

    with pytest.raises(BaltoError, match="the budget is spent"):
        extract(make_sample(response=" ".join(SENTENCES)), broke)


def test_wrong_sentence_numbers_are_dropped_and_counted():
    def misnumber(_, answer):
        return {"claims": [{**claim, "sentences": [0, 2, 99, -1]} for claim in answer["claims"]]}

    engine = extractor()
    response = "The bridge opened. It is long. It is red."
    claims = run(engine.extract(make_sample(response=response), Answering(misnumber)))
    assert [claim.sentence_ids for claim in claims] == [(1,), (1,), (1,)]
    assert engine.tally.take() == {"wrong_sentence_numbers": 9}
    # the quotes still lead to the right places
    located = locate_claims(response, claims, split_sentences(response))
    assert [response[claim.spans[0].start : claim.spans[0].end] for claim in located] == [
        "The bridge opened",
        "It is long",
        "It is red",
    ]


def test_a_quote_with_words_left_out_becomes_its_parts():
    answer = {"claims": [{"sentences": [1], "quotes": ["The bridge ... in 1932"], "claim": "It opened in 1932."}]}
    (claim,) = extract(make_sample(response="The bridge opened late in 1932."), Answering(lambda *_: answer))
    assert claim.quotes == ("The bridge", "in 1932")
    verbatim = {"claims": [{"sentences": [1], "quotes": ["Well... it"], "claim": "It opened."}]}
    (claim,) = extract(make_sample(response="Well... it opened."), Answering(lambda *_: verbatim))
    assert claim.quotes == ("Well... it",)


def test_a_claim_given_twice_counts_once_but_a_fact_said_twice_stays():
    once = {"sentences": [1], "quotes": ["It is red"], "claim": "The bridge is red."}
    answer = {"claims": [once, once, {**once, "sentences": [2]}]}
    engine = extractor()
    claims = run(engine.extract(make_sample(response="It is red. It is red."), Answering(lambda *_: answer)))
    assert [(claim.claim_id, claim.sentence_ids) for claim in claims] == [("c1", (0,)), ("c2", (1,))]
    assert engine.tally.take() == {"repeated_claims": 1}


def test_of_a_chat_the_last_question_is_shown_and_a_long_prompt_is_shortened_in_the_middle():
    ask = Answering()
    chat = (Message("system", "Be brief."), Message("user", "First?"), Message("user", "Which bridge?"))
    extract(make_sample(prompt=chat), ask)
    assert ask.blocks()["question"] == [{"text": "Which bridge?"}]
    extract(make_sample(prompt="Begin. " + "context " * 5_000 + "Which one?"), ask)
    (question,) = ask.blocks()["question"]
    assert question["text"].startswith("Begin.")
    assert question["text"].endswith("Which one?")
    assert len(question["text"]) < 2_200


def test_a_window_too_small_for_the_prompt_is_refused_with_what_is_needed():
    with pytest.raises(ConfigError, match=r"--context-window 4096: too small .* it needs \d+ tokens"):
        extractor(4_096)


def test_every_request_fits_the_smallest_window_that_is_taken():
    with pytest.raises(ConfigError) as caught:
        extractor(100)
    window = int(str(caught.value).split()[-2])
    ask = Answering()
    text = " ".join("\u6771\u4eac\u306b\u6a4b\u304c\u3042\u308b\u3002" * 40 for _ in range(5))
    extract(make_sample(response=text, prompt="\u6a4b" * 5_000), ask, window)
    assert len(ask.requests) > 3
    for request in ask.requests:
        used = len((request.system + request.user).encode()) / 3 + request.max_tokens
        assert used <= window + 200  # tags, and the ends of blocks
