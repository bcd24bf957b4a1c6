"""Scores of rollouts, per prompt, and what can be said about their differences.

Per response: faithfulness F = S/(S+U) over its claims; informativeness I = (distinct facts stated that were asked
for) / (facts asked for), so that supported facts nobody asked for do not count; Q = 2FI/(F+I). A response without
claims has no F and is counted apart; its I and Q are 0. `base_q` is the other reading, I = min(S/K, 1) with K the
median number of supported claims of the base's responses to that prompt. Values of a prompt are means over its
responses, corpus values means over prompts.
"""

from __future__ import annotations

import numpy as np

from benchmarks.objectives.sampling import Rollouts
from benchmarks.objectives.world import Prompt, Verified

Table = dict[str, np.ndarray]  # score name -> (N,) one value per prompt; NaN where a prompt has none


def harmonic_mean(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """2ab/(a+b), 0 where either is 0."""
    return np.where((a > 0) & (b > 0), 2 * a * b / np.maximum(a + b, 1e-12), 0.0)


def score(rollouts: Rollouts, base_supported: np.ndarray | None = None) -> Table:
    """Per-prompt scores. base_supported: (N,) reference counts K; without it `base_q` is left out."""
    rows = [
        _prompt_scores(prompt, group, None if base_supported is None else base_supported[i])
        for i, (prompt, group) in enumerate(zip(rollouts.prompts, rollouts.verified, strict=True))
    ]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def supported_medians(rollouts: Rollouts) -> np.ndarray:
    """(N,) K of every prompt: median supported claims of these responses, at least 1."""
    return np.array([max(np.median([v.supported for v in group]), 1.0) for group in rollouts.verified])


def _prompt_scores(prompt: Prompt, group: list[Verified], reference: float | None) -> dict[str, float]:
    asked = len(prompt.asked())
    supported = np.array([v.supported for v in group], float)
    claims = supported + [v.unsupported for v in group]
    f = np.where(claims > 0, supported / np.maximum(claims, 1), 0.0)  # 0 only stands in for `q`
    i = np.array([v.asked_for / asked for v in group])
    row = {
        "f": float(f[claims > 0].mean()) if (claims > 0).any() else float("nan"),
        "i": float(i.mean()),
        "q": float(harmonic_mean(f, i).mean()),
        "length": float(np.mean([v.tokens for v in group])),
        "claims": float(claims.mean()),
        "asked_for": float(np.mean([v.asked_for for v in group])),
        "not_asked_for": float(np.mean([v.not_asked_for for v in group])),
        "repeated": float(np.mean([v.repeated for v in group])),
        "empty": float((claims == 0).mean()),
        "stray": float(np.mean([v.stray for v in group])),
        "unstopped": float(np.mean([not v.stopped for v in group])),
    }
    if reference is not None:
        row["base_q"] = float(harmonic_mean(f, np.minimum(supported / reference, 1.0)).mean())
    return row


def means(table: Table) -> dict[str, float]:
    """Corpus scores: means over the prompts that have a value."""
    return {
        name: float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")
        for name, values in table.items()
    }


def paired_difference(
    ours: list[np.ndarray], theirs: list[np.ndarray], draws: int = 4000
) -> tuple[float, float, float]:
    """Mean of ours - theirs with a 95 % bootstrap interval over prompts and seeds.

    Each list holds one (N,) array per seed, on the same prompts. A draw takes seeds with replacement (for each side,
    they are independent runs) and prompts with replacement (the same for both sides).
    """
    a, b = np.stack(ours), np.stack(theirs)  # (S, N)
    rng = np.random.default_rng(0)
    n = a.shape[1]
    found = np.empty(draws)
    for k in range(draws):
        at = rng.integers(0, n, n)
        mine = a[rng.integers(0, len(a), len(a))][:, at]
        other = b[rng.integers(0, len(b), len(b))][:, at]
        found[k] = np.nanmean(mine) - np.nanmean(other)
    low, high = np.percentile(found, [2.5, 97.5])
    return float(np.nanmean(a) - np.nanmean(b)), float(low), float(high)
