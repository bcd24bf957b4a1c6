"""A model's inputs for pairs of texts, made from the tokens of each text: the claims of a response share its context.

A tokenizer that is asked about every pair reads a context again for each claim. Here every text is read once, and its
ids are put between the special tokens that the tokenizer puts there. Tokenizers may do other things with a pair, so
what comes out is first compared with the library's own inputs on a few pairs; where it differs, the library makes them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

TextPair = tuple[str, str]
_TENSORS: Final = frozenset({"input_ids", "attention_mask", "token_type_ids"})
_TRIED: Final[tuple[TextPair, ...]] = (
    ("The bridge was opened in 1932. It is 1,149 metres long.", "It was opened in 1932."),
    (" Leading space,\ttabs\n\nand lines ", "“Zürich” – 東京, naïve ffi ½ 😀"),
    ("word", "A longer second text than the first one, with UPPER case and don't."),
)


@dataclass(frozen=True, slots=True)
class _Special:
    """Special tokens at one place of a pair. ids, types: (N,)"""

    ids: np.ndarray
    types: np.ndarray


@dataclass(frozen=True, slots=True)
class PairTokens:
    """Lays pairs out as `tokenizer` does. window: tokens of a pair.

    special: before the first text, between the two, behind the second.   types: token types of the two texts.
    tensors: which inputs the model takes.   others: what the library says of them beside the tensors.
    """

    tokenizer: Any
    window: int
    special: tuple[_Special, _Special, _Special]
    types: tuple[int, int]
    tensors: tuple[str, ...]
    others: dict[str, Any]

    def ids(self, texts: Iterable[str]) -> dict[str, np.ndarray]:
        """Of every text its token ids, without special ones."""
        unique = list(dict.fromkeys(texts))
        if not unique:
            return {}
        backend = self.tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        encoded = backend.encode_batch_fast(unique, add_special_tokens=False)
        return {text: np.array(one.ids, dtype=np.int64) for text, one in zip(unique, encoded, strict=True)}

    def length(self, first: np.ndarray, second: np.ndarray) -> int:
        """Tokens of a pair, special ones included."""
        return len(first) + len(second) + sum(len(one.ids) for one in self.special)

    def inputs(self, pairs: Sequence[tuple[np.ndarray, np.ndarray]], device: Any) -> dict[str, Any]:
        """The model's inputs: (pairs, tokens of the longest) of each kind, padded as the tokenizer pads."""
        import torch

        lengths = [self.length(*pair) for pair in pairs]
        shape = len(pairs), max(lengths)
        arrays = {
            "input_ids": np.full(shape, self.tokenizer.pad_token_id, dtype=np.int64),
            "attention_mask": np.zeros(shape, dtype=np.int64),
            "token_type_ids": np.full(shape, self.tokenizer.pad_token_type_id, dtype=np.int64),
        }
        before, between, behind = self.special
        first_type, second_type = self.types
        for row, ((first, second), length) in enumerate(zip(pairs, lengths, strict=True)):
            own = slice(0, length) if self.tokenizer.padding_side == "right" else slice(shape[1] - length, None)
            arrays["input_ids"][row, own] = np.concatenate([before.ids, first, between.ids, second, behind.ids])
            arrays["attention_mask"][row, own] = 1
            arrays["token_type_ids"][row, own] = np.concatenate(
                [before.types, np.full(len(first), first_type), between.types, np.full(len(second), second_type),
                 behind.types]
            )  # fmt: skip
        tensors = {name: torch.from_numpy(arrays[name]).to(device) for name in self.tensors}
        return {**tensors, **self.others}


def pair_tokens(model: Any, window: int) -> PairTokens | None:
    """For a sentence-transformers CrossEncoder of `window` tokens; None where its own inputs would be others."""
    with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):  # a tokenizer of another kind
        wanted = model.preprocess(list(_TRIED))
        if model.default_prompt_name is None:
            made = _as_tokenizer(model.tokenizer, window, wanted)
            if made is not None and _equal(made, wanted):
                return made
    return None


def _as_tokenizer(tokenizer: Any, window: int, wanted: dict[str, Any]) -> PairTokens | None:
    """The layout, read off one pair."""
    tensors = tuple(name for name in wanted if name in _TENSORS)
    others = {name: value for name, value in wanted.items() if name not in _TENSORS}
    if "input_ids" not in tensors or not all(isinstance(value, str) for value in others.values()):
        return None
    encoded = tokenizer(*_TRIED[0], return_token_type_ids=True)
    which, ids = encoded.sequence_ids(0), np.array(encoded["input_ids"])
    types = np.array(encoded["token_type_ids"])
    places = [[at for at, one in enumerate(which) if one == number] for number in (0, 1)]
    (first, last), (then, end) = ((own[0], own[-1] + 1) for own in places)
    before, between, behind = (
        _Special(ids[own], types[own]) for own in (slice(0, first), slice(last, then), slice(end, None))
    )
    own_types = int(types[first]), int(types[then])
    return PairTokens(tokenizer, window, (before, between, behind), own_types, tensors, others)


def _equal(made: PairTokens, wanted: dict[str, Any]) -> bool:
    ids = made.ids(text for pair in _TRIED for text in pair)
    inputs = made.inputs([(ids[first], ids[second]) for first, second in _TRIED], wanted["input_ids"].device)
    return all(inputs[name].shape == wanted[name].shape and bool((inputs[name] == wanted[name]).all())
               for name in made.tensors)  # fmt: skip
