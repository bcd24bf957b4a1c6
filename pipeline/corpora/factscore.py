"""FActScore (Min et al., arXiv 2305.14251): biographies with LLM-extracted and human claims about each sentence.

Two shapes: as published ({input, output, topic, cat, annotations}, without any context), and with contexts added
({id, model, prompt, topic, context, response, sentences}). The claims carry no offsets, so they are no gold spans;
they travel in meta["factscore_sentences"] as JSON, one shape for both:
[{sentence, start, end, is_relevant?, model_atomic_facts: [text], human_atomic_facts: [{text, label}]}].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.corpora.place import Place, json_text, require_list, require_object, require_text, to_sample
from schemas.records import Sample

# Cut into the paragraphs of FActScore's knowledge source wherever a chunk ended, even inside a word.
_CHUNK_SEPARATOR: Final = "####SPECIAL####SEPARATOR####"


def is_factscore(obj: Mapping[str, Any]) -> bool:
    return {"topic", "input", "output"} <= obj.keys() or {"topic", "sentences", "response"} <= obj.keys()


def convert(obj: Any, place: Place) -> tuple[Sample]:
    """The Sample of one biography. Annotations are null where the model gave none; then meta has no sentences."""
    obj = require_object(obj, "record")
    published = "output" in obj
    ours = {
        "id": obj.get("id"),
        "prompt": require_text(obj, "input" if published else "prompt"),
        "context": _context(obj),
        "response": require_text(obj, "output" if published else "response"),
        "policy": obj.get("model"),
        "meta": {"topic": require_text(obj, "topic")} | _categories(obj),
    }
    sentences = _published_sentences(obj, ours["response"]) if published else _optional_list(obj, "sentences")
    if sentences is not None:
        ours["meta"]["factscore_sentences"] = json_text(sentences, "sentences")
    return (to_sample(ours, place),)


def _context(obj: Mapping[str, Any]) -> list[Any]:
    paragraphs = _optional_list(obj, "context") or []
    return [text.replace(_CHUNK_SEPARATOR, "") if type(text) is str else text for text in paragraphs]


def _categories(obj: Mapping[str, Any]) -> dict[str, str]:
    return {"cat": ", ".join(map(str, require_list(obj, "cat")))} if obj.get("cat") else {}


def _published_sentences(obj: Mapping[str, Any], response: str) -> list[dict[str, Any]] | None:
    annotations = _optional_list(obj, "annotations")
    if annotations is None:
        return None
    sentences, searched_to = [], 0
    for index, item in enumerate(annotations):
        sentence = _published_sentence(require_object(item, f"annotations[{index}]"), response, searched_to)
        searched_to = sentence["end"] or searched_to
        sentences.append(sentence)
    return sentences


def _published_sentence(item: Mapping[str, Any], response: str, searched_from: int) -> dict[str, Any]:
    """Published sentences have no offsets: each is looked for after the one before it; null where it is reworded."""
    text = require_text(item, "text")
    start = response.find(text, searched_from)
    return {
        "sentence": text,
        "start": None if start < 0 else start,
        "end": None if start < 0 else start + len(text),
        "is_relevant": item.get("is-relevant"),
        "model_atomic_facts": [_fact_text(fact) for fact in _optional_list(item, "model-atomic-facts") or []],
        "human_atomic_facts": _optional_list(item, "human-atomic-facts") or [],
    }


def _fact_text(fact: object) -> str:
    return require_text(require_object(fact, "model-atomic-facts"), "text")


def _optional_list(obj: Mapping[str, Any], name: str) -> list[Any] | None:
    if obj.get(name) is None:
        return None
    return require_list(obj, name)
