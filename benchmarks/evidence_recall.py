"""How often the evidence that the engine `nli` reads holds the sentence that a claim was made from.

    python -m benchmarks.evidence_recall --factscore FILE [--retriever FOLDER] [--claims 1500] [--biographies 199]

Three figures. First, LLM-extracted claims of FActScore are searched in the biography that they were taken from: is
their sentence the first that is found, is it among three? Those are paraphrases with a known origin. Second, in
articles far longer than a window: FActScore has no evidence labels there, so a sentence of the article with a
quarter of its words left out (seeded) is the claim, and recall is that the sentence stands whole in an evidence
text. Third, without a gold sentence: of the claims that people called supported, the share whose content words all
stand in the evidence, against the share in the whole article; what is lost between the two was not retrieved. By
shared words, and with --retriever by embeddings too, fused by rank.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.engines.context_index import index_context
from pipeline.engines.nli.gather import ClaimEvidence, Gatherer
from pipeline.engines.nli.loading import OpenModel
from pipeline.engines.nli.retrieval import Retriever, fuse, rank_by_words
from pipeline.engines.words import tokenize
from schemas.records import Passage

TEXTS = (1, 2, 4)
DEFAULT_TEXTS = 2  # of the engine
_LEFT_OUT = 4  # every fourth word, on average
Asked = tuple[tuple[Passage, ...], str, int]


def token_bound(texts: Sequence[str]) -> list[int]:
    """About the tokens of a subword tokenizer: four for three words."""
    return [(4 * len(text.split()) + 2) // 3 for text in texts]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--factscore", type=Path, required=True, help="factscore.jsonl with contexts")
    parser.add_argument("--retriever", type=Path, help="folder of a sentence-transformers model")
    parser.add_argument("--claims", type=int, default=1500)
    parser.add_argument("--biographies", type=int, default=199, help="fewer for a sooner answer")
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    figures = measure(
        arguments.factscore, arguments.retriever, arguments.claims, arguments.window, arguments.biographies
    )
    print(json.dumps(figures, indent=2) if arguments.json else report(figures))


def measure(file: Path, retriever: Path | None, most: int, window: int, people: int) -> dict[str, Any]:
    """Recall by search and number of texts."""
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    records = records[:: max(1, len(records) // people)]
    made = made_up_claims(records, most, random.Random(0))
    supported = supported_claims(records, most)
    searches: dict[str, Any] = {"words": None}
    if retriever is not None:
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(retriever), device="cpu", local_files_only=True)
        searches |= {"embeddings and words": model}
    figures: dict[str, Any] = {
        "claims": len(made),
        "supported_claims": len(supported),
        "rank": rank_own_sentence(records, searches.get("embeddings and words")),
        "searches": {},
    }
    for name, embedder in searches.items():
        for texts in TEXTS if embedder is None else (DEFAULT_TEXTS,):  # articles are embedded anew for each
            gatherer = Gatherer(OpenModel(None, token_bound, window, 3, embedder), texts)
            found = gatherer.gather([asked for asked, _ in made])
            recall = sum(holds(evidence, text) for evidence, (_, text) in zip(found, made, strict=True)) / len(made)
            words = gatherer.gather(supported)
            complete = mean(all_words(text, shown(one)) for (_, text, _), one in zip(supported, words, strict=True))
            figures["searches"][f"{name}, {texts} texts"] = {
                "sentence_recall": 100 * recall,
                "words_found": 100 * complete,
            }
    figures["words_in_article"] = 100 * mean(
        all_words(text, "\n".join(passage.text for passage in context)) for context, text, _ in supported
    )
    return figures


def rank_own_sentence(records: list[dict[str, Any]], embedder: Any) -> dict[str, dict[str, float]]:
    """LLM-extracted claims searched in the biography they were taken from: is their sentence first, is it in three?"""
    retriever = Retriever(embedder) if embedder is not None else None
    hits: dict[str, list[tuple[bool, bool]]] = {}
    for record in records:
        passages = (Passage("response", record["response"]),)
        places = index_context(passages).sentences
        claims = [(one, fact) for one in record["sentences"] for fact in one["model_atomic_facts"] or ()]
        texts = [fact["text"] if isinstance(fact, dict) else fact for _, fact in claims]
        vectors = retriever.embed(texts) if retriever and texts else None
        for at, (gold, _) in enumerate(claims):
            right = {n for n, one in enumerate(places) if one.start < gold["end"] and gold["start"] < one.end}
            rankings = {"words": rank_by_words(passages, texts[at])}
            if retriever is not None and vectors is not None:
                rankings["embeddings"] = retriever.rank(passages, vectors[at])
                rankings["embeddings and words"] = fuse(rankings["words"], rankings["embeddings"])
            for name, ranking in rankings.items():
                hits.setdefault(name, []).append((bool(right & set(ranking[:1])), bool(right & set(ranking[:3]))))
    return {
        name: {"claims": len(own), "first": 100 * mean(a for a, _ in own), "in_three": 100 * mean(b for _, b in own)}
        for name, own in hits.items()
    }


def mean(values: Any) -> float:
    """Of numbers or truths."""
    listed = list(values)
    return sum(listed) / len(listed)


def shown(evidence: ClaimEvidence) -> str:
    """All evidence texts of a claim."""
    return "\n".join(window.text for window in evidence.windows)


def holds(evidence: ClaimEvidence, sentence: str) -> bool:
    """Whether one text holds the whole sentence."""
    return any(sentence in window.text for window in evidence.windows)


def all_words(claim: str, text: str) -> bool:
    """Whether every content word and number of the claim stands in the text."""
    there = set(tokenize(text).stems)
    return there.issuperset(tokenize(claim).content_and_number_stems())


def context_of(record: dict[str, Any]) -> tuple[Passage, ...]:
    """The article of a biography."""
    return tuple(Passage(str(number), text) for number, text in enumerate(record["context"]) if text.strip())


def made_up_claims(records: list[dict[str, Any]], most: int, rng: random.Random) -> list[tuple[Asked, str]]:
    """(claim as asked, its sentence): sentences of articles with a quarter of their words left out."""
    contexts = list(dict.fromkeys(context_of(record) for record in records))
    candidates = [
        (context, context[one.passage].text[one.start : one.end])
        for context in contexts
        for one in index_context(context).sentences
        if 8 <= len(context[one.passage].text[one.start : one.end].split()) <= 40
    ]
    rng.shuffle(candidates)
    made = []
    for context, sentence in candidates[:most]:
        text = " ".join(word for word in sentence.split() if rng.randrange(_LEFT_OUT))
        made.append(((context, text, token_bound([text])[0]), sentence))
    return made


def supported_claims(records: list[dict[str, Any]], most: int) -> list[Asked]:
    """Human claims labelled as supported, evenly over the people."""
    claims = [
        (context_of(record), fact["text"])
        for record in records
        for sentence in record["sentences"]
        for fact in sentence["human_atomic_facts"] or ()
        if fact["label"] == "S"
    ]
    step = max(1, len(claims) // most)
    return [(context, text, token_bound([text])[0]) for context, text in claims[::step][:most]]


def report(figures: dict[str, Any]) -> str:
    """The figures as lines for people."""
    lines = [f"{figures['claims']} made-up claims, {figures['supported_claims']} supported human claims"]
    for name, found in figures["rank"].items():
        lines.append(
            f"  {name:32} own sentence of {found['claims']} LLM-extracted claims first {found['first']:5.1f} %, "
            f"among three {found['in_three']:5.1f} %"
        )
    for name, found in figures["searches"].items():
        lines.append(
            f"  {name:32} its sentence {found['sentence_recall']:5.1f} %   all its words {found['words_found']:5.1f} %"
        )
    return "\n".join(
        [*lines, f"  {'the whole article':32} {'':19}   all its words {figures['words_in_article']:5.1f} %"]
    )


if __name__ == "__main__":
    main()
