"""The synthetic world in words, so that the `balto` commands can live in it: tokenizer, prompts, exact marks.

A prompt's context holds one passage per fact ("Ada likes tea"), the prompt lists what is asked for ("Tell: Ada likes
owns - -"), and a response is "Ada likes tea and owns kites . <stop>". Under the plain template of trainer.prompts a
prompt has exactly the ids of `Prompt.tokens`, so the models of this benchmark read it as they were taught.
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from benchmarks.objectives.world import PADDING, START, STOP, VOCABULARY, Prompt, claims_of
from schemas.records import CONTRADICTED, UNSUPPORTED, GoldSpan, Passage, Sample

CONTROLS = ("<pad>", "<start>", "Tell:", "Answer:", "<stop>", "and", ".")
ENTITY_WORDS = ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana")
ATTRIBUTE_WORDS = ("likes", "owns", "paints", "sells", "fears", "collects", "draws", "misses")
VALUE_WORDS = (
    "tea", "kites", "boats", "clocks", "owls", "maps", "bells", "roses",
    "stones", "books", "hats", "drums", "lamps", "bees", "coins", "shells",
)  # fmt: skip
WORDS = (*CONTROLS, *ENTITY_WORDS, *ATTRIBUTE_WORDS, *VALUE_WORDS, "-")
SPECIAL = frozenset({PADDING, START, STOP})  # never part of a text


def world_tokenizer() -> PreTrainedTokenizerFast:
    """One token per word. What the plain template writes around passages has no word here and is taken out."""
    assert len(WORDS) == VOCABULARY
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<pad>"))
    backend.normalizer = normalizers.Replace(Regex(r"Passages:|\[\d+\]"), "")
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.add_special_tokens([WORDS[token] for token in sorted(SPECIAL)])
    backend.post_processor = processors.TemplateProcessing(single="<start> $A", special_tokens=[("<start>", START)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<start>", eos_token="<stop>", pad_token="<pad>")


def prompt_sample(prompt: Prompt, group_id: str) -> Sample:
    """The prompt as a record without a response."""
    words = [WORDS[token] for token in prompt.tokens()[1:-1]]  # without start and answer, which the template writes
    facts = [" ".join(words[at : at + 3]) for at in range(0, 3 * len(prompt.facts), 3)]
    context = tuple(Passage(f"p{number}", text) for number, text in enumerate(facts, start=1))
    return Sample(group_id, group_id, " ".join(words[3 * len(prompt.facts) :]), context, None)


def gold_spans(prompt: Prompt, token_ids: Sequence[int]) -> tuple[GoldSpan, ...]:
    """The claims that the context does not hold, as characters of the response's text (words joined by spaces).

    A claim that opens a sentence is marked with its subject; one that another value contradicts says so.
    """
    truth = {fact[:2]: fact[2] for fact in prompt.facts}
    starts, at = [], 0
    for token in token_ids:
        starts.append(at)
        at += 0 if token in SPECIAL else len(WORDS[token]) + 1
    spans = []
    for subject_at, at, fact in claims_of(list(token_ids)):
        if truth.get(fact[:2]) != fact[2]:
            first = subject_at if at == subject_at + 1 else at
            end = starts[at + 1] + len(WORDS[token_ids[at + 1]])
            spans.append(GoldSpan(starts[first], end, CONTRADICTED if fact[:2] in truth else UNSUPPORTED))
    return tuple(spans)


def text_of(token_ids: Sequence[int]) -> str:
    """What the tokenizer decodes these ids to, special tokens left out."""
    return " ".join(WORDS[token] for token in token_ids if token not in SPECIAL)
