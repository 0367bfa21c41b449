"""Does the page for people say what the JSON says, by itself and safely?"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.support import Server, hello, serving
from twisted_wsgiref._observe.sums import Histogram, Sums, WorkerState
from twisted_wsgiref._targets.status_page import policy, status_page

from .test_status import SITE, Site, ask

BROWSER = {"Accept": "text/html,application/xhtml+xml;q=0.9"}


class Document(HTMLParser):
    """The page as a reader without a script has it: its tables by their ids, and all addresses in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.addresses: list[str] = []
        self.elements: list[str] = []
        self.found: dict[str, str] = {}
        self._rows: list[list[str]] = []
        self._path: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = dict(attrs)
        self.elements.append(tag)
        self._path.append((tag, own.get("id") or ""))
        self.addresses += [value for name, value in attrs if name in ("href", "src") and value]
        if tag == "table":
            self._rows = self.tables[own["id"] or ""] = []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")
        if tag in ("meta", "link"):
            self._path.pop()

    def handle_endtag(self, tag: str) -> None:
        while self._path and self._path.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._path and self._path[-1][0] in ("td", "th"):
            self._rows[-1][-1] += data
        elif self._path and self._path[-1][1]:
            self.found[self._path[-1][1]] = data


@pytest.fixture
def site() -> Any:
    with serving(hello, threads=2, queue=3, **SITE) as server:
        yield Site(server)
        server.held = False
        server.settle()


def document(site: Site) -> Document:
    answer = site.get("/", **BROWSER)
    assert answer.status == 200
    assert answer.field("Content-Type") == "text/html; charset=utf-8"
    return Document(answer.body.decode())


def test_a_browser_gets_the_page_and_a_program_the_index(site: Site) -> None:
    assert site.get("/", **BROWSER).body.startswith(b"<!doctype html>")
    for fields in ({}, {"Accept": "*/*"}):
        answer = site.get("/", **fields)
        assert str(answer.field("Content-Type")).startswith("text/plain")
        assert b"/status.json" in answer.body


def test_the_page_has_the_numbers_without_a_script(site: Site) -> None:
    client = site.server.connect("socket")
    client.send(ask("/one") + ask("/two"))
    site.server.settle()
    page = document(site)
    assert page.found["state"] == "\N{CHECK MARK} ready"
    assert ["2xx", "2"] in page.tables["answers"]
    assert ["queue full", "0"] in page.tables["refused"]
    (heads, worker) = page.tables["workers"]
    row = dict(zip(heads, worker, strict=True))
    assert (row["worker"], row["state"], row["threads busy"], row["requests"]) == ("1", "serving", "0 of 2", "2")


def test_a_path_that_is_markup_stays_text_and_nothing_in_it_speaks_to_a_terminal(site: Site) -> None:
    server, begun, go_on = site.server, threading.Event(), threading.Event()

    def wait_here(environ: dict[str, Any], start_response: Any) -> Any:
        begun.set()
        go_on.wait(20)
        return hello(environ, start_response)

    server.service.serve(wait_here)
    server.held = True
    server.ask(ask("/%3Cscript%3Ealert(1)%3C/script%3E&amp;%1b%07%c2%9b%7f"))
    thread = server.step_in_thread()
    begun.wait(20)
    try:
        page = document(site)
        assert page.elements.count("script") == 1
        ((_, method, path, *_),) = page.tables["slowest"][1:]
        assert (method, path) == ("GET", "/<script>alert(1)</script>&amp;????")
    finally:
        go_on.set()
        server.settle_while(thread)


def test_nothing_of_the_page_comes_from_elsewhere(site: Site) -> None:
    answer = site.get("/", **BROWSER)
    text = answer.body.decode()
    addresses = Document(text).addresses
    assert {"requests", "metrics", "status.json", "health/ready"} <= set(addresses)
    assert not [each for each in addresses if "//" in each]
    allowed = str(answer.field("Content-Security-Policy"))
    assert allowed == policy()
    for element in ("style", "script"):
        (content,) = re.findall(f"<{element}>(.*?)</{element}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in allowed


def test_all_links_of_the_page_lead_somewhere(site: Site) -> None:
    for address in set(document(site).addresses) - {"data:,"}:
        assert site.get(f"/{address}").status == 200


def mounted(token: str = "s3cret") -> Any:
    return serving(hello, service={"mounts": {"/status": "status:"}}, status_token=token)


def got(server: Server, path: str, **fields: str) -> Any:
    client = server.connect("socket")
    client.send(ask(path, **fields))
    server.settle()
    (answer,) = client.answers("GET")
    return answer


def test_a_browser_may_give_the_token_as_a_password() -> None:
    with mounted() as server:
        unknown = got(server, "/status/", **BROWSER)
        assert unknown.status == 401
        assert "Basic" in str(unknown.fields["www-authenticate"])
        for given, status in (("me:s3cret", 200), (":s3cret", 200), ("s3cret", 401), ("s3cret:", 401), ("me:no", 401)):
            words = base64.b64encode(given.encode()).decode()
            assert got(server, "/status/", **BROWSER, Authorization=f"Basic {words}").status == status
        assert got(server, "/status/", Authorization="Basic \N{LATIN SMALL LETTER E WITH ACUTE}").status in (400, 401)


def test_a_mounted_page_is_a_folder() -> None:
    # Otherwise its links would lead to the application.
    with mounted() as server:
        answer = got(server, "/status", Authorization="Bearer s3cret", **BROWSER)
        assert answer.status == 308
        assert answer.field("Location") == "/status/"


def test_a_worker_that_says_nothing_is_shown_so() -> None:
    silent = WorkerState(
        **{"number": 1, "pid": 7, "state": "serving", "age": 90061.0, "silent": 61.0, "memory": 1 << 20, "busy": 1},
        **{"threads": 4, "most_threads": 4, "queued": 0, "most_queued": 9, "oldest": 0.0, "saturated": True},
        **{"connections": 1, "lag": 0.0, "requests": 1},
    )
    nothing = Histogram((1.0,), (0.0, 0.0), 0.0)
    sums = Sums(
        **{"now": 100.0, "since": 0.0, "requests": {}, "durations": nothing, "waits": nothing, "bytes_in": 0},
        **{"bytes_out": 0, "refused": {}, "shaken": 0, "unshaken": 0, "forgotten": 0, "unlogged": 0},
        **{"connections": {}, "workers": [silent], "wanted": 1, "started": 1, "died": 0, "ready": False},
        reason="<none>",
    )
    page = Document(status_page(sums, {}).decode())
    assert page.tables["workers"][1][2:5] == ["silent for 1 min 1 s", "1 d 1 h", "1.0 MiB"]
    assert page.found["why"] == "<none>"
