"""The fitted constants of the verifier `lexical/1`: written by benchmarks/fit_lexical.py, not by hand.

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
        ("familiar", -1.3409),
        ("paired", -0.4648),
        ("copied", -0.6762),
        ("familiar_near", -1.7598),
        ("paired_near", -1.3231),
        ("copied_near", -1.0182),
        ("late", 1.4351),
        ("list_item", 1.1036),
        ("caveat", 0.3009),
        ("adds", 1.3489),
        ("concludes", -0.6842),
        ("reports", -1.8007),
        ("negated", 0.2738),
    ),
    bias=-0.6517,
    threshold=0.1863,
)

# Reworded claims.
TEXT_MODEL: Final = LinearModel.of(
    (
        ("familiar", -3.0839),
        ("paired", -0.7550),
        ("familiar_rare", 2.1665),
        ("covered", -1.9782),
        ("covered_near", 0.2210),
        ("rarest_uncovered", 1.3414),
        ("new_words", 0.2516),
        ("new_names", 0.9554),
        ("number_elsewhere", 1.3150),
        ("missing_number", 0.8976),
        ("negated", -0.1918),
        ("length", -0.3629),
        ("context_length", -0.2686),
    ),
    bias=2.5594,
    threshold=0.4800,
)

# P(supported) when a number of the claim is not in the context: the share among 232 such FActScore claims.
MISSING_NUMBER_SCORE: Final = 0.09
