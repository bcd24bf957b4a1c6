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
        ("told_own", -0.0204),
        ("told_rival", 0.1048),
        ("told_best", 1.8616),
        ("left_own", -0.5432),
        ("right_own", 0.5140),
        ("left_rival", 0.5694),
        ("right_rival", 0.0565),
        ("before_own", -0.1366),
        ("behind_own", -0.4758),
        ("before_rival", 0.2057),
        ("behind_rival", 0.2627),
        ("same_kind", -2.1681),
        ("once", 0.1530),
        ("rivals", -0.3869),
        ("words", 0.7429),
    ),
    bias=1.1825,
)
NUMBER_THRESHOLD: Final = 0.2196

NAME_MODEL: Final = LinearModel.of(
    (
        ("near_own", 0.6080),
        ("near_rival", 0.3899),
        ("near_stated", -0.2337),
        ("sided_own", -0.9681),
        ("sided_rival", -0.0115),
        ("sided_stated", 0.5396),
        ("told_own", -1.5388),
        ("told_rival", 0.0360),
        ("told_best", 0.7805),
        ("left_own", -1.2217),
        ("right_own", -0.7300),
        ("left_rival", 1.0531),
        ("right_rival", 0.4110),
        ("before_own", -0.1423),
        ("behind_own", -0.4667),
        ("before_rival", 0.9344),
        ("behind_rival", 0.1165),
        ("same_kind", 0.0000),
        ("once", 0.9508),
        ("rivals", -0.2156),
        ("words", 0.1072),
    ),
    bias=0.4605,
)
NAME_THRESHOLD: Final = 1.2079
