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
            ("familiar", -1.1941),
            ("paired", -0.7619),
            ("copied", -0.3964),
            ("familiar_near", -0.9417),
            ("paired_near", -1.7725),
            ("copied_near", -0.8979),
            ("late", 1.2220),
            ("list_item", 0.9043),
            ("caveat", 0.3210),
            ("adds", 0.8707),
            ("concludes", -0.8031),
            ("reports", -2.4491),
            ("negated", 0.2834),
            ("new_names", 2.0490),
        ),
        bias=-0.8312,
    ),
    own=0.7629,
    near=0.3019,
    bias=0.6805,
    threshold=0.2413,
)

# Reworded claims.
TEXT_MODEL: Final = ClaimModel(
    LinearModel.of(
        (
            ("familiar", -0.8834),
            ("paired", -1.0668),
            ("familiar_rare", 0.9808),
            ("familiar_beyond_topic", -1.4607),
            ("covered", -0.9566),
            ("together_beyond_topic", -1.0487),
            ("rarest_uncovered", 1.0124),
            ("new_names", 0.9236),
            ("number_elsewhere", 1.4017),
            ("missing_number", 2.2379),
        ),
        bias=1.0585,
    ),
    own=0.8232,
    near=0.4286,
    bias=0.1328,
    threshold=0.4400,
)

# P(supported) when a number of the claim is not in the context: the share among 214 such FActScore claims.
MISSING_NUMBER_SCORE: Final = 0.09

# A claim whose P(supported) lies between these labels no token, unless the user says otherwise.
# How many labels below the first are right in the eyes of a second reader: benchmarks/flagged_claims.tsv.
NEUTRAL_BAND: Final = (0.45, 0.70)
