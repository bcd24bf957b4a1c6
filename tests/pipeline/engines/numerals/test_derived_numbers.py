"""Numbers that a claim worked out from those of the context."""

import pytest

from pipeline.engines.context_index import index_context
from pipeline.engines.numerals.claimed_numbers import claimed_numbers
from pipeline.engines.numerals.derived_numbers import sort_missing
from pipeline.engines.numerals.number_index import missing_numbers
from pipeline.engines.words import tokenize
from schemas.records import Passage

GLACIER = "The snow line moved from 1,320 m in 1985 to 1,465 m in 2020. The ice covers 38.5 km2, 46.2 km2 before."
TRIAL = "Of 120 patients 78 improved. The hazard ratio was 0.71. Women made up 41% of the patients."
TABLE = "Item | Price | Sold\nlamp | 49 | 1200\ndesk | 199 | 850\nchair | 89 | 2070"
TRAIN = "Train 63 leaves at 12:03 and arrives at 18:50."


def sorted_numbers(claim: str, context: str, question: str = "") -> tuple[list[str], list[str]]:
    """(missing, doubtful), as written."""
    tokens, index = tokenize(claim), index_context((Passage("p", context),))
    numbers = claimed_numbers(claim, tokens)
    missing = missing_numbers(numbers, tokens, index.numbers)
    lists = sort_missing(missing, numbers, tokens, 0, len(tokens), index, question)
    missing_words, doubtful = ([claim[tokens.starts[n.first] : tokens.ends[n.last]] for n in one] for one in lists)
    return missing_words, doubtful


@pytest.mark.parametrize(
    ("claim", "context"),
    [
        ("It has moved up by 145 metres.", GLACIER),
        ("The ice shrank from 46.2 to 38.5 km2, a decrease of 7.7 km2.", GLACIER),
        ("78 of 120 patients (65%) improved.", TRIAL),
        ("The three items sold 4,120 times in total.", TABLE),
        ("The desk costs 199, 150 more than the lamp.", TABLE),
        ("Train 63 takes 6 hours and 47 minutes.", TRAIN),
        ("The ice lost 7.7 km2, which is more than expected.", GLACIER),  # few numbers in its sentence
        ("So 28 pallets had not thawed.", "Of the 40 pallets delivered, 12 had thawed."),
    ],
)
def test_what_follows_from_numbers_of_the_claim_or_of_one_sentence_or_with_three_digits_is_neither(claim, context):
    assert sorted_numbers(claim, context) == ([], [])


@pytest.mark.parametrize(
    ("claim", "context", "doubtful"),
    [
        ("The risk was 29% lower.", TRIAL, "29"),
        ("59% of the patients were men.", TRIAL, "59"),
        ("The line rose by 11%.", GLACIER, "11"),
        ("Sales rose by about 9%.", "Sales rose to 812.4 million (2022: 745.1 million).", "9"),
        ("It was so in two of the rows.", TABLE, "two"),
        ("In total there were 4,130 of them.", TABLE, "4,130"),  # we add up less than people do
        ("He spent five days there.", "Admitted on 12 March, discharged on 17 March.", "five"),
        ("It was delayed by two weeks.", "It slipped from 10 June to 24 June.", "two"),
    ],
)
def test_what_may_follow_from_numbers_of_the_context_is_doubtful(claim, context, doubtful):
    assert sorted_numbers(claim, context) == ([], [doubtful])


@pytest.mark.parametrize(
    ("claim", "context", "missing"),
    [
        ("It has moved up by 155 metres.", GLACIER, "155"),
        ("It was 145 metres.", GLACIER, "145"),  # no word says that anything is compared
        ("It has moved up by 145 kg.", GLACIER, "145"),
        ("The three items sold 1,510 times on average.", TABLE, "1,510"),
        ("78 of 120 patients (66%) improved.", TRIAL, "66"),
        ("It holds 7 boats.", TABLE, "7"),
    ],
)
def test_what_follows_from_nothing_stays_missing(claim, context, missing):
    assert sorted_numbers(claim, context)[0] == [missing]


@pytest.mark.parametrize(
    ("claim", "missing", "doubtful"),
    [
        ("A child of 8 years takes it.", [], ["8"]),
        ("A child of 12.5 years takes it.", ["12.5"], []),
        ("A child of 8 months takes it.", ["8"], []),
        ("It weighs 8 kg.", ["8"], []),
    ],
)
def test_a_number_in_a_range_of_the_context_is_doubtful(claim, missing, doubtful):
    assert sorted_numbers(claim, "Children from 6 to 12 years take 250 mg.") == (missing, doubtful)


def test_a_number_of_the_question_is_doubtful():
    assert sorted_numbers("A rider of 110 kg may use it.", TRAIN) == (["110"], [])
    assert sorted_numbers("A rider of 110 kg may use it.", TRAIN, "Is it made for 110 kg?") == ([], ["110"])


def test_a_word_up_to_ten_that_counts_is_doubtful():
    assert sorted_numbers("Two results are low.", TRIAL) == ([], ["Two"])
    assert sorted_numbers("It takes two hours and 12 coins.", TRIAL) == (["two", "12"], [])


@pytest.mark.parametrize(
    ("claim", "context"),
    [
        ("A year of membership comes to $468.", "Price: $39 per month"),
        ("The deposit is three months' rent, i.e. 3,450 euros.", "Deposit: 3 months' rent. Rent: 1,150 EUR per month."),
        ("Three tablets of 250 mg make 750 mg a day.", "One tablet has 250 mg. Take up to 3 tablets a day."),
        ("The last entry is at 5:15 pm.", "The gates open at 6 pm. The last entry is 45 minutes before."),
        ("It ends at 17:15.", "It begins at 15:45 and lasts 1.5 hours."),
        (
            "Jewellery is insured up to 1,000 euros.",
            "Luggage is insured up to 2,000 euros, jewellery up to half of it.",
        ),
        ("80 guests came.", "Twice as many guests as the 40 of last year came."),
        ("10,000 visitors came by train.", "A fifth of the 50,000 visitors came by train."),
        ("Members pay 45 euros.", "The ticket costs 50 euros; members get 10 per cent off."),
    ],
)
def test_products_and_times_are_doubtful(claim, context):
    missing, doubtful = sorted_numbers(claim, context)
    assert missing == []
    assert len(doubtful) == 1


@pytest.mark.parametrize(
    ("claim", "context"),
    [
        ("A year of membership comes to $469.", "Price: $39 per month"),
        ("The last entry is at 5:20 pm.", "The gates open at 6 pm. The last entry is 45 minutes before."),
        (
            "Jewellery is insured up to 1,100 euros.",
            "Luggage is insured up to 2,000 euros, jewellery up to half of it.",
        ),
        ("Members pay 43 euros.", "The ticket costs 50 euros; members get 10 per cent off."),
        ("The 5 floors seat 75 people.", "There are 15 rows, 5 floors and 40 doors."),  # small
    ],
)
def test_other_numbers_stay_missing(claim, context):
    assert len(sorted_numbers(claim, context)[0]) == 1


def test_a_number_that_the_context_lacks_may_be_taken_so_many_times():
    assert sorted_numbers("For two nights, each person pays 76.", "The hut is 38 per night.") == ([], ["two", "76"])
    assert sorted_numbers("For two nights, each person pays 79.", "The hut is 38 per night.") == (["79"], ["two"])


def test_a_difference_is_told_with_the_scale_of_its_operands():
    assert sorted_numbers("About £118k is left.", "412k of 530k spent.") == ([], [])
    assert sorted_numbers("About £119k is left.", "412k of 530k spent.") == (["119"], [])
