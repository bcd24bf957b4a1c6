"""Which claims the extractor `rules` finds."""

import random
from dataclasses import replace

import pytest

from pipeline.engines.numerals.claimed_numbers import claimed_numbers
from pipeline.engines.rules import RulesExtractor
from pipeline.engines.words import tokenize
from schemas.records import CUT, EXACT, FINISH_REASON, NOT_VERIFIED_YET, STOPPED, Passage, Sample


def sample(response: str | None) -> Sample:
    return Sample("s", "g", "How?", (Passage("1", "A context."),), response)


def claims(response: str | None):
    return RulesExtractor().extract(sample(response))


def texts(response: str | None) -> list[str]:
    return [claim.text for claim in claims(response)]


def test_each_sentence_with_content_is_a_claim_with_its_exact_characters():
    response = "The bridge opened in 1932. It carries eight lanes."
    found = claims(response)
    assert [claim.claim_id for claim in found] == ["c1", "c2"]
    assert [claim.sentence_ids for claim in found] == [(0,), (1,)]
    for claim in found:
        assert response[claim.spans[0].start : claim.spans[0].end] == claim.text == claim.quotes[0]
        assert (claim.alignment, claim.extractor, claim.verdict) == (EXACT, "rules/10", None)
        assert claim.status == NOT_VERIFIED_YET


def test_a_tail_clause_is_a_claim_of_its_own():
    assert texts("Cycling trains the legs, which may also help patients with arthritis.") == [
        "Cycling trains the legs,",
        "which may also help patients with arthritis.",
    ]


def test_a_fragment_joins_its_neighbour():
    assert texts("Religion: India has many temples, so it is.") == ["Religion: India has many temples, so it is."]


def test_courtesies_questions_and_headings_are_left_out():
    response = "Sure, I can help!\nHere are the steps:\n1. Boil the eggs.\nWhat else?\nI hope this helps! Let me know."
    assert texts(response) == ["1. Boil the eggs."]


@pytest.mark.parametrize(
    "line", ["Enjoy your meal!", "Kind regards,", "Dear Anna,", "Safe travels!", "Best wishes, Ben"]
)
def test_what_letters_begin_and_end_with_is_no_claim(line):
    assert texts(f"{line}\nThe hut opens in May.") == ["The hut opens in May."]


def test_refusals_and_what_the_passages_lack_are_left_out():
    assert texts("Unable to answer based on given passages. The passages do not mention the price.") == []


@pytest.mark.parametrize(
    "response",
    [
        "The exact mechanism is not fully explained in the given passages.",
        "However, there is no direct mention of the price in this passage.",
        "* None mentioned in the passages.",
        "The passages do not mention the price, such as the cost of oil.",
        "It is not stated whether dogs are allowed.",
        "It isn't clear from the emails who will come.",
        "The sources leave the year open.",
        "The thread is silent on the price.",
        "The text does not say when it opened, but it does not mention the architect either.",
    ],
)
def test_what_passages_lack_is_no_claim_however_it_is_put(response):
    assert texts(response) == []


def test_a_clause_that_says_what_is_lacking_leaves_the_clause_before_it():
    response = "Passage 2 describes how to cut the bread, but it does not mention how hot the oven is."
    assert texts(response) == ["Passage 2 describes how to cut the bread,"]


@pytest.mark.parametrize(
    ("response", "told"),
    [
        ("The context does not say who built it, but it was opened in 1932.", "but it was opened in 1932."),
        ("There is no information about the cost, although entry is free.", "although entry is free."),
        ("The text does not mention a price but says that it opens at nine.", "but says that it opens at nine."),
        ("The passages do not mention oil, salt, or wine, but bread, and it is warm.", "but bread, and it is warm."),
    ],
)
def test_what_stands_behind_a_but_is_a_claim_again(response, told):
    assert texts(response) == [told]


def test_a_negated_statement_about_the_world_is_a_claim():
    response = "These raffles are not included in the ticket price."
    assert texts(response) == [response]


def test_a_bare_reference_is_no_claim():
    assert texts("Milk foams well when warm; (Passage 3)") == ["Milk foams well when warm; (Passage 3)"]
    assert texts("(Passage 3)\nPassages 1, 2 and 3.") == []


def test_a_line_of_a_few_words_in_bold_is_a_heading():
    assert texts("**Opening hours**\nIt opens at 9.\n**Prices:**\nIt costs 5 euros.") == [
        "It opens at 9.", "It costs 5 euros.",
    ]  # fmt: skip
    assert texts("**It opens at 9.**") == ["**It opens at 9.**"]
    assert texts("- **Price:** 5 euros") == ["- **Price:** 5 euros"]


def test_a_bare_answer_is_no_claim():
    assert texts("Yes. The lid is red.") == texts("No. The lid is red.") == ["The lid is red."]
    assert texts("Yes, the lid is red.") == ["Yes, the lid is red."]


def test_list_under_a_statement_of_lack_is_left_out_up_to_the_next_sentence():
    response = "The passages do not mention the following:\n* The price of oil\n* The colour of wine\nWine is red."
    assert texts(response) == ["Wine is red."]


def test_hedged_advice_is_a_claim():
    assert len(claims("However, it's important to note that results may vary between patients.")) == 1


def test_nothing_to_claim():
    assert claims(None) == claims("") == claims("   ") == claims("!?\x00 ...") == ()


def test_any_text_gives_claims_that_stand_in_it():
    rng = random.Random(1)
    words = [
        "Cat",
        "eats",
        "3.5",
        "fish",
        ", which",
        ":",
        ";",
        ".",
        "\n",
        "\r\n",
        "1. ",
        "* ",
        "\x00",
        "\U0001f600",
        "中文",
        '"',
    ]
    for _ in range(300):
        response = " ".join(rng.choices(words, k=rng.randrange(30)))
        end = 0
        for claim in claims(response):
            (span,) = claim.spans
            assert end <= span.start < span.end <= len(response)
            assert response[span.start : span.end] == claim.text == claim.text.strip()
            end = span.end


def test_same_input_gives_same_claims():
    response = "Rome was founded in 753 BC, while Milan is younger. Rome was founded in 753 BC."
    assert claims(response) == claims(response)
    assert len(claims(response)) == 3


@pytest.mark.parametrize(
    "answer",
    [
        "I don't know.",
        "I\u2019m not sure about that.",
        "Sorry, I cannot answer.",
        "I am unable to find that.",
        "The context does not say who founded it.",
        "The passage doesn't tell us when it opened.",
    ],
)
def test_an_answer_that_abstains_makes_no_claim(answer):
    assert RulesExtractor().extract(Sample("s", "g", "Who?", (), answer)) == ()


@pytest.mark.parametrize("answer", ["I cannot swim in the lake.", "I do not recommend the 5 mm drill."])
def test_a_negated_statement_in_the_first_person_is_a_claim(answer):
    assert [claim.text for claim in RulesExtractor().extract(Sample("s", "g", "Who?", (), answer))] == [answer]


def test_headings_column_names_and_code_of_markdown_are_no_claims():
    response = (
        "## The ferry\n\n| Day | Fare |\n|---|---:|\n| Monday | 84 kronor |\n\n"
        "```python\nfare(day, adults=5)\n```\n\nThe ferry is #1 in the sound."
    )
    assert texts(response) == ["| Monday | 84 kronor |", "The ferry is #1 in the sound."]


def test_code_that_was_cut_off_is_no_claim():
    assert texts("Call it so:\n~~~\nfare(day, adults=5)\nprint(ferry)") == []


@pytest.mark.parametrize(
    "response",
    [
        "Hi!",
        "Hey there,",
        "I'm sorry, but I can't give medical advice.",
        "I am afraid I cannot help with that request.",
        "Unfortunately, I'm unable to provide a diagnosis.",
        "Therefore, I cannot provide a detailed explanation of how twins happen.",
        "So I can't give a figure.",
        "I hope these tips help you plan your trip!",
    ],
)
def test_a_greeting_or_a_refusal_of_help_makes_no_claim(response):
    assert texts(response) == []


@pytest.mark.parametrize(
    "response",
    [
        "I'm sorry, but the ferry does not sail on Sundays.",
        "Analysts hope the new law helps small firms.",
        "Therefore, the ferry cannot provide meals.",
    ],
)
def test_an_apology_or_a_hope_with_a_statement_is_a_claim(response):
    assert texts(response) == [response]


@pytest.mark.parametrize(
    "response",
    [
        "Thanks to its red pump, it won a prize in 1999.",
        "Sure-footed climbers won a prize in 1999.",
        "Happy guests gave it five stars!",
        "Enjoy the rooftop pool and three saunas!",
        "Best wishes were sent by the mayor.",
        "Dear friends of the museum raised two million for it.",
    ],
)
def test_openings_that_only_look_courteous_are_claims(response):
    assert texts(response) != []


def test_list_marks_alone_are_no_claims():
    assert texts("1. 1.\n2. 2.\n2.1. The ferry leaves at 9.\n3.") == ["The ferry leaves at 9."]
    assert texts("4.") == ["4."]  # an answer


@pytest.mark.parametrize(
    ("response", "kept"),
    [
        ("The ferry leaves at noon. It takes 3", 1),
        ("The ferry leaves at noon, which is late for a day in the", 1),
        ("The ferry leaves at noon. It takes 35 minutes.", 2),
        ('The ferry leaves at noon. It is called "Basalt".', 2),
        ("- The ferry leaves at noon. (It takes long.)", 2),
    ],
)
def test_the_clause_in_which_a_response_was_cut_off_is_no_claim(response, kept):
    cut = replace(sample(response), meta={FINISH_REASON: CUT})
    assert len(RulesExtractor().extract(cut)) == kept
    whole = replace(cut, meta={FINISH_REASON: STOPPED})
    assert len(RulesExtractor().extract(whole)) == 2


@pytest.mark.parametrize(
    ("response", "numbers"),
    [
        ("1.1 The ferry leaves.\n1.2. The bus follows.", []),
        ("1.1 The ferry leaves at nine. 2.1 Tickets cost 84 kronor.", [9, 84]),
        ("Here is how: 1. Mix it. 2. Bake it for 9 minutes. 3. Eat it.", [9]),
        ("It has 1) a bar, 2) a deck and 3) a crew of 9.", [9]),
        ("They won 3. They lost 4. The answer is: 6. Nobody knows why.", [3, 4, 6]),
        ("It costs 2.5 The fee.\n3.5 Million people came.\n0.5 l of milk.", [2.5, 3_500_000, 0.5]),
    ],
)
def test_numbers_of_sections_are_not_stated(response, numbers):
    assert [number.value for number in claimed_numbers(response, tokenize(response))] == numbers


def test_a_long_row_of_digits_is_read_at_once():
    assert len(texts("Numbers follow.\n" + "1" * 5_000 + "x y")) == 2
    assert texts("Numbers follow below.\n" + "1 " * 5_000) == ["Numbers follow below."]
