"""The report page against a hostile corpus, in a real browser: nothing runs, nothing is fetched, nothing overflows."""

from __future__ import annotations

import json
import re

import pytest
from selenium.webdriver.common.by import By

from tests.pipeline.report.browser import set_width
from tests.pipeline.report.label_set_made_here import ROWS
from tests.pipeline.report.test_page import click, show

HOSTILE = ROWS[1]


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_runs_nothing_is_fetched_and_nothing_overflows(opened, page, width):
    set_width(opened, width)
    for row in ROWS:
        show(opened, row.sample.id)
        for view in opened.find_elements(By.CSS_SELECTOR, ".views label"):
            click(opened, opened.find_element(By.ID, view.get_attribute("for")))
        assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    assert opened.title == "labels: label report"
    assert opened.execute_script("return document.scripts.length") == 2
    assert not opened.find_elements(By.CSS_SELECTOR, "body img, body style, #record script, #figures script")
    assert opened.get_log("browser") == []  # neither an error nor a breach of the page's own policy
    messages = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert set(asked) == {page.as_uri()}


def test_controls_are_shown_by_their_code_and_turn_nothing_around(opened):
    show(opened, HOSTILE.sample.id)
    shown = "return [...document.querySelectorAll('#response .control')].map((one) => one.dataset.code)"
    codes = {"U+0000", "U+0007", "U+001B", "U+202E", "U+202C", "U+2066", "U+2069", "U+200F", "U+061C"}
    assert codes <= set(opened.execute_script(shown))
    kinds = (
        "return [...new Set([...document.querySelectorAll('.control')].map((c) => getComputedStyle(c).unicodeBidi))]"
    )
    assert opened.execute_script(kinds) == ["isolate"]
    # "evil" stands between an override and its end: were it obeyed, the e would be right of the l
    place = """
        const walker = document.createTreeWalker($('response'), NodeFilter.SHOW_TEXT);
        const left = (node, at) => {
          const range = document.createRange();
          range.setStart(node, at);
          range.setEnd(node, at + 1);
          return range.getBoundingClientRect().left;
        };
        while (walker.nextNode()) {
          const at = walker.currentNode.data.indexOf('evil');
          if (at >= 0) return [left(walker.currentNode, at), left(walker.currentNode, at + 3)];
        }"""
    first, last = opened.execute_script(place)
    assert first < last


def test_script_cannot_be_added_to_the_page(opened):
    opened.execute_script(
        "const one = document.createElement('script'); one.textContent = 'window.ran = 1'; document.body.append(one)"
    )
    assert opened.execute_script("return window.ran") is None
    assert any("Content Security Policy" in entry["message"] for entry in opened.get_log("browser"))


def test_every_control_has_a_name_and_every_id_is_one(opened):
    unnamed = """return [...document.querySelectorAll('button, input, select, [tabindex="0"], svg[role=img]')]
      .filter((one) => !(one.tagName === 'BUTTON' && one.textContent.trim()) && !one.labels?.length
        && !one.getAttribute('aria-label')).map((one) => one.outerHTML.slice(0, 80))"""
    assert opened.execute_script(unnamed) == []
    ids = opened.execute_script("return [...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))


def test_page_names_no_folder_of_the_machine(page):
    text = page.read_text(encoding="utf-8")
    assert str(page.parent) not in text
    assert "/secret/folder" not in text
    assert not re.search(r"""(src|href)=["'](?!#)""", text.replace("xlink:href", "href"))
