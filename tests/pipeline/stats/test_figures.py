"""Every figure of statistics against a label set that is reckoned by hand."""

import dataclasses

import polars as pl
import pytest

from pipeline.stats import (
    balance,
    claims_without_label,
    conflicts,
    credit_mass,
    figures,
    groups_with_signal,
    label_positions,
    length_and_faithfulness,
    overview,
    reliability,
    scan_labels,
    token_labels,
)
from pipeline.stats import figure as counting
from pipeline.stats.tables import Extent, stats_tables
from schemas.errors import ConfigError
from schemas.records import Span
from tests.pipeline.label_sets import row, write_label_set

ROWS = [
    [
        row("r1", "g1", "ssu", "+" * 8 + "--" + ".." * 5, policy="a", meta={"task": "QA"}, conflicts=1),
        row("r2", "g1", "s", "+" * 2, policy="b", meta={"task": "QA"}),
        row("r3", "g2", "cc", "-" * 4, policy="a", meta={"task": "Sum"}),
    ],
    [
        row("r4", "g3", "", "." * 10, policy="b"),
        row("r5", "g4", "?U", ".....", policy="b", claim_status="unverified: timeout after 31 s"),
        row("r6", "g4", "?S", "+....", policy="b", claim_status="unverified: timeout after 7 s"),
        row("r7", "g5", "su", "+-" * 2, policy="a"),
    ],
]


@pytest.fixture
def labels(tmp_path) -> pl.LazyFrame:
    return scan_labels([write_label_set(tmp_path / "labels", *ROWS)])


def test_claims_without_label_are_counted_by_reason_whatever_its_numbers(labels):
    assert claims_without_label(labels).rows() == [
        ("unmatched", "no quote was given", 2),
        ("unverified", "timeout after # s", 2),
    ]
    assert claims_without_label(labels, ["policy"]).rows() == [
        ("b", "unmatched", "no quote was given", 2),
        ("b", "unverified", "timeout after # s", 2),
    ]


def test_more_reasons_than_a_table_holds_are_one_row(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.stats.claims.MAX_REASONS", 1)
    rows = [row(f"r{n}", "g", "?", "..", claim_status=f"unverified: {kind}") for n, kind in enumerate("aabc")]
    frame = scan_labels([write_label_set(tmp_path / "labels", rows)])
    assert claims_without_label(frame).rows() == [("unverified", "a", 2), ("unverified", "other", 2)]


def test_conflicts_by_policy(labels):
    assert conflicts(labels).rows() == [("a", 3, 1, 7, 1, 1 / 7), ("b", 4, 0, 5, 0, 0.0)]


def test_token_labels_and_their_shares(labels):
    # +: 8 + 2 + 1 + 2, -: 2 + 4 + 2, of 20 + 2 + 4 + 10 + 5 + 5 + 4 tokens
    assert token_labels(labels).rows() == [("+1", 13, 13 / 50), ("0", 29, 29 / 50), ("-1", 8, 8 / 50)]
    assert token_labels(labels, ["policy"]).filter(pl.col("label") == "-1")["tokens"].to_list() == [8, 0]


def test_label_positions_share_out_every_character(tmp_path):
    # 25 characters: tenth k begins at ceil(2.5 k): 0 3 5 8 10 13 15 18 20 23; the spans are [0, 6) and [24, 25)
    rows = [row("r1", "g1", "su", "+" * 6 + "." * 18 + "-"), row("r2", "g1", "s", "++"), row("r3", "g2", "", "")]
    table = label_positions(scan_labels([write_label_set(tmp_path / "labels", rows)]))
    # of the 2 characters of r2, character 0 is in tenth 1 and character 1 in tenth floor(10 / 2) + 1 = 6
    assert table["characters"].to_list() == [4, 2, 3, 2, 3, 3, 3, 2, 3, 2]
    assert table["supported"].to_list() == [4, 2, 1, 0, 0, 1, 0, 0, 0, 0]
    assert table["unsupported"].to_list() == [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert table["share_unsupported"][9] == 0.5


def test_length_and_faithfulness_in_classes_of_doubling_length(tmp_path):
    rows = [
        row("r1", "g1", "ssu", "." * 64),
        row("r2", "g1", "c", "." * 127),
        row("r3", "g1", "", "." * 63),
        row("r4", "g1", "s", "." * 20_000),
    ]
    table = length_and_faithfulness(scan_labels([write_label_set(tmp_path / "labels", rows)]))
    assert table.rows() == [
        (0, 64, 1, 0, 0, 0, None),
        (64, 128, 2, 2, 2, 2, (2 / 3 + 0) / 2),
        (16384, None, 1, 1, 1, 0, 1.0),
    ]


def test_groups_by_what_balanced_training_finds(labels):
    expected = [("both labels", 2), ("no label", 1), ("only supported", 1), ("only unsupported", 1)]
    assert groups_with_signal(labels).rows() == expected


def test_credit_mass_of_groups_and_responses(labels):
    # groups with both: g1 P=10 N=2, M = sqrt(20)/12; g5 P=2 N=2, M = 1/2. responses: r1 P=8 N=2, M = 4/10; r7 1/2
    table = {one["block"]: one for one in credit_mass(labels).to_dicts()}
    assert (table["group"]["blocks"], table["group"]["active_blocks"]) == (5, 2)
    assert table["group"]["mass_sqrt"] == pytest.approx(20**0.5 / 12 + 0.5)
    assert table["group"]["mass_harmonic"] == pytest.approx(2 * 20 / 144 + 0.5)
    assert table["group"]["mean_mass_sqrt"] == pytest.approx((20**0.5 / 12 + 0.5) / 2)
    assert (table["response"]["blocks"], table["response"]["active_blocks"]) == (7, 2)
    assert table["response"]["mass_sqrt"] == pytest.approx(0.4 + 0.5)
    assert (table["group"]["n_tokens_supported"], table["response"]["n_tokens_unsupported"]) == (13, 8)


def test_balance_by_tenths_of_the_share_of_unsupported(labels):
    # g1: 2/12 = 16.7 %; g5: 50 %; r1: exactly 20 % belongs to (10, 20]
    rows = balance(labels).select("block", "percent_above", "percent_to", "blocks").rows()
    assert rows == [("group", 10, 20, 1), ("group", 40, 50, 1), ("response", 10, 20, 1), ("response", 40, 50, 1)]


@pytest.mark.parametrize("batch_rows", [1, 2, 3, 4])
def test_figures_do_not_depend_on_where_batches_end(labels, monkeypatch, batch_rows):
    whole = figures(labels, by=["policy"])
    monkeypatch.setattr(counting, "BATCH_ROWS", batch_rows)
    monkeypatch.setattr(counting, "_ADD_AFTER", 2)
    for name, table in figures(labels, by=["policy"]).items():
        assert table.to_dicts() == [pytest.approx(one) for one in whole[name].to_dicts()], name


def test_group_in_two_label_sets_counts_in_each(tmp_path):
    sets = [
        write_label_set(tmp_path / name, [row("r1", "g1", "s", sign * 3)]) for name, sign in (("x", "+"), ("y", "-"))
    ]
    labels = scan_labels(sets)
    assert overview(labels)["groups"][0] == 2
    assert groups_with_signal(labels).rows() == [("only supported", 1), ("only unsupported", 1)]
    assert overview(labels, ["label_set"])["label_set"].to_list() == sets


def test_filter_before_a_figure(labels):
    assert overview(labels.filter(pl.col("n_supported") > 0))["records"][0] == 4
    empty = labels.filter(pl.col("n_claims") > 99)
    assert all(len(table) == 0 for table in figures(empty, by=["policy"]).values())
    assert overview(empty).select("records", "n_tokens", "share_supported").rows() == [(0, 0, None)]


def test_by_meta_key(labels):
    table = overview(labels, ["meta.task"])
    assert dict(table.select("meta.task", "records").iter_rows()) == {None: 4, "QA": 2, "Sum": 1}


def test_unknown_meta_key_names_the_near_ones(labels):
    with pytest.raises(ConfigError, match=r"--by meta.tusk: no such column; near: meta.task"):
        overview(labels, ["meta.tusk"])


def test_by_column_that_the_figure_has_itself(labels):
    table = overview(labels, ["n_claims"])
    assert table.filter(pl.col("by n_claims") == 2).select("records", "n_claims").rows() == [(4, 8)]


def test_terminal_tables_by_a_column_of_the_overview(tmp_path):
    folder = write_label_set(tmp_path / "labels", *ROWS)
    table = stats_tables([folder], ["n_supported"], extent=Extent.TERMINAL)["by n_supported"]
    assert table.columns[:3] == ["by n_supported", "records", "n_supported"]


def test_by_column_of_too_many_values_is_refused(labels, monkeypatch):
    monkeypatch.setattr(counting, "MAX_VALUES", 6)
    with pytest.raises(ConfigError, match="--by id: more than 6 values"):
        overview(labels, ["id"])


def scored(sample_id: str, scores: str, gold: str | None, policy: str = "a"):
    """A row of claims of two characters each, a digit of `scores` (tenths of P(supported)) per claim; x: no score."""
    made = row(sample_id, sample_id, "s" * len(scores), ".." * len(scores), gold=gold, policy=policy)
    claims = tuple(
        dataclasses.replace(claim, score=None if digit == "x" else int(digit) / 10, spans=(Span(2 * at, 2 * at + 2),))
        for at, (claim, digit) in enumerate(zip(made.claims, scores, strict=True))
    )
    return dataclasses.replace(made, claims=claims)


def test_scores_are_held_against_what_people_marked_in_tenths(tmp_path):
    rows = [
        scored("r1", "99x2", "....xxx."),  # half marked is wrong; without a score it is in no tenth
        scored("r2", "92", "x...", policy="b"),  # x: half of the first
        scored("r3", "11", None),  # nobody looked at it
    ]
    frame = scan_labels([write_label_set(tmp_path / "labels", rows)])
    found = reliability(frame)
    assert found.columns == ["score_from", "score_below", "claims", "mean_score", "share_unmarked", "gap"]
    assert [tuple(round(x, 6) if x is not None else None for x in one) for one in found.rows()] == [
        (0.2, 0.3, 2, 0.2, 0.5, 0.3),
        (0.9, 1.0, 3, 0.9, 0.666667, 0.233333),
        (None, None, 5, 0.62, 0.6, 0.26),
    ]
    by = reliability(frame, ["policy"])
    assert by["claims"].to_list() == [1, 2, 3, 1, 1, 2]
    assert by["policy"].to_list() == ["a", "a", "a", "b", "b", "b"]


def test_without_annotated_claims_there_is_no_reliability(labels):
    assert len(reliability(labels)) == 0
    assert len(reliability(labels, ["policy"])) == 0


def test_a_score_that_is_no_number_is_in_no_tenth(tmp_path):
    made = scored("r1", "99", "....")
    odd = dataclasses.replace(made.claims[0], score=float("nan"))
    frame = scan_labels(
        [write_label_set(tmp_path / "labels", [dataclasses.replace(made, claims=(odd, made.claims[1]))])]
    )
    assert reliability(frame)["claims"].to_list() == [1, 1]
