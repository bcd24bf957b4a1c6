"""Scores of label sets: faithfulness, informativeness and Q-Score over prompts, against human spans, and agreement.

    from pipeline.score import score_tables
    score_tables(["LABELS"], against=["BASE"], by=["policy"])

docs/statistics.md gives the formulas. No Beam here.
"""

from pipeline.score.bootstrap import interval
from pipeline.score.gold import gold_counts, gold_scores
from pipeline.score.kappa import agreement, label_confusion
from pipeline.score.prompt_scores import SCORES, mean_scores, prompt_scores, reference_counts, score_difference
from pipeline.score.tables import score_tables

__all__ = [
    "SCORES",
    "agreement",
    "gold_counts",
    "gold_scores",
    "interval",
    "label_confusion",
    "mean_scores",
    "prompt_scores",
    "reference_counts",
    "score_difference",
    "score_tables",
]
