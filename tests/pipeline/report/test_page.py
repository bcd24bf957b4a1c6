"""The report page in a real browser: it renders, its controls work, its marks stand where the spans stand."""

from __future__ import annotations

import dataclasses

import pytest
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from pipeline.report.build import build_report
from schemas.records import GoldSpan, LabelSpan
from tests.pipeline.report.browser import set_scheme
from tests.pipeline.report.label_set_made_here import ROWS, make_row, plain_row, write_labels

FIGURES = ("verdicts", "length", "position", "reliability", "balance", "projection", "cost", "read")
BY_ID = {row.sample.id: row for row in ROWS}

# Text of every claim's marks and of its evidence, as the page shows it.
_SHOWN = """
const joined = (box, claim) => [...document.querySelectorAll(box + ' [data-claims]')]
  .filter((mark) => mark.dataset.claims.split(' ').includes(String(claim)))
  .map((mark) => mark.textContent).join('');
return records[state.shown[state.at]].claims.map((_, n) => [joined('#response', n), joined('#context', n)]);
"""


def show(browser, record_id: str) -> None:
    """Select a record in the list by its id."""
    script = "select(state.shown.findIndex((index) => records[index].id === arguments[0]), false)"
    browser.execute_script(script, record_id)
    WebDriverWait(browser, 10).until(lambda b: b.execute_script("return $('response').childNodes.length") > 0)


def find(browser, selector: str):
    return browser.find_element(By.CSS_SELECTOR, selector)


def texts(browser, selector: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)"
    return browser.execute_script(script, selector)


def shown_ids(browser) -> list[str]:
    return texts(browser, "#list .id")


def record_title(browser) -> str:
    return texts(browser, "#record h3")[0]


def wait_for_count(browser, text: str) -> None:
    WebDriverWait(browser, 10).until(lambda b: find(b, "#count").text == text)


def click(browser, element) -> None:
    """A real click of the mouse in the middle of the element."""
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
    element.click()


def covered(text: str, spans) -> str:
    """The characters that any of the spans covers, in the order of the text; spans outside the text cover none."""
    places = {at for s in spans if 0 <= s.start < s.end <= len(text) for at in range(s.start, s.end)}
    return "".join(text[at] for at in sorted(places))


def active_claims(browser) -> set[int]:
    items = browser.find_elements(By.CSS_SELECTOR, ".claims > li.active")
    return {int(one.get_attribute("data-claim")) for one in items}


def test_page_renders_figures_tables_and_the_first_record(opened):
    assert opened.execute_script("return document.documentElement.dataset.ready") == "true"
    keys = [one.get_attribute("id") for one in opened.find_elements(By.CSS_SELECTOR, "section.figure")]
    assert keys == [f"figure-{key}" for key in FIGURES]
    pictures = opened.find_elements(By.CSS_SELECTOR, ".picture svg")
    assert len(pictures) == 6
    assert all(picture.size["height"] > 80 for picture in pictures)
    assert find(opened, "#count").text == f"{len(ROWS)} of {len(ROWS)} records"
    assert sorted(shown_ids(opened)) == sorted(BY_ID)
    assert record_title(opened) == shown_ids(opened)[0]


@pytest.mark.parametrize("row", [row for row in ROWS if row.claims], ids=["plain", "hostile", "long"])
def test_highlighted_characters_are_those_of_the_stored_spans(opened, row):
    response = row.sample.response
    show(opened, row.sample.id)
    assert opened.execute_script("return $('response').textContent") == response
    passages = {passage.passage_id: passage.text for passage in row.sample.context}
    for claim, (marked, evidence) in zip(row.claims, opened.execute_script(_SHOWN), strict=True):
        assert marked == covered(response, [*claim.spans, *claim.error_spans])
        assert evidence == "".join(
            covered(text, [e for e in claim.evidence if e.passage_id == name]) for name, text in passages.items()
        )


def test_marks_of_token_labels_and_of_people_are_theirs(opened):
    sample = BY_ID["plain"].sample
    show(opened, "plain")
    click(opened, find(opened, "label[for=view-labels]"))
    assert texts(opened, "#response .mark.supported") == ["The bridge opened in 1937.", "It is red"]
    assert texts(opened, "#response .mark.contradicted") == ["90"]
    click(opened, find(opened, "label[for=view-gold]"))
    gold = sample.gold_spans[0]
    assert texts(opened, "#response .mark") == [sample.response[gold.start : gold.end]]
    assert opened.execute_script("return $('response').textContent") == sample.response
    show(opened, "long")  # which people did not look at: no such choice, and the view falls back
    assert not opened.find_elements(By.ID, "view-gold")


def test_hover_shows_a_claim_and_its_evidence_and_a_click_keeps_it(opened):
    show(opened, "plain")
    mark = find(opened, "#response .mark[data-claims='2']")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", mark)
    ActionChains(opened).move_to_element(mark).perform()
    assert active_claims(opened) == {2}
    assert texts(opened, "#context .active") == ["The bridge is 70 m long."]
    elsewhere = find(opened, "#response ~ .key")
    ActionChains(opened).move_to_element(elsewhere).perform()
    assert active_claims(opened) == set()
    click(opened, mark)
    ActionChains(opened).move_to_element(elsewhere).perform()
    assert active_claims(opened) == {2}
    assert find(opened, ".claims button[data-claim='2']").get_attribute("aria-pressed") == "true"
    click(opened, find(opened, "#context mark[data-claims='0']"))
    assert find(opened, ".claims button[data-claim='0']").get_attribute("aria-pressed") == "true"


def test_words_of_two_claims_are_clicked_through(opened):
    show(opened, "plain")
    shared = find(opened, "#response .mark[data-claims='1 2']")
    pinned = []
    for _ in range(3):
        click(opened, shared)
        pinned.append(opened.execute_script("return state.pinned"))
    assert pinned == [1, 2, -1]


def test_claims_are_reached_kept_and_left_by_keyboard(opened):
    show(opened, "plain")
    opened.execute_script("$('response').focus()")
    ActionChains(opened).send_keys(Keys.TAB).perform()
    assert active_claims(opened) == {0}
    ActionChains(opened).send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ENTER).perform()
    assert active_claims(opened) == {2}
    assert texts(opened, "#context .active") == ["The bridge is 70 m long."]
    assert opened.execute_script("return state.pinned") == 2
    ActionChains(opened).send_keys(Keys.ESCAPE).perform()
    assert opened.execute_script("return state.pinned") == -1


def test_list_is_walked_by_keyboard_and_by_its_buttons(opened):
    ids = shown_ids(opened)
    opened.execute_script("document.querySelector('#list button').focus()")
    ActionChains(opened).send_keys(Keys.ARROW_DOWN).perform()
    assert texts(opened, "#list [aria-current] .id") == [ids[1]]
    assert opened.execute_script("return document.activeElement.dataset.place") == "1"
    ActionChains(opened).send_keys(Keys.END).perform()
    assert record_title(opened) == ids[-1]
    assert not find(opened, "#next").is_enabled()
    click(opened, find(opened, "#previous"))
    assert record_title(opened) == ids[-2]
    ActionChains(opened).send_keys(Keys.ENTER).perform()  # the button kept the focus
    assert record_title(opened) == ids[-3]
    click(opened, find(opened, "#next"))
    assert record_title(opened) == ids[-2]
    click(opened, opened.find_elements(By.CSS_SELECTOR, "#list button")[0])
    assert record_title(opened) == ids[0]


def test_search_filters_and_clears(opened):
    find(opened, "#search").send_keys("1937")
    found = sum("1937" in f"{row.sample.response}{row.sample.context}" for row in ROWS)
    wait_for_count(opened, f"{found} of 5 records")
    find(opened, "#search").clear()
    find(opened, "#search").send_keys("no such word anywhere")
    wait_for_count(opened, "0 of 5 records")
    assert find(opened, "#none").is_displayed()
    assert not find(opened, "#record").is_displayed()
    click(opened, find(opened, "#reset-none"))
    wait_for_count(opened, "5 of 5 records")
    assert find(opened, "#record").is_displayed()


def test_policy_outcome_and_order(opened):
    Select(find(opened, "#policy")).select_by_value("=model-a")
    wait_for_count(opened, "2 of 5 records")
    assert sorted(shown_ids(opened)) == ["plain", "refusal"]
    click(opened, find(opened, "#filters button[type=reset]"))
    wait_for_count(opened, "5 of 5 records")
    kinds = {one.get_attribute("value"): one.text for one in Select(find(opened, "#kind")).options}
    assert kinds["no_claims"] == "without claims (2)"
    Select(find(opened, "#kind")).select_by_value("no_claims")
    wait_for_count(opened, "2 of 5 records")
    assert set(shown_ids(opened)) == {"refusal", "empty"}
    Select(find(opened, "#kind")).select_by_value("")
    Select(find(opened, "#sort")).select_by_value("long")
    assert shown_ids(opened) == [s.id for s in sorted((r.sample for r in ROWS), key=lambda s: -len(s.response))]
    Select(find(opened, "#sort")).select_by_value("id")
    assert shown_ids(opened) == sorted(BY_ID)


def test_a_new_order_begins_at_its_first_record(opened):
    show(opened, "refusal")
    Select(find(opened, "#sort")).select_by_value("long")
    assert record_title(opened) == "long"
    show(opened, "plain")
    Select(find(opened, "#policy")).select_by_value("=model-a")  # a filter keeps the record that it leaves
    wait_for_count(opened, "2 of 5 records")
    assert record_title(opened) == "plain"


def test_a_long_list_is_drawn_as_far_as_it_is_looked_at(browser, tmp_path):
    rows = [make_row(f"r{number:03}", "It is red.") for number in range(450)]
    build_report([str(write_labels(tmp_path / "labels", rows))], tmp_path / "page.html", 450, 10**6)
    browser.get((tmp_path / "page.html").as_uri())
    Select(find(browser, "#sort")).select_by_value("id")
    ids = [f"r{number:03}" for number in range(450)]
    assert shown_ids(browser) == ids[:100]
    assert find(browser, "#list li").get_attribute("aria-setsize") == "450"
    browser.execute_script("$('list').scrollTop = $('list').scrollHeight")
    WebDriverWait(browser, 10).until(lambda b: shown_ids(b) == ids[:200])
    browser.execute_script("document.querySelector('#list button').focus()")
    ActionChains(browser).send_keys(Keys.END).perform()
    assert record_title(browser) == ids[-1]
    assert shown_ids(browser) == ids
    assert browser.execute_script("return document.activeElement.dataset.place") == "449"


def test_theme_follows_the_system_until_it_is_chosen(opened):
    def paper() -> str:
        return opened.execute_script("return getComputedStyle(document.body).backgroundColor")

    light = paper()
    set_scheme(opened, "dark")
    dark = paper()
    assert dark != light
    click(opened, find(opened, "#theme"))
    assert (paper(), find(opened, "#theme").text) == (light, "Theme: light")
    click(opened, find(opened, "#theme"))
    set_scheme(opened, "light")
    assert (paper(), find(opened, "#theme").text) == (dark, "Theme: dark")
    click(opened, find(opened, "#theme"))
    assert paper() == light


def test_address_of_a_record_opens_the_page_there_whatever_is_filtered(opened, page):
    hostile = ROWS[1].sample.id
    show(opened, hostile)
    address = find(opened, "#record h3 a").get_attribute("href")
    Select(find(opened, "#policy")).select_by_value("=model-a")
    wait_for_count(opened, "2 of 5 records")
    opened.get("about:blank")
    opened.get(address)
    assert record_title(opened) == hostile
    Select(find(opened, "#policy")).select_by_value("=model-a")
    wait_for_count(opened, "2 of 5 records")
    opened.execute_script("location.hash = arguments[0]", address.partition("#")[2])  # the same: nothing changes
    opened.execute_script("location.hash = 'record=refusal'")
    WebDriverWait(opened, 10).until(lambda b: record_title(b) == "refusal")
    opened.execute_script("location.hash = arguments[0]", address.partition("#")[2])
    WebDriverWait(opened, 10).until(lambda b: record_title(b) == hostile)
    assert find(opened, "#count").text == "5 of 5 records"  # the filter that hid it is gone
    opened.execute_script("location.hash = 'record=no such record'")
    assert record_title(opened) == hostile


def test_evidence_of_a_supported_claim_is_quoted_once_it_is_kept(opened):
    show(opened, "plain")

    def quote():
        return find(opened, ".claims li[data-claim='0'] .quote")

    assert not quote().is_displayed()
    assert find(opened, ".claims li[data-claim='2'] .quote").is_displayed()  # a wrong one's always
    click(opened, find(opened, ".claims button[data-claim='0']"))
    assert quote().is_displayed()


def test_records_on_which_people_and_labels_disagree_are_found(browser, tmp_path):
    whole = [LabelSpan(0, 5, -1)]
    rows = [
        make_row("both", "Wrong", labels=whole, gold_spans=(GoldSpan(0, 5, "conflict"),)),
        make_row("missed", "Wrong", gold_spans=(GoldSpan(0, 5, "conflict"),)),
        make_row("alarm", "Right", labels=whole, gold_spans=()),
        make_row("nobody looked", "Right", labels=whole),
    ]
    build_report([str(write_labels(tmp_path / "labels", rows))], tmp_path / "page.html", 9, 10_000)
    browser.get((tmp_path / "page.html").as_uri())
    for kind, wanted in (("missed", "missed"), ("false_alarm", "alarm")):
        Select(find(browser, "#kind")).select_by_value(kind)
        wait_for_count(browser, "1 of 4 records")
        assert shown_ids(browser) == [wanted]


def test_claims_too_doubtful_to_label_are_told_and_found(browser, tmp_path):
    rows = [dataclasses.replace(plain_row(), doubtful=2), make_row("sure", "It is red.")]
    folder = write_labels(tmp_path / "labels", rows, neutral_band="0.1:0.95")
    build_report([str(folder)], tmp_path / "page.html", 9, 100_000)
    browser.get((tmp_path / "page.html").as_uri())
    Select(find(browser, "#kind")).select_by_value("doubtful")
    wait_for_count(browser, "1 of 2 records")
    assert "claims too doubtful to label2" in texts(browser, "#record .facts div")
    assert texts(browser, ".claims li:has(.doubt) .claim-text") == ["It opened in 1937"]


def test_page_without_records_offers_no_reader(browser, labels, tmp_path):
    build_report([str(labels)], tmp_path / "page.html", records=0, max_bytes=10_000)
    browser.get((tmp_path / "page.html").as_uri())
    assert "No record is on this page" in find(browser, "#reader").text
    assert not any(find(browser, one).is_displayed() for one in ("#filters", "#count", "#record", "#none"))


def test_no_table_is_cut_off_at_a_desk(opened, tmp_path):
    names = [f"some-model-{size}b-instruct" for size in (7, 13, 70)]
    rows = [make_row(name, "It is red.", plain_row().claims, policy=name) for name in names]
    build_report([str(write_labels(tmp_path / "labels", rows))], tmp_path / "page.html", 9, 10_000)
    opened.get((tmp_path / "page.html").as_uri())
    tables = opened.find_elements(By.CSS_SELECTOR, ".table")
    assert len(tables) > 6
    wider = "return arguments[0].scrollWidth > arguments[0].clientWidth"
    assert not [one.accessible_name for one in tables if opened.execute_script(wider, one)]
