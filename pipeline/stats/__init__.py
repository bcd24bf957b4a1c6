"""Label statistics with lazy Polars: what label sets hold, by policy or any other column. No Beam here.

Every figure is a function from the frame of `scan_labels` to a small Polars frame; `figures` makes many in one pass:

    from pipeline.stats import figures, overview, scan_labels
    labels = scan_labels(["LABELS"])
    overview(labels, by=["policy"])
    overview(labels.filter(pl.col("n_claims") > 3))           # a filter keeps the order of rows, so it may stand before
    figures(labels, ["overview", "verdicts"], by=["meta.task"])

Time is linear in the rows and memory is bounded: rows are read in batches of whole prompt groups, each batch is
counted, and only the counts are kept. docs/statistics.md says what every column means.
"""

from pipeline.stats.claims import claim_counts, claims_without_label, conflicts, response_statuses
from pipeline.stats.figures import FIGURES, figures
from pipeline.stats.manifests import label_sets, rejected, usage
from pipeline.stats.prompt_groups import balance, credit_mass, groups_with_signal
from pipeline.stats.reliability import reliability
from pipeline.stats.responses import label_positions, length_and_faithfulness
from pipeline.stats.scan import scan_labels
from pipeline.stats.shares import overview, token_labels

__all__ = [
    "FIGURES",
    "balance",
    "claim_counts",
    "claims_without_label",
    "conflicts",
    "credit_mass",
    "figures",
    "groups_with_signal",
    "label_positions",
    "label_sets",
    "length_and_faithfulness",
    "overview",
    "rejected",
    "reliability",
    "response_statuses",
    "scan_labels",
    "token_labels",
    "usage",
]
