"""Claims that take a number from the wrong row of a table."""

import json

import pytest

from pipeline.engines.lexical import LexicalVerifier
from pipeline.engines.records.tables import read_tables
from pipeline.engines.rules import RulesExtractor
from schemas.records import CONTRADICTED, SUPPORTED, Passage, Sample

BARS = """
Figures of 2023:

| Country | Population (m) | Revenue ($bn) |
|---------|---------------:|--------------:|
| France  | 67.8 | 3.1 |
| Spain   | 47.4 | 2.2 |
| New Spain | 8 | 1.1 |

Italy has 59 million people.
"""
COMMAS = "Country,Population (m),Revenue ($bn)\nFrance,67.8,3.1\nSpain,47.4,2.2\nNew Spain,8,1.1\n\nItaly: 59 million."
TABS = COMMAS.replace(",", "\t")
OBJECTS = json.dumps(
    [
        {"country": "France", "population_m": 67.8, "revenue_bn": 3.1},
        {"country": "Spain", "population_m": 47.4, "revenue_bn": 2.2},
        {"country": "New Spain", "population_m": 8, "revenue_bn": 1.1},
        {"country": "Italy", "population_m": 59},
    ]
)
FORMS = pytest.mark.parametrize("context", [BARS, TABS, COMMAS, OBJECTS], ids=["bars", "tabs", "commas", "objects"])


def judged(claim: str, context: str):
    sample = Sample("a", "a", "", (Passage("p", context),), claim)
    return LexicalVerifier().verify(sample, tuple(RulesExtractor().extract(sample)))


def wrong(claim: str, context: str) -> list[str]:
    return [claim[error.start : error.end] for one in judged(claim, context) for error in one.error_spans]


@FORMS
@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("Spain has a population of 67.8 million.", ["67.8 million"]),
        ("Spain has a population of 47.4 million.", []),
        ("Spain has 47.4 million people and a revenue of $3.1 billion.", ["3.1 billion"]),
        ("France and Spain have 67.8 and 47.4 million people.", []),
        ("New Spain has a population of 8 million.", []),
        ("New Spain has a population of 47.4 million.", ["47.4 million"]),
        ("Spain has fewer people than the other country with 67.8 million.", []),
        ("Spain lies beside a country with 59 million people.", None),
    ],
)
def test_a_number_of_another_row_is_named_as_the_error(context, claim, expected):
    if expected is None:  # prose about anything in three of the forms, a row in the fourth
        expected = ["59 million"] if context == OBJECTS else []
    assert wrong(claim, context) == expected


@FORMS
def test_the_verdict_says_whose_number_it_is_and_a_row_that_is_told_rightly_is_supported(context):
    (claim,) = judged("Spain has a population of 67.8 million.", context)
    assert (claim.verdict, claim.reason) == (CONTRADICTED, "the table gives 67.8 million for France")
    (claim,) = judged("Spain made 2.2 billion in revenue, with 47.4 million.", context)
    assert claim.verdict == SUPPORTED
    assert claim.score == pytest.approx(max(0.8, claim.score or 0))


def test_years_name_rows_and_plain_counts_do_not():
    table = "Year,Sales,Staff\n2019,3.1,40\n2020,4.2,45"
    assert wrong("In 2020 sales were 3.1 with a staff of 45.", table) == ["3.1"]
    assert wrong("Sales grew from 3.1 in 2019 to 4.2 in 2020.", table) == []
    assert wrong("In 2020 the staff was 4.2.", table) == ["4.2"]  # of another column
    (first, second) = read_tables((Passage("p", "No | Name | Goals\n1 | Anna Berg | 12\n2 | Lisa Holm | 9"),)).rows
    assert (first.label, second.label) == ("Anna Berg", "Lisa Holm")


@FORMS
@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("Spain has the highest revenue.", ["highest revenue"]),
        ("France has the highest revenue.", []),
        ("New Spain has the lowest revenue of them.", []),
        ("Spain's population is the smallest.", ["population is the smallest"]),
        ("Spain has a higher revenue than France.", ["higher revenue"]),
        ("France has a higher revenue than Spain.", []),
        ("France's population is smaller than that of Spain.", ["population is smaller"]),
        ("Spain has the second highest revenue.", []),
        ("Spain does not have the highest revenue.", []),
        ("Spain has the highest mountains and a revenue.", []),  # the word is not about the column
    ],
)
def test_an_order_that_the_cells_do_not_have_is_named_as_the_error(context, claim, expected):
    assert wrong(claim, context) == expected


def test_a_row_of_sums_is_no_rival_of_the_others():
    table = "Segment,Revenue\nCoatings,1047\nPolymers,2310\nTotal,3357"
    assert wrong("Polymers has the highest revenue.", table) == []
    assert wrong("Coatings has the highest revenue.", table) == ["highest revenue"]


def test_the_reason_of_a_wrong_order_gives_both_cells():
    (claim,) = judged("Spain has a higher revenue than France.", BARS)
    assert (claim.verdict, claim.reason) == (CONTRADICTED, "the table says Spain 2.2, France 3.1")
    (claim,) = judged("France has a higher revenue than Spain.", BARS)
    assert (claim.verdict, claim.reason) == (SUPPORTED, "a record of the context says so")


def test_a_row_may_be_named_by_a_part_of_its_name():
    table = "Bike | Day | Week\nTern | 14 | 70\nPlover | 19 | 95\nGodwit (electric) | 32 | 160"
    assert wrong("Per week the Tern costs 70, the Plover 95 and the Godwit 160.", table) == []
    assert wrong("The Plover has 21 gears and costs 14 a day.", table) == ["21", "14"]


HOTELS = """
| Hotel | City | Beds | Price | Pool | Open |
|---|---|---|---|---|---|
| Alpha | Oslo | 120 | 80 | yes | no |
| Beta | Bern | 95 | 140 | no | yes |
| Gamma | Rome | 210 | 95 | no | yes |
"""


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("Alpha has 80 beds.", ["80"]),
        ("Alpha has 120 beds.", []),
        ("Alpha has ninety-five beds.", ["ninety-five"]),
        ("Beta has ninety-five beds.", []),
        ("Beta has more than ninety beds.", []),
        ("Alpha has 120 beds at a price of 80.", []),
        ("Beta is in Oslo.", ["Oslo"]),
        ("Beta is in Bern.", []),
        ("Beta is not in Oslo.", []),
        ("Beta has a pool.", ["pool"]),
        ("Beta has no pool.", []),
        ("Alpha, unlike Beta, is in Oslo.", []),
        ("Alpha is open.", ["open"]),
        ("Gamma has more than 200 beds.", []),
    ],
)
def test_cells_of_another_column_or_row_and_of_yes_or_no_are_named_as_the_error(claim, expected):
    assert wrong(claim, HOTELS) == expected


def test_the_name_of_a_column_may_be_what_a_claim_speaks_of():
    table = "Feature | Basic | Team\nAudit log | no | yes\nSSO | no | no\nUsers | 5 | 50"
    assert wrong("The Basic plan has no audit log.", table) == []
    assert wrong("The Basic plan has an audit log.", table) == ["audit log"]
    assert wrong("The Team plan includes SSO.", table) == ["SSO"]


def test_commas_part_cells_of_three_digits_and_quotes_hold_grouped_ones():
    table = 'Item,Price,Stock\nlamp,100,200\ntable,"1,250",300'
    assert wrong("The lamp costs 100 and there are 200 of them.", table) == []
    assert wrong("The table costs 1,250 and there are 200 of them.", table) == ["200"]


HOURS = {"name": "Sol", "hours": {"Monday": "8:0-16:30", "Saturday": "9:0-21:0", "Sunday": "0:0-0:0"}}


@pytest.mark.parametrize(
    "context",
    [json.dumps(HOURS), str(HOURS), "hours Monday: 8:00-16:30 (8 AM to 4:30 PM)\nhours Saturday: 9:00-21:00 (to 9 PM)"],
)
def test_the_hours_of_weekdays_are_rows(context):
    assert wrong("On Monday it closes at 9 PM.", context) == ["9 PM"]
    assert wrong("On Saturday it closes at 9 PM.", context) == []
    assert wrong("It is open from 8 AM to 4:30 PM on Monday and until 9 PM on Saturday.", context) == []
    assert wrong("On Monday it opens at 8, on other days at 9 AM.", context) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Plain prose, with a comma.\nAnd more of it, in 2019.\nAnd more, in 2020.",
        "2 cups flour, sifted\n1 cup sugar, white\n3 eggs, beaten",
        "a | b",
        '{"a": [1, 2, 3], "b": [{"c": 1}]}',
        "[{" * 5000,
    ],
)
def test_other_texts_have_no_rows(text):
    assert read_tables((Passage("p", text),)) is None


def test_tables_of_several_passages_stay_apart_and_hours_are_no_table():
    record = json.dumps({"a": 1, "b": 2, "c": 3, "d": [{"x": "Ada", "n": 1}, {"x": "Ben", "n": 2}]})
    hours = "Monday: 8:00\nTuesday: 9:00"
    tables = read_tables(tuple(Passage(str(at), text) for at, text in enumerate((record, hours, COMMAS, BARS, TABS))))
    assert sorted(tables.sizes()) == [2.0, 3.0, 3.0, 3.0]


def test_a_quoted_line_that_is_no_csv_is_parted_all_the_same():
    assert read_tables((Passage("p", 'a,b\n"x"\ry,1\n"z",2'),)) is not None


@pytest.mark.parametrize(
    ("claim", "row"),
    [
        ("Beta has 95 beds.", "| Beta | Bern | 95 | 140 | no | yes |"),
        ("Gamma has 95 beds.", "| Gamma | Rome | 210 | 95 | no | yes |"),
        ("Beta is in Oslo.", "| Beta | Bern | 95 | 140 | no | yes |"),
        ("Beta has ninety-six beds.", "| Beta | Bern | 95 | 140 | no | yes |"),
    ],
)
def test_the_evidence_is_the_row_that_decides(claim, row):
    (one,) = judged(claim, HOTELS)
    assert [HOTELS[found.start : found.end] for found in one.evidence] == [row]


THINGS_AS_COLUMNS = (
    "| | Brewla One | Brewla Duo |\n|---|---|---|\n| Price | $129 | $219 |\n| Pressure | 15 bar | 19 bar |\n"
    "| Milk frother | no | manual |"
)


@pytest.mark.parametrize(
    ("claim", "errors"),
    [
        ("The Brewla Duo costs $219 and has a manual milk frother.", []),
        ("The Brewla Duo costs $129.", ["129"]),
        ("The pressure of the Brewla One is 19 bar.", ["19"]),
        ("The Brewla One has a milk frother.", ["milk frother"]),
        ("The Duo costs $129.", ["129"]),  # by what tells it from the others
        ("The Duo costs $219.", []),
    ],
)
def test_a_table_whose_columns_are_the_things_is_turned_round(claim, errors):
    assert wrong(claim, THINGS_AS_COLUMNS) == errors


def test_a_number_in_words_with_a_unit_is_held_against_the_rows():
    services = json.dumps([{"name": "tune-up", "turnaround_days": 2}, {"name": "overhaul", "turnaround_days": 7}])
    assert wrong("An overhaul takes two days.", services) == ["two"]
    assert wrong("An overhaul takes seven days.", services) == []


YEARS = (
    "| Metric (million EUR) | 2023 | 2022 |\n|---|---|---|\n| Revenue | 412.6 | 388.1 |\n| Net income | 24.9 | 29.3 |"
)


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("Net income in 2023 was 29.3 million euros.", ["29.3 million"]),
        ("In 2022, revenue was 412.6 million.", ["412.6 million"]),
        ("Net income rose to 24.9 million.", ["rose"]),
        ("Revenue fell from 388.1 million to 412.6 million.", ["fell"]),
        ("Net income in 2023 was 24.9 million euros.", []),
        ("Revenue rose from 388.1 million in 2022 to 412.6 million in 2023.", []),
        ("Net income fell to 24.9 million euros in 2023.", []),
    ],
)
def test_the_column_of_a_year_and_the_change_from_the_year_before(claim, expected):
    assert wrong(claim, YEARS) == expected
    assert {one.verdict for one in judged(claim, YEARS)} == {CONTRADICTED if expected else SUPPORTED}
