"""A real, headless Chromium for tests of the report page."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

CHROMIUM, DRIVER = "chromium", "chromedriver"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--allow-file-access-from-files",  # what the page must not need is allowed here: only its own policy stops it
)


def require_browser() -> tuple[str, str]:
    """Paths of Chromium and its driver. Without them: skip, but fail in CI."""
    found = shutil.which(CHROMIUM), shutil.which(DRIVER)
    if all(found):
        return found  # type: ignore[return-value]
    message = "the page is tested in a real browser: apt-get install chromium chromium-driver"
    pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)


def start_browser(profile: Path) -> webdriver.Chrome:
    """A browser with a new, empty profile, its console and its network requests logged."""
    chromium, driver = require_browser()
    options = Options()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options, Service(driver))


def set_width(browser: webdriver.Chrome, width: int, height: int = 900) -> None:
    """The page's own width, also below what a window may have."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def set_scheme(browser: webdriver.Chrome, scheme: str) -> None:
    """What the reader's system prefers: light or dark."""
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
