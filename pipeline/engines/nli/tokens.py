"""A token classifier over (context, response): which words of a response the context does not bear.

The form of LettuceDetect (arXiv 2502.17125): the pair is one sequence, every token of the response gets P(unsupported).
A long response is read in runs of whole sentences; each run sees the whole context where it fits, else the sentences
of the context that speak about it. The same inputs are used for training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from pipeline.engines.nli.batches import LengthBatches
from pipeline.engines.nli.retrieval import rank_by_words, units_of_sentences
from pipeline.engines.nli.units import ContextUnits, CountTokens
from pipeline.engines.nli.windows import chosen_windows, whole_context
from pipeline.sentences import split_sentences
from schemas.records import Passage, Span

UNSUPPORTED_OUTPUT: Final = 1  # outputs of our token classifiers: supported, unsupported
TOKEN_LABELS: Final = ("supported", "unsupported")


class TokenInput(NamedTuple):
    """Evidence and a run of sentences of a response, which starts at its character `start`. tokens: about how many."""

    evidence: str
    run: str
    start: int
    tokens: int


def token_inputs(
    passages: tuple[Passage, ...], response: str, units: ContextUnits, count: CountTokens, window: int
) -> list[TokenInput]:
    """The response in runs with their evidence, each pair within `window` tokens; () without context or response."""
    if not units.units or not response.strip():
        return []
    inputs = []
    for start, end, tokens in _runs(response, count, window // 2):
        room = max(1, window - tokens)
        whole = whole_context(units, room, 1)
        if whole is None:
            ranked = [
                rank_by_words(passages, response[one.start : one.end]) for one in _sentences(response, start, end)
            ]
            whole = chosen_windows(units, units_of_sentences(units, _by_turns(ranked)), room, 1)
        inputs += [TokenInput(one.text, response[start:end], start, one.tokens + tokens) for one in whole]
    return inputs


def _sentences(text: str, start: int, end: int) -> list[Span]:
    return [Span(start + one.start, start + one.end) for one in split_sentences(text[start:end])]


def _by_turns(rankings: Sequence[Sequence[int]]) -> list[int]:
    """The first of every ranking, then the second of every one, ...; each number once."""
    longest = max(map(len, rankings), default=0)
    turns = [ranking[rank] for rank in range(longest) for ranking in rankings if rank < len(ranking)]
    return list(dict.fromkeys(turns))


def _runs(response: str, count: CountTokens, most: int) -> list[tuple[int, int, int]]:
    """(start, end, tokens) of runs of sentences of at most `most` tokens; a longer sentence is cut at white space."""
    pieces: list[tuple[int, int, int]] = []
    for one in split_sentences(response):
        pieces += _pieces(response, one.start, one.end, count, most)
    runs: list[tuple[int, int, int]] = []
    for start, end, tokens in pieces:
        if runs and runs[-1][2] + tokens <= most:
            runs[-1] = (runs[-1][0], end, runs[-1][2] + tokens)
        else:
            runs.append((start, end, tokens))
    return runs


def _pieces(text: str, start: int, end: int, count: CountTokens, most: int) -> list[tuple[int, int, int]]:
    tokens = count([text[start:end]])[0] + 1
    if tokens <= most or end - start < 2:
        return [(start, end, tokens)]
    middle = (start + end) // 2
    cut = text.rfind(" ", start + 1, middle)
    cut = cut if cut > start else middle
    return _pieces(text, start, cut, count, most) + _pieces(text, cut, end, count, most)


class TokenScorer:
    """P(unsupported) for the characters of responses. model: a transformers token classifier with TOKEN_LABELS."""

    def __init__(self, model: Any, tokenizer: Any, batches: LengthBatches, window: int):
        self.model = model
        self.tokenizer = tokenizer
        self.batches = batches
        self.window = window

    def score(self, inputs: Sequence[TokenInput]) -> list[list[tuple[int, int, float]] | None]:
        """For each input the tokens of its run: start and end in the response, P(unsupported). None: not computed."""
        return self.batches.compute(inputs, [one.tokens for one in inputs], self._predict)

    def _predict(self, batch: Sequence[TokenInput]) -> list[list[tuple[int, int, float]]]:
        import torch

        encoded = encode_inputs(self.tokenizer, [(one.evidence, one.run) for one in batch], self.window)
        offsets = encoded.pop("offset_mapping")
        tensors = {name: value.to(self.model.device) for name, value in encoded.items()}
        with torch.inference_mode():
            logits = self.model(**tensors).logits.float()
        unsupported = logits.softmax(-1)[..., UNSUPPORTED_OUTPUT].cpu().numpy()
        results = []
        for row, one in enumerate(batch):
            of_run = [at for at, which in enumerate(encoded.sequence_ids(row)) if which == 1]
            results.append(
                [
                    (
                        one.start + int(offsets[row][at][0]),
                        one.start + int(offsets[row][at][1]),
                        float(unsupported[row, at]),
                    )
                    for at in of_run
                ]
            )
        return results


def encode_inputs(tokenizer: Any, pairs: Sequence[tuple[str, str]], window: int) -> Any:
    """The pairs as padded tensors with character offsets; where a pair is too long the evidence is cut, not the run."""
    return tokenizer(
        [evidence for evidence, _ in pairs],
        [run for _, run in pairs],
        truncation="only_first",
        max_length=window,
        padding=True,
        return_offsets_mapping=True,
        return_tensors="pt",
    )


def score_responses(
    scorer: TokenScorer, inputs: Sequence[Sequence[TokenInput]], lengths: Sequence[int]
) -> list[np.ndarray]:
    """For each response, from its inputs: (length,) P(unsupported) of its characters.

    NaN between tokens and where nothing was computed.
    """
    scored = iter(scorer.score([one for own in inputs for one in own]))
    characters = []
    for own, length in zip(inputs, lengths, strict=True):
        scores = np.full(length, np.nan)
        for _ in own:
            for start, end, unsupported in next(scored) or ():
                scores[start:end] = unsupported
        characters.append(scores)
    return characters
