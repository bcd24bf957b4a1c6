"""The fitted constants of the verifier `lexical`, written by benchmarks/fit_lexical.py.

Fitted 2026-11-26 on 1695 clauses of 257 RAGTruth QA responses (98 of them in human spans), on
1703 clauses of FActScore's biographies with a smaller weight, and on 5266 human FActScore claims. What they
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
            ("familiar", -1.3953),
            ("paired", -0.7773),
            ("copied", -0.3666),
            ("familiar_near", -1.0758),
            ("paired_near", -1.8304),
            ("copied_near", -0.8849),
            ("late", 1.1906),
            ("list_item", 0.8742),
            ("caveat", 0.2733),
            ("adds", 0.8553),
            ("concludes", -0.8919),
            ("reports", -2.5043),
            ("negated", 0.2341),
        ),
        bias=-0.4874,
    ),
    own=0.7525,
    near=0.3012,
    bias=0.7214,
    threshold=0.2532,
)

# Reworded claims.
TEXT_MODEL: Final = ClaimModel(
    LinearModel.of(
        (
            ("familiar", -0.6499),
            ("paired", -1.1136),
            ("familiar_rare", 1.1300),
            ("familiar_beyond_topic", -2.0160),
            ("covered", -1.5682),
            ("close_beyond_topic", -0.1344),
            ("rarest_uncovered", 1.1540),
            ("new_names", 0.9360),
            ("number_elsewhere", 1.3937),
            ("missing_number", 2.2726),
        ),
        bias=0.9415,
    ),
    own=0.8303,
    near=0.4206,
    bias=0.1303,
    threshold=0.4375,
)

# P(supported) when a number of the claim is not in the context: the share among 229 such FActScore claims.
MISSING_NUMBER_SCORE: Final = 0.10

# A claim whose P(supported) lies between these labels no token, unless the user says otherwise.
# How many labels below the first are right in the eyes of a second reader: benchmarks/flagged_claims.tsv.
NEUTRAL_BAND: Final = (0.45, 0.70)
