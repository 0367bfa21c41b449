"""Chromium without a window, driven by a test: it reaches nothing but this machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from .children import PATIENCE


def chromium(folder: Path) -> Any:
    """Return a driver of Chromium, which reaches nothing but this machine. Skips the test if there is none."""
    webdriver: Any = pytest.importorskip("selenium.webdriver")
    service: Any = pytest.importorskip("selenium.webdriver.chrome.service")
    programs = [shutil.which("chromium"), shutil.which("chromedriver")]
    if None in programs:
        pytest.skip("needs Chromium and its driver: Debian's packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for word in (
        "headless=new",
        "disable-gpu",
        "disable-dev-shm-usage",  # a container's /dev/shm may be too small
        "disable-background-networking",
        "disable-component-update",
        "no-first-run",
        "no-proxy-server",
        "host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"user-data-dir={folder}",
    ):
        options.add_argument(f"--{word}")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # it refuses to be root's otherwise
    driver = webdriver.Chrome(options, service.Service(programs[1]))
    driver.set_page_load_timeout(PATIENCE)
    return driver
