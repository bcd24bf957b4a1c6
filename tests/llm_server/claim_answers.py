"""Answers by rule to the questions of the engine `llm`, read from the request as an endpoint sees it.

Extraction: every sentence that is no question is a claim, quoted as it stands. Verification: a claim whose content
words and numbers one passage holds is supported by the passage's nearest sentence; one that only a number is missing
of is contradicted; anything else is unsupported, and the missing words are blamed. No rule looks beyond the data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pipeline.location.split_words import CONTENT, NUMBER, split_words
from pipeline.sentences import split_sentences

_BEGIN = re.compile(r"BEGIN ([a-z]+) ([0-9a-f]{16})")


def read_blocks(user: str) -> dict[str, list[dict[str, Any]]]:
    """The blocks of a user message by name, in order; strict: every line is a tag's or one JSON object's."""
    blocks: dict[str, list[dict[str, Any]]] = {}
    lines = iter(user.split("\n"))
    for line in lines:
        begin = _BEGIN.fullmatch(line)
        if begin is None or begin[1] in blocks:
            raise ValueError(f"not the beginning of a block: {line!r}")
        items = blocks[begin[1]] = []
        for item in lines:
            if item == f"END {begin[1]} {begin[2]}":
                break
            items.append(json.loads(item))
        else:
            raise ValueError(f"block {begin[1]} has no end")
    return blocks


def answer_by_rule(body: Mapping[str, Any]) -> str:
    """The answer to a chat-completions request of the engine, as JSON text."""
    user = next(message["content"] for message in body["messages"] if message["role"] == "user")
    if len(body["messages"]) == 1:  # instructions and data in one: no line of data is empty, nor begins with BEGIN
        user = user[user.rfind("\n\nBEGIN ") + 2 :]
    if not user.startswith("BEGIN "):
        return json.dumps({"colour": "red", "letters": 3})  # the question that is asked before a run
    blocks = read_blocks(user)
    answer = {"answers": _verdicts(blocks)} if "claims" in blocks else {"claims": _claims(blocks)}
    return json.dumps(answer, ensure_ascii=False)


def _claims(blocks: Mapping[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [
        {"sentences": [line["sentence"]], "quotes": [line["text"].rstrip(".")], "claim": line["text"]}
        for line in blocks["sentences"]
        if not line["text"].endswith("?") and _required(line["text"])
    ]


def _verdicts(blocks: Mapping[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    passages = [line["text"] for line in blocks["context"]]
    return [{"id": line["id"]} | _verdict(line["claim"], passages) for line in blocks["claims"]]


def _verdict(claim: str, passages: list[str]) -> dict[str, Any]:
    required = _required(claim)
    held = [{key for _, key, _ in _required(passage)} for passage in passages]
    best = max(range(len(passages)), key=lambda at: sum(key in held[at] for _, key, _ in required), default=None)
    missing = [(word, kind) for word, key, kind in required if best is None or key not in held[best]]
    sentence = "" if best is None else _nearest(passages[best], {key for _, key, _ in required})
    if not required or (not missing and not sentence):
        return {"evidence": [], "reason": "nothing to check", "verdict": "unsupported", "wrong_words": []}
    if not missing:
        return {"evidence": [sentence], "reason": "the words are there", "verdict": "supported", "wrong_words": []}
    words = [word for word, _ in missing]
    if sentence and len(missing) < len(required) and all(kind == NUMBER for _, kind in missing):
        return {"evidence": [sentence], "reason": "another number", "verdict": "contradicted", "wrong_words": words}
    return {"evidence": [], "reason": "words are missing", "verdict": "unsupported", "wrong_words": words}


def _nearest(passage: str, keys: set[str]) -> str:
    sentences = [passage[span.start : span.end] for span in split_sentences(passage)]
    return max(sentences, key=lambda text: len(keys & {key for _, key, _ in _required(text)}), default="")


def _required(text: str) -> list[tuple[str, str, int]]:
    """(word as it stands, key, kind) of the content words and numbers."""
    words = split_words(text)
    found = zip(words.starts, words.ends, words.keys, words.kinds, strict=True)
    return [(text[start:end], key, kind) for start, end, key, kind in found if kind in (CONTENT, NUMBER)]
