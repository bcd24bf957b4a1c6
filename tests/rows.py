"""Records for tests: one small LabelledResponse with every field filled, and ways to make samples."""

from __future__ import annotations

import json

from schemas.records import (
    CONTRADICTED,
    EXACT,
    LABELLED,
    OK,
    SUPPORTED,
    Claim,
    Evidence,
    GoldSpan,
    LabelledResponse,
    LabelSpan,
    Message,
    Passage,
    Sample,
    Span,
)
from schemas.tokens import label_text, load_tokenizer

RESPONSE = "The bridge opened in 1932 👍.\r\nIt is long."


def make_sample(sample_id: str = "r1", response: str | None = RESPONSE, **fields) -> Sample:
    defaults = {
        "group_id": "g1",
        "prompt": "When did the bridge open?",
        "context": (Passage("p1", "The bridge opened in 1937. It is long."),),
    }
    return Sample(id=sample_id, response=response, **{**defaults, **fields})


def full_row(sample_id: str = "r1", group_id: str = "g1") -> LabelledResponse:
    """A row in which no field has its default."""
    tokenizer = load_tokenizer("bytes")
    ids = tuple(tokenizer.encode(RESPONSE)[0].tolist())
    logprobs = tuple(-0.25 * (n % 4) for n in range(len(ids)))  # exact in float32
    sample = make_sample(
        sample_id,
        group_id=group_id,
        prompt=(Message("system", "Be brief."), Message("user", "When did the bridge open?")),
        policy="model-a",
        response_token_ids=ids,
        response_logprobs=logprobs,
        tokenizer="bytes",
        gold_spans=(GoldSpan(21, 25, "Evident Conflict"),),
        meta={"split": "dev", "task": "QA"},
        source="corpus.jsonl",
        source_row=7,
    )
    claims = (
        Claim(
            claim_id="c1",
            text="The bridge opened in 1932",
            quotes=("The bridge opened in 1932",),
            sentence_ids=(0,),
            spans=(Span(0, 25),),
            alignment=EXACT,
            verdict=CONTRADICTED,
            status=OK,
            score=0.125,
            error_spans=(Span(21, 25),),
            evidence=(Evidence("p1", 0, 26),),
            reason="the context says 1937",
            extractor="rules/1",
            verifier="lexical/1",
            prompt_version="v1",
        ),
        Claim("c2", "It is long", ("It is long",), (1,), (Span(30, 40),), EXACT, SUPPORTED, OK, 0.9),
        Claim("c3", "It is red", status="unverified: no answer"),
    )
    spans = (LabelSpan(21, 25, -1), LabelSpan(30, 40, 1))
    tokens = label_text(tokenizer, RESPONSE, spans, ids)
    return LabelledResponse(sample, claims, spans, tokens, LABELLED, 1, logprobs, 1)


def small_corpus(groups: int, responses: int = 3) -> list[dict]:
    """Records in the balto format: `groups` prompts with a context each, several responses to each, some wrong."""
    records = []
    for group in range(groups):
        year, metres = 1800 + group % 200, 100 + 7 * group
        context = [{"passage_id": "p1", "text": f"Bridge {group} was opened in {year}. It is {metres} metres long."}]
        for response in range(responses):
            wrong = year + (response == 1)
            records.append(
                {
                    "id": f"g{group}-r{response}",
                    "prompt": f"Tell me about bridge {group}.",
                    "context": context,
                    "response": f"Bridge {group} was opened in {wrong}. It is {metres} metres long.",
                    "policy": f"model-{response}",
                    "gold_spans": [],
                }
            )
    return records


def write_jsonl(path, records) -> str:
    """Write records as JSON lines and return the path as text."""
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return str(path)
