"""Records and answers made to cost as much as they can: each is labelled, located or refused within its bounds."""

import functools
import subprocess
import sys
import time

import pytest

from pipeline.config import LabelConfig
from pipeline.engines.llm.answers import ExtractedClaims, UnusableAnswerError, read_answer
from pipeline.graph import label_steps
from pipeline.locate_spans import locate_claims
from pipeline.sentences import split_sentences
from pipeline.validate import MAX_CONTEXT_CHARS, MAX_RESPONSE_CHARS
from schemas.errors import RecordError
from schemas.records import LABELLED, UNVERIFIED, Claim, LabelledResponse, Passage, Sample

CHARS = 100_000
EACH_S = 10.0  # of processor time; a few tenths where nothing is quadratic
UNITS = {
    "letters": "a",
    "digits": "1",
    "numbers": "1,",
    "initials": "A. ",
    "abbreviations": "e.g. ",
    "words": "word ",
    "clauses": "Ada, which ",
    "list items": "- a\n",
    "line ends": "\n",
    "marks": "?!",
    "quotes": '"',
    "brackets": "(",
    "emoji": "👍🏽",
    "combining": "e\u0301",
    "hyphens": "a-",
    "sentences": "Ada has 5. ",
    "underscores": "a_",
    "identifiers": "ab_cd, which ",
    "hosts": "ab.cd",
    "addresses": "a@b.cd, which ",
    "options": " --a",
    "negations": "not never no ",
    "zero width": "\u200b",
    "right to left": "\u202eab ",
}


@functools.cache
def steps():
    made = [step for _, step in label_steps(LabelConfig(num_shards=1))]
    for step in made:
        step.setup()
    return made


def label(response: str, context: str = "Ada was born in 1815.") -> LabelledResponse:
    sample = Sample("r1", "g1", "Who?", (Passage("p1", context),), response)
    return functools.reduce(lambda record, step: step(record), steps(), sample)


def within(seconds: float, work, *args):
    started = time.process_time()
    result = work(*args)
    assert time.process_time() - started < seconds
    return result


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_response_or_context_of_one_thing_repeated_is_labelled_in_time(unit):
    text = unit * (CHARS // len(unit))
    row = within(EACH_S, label, text)
    assert len(row.tokens) == len(text.encode())
    status = within(EACH_S, label, "Ada has 5 words.", text).status
    assert status == (LABELLED if text.strip() else UNVERIFIED)  # white space is no context


def test_limits_of_a_record_are_told_before_anything_is_spent_on_it():
    for response, context in (("a" * 10_000_000, ""), ("a", "b" * (MAX_CONTEXT_CHARS + 1))):
        with pytest.raises(RecordError, match="more than the limit of"):
            within(1.0, label, response, context)
    assert MAX_RESPONSE_CHARS == 1_000_000


HOSTILE_CLAIMS = {
    "a quote of one word over and over": ("tree " * 20_000, [("tree " * 900, ["tree " * 900 + "x"], [0])] * 20),
    "two words, every sentence cited": (
        "tree house. " * 5_000,
        [(f"tree house {n}", ["tree house " * 400 + f"q{n}"], list(range(200))) for n in range(50)],
    ),
    "pieces of one long word": ("a" * 100_000, [("a" * n, ["a" * n], []) for n in range(1, 200)]),
    "the same claim again and again": (
        "The year was 1999. " * 2_000,
        [("The year was 1999", ["The year was 1999"], [])] * 2_000,
    ),
    "every quote everywhere": ("word. " * 1_000, [("x", ["word"] * 32, [])] * 300),
    "claims without a place": (
        " ".join(f"Item {n} is blue." for n in range(3_000)),
        [(f"Item {n} is red", [], []) for n in range(500)],
    ),
}


@pytest.mark.parametrize("case", HOSTILE_CLAIMS)
def test_hostile_claims_are_located_or_given_up_in_time(case):
    response, said = HOSTILE_CLAIMS[case]
    claims = [Claim(f"c{n}", text, tuple(quotes), tuple(ids)) for n, (text, quotes, ids) in enumerate(said)]
    sentences = split_sentences(response)
    located = within(EACH_S, locate_claims, response, claims, sentences)
    assert len(located) == len(claims)


@pytest.mark.parametrize(
    "text",
    [
        "x" * 10_000_000,
        "{" * 1_000_000,
        '{"claims": ' + "[" * 500_000,
        '{"claims": [' + '{"claim": "a"},' * 100_000 + '{"claim": "a"}]}',
        '{"a": 1} ' * 200_000,
        "</think>{" * 100_000,
    ],
    ids=["10 MB", "braces", "brackets", "100,000 claims", "200,000 objects", "thoughts"],
)
def test_hostile_answer_is_unusable_in_time(text):
    with pytest.raises(UnusableAnswerError):
        within(EACH_S, read_answer, text, ExtractedClaims)


@pytest.mark.parametrize("depth", [300, 900, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000])
def test_an_answer_nested_to_about_the_parser_s_depth_is_unusable(depth):
    with pytest.raises(UnusableAnswerError):
        read_answer('{"claims":' + "[" * depth + "]" * depth + "}", ExtractedClaims)


def test_memory_of_the_longest_record_is_bounded():
    """20,000 claims in one response, a context of 1,300,000 characters: in a process of its own."""
    code = (
        "from pathlib import Path\nfrom tests.fuzz.test_long_inputs import *\n"
        "row = label(' '.join(f'Item {n} is {n % 97}.' for n in range(20_000)), 'Item 5 is 5. ' * 100_000)\n"
        "assert row.status == LABELLED and len(row.claims) == 20_000\n"
        # not ru_maxrss, which starts with the memory of the process that started this one
        "print(next(line for line in Path('/proc/self/status').read_text().splitlines() if 'VmHWM' in line))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[1]) >> 10 < 800  # MiB
