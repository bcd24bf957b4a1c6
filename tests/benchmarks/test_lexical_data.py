"""Human labels as feature rows: each response by itself, or beside the others to its prompt."""

import numpy as np

from benchmarks.lexical_data import by_themselves, clause_rows, group_rows, in_groups
from pipeline.engines.features import CLAUSE_FEATURES, GROUP_FEATURES
from schemas.records import GoldSpan, Passage, Sample

CONTEXT = (Passage("p1", "The ferry takes 35 minutes."),)
SAID = {
    "a": ("g", "The ferry takes 35 minutes and serves espresso."),
    "b": ("h", "It takes 35 minutes."),
    "c": ("g", "It takes 35 minutes; a band plays jazz."),
}
SAMPLES = [
    Sample(name, group, "How long?", CONTEXT, said, gold_spans=(GoldSpan(21, len(said), "x"),) if name == "c" else ())
    for name, (group, said) in SAID.items()
]


def test_groups_are_found_wherever_their_members_stand():
    known = in_groups(SAMPLES)
    assert known == SAMPLES
    assert [len(one.group_responses) for one in known] == [2, 0, 2]
    assert [one.group_responses for one in by_themselves(known)] == [(), (), ()]


def test_rows_of_groups_hold_what_has_a_group_and_the_others_hold_everything():
    known = in_groups(SAMPLES)
    alone, grouped = clause_rows(known), group_rows(known)
    assert (alone.names, grouped.names) == (CLAUSE_FEATURES, GROUP_FEATURES)
    assert (alone.features.shape[1], grouped.features.shape[1]) == (len(CLAUSE_FEATURES), len(GROUP_FEATURES))
    assert set(alone.groups) == {"g", "h"}
    assert set(grouped.groups) == {"g"}
    assert len(clause_rows(SAMPLES).features) == len(alone.features)
    np.testing.assert_array_equal(clause_rows(SAMPLES).features, alone.features)
    jazz = grouped.features[grouped.unsupported]
    assert len(jazz) == 1
    assert (jazz[0, GROUP_FEATURES.index("unechoed")] > 0.5).all()
