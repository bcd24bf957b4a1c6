"""The fitted constants of the verifier `lexical`, written by benchmarks/fit_lexical.py.

Fitted 2026-11-28 on 1693 clauses of 257 RAGTruth QA responses (98 of them in human spans), on
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
            ("familiar", -1.1556),
            ("paired", -0.7619),
            ("copied", -0.3968),
            ("familiar_near", -0.9593),
            ("paired_near", -1.7905),
            ("copied_near", -0.9094),
            ("late", 1.2314),
            ("list_item", 0.9019),
            ("caveat", 0.3139),
            ("adds", 0.8667),
            ("concludes", -0.7242),
            ("reports", -2.4486),
            ("negated", 0.3193),
            ("new_names", 2.0476),
        ),
        bias=-0.8379,
    ),
    own=0.7621,
    near=0.3016,
    bias=0.6800,
    threshold=0.2410,
)

# The same where the other responses to the prompt are known.
GROUP_MODEL: Final = ClaimModel(
    LinearModel.of(
        (
            ("unechoed", 2.5294),
            ("paired", -0.5239),
            ("copied", -0.3379),
            ("paired_near", -1.8809),
            ("copied_near", -1.1061),
            ("late", 1.1674),
            ("list_item", 0.9539),
            ("caveat", 0.2920),
            ("adds", 0.8680),
            ("concludes", -0.6832),
            ("reports", -2.3729),
            ("negated", 0.3324),
            ("new_names", 2.2316),
        ),
        bias=-2.9073,
    ),
    own=0.7887,
    near=0.3078,
    bias=0.7289,
    threshold=0.2529,
)

# Reworded claims.
TEXT_MODEL: Final = ClaimModel(
    LinearModel.of(
        (
            ("familiar", -0.5728),
            ("paired", -1.1157),
            ("familiar_rare", 0.8693),
            ("familiar_beyond_topic", -1.5171),
            ("covered", -0.8755),
            ("together_beyond_topic", -1.0049),
            ("rarest_uncovered", 1.0956),
            ("new_names", 0.9196),
            ("number_elsewhere", 1.3465),
            ("contrary", 0.5235),
            ("missing_number", 2.2054),
        ),
        bias=0.7946,
    ),
    own=0.8248,
    near=0.4218,
    bias=0.1304,
    threshold=0.4525,
)

# P(supported) when a number of the claim is not in the context: the share among 212 such FActScore claims.
MISSING_NUMBER_SCORE: Final = 0.09

# A claim whose P(supported) lies between these labels no token, unless the user says otherwise.
# How many labels below the first are right in the eyes of a second reader: benchmarks/flagged_claims.tsv.
NEUTRAL_BAND: Final = (0.45, 0.70)
