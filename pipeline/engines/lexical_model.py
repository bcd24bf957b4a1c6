"""The fitted constants of the verifier `lexical`, written by benchmarks/fit_lexical.py.

Fitted 2026-11-27 on 1695 clauses of 257 RAGTruth QA responses (98 of them in human spans), on
1704 clauses of FActScore's biographies with a smaller weight, and on 5266 human FActScore claims. What they
score on contexts that the fit never saw: benchmarks/label_quality.py. The positive class of both models is "not
supported". What a feature means: features.py and claim_features.py.
"""

from __future__ import annotations

from typing import Final

from pipeline.engines.linear import ClaimModel, LinearModel

# Claims in the response's own words.
CLAUSE_MODEL: Final = ClaimModel(
    LinearModel.of(
        (
            ("familiar", -1.1961),
            ("paired", -0.7527),
            ("copied", -0.4039),
            ("familiar_near", -0.9321),
            ("paired_near", -1.7662),
            ("copied_near", -0.9061),
            ("late", 1.2227),
            ("list_item", 0.9035),
            ("caveat", 0.3214),
            ("adds", 0.8660),
            ("concludes", -0.7986),
            ("reports", -2.4461),
            ("negated", 0.2846),
            ("new_names", 2.0507),
        ),
        bias=-0.8358,
    ),
    own=0.7622,
    near=0.3019,
    bias=0.6808,
    threshold=0.2421,
)

# Reworded claims.
TEXT_MODEL: Final = ClaimModel(
    LinearModel.of(
        (
            ("familiar", -0.5463),
            ("paired", -1.1307),
            ("familiar_rare", 0.8922),
            ("familiar_beyond_topic", -1.5253),
            ("covered", -0.8152),
            ("together_beyond_topic", -0.9980),
            ("rarest_uncovered", 1.1294),
            ("new_names", 0.9312),
            ("number_elsewhere", 1.2136),
            ("contrary", 0.6302),
            ("missing_number", 2.2100),
        ),
        bias=0.7075,
    ),
    own=0.8246,
    near=0.4274,
    bias=0.1332,
    threshold=0.4500,
)

# P(supported) when a number of the claim is not in the context: the share among 214 such FActScore claims.
MISSING_NUMBER_SCORE: Final = 0.09

# A claim whose P(supported) lies between these labels no token, unless the user says otherwise.
# How many labels below the first are right in the eyes of a second reader: benchmarks/flagged_claims.tsv.
NEUTRAL_BAND: Final = (0.45, 0.70)
