"""Does the status page move in a real browser, stay in its place, and serve whoever reads it, and how?"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .children import COMMANDS, PATIENCE, Child, environment, free_port, get, started
from .chromium import chromium

pytestmark = [pytest.mark.slow, pytest.mark.once]

_APP = """
import time
def app(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(float(environ["QUERY_STRING"]))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""
# The places of everything that has one, in pixels.
_PLACES = """
return [...document.querySelectorAll("header, #tiles, #tiles li, .card, h2, button, footer")].map(
    (each) => { const box = each.getBoundingClientRect(); return [box.x, box.y, box.width].map(Math.round).join(); });
"""
_OUT_OF_ITS_TILE = (
    "return [...document.querySelectorAll('.tiles li')].filter((each) => each.scrollWidth > each.clientWidth).length"
)
_TOO_WIDE = "return document.documentElement.scrollWidth > window.innerWidth"
# What WCAG 2.2, section 1.4.3, calls contrast, of each element that has a text of its own.
_CONTRAST = """
const light = (text) => {
  const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map((each) => {
    const part = each / 255; return part <= 0.04045 ? part / 12.92 : Math.pow((part + 0.055) / 1.055, 2.4); });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (node) => {
  for (; node; node = node.parentElement) {
    const colour = getComputedStyle(node).backgroundColor;
    if (!/, 0\\)$/.test(colour)) return light(colour);
  }
  return 1;
};
return [...document.querySelectorAll("body *")].filter((each) =>
    [...each.childNodes].some((child) => child.nodeType === 3 && child.data.trim()) && each.getClientRects().length
    && !["SCRIPT", "STYLE"].includes(each.tagName)).map((each) => {
  const style = getComputedStyle(each), own = light(each instanceof SVGElement ? style.fill : style.color);
  const other = behind(each), ratio = (Math.max(own, other) + 0.05) / (Math.min(own, other) + 0.05);
  return [ratio, each.textContent.trim().slice(0, 30)];
}).filter((each) => each[0] < 4.5);
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Child, int, int]]:
    """A server of two threads, its port, and that of its status site."""
    folder = tmp_path_factory.mktemp("status")
    (folder / "site_app.py").write_text(_APP)
    site = free_port()
    words = ["--listen", "tcp:0:interface=127.0.0.1", "--status", f"tcp:{site}:interface=127.0.0.1"]
    words += ["--threads", "2", "--access-log", "off", "site_app:app"]
    with started([*COMMANDS["python -m"], *words], folder, environment()) as child:
        yield child, child.port(), site
        child.process.terminate()
        child.wait()


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    made = chromium(tmp_path_factory.mktemp("chromium"))
    with contextlib.closing(_Quits(made)):
        yield made


class _Quits:
    def __init__(self, driver: Any) -> None:
        self.close = driver.quit


@pytest.fixture
def page(driver: Any, server: tuple[Child, int, int]) -> Any:
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    driver.get(f"http://127.0.0.1:{server[2]}/")
    return driver


def text(page: Any, place: str) -> str:
    return str(page.execute_script("return document.querySelector(arguments[0]).textContent", place))


def wait_until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def wait_for_moves(page: Any) -> None:
    """Return once the script has replaced the server's numbers by its own."""
    wait_until(lambda: "in all" in text(page, "[data-name=rate] small"))


def in_all(page: Any) -> int:
    """Return how many requests the page has counted."""
    wait_for_moves(page)
    return int(text(page, "[data-name=rate] small").split()[0].replace(",", ""))


def test_the_numbers_move_and_nothing_else_does(page: Any, server: tuple[Child, int, int]) -> None:
    before = in_all(page)
    places = page.execute_script(_PLACES)
    for _ in range(20):
        get(server[1])
    wait_until(lambda: in_all(page) >= before + 20)
    wait_until(lambda: page.execute_script("return document.querySelector('#charts path[d*=L]')"))
    assert page.execute_script(_PLACES) == places
    assert "Requests a second: all" in str(
        page.execute_script("return document.querySelector('#charts svg[role=img]').getAttribute('aria-label')")
    )
    assert not page.get_log("browser")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(page: Any, scheme: str) -> None:
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    wait_for_moves(page)
    assert page.execute_script(_CONTRAST) == []


@pytest.mark.parametrize("width", [320, 390, 768, 1000, 1280])
def test_the_page_fits_any_screen(page: Any, width: int) -> None:
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 768},
    )
    wait_for_moves(page)
    assert page.execute_script(_TOO_WIDE) is False
    assert page.execute_script(_OUT_OF_ITS_TILE) == 0


def test_it_can_be_used_by_keyboard(page: Any) -> None:
    wait_for_moves(page)
    keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
    page.find_element("tag name", "body").send_keys(keys.TAB)
    assert page.switch_to.active_element.get_attribute("id") == "pause"
    page.switch_to.active_element.send_keys(keys.SPACE)
    assert page.switch_to.active_element.get_attribute("aria-pressed") == "true"
    seen = set()
    for _ in range(12):
        page.switch_to.active_element.send_keys(keys.TAB)
        seen.add(page.switch_to.active_element.get_attribute("aria-label") or page.switch_to.active_element.text)
    assert {"Workers", "Requests that run now", "Metrics for Prometheus"} <= seen


def test_it_says_that_no_thread_is_free_and_by_whom_they_are_held(page: Any, server: tuple[Child, int, int]) -> None:
    held = [threading.Thread(target=get, args=(server[1], "/slow?4")) for _ in range(2)]
    for each in held:
        each.start()
    try:
        wait_until(lambda: text(page, "[data-name=threads] b") == "2 of 2")
        wait_until(lambda: "/slow" in text(page, "#slowest"))
        wait_until(lambda: "not ready" in text(page, "#state") and text(page, "#why"))
    finally:
        for each in held:
            each.join(PATIENCE)
    wait_until(lambda: text(page, "#why") == "")


def test_without_a_script_there_are_tables(page: Any, server: tuple[Child, int, int]) -> None:
    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    page.get(f"http://127.0.0.1:{server[2]}/")
    shown = page.find_element("tag name", "body").text
    assert "Workers" in shown
    assert "serving" in shown
    assert "Pause" not in shown
    assert "each five seconds" in shown


def test_it_says_when_the_server_is_gone(page: Any, tmp_path: Path, server: tuple[Child, int, int]) -> None:
    wait_for_moves(page)
    server[0].process.terminate()
    server[0].wait()
    wait_until(lambda: "No answer since" in text(page, "#lost"))
    wait_until(lambda: page.execute_script("return !document.querySelector('#lost').hidden"))
