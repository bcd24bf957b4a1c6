"""Opening hours by weekday: how a context's are read, and what a response makes of them."""

import json
import time

import pytest

from pipeline.corpora.flatten_object import flatten_object
from pipeline.engines.lexical import LexicalVerifier
from pipeline.engines.records.opening_hours import days_of, read_hours
from pipeline.engines.rules import RulesExtractor
from schemas.records import CONTRADICTED, SUPPORTED, Passage, Sample

WEEK = {
    "Monday": "17:0-22:0",
    "Tuesday": "11:30-22:0",
    "Wednesday": "11:30-22:0",
    "Thursday": "11:30-22:0",
    "Friday": "11:30-23:0",
    "Saturday": "9:0-23:0",
    "Sunday": "9:0-21:0",
}
RECORD = {"name": "Blue Door", "categories": "Bars, Cocktail Bars, Restaurants, Breakfast", "hours": WEEK}
MUSEUM = (
    "The museum is open Tuesday to Friday from 10 a.m. to 6 p.m. and on weekends from 11 a.m. to 5 p.m. It is closed on"
    " Mondays. Admission is 8 euros; the cafe opens at 9 a.m. every day."
)
LIBRARY = "Library opening hours\nMon-Thu: 8:30\u201320:00\nFri: 8:30-18:00\nSat: 10:00-14:00\nSun: closed"


def hours(text: str) -> dict[int, list[tuple[float, float]] | None]:
    """By weekday, what it opens and closes at, in hours; None when it is closed."""
    found = read_hours((Passage("p", text),))
    return {
        number: None if day.closed else [(one.opens / 60, one.closes / 60) for one in day.openings]
        for number, day in (found.days.items() if found else ())
    }


def judged(response: str, *context: str) -> list[tuple[str | None, list[str]]]:
    passages = tuple(Passage(str(at), text) for at, text in enumerate(context))
    sample = Sample("s", "g", "When is it open?", passages, response)
    claims = LexicalVerifier().verify(sample, RulesExtractor().extract(sample))
    return [(one.verdict, [response[s.start : s.end] for s in one.error_spans]) for one in claims]


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("Monday", [0]),
        ("Tue-Thu", [1, 2, 3]),
        ("Friday through Monday", [4, 5, 6, 0]),
        ("Mondays, Wednesdays and Fridays", [0, 2, 4]),
        ("weekdays", [0, 1, 2, 3, 4]),
        ("Sat & Sun", [5, 6]),
        ("weekends", [5, 6]),
        ("noon", []),
    ],
)
def test_weekdays_and_their_ranges(text, days):
    assert days_of(text) == days


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hours Monday: 17:00-22:00 (5 PM to 10 PM)\nhours Sunday: 9:00-21:00", {0: [(17, 22)], 6: [(9, 21)]}),
        ('{"hours": {"Monday": "8:0-16:30", "Sunday": "0:0-0:0"}}', {0: [(8, 16.5)], 6: []}),  # closed, or never
        ("Hours: Sat 9am\u20131pm, closed Sunday", {5: [(9, 13)], 6: None}),
        ("Open weekends 5-10pm, Mon 11-5pm", {5: [(17, 22)], 6: [(17, 22)], 0: [(11, 17)]}),
        ("We open Friday: 9:00-12:00, 14:00-18:00.", {4: [(9, 12), (14, 18)]}),
        ("It is open from 10 a.m. to noon on Sunday.", {6: [(10, 12)]}),
        ("On Sat 9-5 was the score when it opened.", {}),
        ("The talk is on Monday: 9:00-10:00.", {}),  # nothing is open
    ],
)
def test_how_contexts_write_them(text, expected):
    assert hours(text) == expected


@pytest.mark.parametrize("context", [json.dumps(RECORD), str(RECORD), next(flatten_object(RECORD))["text"]])
def test_the_forms_of_a_record_say_the_same(context):
    assert judged("On Sundays it closes at 11 PM.", context) == [(CONTRADICTED, ["11 PM"])]
    assert judged("On weekends it is open until 11 PM.", context) == [(CONTRADICTED, ["11 PM"])]
    assert judged("It is closed on Mondays.", context) == [(CONTRADICTED, ["closed"])]
    assert judged("It stays open until 11 PM on Fridays and Saturdays.", context) == [(SUPPORTED, [])]
    assert judged("It is open seven days a week.", context)[0][0] == SUPPORTED


@pytest.mark.parametrize(
    "claim",
    [
        "Blue Door operates from 5 PM to 10 PM on Mondays, 11:30 AM to 10 PM from Tuesday to Thursday, and 11:30 AM to"
        " 11 PM on Fridays.",
        "Hours: Monday 5pm-10pm, Tue-Thu 11:30am-10pm, Fri 11:30am-11pm, Sat 9am-11pm, Sun 9am-9pm.",
        "On weekends, it is open from 9 AM to 11 PM on Saturdays and 9 AM to 9 PM on Sundays.",
        "It opens at 17:00 on Monday and closes at 22:00.",
        "On Sundays, it closes earlier, at 9 PM.",
        "Blue Door opens at 11:30 AM on weekdays except Monday.",
    ],
)
def test_right_ones_are_not_denied(claim):
    assert [verdict for verdict, _ in judged(claim, next(flatten_object(RECORD))["text"])] == [SUPPORTED]


@pytest.mark.parametrize(
    ("claim", "context", "wrong"),
    [
        ("The museum is open on Mondays.", MUSEUM, ["open"]),
        ("The museum is closed on Tuesdays.", MUSEUM, ["closed"]),
        ("On Saturday the museum opens at 10 a.m.", MUSEUM, ["10 a.m"]),
        ("The museum is open daily from 10 a.m. to 6 p.m.", MUSEUM, ["10 a.m"]),
        ("The library is open on Sundays from 10:00 to 14:00.", LIBRARY, ["10:00"]),
        ("On Fridays, the library closes at 8 PM.", LIBRARY, ["8 PM"]),
        ("The library is open Monday through Sunday.", LIBRARY, ["open"]),
        ("The museum is open every day except Wednesday.", MUSEUM, ["Wednesday"]),
        ("The museum is open from 10 a.m. to 6 p.m. every day except Monday.", MUSEUM, ["10 a.m"]),
        ("The library is open until 8 PM on weekdays except Tuesday.", LIBRARY, ["Tuesday"]),
    ],
)
def test_wrong_ones_are_denied_where_they_are_wrong(claim, context, wrong):
    assert judged(claim, context) == [(CONTRADICTED, wrong)]


@pytest.mark.parametrize(
    ("claim", "context"),
    [
        ("The museum is closed on Mondays.", MUSEUM),
        ("The museum is open every day except Monday.", MUSEUM),
        ("The cafe opens at 9 a.m. on Saturdays.", MUSEUM),  # the time stands elsewhere: it may be of something else
        ("It is open from 11 to 5 on weekends.", MUSEUM),
        ("The museum is open six days a week.", MUSEUM),
        ("The library is open from 8:30 AM to 8 PM Monday through Thursday.", LIBRARY),
        ("The library is closed on Sundays.", LIBRARY),
        ("The library is open until 8 PM on weekdays except Friday.", LIBRARY),
        ("The library is open every day except Sunday.", LIBRARY),
    ],
)
def test_prose_is_read_as_well(claim, context):
    assert judged(claim, context)[0][0] == SUPPORTED


def test_right_hours_bear_nothing_else_of_a_claim():
    sample = Sample(
        "s", "g", "When?", (Passage("p", LIBRARY),), "On Fridays it closes at 6 PM with jazz, wine and cheese."
    )
    (claim,) = LexicalVerifier().verify(sample, RulesExtractor().extract(sample))
    assert claim.reason != "a record of the context says so"
    assert claim.verdict != SUPPORTED or (claim.score or 0) < 0.7


def test_the_evidence_is_the_line_of_the_day():
    sample = Sample("s", "g", "When?", (Passage("p", LIBRARY),), "On Fridays, the library closes at 8 PM.")
    (claim,) = LexicalVerifier().verify(sample, RulesExtractor().extract(sample))
    assert [LIBRARY[one.start : one.end] for one in claim.evidence] == ["Fri: 8:30-18:00"]
    assert claim.reason == "the context says Fri: 8:30-18:00"


@pytest.mark.parametrize(
    "text", ["Monday " * 20_000, "open Mon 9-" * 10_000, "Mon, " * 20_000 + "open", "9-5 9-5 " * 10_000]
)
def test_time_is_linear_in_the_length_of_a_text(text):
    def seconds(part: str) -> float:
        begun = time.process_time()
        read_hours((Passage("p", "Open on Sunday. " + part),))
        return time.process_time() - begun

    seconds(text[:1000])
    assert seconds(text) < 30 * max(seconds(text[: len(text) // 10]), 0.002)


def test_what_is_only_closed_in_prose_gives_no_hours():
    assert read_hours((Passage("p", "Schools in the district stayed closed on Friday."),)) is None


def test_times_behind_days_are_not_those_of_the_next_day():
    assert read_hours((Passage("p", "Opening hours Mon-Fri 13-18, Sat 9-15"),)) is None  # two scores look the same


FIVE_DAYS = json.dumps(
    {
        "hours": dict.fromkeys(("Wednesday", "Thursday", "Friday", "Saturday", "Sunday"), "17:0-1:0"),
        "review_info": [{"review_date": "2019-05-04 03:00:00", "review_text": "Nice."}],
    }
)
SUNDAYS_SHORT = json.dumps({"hours": {**dict.fromkeys(WEEK, "8:0-18:0"), "Sunday": "12:0-16:0"}})


@pytest.mark.parametrize(
    ("claim", "context", "wrong"),
    [
        ("It closes at 3 AM on Fridays.", FIVE_DAYS, ["3 AM"]),  # a time of a review's date is none of opening
        ("It closes at 3 AM.", FIVE_DAYS, ["3 AM"]),
        ("It opens at noon.", FIVE_DAYS, ["noon"]),
        ("It is open on Mondays.", FIVE_DAYS, ["Mondays"]),
        ("The bar is open every day of the week.", FIVE_DAYS, ["every day"]),
        ("It is open daily from 5 PM to 1 AM.", FIVE_DAYS, ["daily"]),
        ("It is open from 8 AM to 6 PM every day except on Sundays, when it opens at 10 AM.", SUNDAYS_SHORT, ["10 AM"]),
        ("It opens at 9 AM every day, except Sundays.", SUNDAYS_SHORT, ["9 AM"]),
        ("It is open from 8 AM to 7 PM, except on Sundays.", SUNDAYS_SHORT, ["7 PM"]),
    ],
)
def test_times_and_days_that_no_day_has(claim, context, wrong):
    assert judged(claim, context) == [(CONTRADICTED, wrong)]


@pytest.mark.parametrize(
    ("claim", "context"),
    [
        ("It is open from 5 PM to 1 AM from Wednesday to Sunday.", FIVE_DAYS),
        ("It is closed on Mondays and Tuesdays.", FIVE_DAYS),
        ("It closes at 1 AM.", FIVE_DAYS),
        (
            "It opens at 8 AM every day and closes at 6 PM, except on Sundays, when it is open from noon to 4 PM.",
            SUNDAYS_SHORT,
        ),
        ("It is open from 8 AM to 6 PM except on Sundays, when it opens at noon and closes at 4 PM.", SUNDAYS_SHORT),
    ],
)
def test_times_behind_an_exception_are_its_own(claim, context):
    assert judged(claim, context) == [(SUPPORTED, [])]
