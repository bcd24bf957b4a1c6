"""The fitted constants of the verifier `lexical/1`: written by benchmarks/fit_lexical.py, not by hand.

Fitted 2026-11-24 on 1737 clauses of 257 RAGTruth QA responses (100 in human spans)
and on 5266 human FActScore claims. Out of fold, 5 folds by context, mean and spread over 10 deals:
RAGTruth QA response F1 61.2 +- 2.5, span F1 46.6 +- 1.9; FActScore balanced accuracy 78.6.
The positive class of both models is "not supported". What each feature means: features.py, claim_features.py.
"""

from __future__ import annotations

from typing import Final

from pipeline.engines.linear import LinearModel

# Claims in the response's own words.
CLAUSE_MODEL: Final = LinearModel(
    names=(
        "familiar",
        "paired",
        "copied",
        "familiar_near",
        "paired_near",
        "copied_near",
        "late",
        "list_item",
        "caveat",
        "adds",
        "concludes",
        "reports",
        "negated",
    ),
    weights=(
        -1.4795,  # familiar
        -0.4688,  # paired
        -0.6664,  # copied
        -1.2901,  # familiar_near
        -1.4557,  # paired_near
        -1.1132,  # copied_near
        1.4826,  # late
        1.1045,  # list_item
        0.3090,  # caveat
        1.3155,  # adds
        -0.7144,  # concludes
        -1.8103,  # reports
        0.2589,  # negated
    ),
    bias=-0.8196,
    threshold=0.1846,
)

# Reworded claims.
TEXT_MODEL: Final = LinearModel(
    names=(
        "familiar",
        "paired",
        "familiar_rare",
        "covered",
        "covered_near",
        "rarest_uncovered",
        "new_words",
        "new_names",
        "number_elsewhere",
        "missing_number",
        "negated",
        "length",
        "context_length",
    ),
    weights=(
        -3.1349,  # familiar
        -0.7582,  # paired
        2.2215,  # familiar_rare
        -2.0125,  # covered
        0.2457,  # covered_near
        1.3417,  # rarest_uncovered
        0.2448,  # new_words
        0.9571,  # new_names
        1.2986,  # number_elsewhere
        0.9104,  # missing_number
        -0.2006,  # negated
        -0.3616,  # length
        -0.2684,  # context_length
    ),
    bias=2.5649,
    threshold=0.4800,
)

# Share of supported claims among the 232 FActScore claims with a number that the article does not bear.
MISSING_NUMBER_SCORE: Final = 0.09
