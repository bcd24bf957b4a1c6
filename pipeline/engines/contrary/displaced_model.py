"""What tells a displaced number or name, written by benchmarks/fit_displaced.py.

Fitted 2026-11-28 on 16273 claims of RAGTruth QA and FActScore, right ones and such with a fact exchanged.
The positive class is "displaced"; what a feature means: displaced.py. From the thresholds, logits, a claim is doubtful.
"""

from __future__ import annotations

from typing import Final

from pipeline.engines.linear import LinearModel

NUMBER_MODEL: Final = LinearModel.of(
    (
        ("near_own", -0.5355),
        ("near_rival", 0.7179),
        ("near_stated", -0.1147),
        ("sided_own", -0.7343),
        ("sided_rival", 0.2048),
        ("sided_stated", 1.0167),
        ("told_own", -0.0203),
        ("told_rival", 0.1048),
        ("told_best", 1.8615),
        ("left_own", -0.5432),
        ("right_own", 0.5140),
        ("left_rival", 0.5694),
        ("right_rival", 0.0565),
        ("before_own", -0.1367),
        ("behind_own", -0.4758),
        ("before_rival", 0.2057),
        ("behind_rival", 0.2627),
        ("same_kind", -2.1681),
        ("once", 0.1530),
        ("rivals", -0.3869),
        ("words", 0.7429),
    ),
    bias=1.1826,
)
NUMBER_THRESHOLD: Final = 0.2196

NAME_MODEL: Final = LinearModel.of(
    (
        ("near_own", 0.6093),
        ("near_rival", 0.3794),
        ("near_stated", -0.2420),
        ("sided_own", -0.9707),
        ("sided_rival", 0.0102),
        ("sided_stated", 0.5426),
        ("told_own", -1.5769),
        ("told_rival", 0.0009),
        ("told_best", 0.8859),
        ("left_own", -1.2524),
        ("right_own", -0.7197),
        ("left_rival", 1.1490),
        ("right_rival", 0.4050),
        ("before_own", -0.1490),
        ("behind_own", -0.4726),
        ("before_rival", 0.9266),
        ("behind_rival", 0.1094),
        ("same_kind", 0.0000),
        ("once", 0.9305),
        ("rivals", -0.2290),
        ("words", 0.1236),
    ),
    bias=0.4478,
)
NAME_THRESHOLD: Final = 1.1979
