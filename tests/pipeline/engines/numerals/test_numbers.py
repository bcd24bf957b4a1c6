"""Which numbers a text states, and which of them a context bears."""

import pytest

from pipeline.engines.numerals.claimed_numbers import claimed_numbers
from pipeline.engines.numerals.implied_numbers import ImpliedNumbers
from pipeline.engines.numerals.number_index import NumberIndex, missing_numbers
from pipeline.engines.numerals.numbers import find_numbers
from pipeline.engines.words import stem, tokenize


def values(text: str) -> list[float | str]:
    return [number.value for number in find_numbers(text, tokenize(text))]


def missing(claim: str, context: str) -> list[str]:
    tokens, known = tokenize(claim), tokenize(context)
    implied = ImpliedNumbers()
    implied.add(context, known)
    index = NumberIndex(find_numbers(context, known), implied)
    lacking = missing_numbers(claimed_numbers(claim, tokens), tokens, index)
    return [claim[tokens.starts[number.first] : tokens.ends[number.last]] for number in lacking]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,234,567 people", [1234567.0]),
        ("1.2 million", [1200000.0]),
        ("twenty-five of ninety", [25.0, 90.0]),
        ("two hundred", [200.0]),
        ("three and a half days", [3.5]),
        ("10-14 minutes", [10.0, 14.0]),
        ("version 1.2.3", ["1.2.3"]),
        ("no number", []),
    ],
)
def test_values(text, expected):
    assert values(text) == expected


def test_equal_values_in_other_forms_are_borne():
    assert missing("fifteen boats and 1,200 people", "15 boats, 1200 people") == []


def test_rounding_is_borne_one_way_only():
    assert missing("about 1.2 million people", "1,234,567 people") == []
    assert missing("1,234,567 people", "about 1.2 million people") == ["1,234,567"]
    assert missing("1.3 million people", "1,234,567 people") == ["1.3 million"]


def test_a_wrong_number_is_missing():
    assert missing("It takes 15 minutes.", "It takes 14 minutes.") == ["15"]


@pytest.mark.parametrize(
    ("claim", "context"),
    [
        ("from 54 to 31 million dollars", "to 31 million dollars from 54 million"),
        ("from 91 million to 78 million", "from 91 to 78 million"),
        ("5 and 7 million in 2020 and 2021", "5 million in 2020 and 7 million in 2021"),
        ("open at 19:40", "open at 7.40 p.m."),
        ("leaves at 9:30 pm", "leaves at half past nine in the evening"),
        ("leaves at 5:45 a.m.", "leaves at a quarter to six in the morning"),
        ("began at 8.30", "began at half past eight"),
        ("closes at 12 p.m.", "closes at noon"),
        ("within 14 days", "within a fortnight"),
        ("Chapter 4 and Part 19", "Chapter IV and Part XIX"),
    ],
)
def test_the_same_number_told_otherwise_is_borne(claim, context):
    assert missing(claim, context) == []


@pytest.mark.parametrize(
    ("claim", "context", "expected"),
    [
        ("from 55 to 31 million dollars", "to 31 million dollars from 54 million", "55"),
        ("54 boats and 31 million dollars", "54 million boats and 31 million dollars", "54"),
        ("it costs 7.40 euros", "open at 20 to 8", "7.40"),
        ("closes at 2 p.m.", "closes at noon", "2 p.m"),
        ("within 21 days", "within a fortnight", "21"),
        ("Chapter 6", "Chapter IV; I XI", "6"),
        ("It has 1 door.", "When I came, it was open.", "1"),
    ],
)
def test_another_number_stays_missing(claim, context, expected):
    assert missing(claim, context) == [expected]


def test_converted_units_are_borne():
    assert missing("It is 26 °C.", "It is 79 °F.") == []
    assert missing("It is 10 miles away.", "It is 16 km away.") == []
    assert missing("It is 40 °C.", "It is 79 °F.") == ["40"]


@pytest.mark.parametrize(
    ("claim", "context"),
    [
        ("It takes 60 to 120 minutes.", "It takes one to two hours."),
        ("It takes one to two hours.", "It takes 60-120 minutes."),
        ("Heat it to 150-175 °C.", "Heat it to 300\u2013350 °F."),
        ("It weighs between 2000 and 3000 g.", "It weighs 2 or 3 kg."),
        ("Sales of $19.5-20 billion.", "Sales of $19.5 billion to $20.0 billion."),
        ("19.5 to 20 billion", "19,500 million to 20,000 million"),
        ("It lasts 60 minutes.", "It lasts an hour."),
        ("It lasts 30 minutes.", "It lasts half an hour."),
    ],
)
def test_both_ends_of_a_range_have_its_unit_and_an_hour_is_one(claim, context):
    assert missing(claim, context) == []


def test_the_ends_of_a_range_are_still_compared():
    assert missing("It takes 15-20 minutes.", "It takes 15 to 20 hours.") == ["15", "20"]
    assert missing("It takes 90 to 120 minutes.", "It takes one to two hours.") == ["90"]
    assert missing("1 of them is red.", "An hour later, one of them was red.") == ["1"]


@pytest.mark.parametrize(
    ("claim", "context"),
    [
        ("More than 300 people came.", "370 people came."),
        ("At least 300 people came.", "370 people came."),
        ("Nearly two thousand people died.", "At least 1,805 people died."),
        ("Fewer than 400 people came.", "370 people came."),
        ("It is less than 2 km away.", "It is 1,500 metres away."),
        ("It cost more than $5 million.", "It cost $5.4 million."),
        ("Approximately 300 people came.", "312 people came."),
    ],
)
def test_a_bound_is_borne_by_a_number_of_the_same_things_that_it_holds_of(claim, context):
    assert missing(claim, context) == []


@pytest.mark.parametrize(
    ("claim", "context"),
    [
        ("More than 20 singles came out.", "He has 25 children."),
        ("More than 300 people came.", "290 people came."),
        ("More than 300 people came.", "900 people came."),
        ("Fewer than 300 people came.", "370 people came."),
        ("Nearly two thousand people died.", "1,205 people died."),
        ("It is less than 2 km away.", "It is 2,500 metres away."),
        ("It is more than 2 km away.", "It weighs 2.5 kg."),
        ("Children under 6 travel free.", "Children under 5 travel free."),
        ("It lasts less than 60 minutes.", "It lasts under 50 minutes."),
    ],
)
def test_a_bound_is_not_borne_by_other_things_or_by_numbers_that_it_does_not_hold_of(claim, context):
    assert len(missing(claim, context)) == 1


@pytest.mark.parametrize(
    ("claim", "context"),
    [
        ("the 10th hike", "the tenth increase"),
        ("0.25 percentage points", "a quarter of a percentage point"),
        ("25 basis points", "a quarter of a percentage point"),
        ("67% of them", "two thirds of them"),
        ("50 percent of them", "half of them"),
        ("a 50-year low", "a five-decade low"),
        ("twelve eggs", "a dozen eggs"),
        ("24 eggs", "two dozen eggs"),
        ("$2.3 billion", "$2.3bn"),
        ("2,300 million dollars", "$2.3bn"),
        ("$1,200", "$1.2k"),
        ("1/2 cup", "half a cup"),
        ("It got 4/5 stars.", "It got 4 out of 5 stars."),
        ("It got 4 out of 5 stars.", "It got 4/5 stars."),
        ("0.5 cups", "1/2 cup"),
        ("1.5 cups", "1 1/2 cups"),
        ("1 1/2 cups", "1\u00bd cups"),
        ("1.5 cups", "one and a half cups"),
        ("It starts on 2024-06-01.", "It starts on June 1, 2024."),
        ("It starts on 06/01/2024.", "It starts on 1 June 2024."),
        ("5.5 million people", "Country,Population (millions)\nNorway,5.5"),
        ("5,500,000 people", "Country,Population (in millions)\nNorway,5.5"),
        ("67.8 million people", "Country | Population (m)\nFrance | 67.8"),
        ("a revenue of $3.1 billion", "| Country | Revenue ($bn) |\n| France | 3.1 |"),
        ("a revenue of 2,200 million", '{"revenue_bn": 2.2}'),
        ("It weighs 0.95 kg.", '{"weight_g": 950}'),
        ("a 24-month warranty", '{"warranty_years": 2}'),
        ("It weighs 1.2 kg.", "Weight (g)\n1234"),
        ("25% of the patients", "one in four patients"),
        ("one in four patients", "25 % of the patients"),
        ("3 out of 5 people", "60% of the people"),
        ("two out of 10", "20 percent"),
        ("two times a day", "twice a day"),
        ("one time, 3 times", "once or thrice"),
        ("the two parents", "both parents"),
        ("two eggs", "a couple of eggs"),
        ("2.5 hours", "2 h 30 min"),
        ("2 hours and 30 minutes", "2.5 hours"),
        ("1 hour 15 minutes", "75 min"),
        ("four steps", "To do:\n1. Wash\n2. Dry\n\n3. Iron\n4. Fold"),
        ("three ingredients", "Ingredients\n- flour\n- salt\n- water\nMix."),
        ("a ratio of 3 to 1", "in a 3:1 ratio"),
        ("a 3:1 ratio", "three parts sand to 1 part cement"),
        ("1,5 Liter", "1.5 litres"),
        ("1.500 Euro", "1500 euros"),
        ("1500 Euro", "1.500 Euro"),
        ("1.234.567 Einwohner", "1,234,567 people"),
        ("1 200 kr and 1\u202f234\u202f567", "1,200 kr, 1,234,567"),
        ("1200 kr", "1 200,50 kr, about 1 200"),
        ("about 6,700 seats", "6,650 seats"),
        ("about 6,600 seats", "6,650 seats"),
        ("the COVID-19 pandemic", "the Covid pandemic"),
        ("CHF 2,350", "CHF 2'350.\u2013"),
        ("a revenue of SEK 1,840.5 million", '{"revenue_msek": 1840.5}'),
        ("assets of 4.1 billion", '{"assets_bn_usd": 4.1}'),
        ("250,000 euros", '{"cost_keur": 250}'),
        ("five and a half million people", "Country,Population (millions)\nNorway,5.5"),
        ("half a billion dollars", "$500 million"),
        ("about 1.84 billion", '{"revenue_msek": 1840.5}'),
        ("two allergies", '{"allergies": ["nuts", "milk"]}'),
    ],
)
def test_numbers_that_the_context_says_in_words_are_borne(claim, context):
    assert missing(claim, context) == []


def test_words_bear_only_what_they_say():
    assert missing("the 10th hike", "a tenth of it, the ninth time") == []  # "tenth" is one of the two, we cannot tell
    assert missing("the 11th hike", "the tenth increase") == ["11"]
    assert missing("33% of them", "the third of them") == ["33"]
    assert missing("30% of them", "a quarter of them") == ["30"]
    assert missing("3 of them", "the third of them") == ["3"]
    assert missing("25 of them", "a quarter of them") == ["25"]
    assert missing("1/2 cup", "1/3 cup and 2 eggs") == []  # both numbers stand there
    assert missing("3/4 cup", "1/3 cup and 2 eggs") == ["4"]
    assert missing("24/7 support", "7 days") == ["24"]
    assert missing("It starts on 2024-07-01.", "It starts on June 1, 2024.") == ["07"]
    assert missing("6 of them", "in June") == ["6"]
    assert missing("5.5 million people", "5.5 people for each of a million rooms") == ["5.5 million"]
    assert missing("67.8 billion people", "Population (m)\n67.8") == ["67.8 billion"]
    assert missing("It weighs 950 kg.", '{"weight_g": 9500}') == ["950"]
    assert missing("one in five patients", "a quarter of the patients") == ["five"]
    assert missing("3 in 2019", "60%") == ["3", "2019"]
    assert missing("three times a day", "twice a day") == ["three"]
    assert missing("two children", "both parents, twice") == ["two"]
    assert missing("2 hours and 20 minutes", "2.5 hours") == ["2", "20"]
    assert missing("five steps", "1. Wash\n2. Dry\n3. Iron\n4. Fold") == ["five"]
    assert missing("4 kg", "1. Wash\n2. Dry\n3. Iron\n4. Fold") == []  # a mark of the list is the number itself
    assert missing("a ratio of 3 to 1", "in a 4:1 ratio") == ["3"]
    assert missing("1,6 Liter, 1.600 Euro", "1,5 Liter, 1.500 Euro") == ["1,6", "1.600"]
    assert missing("10 000 people", "10 and 200 people") == ["10 000"]
    assert missing("in the mid-1990s, the Top-10", "") == ["10"]


def test_an_age_in_front_of_when_is_borne_by_two_years():
    assert missing("She was 36 when she won.", "She was born in 1867. She won in 1903.") == []
    assert missing("After two and a half years it opened.", "It closed in June 2019 and opened in December 2021.") == []
    assert missing("She was 46 when she won.", "She was born in 1867. She won in 1903.") == ["46"]


def test_citation_marks_state_no_number():
    assert (
        missing("It takes 35 minutes [1]. It costs 84 kronor (source 1, p. 2).[1, 3-5][2]", "35 minutes, 84 kronor")
        == []
    )
    assert missing("It takes [about 36] minutes.", "35 minutes") == ["36"]


def test_markers_and_references_state_no_number():
    assert missing("7. Mix it (Passage 2).\n8) Wait as in passages 1, 2 and 3 or step 4.", "") == []


def test_centuries_and_names_state_no_number():
    assert missing("In the 20th century Rome2rio was used.", "") == []


def test_number_after_a_reference_list_counts():
    assert missing("Passages 1 and 2 say it costs 90 dollars.", "") == ["90"]


@pytest.mark.parametrize(
    ("claim", "context"),
    [
        ("open until 5 PM", "hours.Monday: 9:0-17:0"),
        ("open from 9:00 a.m. to 5:00 p.m.", "hours.Monday: 9:0-17:0"),
        ("open until 5:30", "It closes at 5:30 pm."),
        ("open from 9 to 5", "9am-5pm"),
        ("open till 5 pm", "It closes at 5."),
        ("closes at midnight, at 12:00 am", "hours.Monday: 9:0-0:0"),
        ("at 4:15 PM", "at 4:15"),
    ],
)
def test_times_of_day_are_one_value_in_any_notation(claim, context):
    assert missing(claim, context) == []


@pytest.mark.parametrize(
    ("claim", "context", "expected"),
    [
        ("You must be 18 to enter", "opens at 6:00 for all", ["18"]),
        ("It has 20 tables", "opens at 8 am", ["20"]),
        ("732 square feet", "68 square metres", []),
        ("900 square feet", "68 square metres", ["900"]),
        ("a sandwich for $9", "hours.Monday: 9:0-17:0", ["9"]),
        ("open at 8 AM", "drinks for $20", ["8 AM"]),
        ("open until 6 PM", "hours.Monday: 9:0-17:0", ["6 PM"]),
        ("open from 9:00 p.m.", "hours.Monday: 9:0-17:0", ["9:00 p.m"]),
        ("open until 5:30 pm", "It closes at 5 pm.", ["5:30 pm"]),
    ],
)
def test_a_wrong_time_of_day_is_missing_as_a_whole(claim, context, expected):
    assert missing(claim, context) == expected


def test_an_age_is_borne_by_two_years_that_lie_so_far_apart():
    life = "She was born in 1926 and died in 1940."
    assert missing("She died at the age of 14.", life) == []
    assert missing("She lived 13 years.", life) == []  # 13 until the birthday in 1940
    assert missing("She was 15 years old.", life) == ["15"]
    assert missing("She had 14 boats.", life) == ["14"]


@pytest.mark.parametrize(
    ("claim", "context", "expected"),
    [
        ("Take 400mg with water.", "200 mg tablets", ["400"]),
        ("\u00a377.7m, $99k, 99bn yen, 1.2k, 7.9p", "\u00a3540.0m, $9k, 9 yen", ["77.7", "99", "99", "1.2", "7.9"]),
        ("\u00a3540m, $999m and 1.5m people", "\u00a3540.0 million, 999,000,000 dollars, 1,500,000 people", []),
        ("\u20ac149,200", "| Month | Revenue (k\u20ac) |\n|---|---|\n| May | 149.2 |", []),
        ("a profit of 2.5 million", "Result (NOK m)\n2.5", []),
        ("A 200mg tablet, 30 °C, 4GB.", "tablets of 200 mg, 30 °C, 4 GB", []),
        ("An Airbus A320 with 4K screens, Q3, in the 1990s, earning 5M", "", []),
        ("高さは634メートルで、1964年に完成", "高さは333メートル、1958年に完成", ["634", "1964"]),
        ("高さは333メートル", "333 m", []),
        ("2021년에 개장", "2019년에 개장", ["2021"]),
        ("7м", "5 м", []),  # a letter that may spell one word with the digits
    ],
)
def test_a_number_is_stated_with_a_unit_right_behind_it_or_in_a_script_without_spaces(claim, context, expected):
    assert missing(claim, context) == expected


@pytest.mark.parametrize(
    ("claim", "context", "expected"),
    [
        ("It draws 1.5 kW.", "a rated power of 1,500 W", []),
        ("It takes 90 minutes.", "It takes 1.5 hours.", []),
        ("two weeks", "14 days", []),
        ("1.2 kg", "1,234 g", []),
        ("1 hour", "61 minutes", ["1"]),  # one digit is not taken for a rounding
        ("100 minutes", "2 hours", ["100"]),
        ("1.5 kW", "1,500 people and 3 W", ["1.5"]),
        ("2 km", "2,000 g", ["2"]),
    ],
)
def test_an_amount_in_another_unit_of_the_same_quantity_is_borne(claim, context, expected):
    assert missing(claim, context) == expected


def test_only_a_full_hour_of_the_context_is_a_plain_number():
    assert missing("open till 10", "open till 22:00") == []
    assert missing("Twelve people and 19 dogs", "It struck at 12:19 local time.") == ["Twelve", "19"]


@pytest.mark.parametrize(
    ("claim", "context", "expected"),
    [
        ("It takes 15 minutes.", "The tank holds 15 litres.", ["15"]),
        ("It takes 15 hours.", "It takes 15 min.", ["15"]),
        ("It draws 5 amps.", "It draws 5 mA.", ["5"]),
        ("Add 2 tablespoons.", "Add 2 teaspoons.", ["2"]),
        ("It is 3 feet wide.", "It is 36 inches wide.", []),
        ("Store it for 7 years.", "Store it for seven weeks.", ["7"]),
        ("It takes 15 minutes.", "It takes 15 min and holds 15 litres.", []),
        ("It takes 15 minutes.", "Time: 15", []),  # of what, a column's name may say
        ("It takes 15 minutes.", "The 15 passengers wait.", []),
        ("It has 15 seats.", "It holds 15 litres.", []),
        ("It takes 15 minutes.", "It takes 14.9 minutes and holds 15 litres.", []),
        ("It weighs 2 kg.", "It weighs 2000 g and has 2 litres.", []),
    ],
)
def test_a_number_that_counts_another_unit_wherever_it_stands_is_missing(claim, context, expected):
    assert missing(claim, context) == expected


@pytest.mark.parametrize(
    ("claim", "context"),
    [
        ("It has fewer than a billion parameters.", "It has below 1B parameters."),
        ("They were followed for about eleven years.", "They were followed for 11.2 years."),
        ("It stores 148 watt-hours per kilogram.", "It stores 148 Wh/kg."),
        ("It uses 5 kilowatt-hours a day.", "It uses 5 kWh a day."),
        ("It is open from 1 to 6 pm.", "It is open from 1 pm until 18:00."),
        ("It is open 9-5:30 pm.", "It is open from 9:00 to 17:30."),
    ],
)
def test_scales_units_and_times_in_other_forms_are_borne(claim, context):
    assert missing(claim, context) == []


def test_what_is_counted_stands_right_behind_its_number():
    text = "Stars: 3, rooms: 22 | ICE 851 and 40 trains"
    assert [number.counted for number in find_numbers(text, tokenize(text))] == ["", "", "", stem("trains")]
