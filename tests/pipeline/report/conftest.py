"""One browser for the tests of the page, and pages of label sets made here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from pipeline.report.build import build_report
from tests.pipeline.report.browser import require_browser, set_scheme, set_width, start_browser
from tests.pipeline.report.label_set_made_here import ROWS, write_labels


@pytest.fixture(scope="session")
def labels(tmp_path_factory) -> Path:
    return write_labels(tmp_path_factory.mktemp("report") / "labels", ROWS)


@pytest.fixture(scope="session")
def page(labels) -> Path:
    out = labels.parent / "page.html"
    build_report([str(labels)], out, records=100, max_bytes=10_000_000)
    return out


@pytest.fixture(scope="session")
def browser(tmp_path_factory) -> Iterator[webdriver.Chrome]:
    require_browser()
    browser = start_browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.quit()


@pytest.fixture
def opened(browser, page) -> webdriver.Chrome:
    """The page, freshly opened at a desk's width, in light."""
    set_width(browser, 1280)
    set_scheme(browser, "light")
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(page.as_uri())
    return browser
