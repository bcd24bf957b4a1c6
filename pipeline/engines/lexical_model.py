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
            ("familiar", -1.1927),
            ("paired", -0.7640),
            ("copied", -0.3982),
            ("familiar_near", -0.9414),
            ("paired_near", -1.7729),
            ("copied_near", -0.9007),
            ("late", 1.2197),
            ("list_item", 0.9044),
            ("caveat", 0.3210),
            ("adds", 0.8710),
            ("concludes", -0.8028),
            ("reports", -2.4492),
            ("negated", 0.2842),
            ("new_names", 2.0484),
        ),
        bias=-0.8296,
    ),
    own=0.7632,
    near=0.3016,
    bias=0.6802,
    threshold=0.2417,
)

# Reworded claims.
TEXT_MODEL: Final = ClaimModel(
    LinearModel.of(
        (
            ("familiar", -0.8917),
            ("paired", -1.0681),
            ("familiar_rare", 0.9879),
            ("familiar_beyond_topic", -1.4704),
            ("covered", -0.9613),
            ("together_beyond_topic", -1.0317),
            ("rarest_uncovered", 1.0147),
            ("new_names", 0.9230),
            ("number_elsewhere", 1.3726),
            ("missing_number", 2.2077),
        ),
        bias=1.0591,
    ),
    own=0.8235,
    near=0.4279,
    bias=0.1330,
    threshold=0.4350,
)

# P(supported) when a number of the claim is not in the context: the share among 229 such FActScore claims.
MISSING_NUMBER_SCORE: Final = 0.10

# A claim whose P(supported) lies between these labels no token, unless the user says otherwise.
# How many labels below the first are right in the eyes of a second reader: benchmarks/flagged_claims.tsv.
NEUTRAL_BAND: Final = (0.45, 0.70)
