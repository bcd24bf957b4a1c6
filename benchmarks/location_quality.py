"""How well a claim is located in its response, on FActScore's LLM-extracted claims.

    python -m benchmarks.location_quality --factscore factscore.jsonl [--json]

A FActScore claim is a reworded fact with the sentence it was extracted from, and nothing else: no quote, no offsets.
The questions: is it found; do all its spans lie inside its sentence (or inside one with the same text); how much of
the sentence do they cover; how often is it "found" where it does not stand, in a response about somebody else, or after
one of its words was made wrong. Settings:

    text_only           the claim text, claims in the order of the response, as extractors give them
    text_only_shuffled  the same in random order: what the order is worth
    decontextualised    the claim text with its first pronoun replaced by the topic, as extractors are asked to write it
    text_and_sentence   the claim text and the sentence it was extracted from
    altered_quotes      and a clause of that sentence as its quote, altered as language models alter quotes
                        (every quote is altered; in practice about one in ten is), with and without the right sentence
    llm_quotes          as the language-model engine gives them: decontextualised claims, the fewest words that carry
                        them as quotes, sentence numbers; and the same with a tenth of the quotes altered, a tenth
                        reworded so that they stand nowhere, and a tenth of the sentence numbers wrong

Times are processor time, preparation of the response included.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from pipeline.locate_spans import locate_claims
from schemas.records import UNMATCHED, Claim, Span

_FOREIGN_RESPONSES: Final = 3
FAULT_SHARE: Final = 0.1  # of each kind of slip in `llm_quotes_with_faults`
_SEED: Final = 0
# (record, sentence index, claim text)
Fact = tuple[dict[str, Any], int, str]


def measure(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Figures per setting, and the share of claims located in responses about another topic."""
    rng = random.Random(_SEED)
    return {
        "claims": sum(len(facts) for record in records for facts in [_facts(record)]),
        "text_only": _measure_setting(records, lambda fact: Claim("c", fact[2])),
        "text_only_shuffled": _measure_setting(records, lambda fact: Claim("c", fact[2]), shuffle=rng),
        "decontextualised": _measure_setting(records, lambda fact: Claim("c", _decontextualised(fact))),
        "text_and_sentence": _measure_setting(records, lambda fact: Claim("c", fact[2], sentence_ids=(fact[1],))),
        "altered_quotes": _measure_setting(records, lambda fact: _with_altered_quote(fact, rng, (fact[1],))),
        "altered_quotes_wrong_sentence": _measure_setting(
            records, lambda fact: _with_altered_quote(fact, rng, (fact[1] + 1,))
        ),
        "altered_quotes_without_sentence": _measure_setting(records, lambda fact: _with_altered_quote(fact, rng, ())),
        "llm_quotes": _measure_setting(records, lambda fact: _as_extracted(fact, rng, 0.0)),
        "llm_quotes_with_faults": _measure_setting(records, lambda fact: _as_extracted(fact, rng, FAULT_SHARE)),
        "foreign": _measure_foreign(records, rng),
        "foreign_decontextualised": _measure_foreign(records, rng, _decontextualised),
        "changed": _measure_changed(records, rng),
    }


def summary(records: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The three figures that a report on labels wants, in percent."""
    plain = _measure_setting(records, lambda fact: Claim("c", fact[2]))
    return {
        "located": 100 * plain["located"],
        "inside_gold_sentence": 100 * plain["inside_gold_sentence_of_located"],
        "foreign_located": 100 * _measure_foreign(records, random.Random(_SEED))["located"],
    }


def _facts(record: dict[str, Any]) -> list[Fact]:
    return [(record, i, text) for i, s in enumerate(record["sentences"]) for text in s["model_atomic_facts"] or ()]


def _sentences(record: dict[str, Any]) -> list[Span]:
    return [Span(sentence["start"], sentence["end"]) for sentence in record["sentences"]]


def _measure_setting(
    records: Sequence[dict[str, Any]], to_claim: Callable[[Fact], Claim], shuffle: random.Random | None = None
) -> dict[str, float]:
    located = inside = total = 0
    covered: list[float] = []
    seconds = 0.0
    alignments: dict[str, int] = {}
    for record in records:
        facts = _facts(record)
        if shuffle:
            shuffle.shuffle(facts)
        claims = [to_claim(fact) for fact in facts]
        began = time.process_time()
        found = locate_claims(record["response"], claims, _sentences(record))
        seconds += time.process_time() - began
        for fact, claim in zip(facts, found, strict=True):
            total += 1
            alignments[claim.alignment] = alignments.get(claim.alignment, 0) + 1
            if claim.alignment != UNMATCHED:
                located += 1
                inside += _is_inside_gold(fact, claim.spans)
                covered.append(_share_of_sentence(fact, claim.spans))
    return {
        "located": located / total,
        "inside_gold_sentence_of_located": inside / max(1, located),
        "span_share_of_sentence": sum(covered) / max(1, len(covered)),
        "microseconds_per_claim": 1e6 * seconds / total,
        **{f"share_{name}": count / total for name, count in sorted(alignments.items())},
    }


def _is_inside_gold(fact: Fact, spans: Sequence[Span]) -> bool:
    record, gold, _ = fact
    same = [s for s in record["sentences"] if s["sentence"] == record["sentences"][gold]["sentence"]]
    return any(all(s["start"] <= span.start and span.end <= s["end"] for span in spans) for s in same)


def _share_of_sentence(fact: Fact, spans: Sequence[Span]) -> float:
    sentence = fact[0]["sentences"][fact[1]]
    return sum(span.end - span.start for span in spans) / (sentence["end"] - sentence["start"])


def _decontextualised(fact: Fact) -> str:
    record, _, text = fact
    topic = record["topic"].split(" (")[0]
    possessive = re.sub(r"^(His|Her|Its|Their)\b", topic + "'s", text)
    return re.sub(r"^(He|She|It|They)\b", topic, possessive)


def _with_altered_quote(fact: Fact, rng: random.Random, sentence_ids: tuple[int, ...]) -> Claim:
    """A clause of the gold sentence as the quote, altered in one way that keeps its numbers and content words."""
    record, gold, text = fact
    words = record["sentences"][gold]["sentence"].split()
    first = rng.randrange(max(1, len(words) - 6))
    words = words[first : first + rng.randint(5, 14)]
    quote = rng.choice(_ALTERATIONS)(words, rng)
    return Claim("c", text, quotes=(quote,), sentence_ids=sentence_ids)


def _as_extracted(fact: Fact, rng: random.Random, faults: float) -> Claim:
    """The claim as the prompt of the language-model engine asks for it, with each kind of slip in a share of cases."""
    record, gold, text = fact
    sentence = record["sentences"][gold]
    (carried,) = locate_claims(record["response"], [Claim("c", text, sentence_ids=(gold,))], _sentences(record))
    quotes = [record["response"][span.start : span.end] for span in carried.spans] or [sentence["sentence"]]
    if rng.random() < faults:
        quotes = [rng.choice(_ALTERATIONS)(quote.split(), rng) for quote in quotes]
    if rng.random() < faults:
        quotes = [" ".join(reversed(quote.split())) for quote in quotes]
    wrong = gold + rng.choice((-1, 1, 2)) if rng.random() < faults else gold
    return Claim("c", _decontextualised(fact), tuple(quotes), (wrong,))


def _drop_light_word(words: list[str], rng: random.Random) -> str:
    light = [i for i, word in enumerate(words) if word in ("the", "a", "an", "of", "in", "and", "was", "his", "her")]
    dropped = rng.choice(light) if light else None
    return " ".join(word for i, word in enumerate(words) if i != dropped)


def _drop_any_word(words: list[str], rng: random.Random) -> str:
    dropped = rng.randrange(1, len(words) - 1) if len(words) > 2 else None
    return " ".join(word for i, word in enumerate(words) if i != dropped)


def _change_typography(words: list[str], _: random.Random) -> str:
    return " ".join(words).replace("'", "\u2019").replace('"', "\u201c").replace("-", "\u2013")


def _change_case(words: list[str], _: random.Random) -> str:
    return " ".join(words).capitalize()


def _end_with_full_stop(words: list[str], _: random.Random) -> str:
    return " ".join(words).rstrip(",;") + "."


def _add_white_space(words: list[str], _: random.Random) -> str:
    return "  ".join(words) + "\n"


def _emphasise(words: list[str], _: random.Random) -> str:
    return f"**{' '.join(words)}**"


_ALTERATIONS: Final = (
    _change_typography,
    _change_case,
    _end_with_full_stop,
    _add_white_space,
    _emphasise,
    _drop_light_word,
    _drop_any_word,
)


def _measure_foreign(
    records: Sequence[dict[str, Any]], rng: random.Random, to_text: Callable[[Fact], str] = lambda fact: fact[2]
) -> dict[str, float]:
    """Every claim tried in a few responses about another topic, without sentence ids."""
    tried = located = named = named_located = 0
    for record in records:
        others = [other for other in records if other["topic"] != record["topic"]]
        for other in rng.sample(others, min(_FOREIGN_RESPONSES, len(others))):
            claims = [Claim("c", to_text(fact)) for fact in _facts(other)]
            for claim in locate_claims(record["response"], claims, _sentences(record)):
                tried += 1
                located += claim.alignment != UNMATCHED
                if claim.text.split()[0] in other["topic"].split():
                    named += 1
                    named_located += claim.alignment != UNMATCHED
    return {
        "tried": tried,
        "located": located / max(1, tried),
        "tried_with_the_topic_named": named,
        "located_with_the_topic_named": named_located / max(1, named),
    }


def _measure_changed(records: Sequence[dict[str, Any]], rng: random.Random) -> dict[str, float]:
    """Claims of this response after one word was made wrong: a number, a negation, a name. None stands there."""
    figures: dict[str, float] = {}
    names = [word for record in records for word in record["topic"].split() if word.isalpha() and word[0].isupper()]
    for name, change in _CHANGES.items():
        tried = located = 0
        for record in records:
            pairs = [(fact, change(fact[2], names, rng)) for fact in _facts(record)]
            changed = [text for fact, text in pairs if text != fact[2]]
            found = locate_claims(record["response"], [Claim("c", text) for text in changed], _sentences(record))
            tried += len(found)
            located += sum(claim.alignment != UNMATCHED for claim in found)
        figures |= {f"tried_with_wrong_{name}": tried, f"located_with_wrong_{name}": located / max(1, tried)}
    return figures


def _change_number(text: str, _: list[str], rng: random.Random) -> str:
    return re.sub(r"\d+", lambda digits: str(int(digits.group()) + rng.choice((-7, 3, 11))), text, count=1)


def _add_negation(text: str, *_: object) -> str:
    return re.sub(r"\b(is|was|has|are|were|had)\b", r"\1 not", text, count=1)


def _change_name(text: str, names: list[str], rng: random.Random) -> str:
    """Any capitalised word after the first becomes part of another topic's name."""
    return _replace_one(r"(?<=\s)[A-Z]\w+", rng.choice(names), text, rng)


def _change_word(text: str, _: list[str], rng: random.Random) -> str:
    """Any longer lower-case word becomes one that no biography holds: what one reworded word may hide."""
    return _replace_one(r"(?<=\s)[a-z]{5,}", "xylophone", text, rng)


def _replace_one(pattern: str, word: str, text: str, rng: random.Random) -> str:
    """`text` itself when nothing fits the pattern."""
    places = list(re.finditer(pattern, text))
    if not places:
        return text
    place = rng.choice(places)
    return text[: place.start()] + word + text[place.end() :]


_CHANGES: Final = {
    "number": _change_number,
    "negation": _add_negation,
    "name": _change_name,
    "other_word": _change_word,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="How well claims are located in their responses.")
    parser.add_argument("--factscore", type=Path, required=True, help="factscore.jsonl")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    with arguments.factscore.open(encoding="utf-8") as lines:
        figures = measure([json.loads(line) for line in lines])
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(name, value if not isinstance(value, dict) else "")
        for key, figure in value.items() if isinstance(value, dict) else ():
            print(f"    {key:40} {figure:.4g}")


if __name__ == "__main__":
    main()
