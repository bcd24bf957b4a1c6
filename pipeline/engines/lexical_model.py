"""The fitted constants of the verifier `lexical/1`, written by benchmarks/fit_lexical.py.

Fitted 2026-11-24 on 1737 clauses of 257 RAGTruth QA responses (100 of them in human spans) and on
5266 human FActScore claims. What they score on contexts that the fit never saw: benchmarks/label_quality.py.
The positive class of both models is "not supported". What a feature means: features.py and claim_features.py.
"""

from __future__ import annotations

from typing import Final

from pipeline.engines.linear import LinearModel

# Claims in the response's own words.
CLAUSE_MODEL: Final = LinearModel.of(
    (
        ("familiar", -1.4781),
        ("paired", -0.4820),
        ("copied", -0.6648),
        ("familiar_near", -1.2762),
        ("paired_near", -1.4614),
        ("copied_near", -1.1050),
        ("late", 1.4820),
        ("list_item", 1.0956),
        ("caveat", 0.2949),
        ("adds", 1.3205),
        ("concludes", -0.7151),
        ("reports", -1.8119),
        ("negated", 0.2566),
    ),
    bias=-0.8239,
    threshold=0.1889,
)

# Reworded claims.
TEXT_MODEL: Final = LinearModel.of(
    (
        ("familiar", -3.1226),
        ("paired", -0.7524),
        ("familiar_rare", 2.2177),
        ("covered", -1.9785),
        ("covered_near", 0.2186),
        ("rarest_uncovered", 1.3420),
        ("new_words", 0.2548),
        ("new_names", 0.9561),
        ("number_elsewhere", 1.3107),
        ("missing_number", 0.9008),
        ("negated", -0.1954),
        ("length", -0.3640),
        ("context_length", -0.2691),
    ),
    bias=2.5541,
    threshold=0.4800,
)

# P(supported) when a number of the claim is not in the context: the share among 232 such FActScore claims.
MISSING_NUMBER_SCORE: Final = 0.09
