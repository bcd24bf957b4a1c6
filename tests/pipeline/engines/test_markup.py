"""HTML in contexts."""

import time

import pytest

from pipeline.engines.lexical import LexicalVerifier
from pipeline.engines.markup import without_markup
from pipeline.engines.rules import RulesExtractor
from schemas.records import CONTRADICTED, SUPPORTED, Passage, Sample

PAGE = (
    '<div class="x"><h1>Ferries</h1><p>The ferry takes <b>30</b>&nbsp;minutes &amp; costs 5&#8211;8 euros.</p>'
    "<!-- old: 45 minutes --><script>var t=99;</script><table><thead><tr><th>Planet</th><th>Moons</th></tr></thead>\n"
    "<tbody><tr>\n<td>Earth</td>\n<td>1</td>\n</tr>\n<tr><td>Mars</td><td>2</td></tr><tr><td>Venus</td><td>0</td></tr>"
    "</tbody></table></div>"
)


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ("The ferry takes 30 minutes.", SUPPORTED),
        ("It costs 5 to 8 euros.", SUPPORTED),
        ("The ferry takes 45 minutes.", CONTRADICTED),
        ("Mars has 2 moons.", SUPPORTED),
        ("Mars has one moon.", CONTRADICTED),
        ("Earth has one moon.", SUPPORTED),
        ("Earth has 2 moons.", CONTRADICTED),
    ],
)
def test_a_page_is_read_as_its_text(claim, verdict):
    sample = Sample("s", "g", "?", (Passage("p", PAGE),), claim)
    (judged,) = LexicalVerifier().verify(sample, RulesExtractor().extract(sample))
    assert judged.verdict == verdict


def test_evidence_is_of_the_page_as_it_was_given():
    sample = Sample("s", "g", "?", (Passage("p", PAGE),), "Mars has 2 moons.")
    (judged,) = LexicalVerifier().verify(sample, RulesExtractor().extract(sample))
    assert [PAGE[one.start : one.end] for one in judged.evidence] == ["Mars</td><td>2</td>"]


@pytest.mark.parametrize(
    "text",
    [
        "List<String> and Map<K, V>; a < b && b > c; x &y; AT&T &unknown; <3 <notatag>",
        "no markup at all",
        "5 < 7",
    ],
)
def test_other_angles_and_ampersands_stay(text):
    assert without_markup(text) == text


@pytest.mark.parametrize(
    "text", [PAGE, "<p>a &amp; b</p>", "&lt;p&gt; &#x41; &nbsp;", "<br>" * 50, "<tr>" * 50, "<!--" * 50]
)
def test_characters_stay_where_they_are(text):
    assert len(without_markup(text)) == len(text)


@pytest.mark.parametrize(
    "text", ["<tr>" * 25_000, "<script>" * 12_000 + "<p>", "<p " * 30_000 + ">", "&a" * 50_000 + "<!--" * 9_000]
)
def test_time_is_linear_in_the_length_of_a_text(text):
    def seconds(part: str) -> float:
        begun = time.process_time()
        without_markup(part + "<p>")
        return time.process_time() - begun

    seconds(text[:1000])
    assert seconds(text) < 30 * max(seconds(text[: len(text) // 10]), 0.002)
