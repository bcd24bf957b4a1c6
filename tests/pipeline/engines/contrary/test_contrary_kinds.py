"""More signs: another of its kind, planned and done, all and some, two words around a verb; and what is none."""

import pytest

from tests.pipeline.engines.contrary.test_contrary import sign


@pytest.mark.parametrize(
    ("claim", "context", "reason"),
    [
        ("It won a silver medal at the fair.", "It won a bronze medal at the fair.", "“bronze” where"),
        ("The third pass is the highest.", "The second pass is the highest.", "“second” where the claim says “third”"),
        ("The sauna is open from June to September.", "The sauna is open from May to September.", "“May” where"),
        ("Stop the tablets a day before the test.", "Stop the tablets a week before the test.", "“week” where"),
        ("The fee is 14 euros a month.", "The fee is 14 euros a year.", "“year” where the claim says “month”"),
        ("The mask is made of paper.", "The mask is made of straw.", "“straw” where the claim says “paper”"),
        ("The wing was completed in 2026.", "The wing is to be completed in 2026.", "“to be completed” where"),
        ("Work near Bodin started in 2027.", "Work near Bodin will start in 2027.", "“Bodin will start” where"),
        ("The club has built a hall.", "The club wants to build a hall.", "“wants to build” where"),
        ("All seven turbines run today.", "Five of the seven turbines run today.", "“Five of the seven” where"),
        ("Every brewery met its target.", "Most of the breweries met their target.", "“most” where"),
        ("All breweries met the target.", "All breweries except Porto met the target.", "“except” where"),
        ("The pupil sang to the tutor.", "The tutor sang towards the pupil.", "has pupil and tutor"),
        ("Tap the right bud twice.", "Tap the left bud twice.", "“left” where the claim says “right”"),
        ("The mayor admitted the mistake.", "The mayor denied the mistake.", "“denied” where"),
    ],
)  # fmt: skip
def test_what_turns_a_sentence_round_shows(claim, context, reason):
    assert reason in sign(claim, context)


@pytest.mark.parametrize(
    ("claim", "context"),
    [
        ("It won a bronze medal at the fair.", "It won a bronze medal at the fair, before the gold medal."),
        ("The third pass is the highest.", "The second pass is high. The third pass is the highest."),
        ("The fee is due in March.", "The fee is due in spring, in March or May."),
        ("Buses run two days a week.", "Buses run four times a day."),  # of other things
        ("May I pay later in June?", "You may pay later in June."),
        ("The wing was completed in 2026.", "The wing was to be completed in 2025. The wing was completed in 2026."),
        ("The wing will be completed in 2026.", "The wing is to be completed in 2026."),
        ("The price is refunded within a week.", "We will refund the price within a week."),  # a rule, not a deed
        ("You need to open the lid.", "You will need to open the lid."),
        ("All seven turbines run today.", "All of the seven turbines run today, most of them well."),
        ("Some of all breweries met the target.", "Some breweries met the target."),
        ("The tutor sang to the pupil.", "The tutor sang towards the pupil."),
        ("The pupil was taught by the tutor.", "The tutor taught the pupil."),
        ("In May the museum opened in Rome.", "The museum opened in Rome in May."),
        ("A white flashing light shows.", "The light flashes white and shows."),
        ("Crumbs dry evenly in the oven.", "Evenly dry crumbs in the oven."),
        ("The dining options are good.", "The dining requirements are good."),  # "optional", "required"
    ],
)
def test_what_says_the_same_or_something_else_shows_no_sign(claim, context):
    assert sign(claim, context) == ""


def test_a_sentence_longer_than_what_is_read_is_no_trouble():
    context = "The tutor sang " + "la " * 900 + "towards the pupil of the school."
    assert sign("The pupil sang to the tutor of the school.", context) == ""
