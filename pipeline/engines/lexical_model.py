"""The fitted constants of the verifier `lexical`, written by benchmarks/fit_lexical.py.

Fitted 2026-11-27 on 1693 clauses of 257 RAGTruth QA responses (98 of them in human spans), on
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
            ("familiar", -1.1887),
            ("paired", -0.7482),
            ("copied", -0.3934),
            ("familiar_near", -0.9721),
            ("paired_near", -1.7796),
            ("copied_near", -0.9030),
            ("late", 1.2306),
            ("list_item", 0.9019),
            ("caveat", 0.3121),
            ("adds", 0.8664),
            ("concludes", -0.7214),
            ("reports", -2.4482),
            ("negated", 0.3226),
            ("new_names", 2.0408),
        ),
        bias=-0.8178,
    ),
    own=0.7630,
    near=0.3008,
    bias=0.6813,
    threshold=0.2394,
)

# The same where the other responses to the prompt are known.
GROUP_MODEL: Final = ClaimModel(
    LinearModel.of(
        (
            ("unechoed", 2.5787),
            ("paired", -0.5081),
            ("copied", -0.3327),
            ("paired_near", -1.8742),
            ("copied_near", -1.1021),
            ("late", 1.1654),
            ("list_item", 0.9550),
            ("caveat", 0.2903),
            ("adds", 0.8675),
            ("concludes", -0.6797),
            ("reports", -2.3755),
            ("negated", 0.3363),
            ("new_names", 2.2294),
        ),
        bias=-2.9308,
    ),
    own=0.7889,
    near=0.3088,
    bias=0.7327,
    threshold=0.2532,
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
