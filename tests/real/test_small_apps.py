"""Do Bottle, Pyramid, WebOb and Werkzeug's debugger work on every wire, within a validator too?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .children import COMMANDS, environment
from .wires import MIB, WIRES, Client, Served, Upload, client, served

pytestmark = [pytest.mark.slow, pytest.mark.libraries]

NUMBERS = [str(number) for number in range(100)]


@pytest.fixture(scope="module", params=["application", "checked"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The applications as they are, and within our validator."""
    folder = tmp_path_factory.mktemp("small")
    words = [*COMMANDS["twistd"], "--app", f"tests.real.small_apps:{request.param}"]
    with served(words, folder, environment(), folder, ["RuntimeError: ('deliberately, for the debugger', 42)"]) as made:
        yield made


@pytest.fixture(params=WIRES)
def web(request: pytest.FixtureRequest, server: Served) -> Iterator[Client]:
    with client(server.wires[request.param]) as made:
        yield made


def test_bottle(web: Client) -> None:
    assert web.get("/bottle/hello/Ren%C3%A9e").text == "Hello, Renée!"
    upload = Upload(3, {"note": "n"})
    sent = web.ask("POST", "/bottle/upload", upload, upload.fields)
    assert sent.json() == {"name": "large.bin", "octets": 3 * MIB, "note": "n"}
    assert web.get("/bottle/stream").text.split() == NUMBERS
    source = web.get("/bottle/source")
    assert source.body == Path(__file__).with_name("small_apps.py").read_bytes()
    away = web.get("/bottle/away")
    assert away.status in {302, 303}
    assert away.fields["Location"] == f"{web.wire.origin}/bottle/hello/you"
    assert web.get("/bottle/nowhere").status == 404


def test_pyramid(web: Client) -> None:
    here = web.get("/pyramid/here/there").json()
    peer = None if web.wire.name == "unix" else "127.0.0.1"
    assert here == {"url": f"{web.wire.origin}/pyramid/here/there", "peer": peer}
    forbidden = web.get("/pyramid/forbidden")
    assert forbidden.status == 403
    assert "not for you" in forbidden.text
    assert web.get("/pyramid/blocks").text.split() == NUMBERS
    assert web.get("/pyramid/nowhere").status == 404


def test_webob_and_its_exceptions(web: Client) -> None:
    found = web.get("/webob/found")
    assert (found.status, found.fields["Location"]) == (302, f"{web.wire.origin}/elsewhere?a=1")
    pay = web.ask("GET", "/webob/pay", fields={"Accept": "text/html"})
    assert pay.status == 402
    assert "a penny, please" in pay.text
    assert web.get("/webob/nowhere").status == 404
    echo = web.post("/webob/echo?a=1", {"b": "ü"}).json()
    assert echo == {"params": {"a": "1", "b": "ü"}, "url": f"{web.wire.origin}/webob/echo?a=1", "method": "POST"}
    part = web.ask("GET", "/webob/range", fields={"Range": "bytes=5-14"})
    assert (part.status, part.body) == (206, b"5678901234")
    head = web.ask("HEAD", "/webob/range")
    assert (head.status, head.body, head.fields["Content-Length"]) == (200, b"", "10000")


def test_the_debugger_shows_its_page(web: Client) -> None:
    page = web.ask("GET", "/debugged", fields={"Accept": "text/html"})
    assert page.status == 500
    assert page.fields["Content-Type"].startswith("text/html")
    assert "Werkzeug Debugger" in page.text
    assert "a_local_that_the_debugger_shows" in page.text
    style = web.get("/debugged?__debugger__=yes&cmd=resource&f=style.css")
    assert (style.status, style.fields["Content-Type"].partition(";")[0]) == (200, "text/css")


def test_without_it_the_client_learns_nothing_and_the_log_everything(web: Client, server: Served) -> None:
    answer = web.get("/broken")
    assert answer.status == 500
    assert "deliberately" not in answer.text
    server.child.wait_for(re.compile(r"GET /broken HTTP/1\.1 failed\n(.*\n)+?.*RuntimeError: \('deliberately"))
