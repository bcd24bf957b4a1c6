"""Percentile bootstrap over prompts: how far a figure could lie elsewhere had other prompts been drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

LEVEL = 0.95
RESAMPLES = 1000
SEED = 0
_WEIGHTS_AT_ONCE = 4_000_000  # resamples are drawn in blocks, so that memory does not grow with their number


def interval(
    values: np.ndarray,
    figure: Callable[[np.ndarray], np.ndarray],
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> tuple[np.ndarray, np.ndarray]:
    """(low, high), each (M,): the central LEVEL of `figure` over resamples of the prompts with replacement.

    values: (G, V) per prompt, no NaN.   figure: sums over prompts (B, V) -> figures (B, M); NaN where undefined.
    NaN for fewer than two prompts. The same seed gives the same resamples for the same number of prompts.
    """
    if len(values) < 2:
        undefined = np.full(figure(np.zeros((1, values.shape[1]))).shape[1], np.nan)
        return undefined, undefined
    drawn = np.concatenate([figure(weights @ values) for weights in _weights(len(values), resamples, seed)])
    return _quantiles(drawn)


def _quantiles(drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Over the resamples in which a figure is defined; NaN where it never is."""
    low, high = np.full(drawn.shape[1], np.nan), np.full(drawn.shape[1], np.nan)
    for at, column in enumerate(drawn.T):
        defined = column[~np.isnan(column)]
        if len(defined):
            low[at], high[at] = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return low, high


def _weights(prompts: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """(b, G) float64 blocks: how often each prompt was drawn; each row sums to G."""
    rng = np.random.default_rng(seed)
    block = max(1, _WEIGHTS_AT_ONCE // prompts)
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        cells = rng.integers(0, prompts, (rows, prompts)) + np.arange(rows)[:, None] * prompts
        yield np.bincount(cells.ravel(), minlength=rows * prompts).reshape(rows, prompts).astype(np.float64)
