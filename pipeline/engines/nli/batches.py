"""Compute many items in batches of about one length; halve a batch where the device's memory is too small."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

LEAST_BATCH_TOKENS: Final = 64
_OUT_OF_MEMORY: Final = ("out of memory", "can't allocate memory", "not enough memory")
log = logging.getLogger(__name__)
Item = TypeVar("Item")


class LengthBatches:
    """Batches of at most `batch_tokens`, padding included. The number falls when memory runs out, and stays low."""

    def __init__(self, batch_tokens: int):
        self.batch_tokens = batch_tokens

    def compute(
        self, items: Sequence[Item], tokens: Sequence[int], compute: Callable[[Sequence[Item]], Sequence[Any]]
    ) -> list[Any]:
        """`compute` of all items, in order; None for an item that does not fit into memory alone.

        tokens: length of each item.   compute: results of a batch, in order.
        """
        results: list[Any] = [None] * len(items)
        order = sorted(range(len(items)), key=lambda at: -tokens[at])
        done = 0
        while done < len(order):
            longest = max(1, tokens[order[done]])
            batch = order[done : done + max(1, self.batch_tokens // longest)]
            for at, result in zip(batch, self._halving([items[at] for at in batch], longest, compute), strict=True):
                results[at] = result
            done += len(batch)
        return results

    def _halving(
        self, batch: Sequence[Item], longest: int, compute: Callable[[Sequence[Item]], Sequence[Any]]
    ) -> Iterator[Any]:
        try:
            results = compute(batch)
        except RuntimeError as err:  # torch.OutOfMemoryError is one; the CPU's allocator has none of its own
            if not any(words in str(err).lower() for words in _OUT_OF_MEMORY):
                raise
            results = None
        if results is not None:
            yield from results
            return
        _free_memory()
        if len(batch) == 1:
            log.warning("%d tokens do not fit into the device's memory", longest)
            yield None
            return
        half = (len(batch) + 1) // 2
        self.batch_tokens = max(LEAST_BATCH_TOKENS, min(self.batch_tokens, half * longest))
        log.warning("out of memory with a batch of %d; going on with %d tokens", len(batch), self.batch_tokens)
        yield from self._halving(batch[:half], longest, compute)
        yield from self._halving(batch[half:], longest, compute)


def _free_memory() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
