"""Do the examples of docs/examples run by the command that each one's head says, for clients and for a browser?"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import socket
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from .children import COMMANDS, PATIENCE, ROOT, Child, environment, get, started
from .chromium import chromium

pytestmark = pytest.mark.slow

EXAMPLES = ROOT / "docs" / "examples"
_COMMAND = re.compile(r"^    \$ (.+)$", re.MULTILINE)
_TELNET = re.compile(r"Chat starting on (\d+)")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def command(name: str) -> list[str]:
    """Return the words that the head of the example says, for this interpreter."""
    (line,) = _COMMAND.findall((EXAMPLES / f"{name}.py").read_text(encoding="utf-8"))
    program, *words = shlex.split(line)
    if program == "python":
        return [sys.executable, *words]
    assert program == "twisted-wsgiref"
    return [*COMMANDS["python -m"], *words, "--listen", "tcp:0:interface=127.0.0.1"]


def example(name: str, folder: Path) -> Child:
    """Return the example as a child, in a folder of its own, with free ports instead of those that it names."""
    code = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    code = re.sub(r"^(    serve\(.*), 8000\b", r"\1, 0", code.replace("tcp:4000", "tcp:0"), flags=re.MULTILINE)
    (folder / f"{name}.py").write_text(code, encoding="utf-8")
    return started(command(name), folder, environment())


class Browser:
    """A client that keeps its connection and its cookies."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.cookies: dict[str, str] = {}

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def ask(self, method: str, path: str, form: dict[str, str] | None = None) -> tuple[HTTPResponse, str]:
        fields = {"Cookie": self.cookie} if self.cookies else {}
        body = None if form is None else urlencode(form)
        self._connection.request(method, path, body, {**fields, **FORM} if body else fields)
        answer = self._connection.getresponse()
        for line in answer.headers.get_all("Set-Cookie", []):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer, answer.read().decode()

    def close(self) -> None:
        self._connection.close()


class WebSocket:
    """A client's end of a WebSocket, for messages of text."""

    def __init__(self, port: int, path: str, cookie: str, origin: str = "") -> None:
        wsproto: Any = pytest.importorskip("wsproto")
        self._events = wsproto.events
        self._end = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self._sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        headers = [(b"Cookie", cookie.encode())]
        if origin:
            headers.append((b"Origin", origin.encode()))
        self._sock.sendall(self._end.send(self._events.Request(f"127.0.0.1:{port}", path, extra_headers=headers)))
        #: An `AcceptConnection`, or a `RejectConnection` with its ``status_code``.
        self.answer = next(self._read())

    def _read(self) -> Iterator[Any]:
        while True:
            self._end.receive_data(self._sock.recv(65536) or None)
            yield from self._end.events()

    def next_lines(self, number: int) -> list[str]:
        lines: list[str] = []
        for event in self._read():
            if isinstance(event, self._events.TextMessage):
                lines.append(event.data)
            if len(lines) == number:
                return lines
        raise EOFError(lines)

    def say(self, line: str) -> None:
        self._sock.sendall(self._end.send(self._events.TextMessage(line)))

    def close(self) -> None:
        self._sock.close()


class Telnet:
    """A line of telnet: what is said, and what is heard."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._file = self._sock.makefile("r", encoding="utf-8", newline="\r\n")

    def say(self, line: str) -> None:
        self._sock.sendall(f"{line}\r\n".encode())

    def hear(self) -> str:
        return self._file.readline().rstrip("\r\n")

    def close(self) -> None:
        self._file.close()
        self._sock.close()


def _clean_end(child: Child) -> None:
    assert child.end() == 0
    assert "Traceback" not in child.said


def test_flask_chats_by_websocket(tmp_path: Path) -> None:
    pytest.importorskip("twisted.web.websocket", reason="needs Twisted 26")
    with example("flask_chat", tmp_path) as child, contextlib.ExitStack() as stack:
        port = child.port()
        stranger = stack.enter_context(contextlib.closing(WebSocket(port, "/room", "session=forged")))
        assert stranger.answer.status_code == 403
        guests = {}
        for name in ("Ada", "Grace"):
            browser = stack.enter_context(contextlib.closing(Browser(port)))
            assert browser.ask("POST", "/enter", {"name": name})[0].status == 302
            room = stack.enter_context(contextlib.closing(WebSocket(port, "/room", browser.cookie)))
            guests[name] = browser, room
        elsewhere = stack.enter_context(
            contextlib.closing(WebSocket(port, "/room", browser.cookie, "http://x.example"))
        )
        assert elsewhere.answer.status_code == 403
        ada, grace = guests["Ada"][1], guests["Grace"][1]
        assert ada.next_lines(2) == ["Ada has come", "Grace has come"]
        ada.say("good morning")
        assert grace.next_lines(2) == ["Grace has come", "Ada: good morning"]
        guests["Grace"][0].ask("POST", "/leave", {})
        assert ada.next_lines(2) == ["Ada: good morning", "Grace has left"]
        _clean_end(child)


def test_django_sends_events_and_no_stream_holds_a_thread(tmp_path: Path) -> None:
    with example("django_events", tmp_path) as child, contextlib.ExitStack() as stack:
        port = child.port()
        streams = []
        for _ in range(20):  # and there are four threads
            connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            stack.callback(connection.close)
            connection.request("GET", "/events")
            streams.append(stack.enter_context(connection.getresponse()))
        assert {each.headers["Content-Type"] for each in streams} == {"text/event-stream"}
        browser = stack.enter_context(contextlib.closing(Browser(port)))
        for amount, told in ((5, "highest"), (4, "too little"), (7, "highest")):
            (token,) = re.findall(r'csrfmiddlewaretoken" value="(\w+)"', browser.ask("GET", "/")[1])
            assert told in browser.ask("POST", "/", {"amount": str(amount), "csrfmiddlewaretoken": token})[1]
        for each in streams:
            lines = [each.readline().decode().rstrip() for _ in range(6)]
            assert [int(line.removeprefix("data: ")) for line in lines[::2]] == [0, 5, 7]
        child.process.terminate()  # which ends the streams in order, instead of waiting for them
        assert {each.read() for each in streams} == {b""}
        assert child.wait() == 0


def test_flask_passes_downloads_and_a_stream_on_for_members(tmp_path: Path) -> None:
    with example("flask_members", tmp_path) as child, contextlib.ExitStack() as stack:
        port = child.port()
        for path in ("/download/flask_members.py", "/here"):
            assert get(port, path)[0].status == 403
        for path in ("/files/flask_members.py", "/stream"):
            assert get(port, path)[0].status == 404
        browser = stack.enter_context(contextlib.closing(Browser(port)))
        assert browser.ask("POST", "/", {"name": "Ada"})[0].status == 302
        assert "Good day, Ada" in browser.ask("GET", "/")[1]
        answer, text = browser.ask("GET", "/download/flask_members.py")
        assert text == (tmp_path / "flask_members.py").read_text(encoding="utf-8")
        assert answer.headers["Content-Disposition"] == "attachment"
        assert browser.ask("GET", "/download/..%2Fx")[0].status == 404
        streams = []
        for number in range(1, 11):  # and there are four threads
            connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            stack.callback(connection.close)
            connection.request("GET", "/here", headers={"Cookie": browser.cookie})
            streams.append(stack.enter_context(connection.getresponse()))
            assert streams[-1].readline() == b"data: %d\n" % number
        child.process.terminate()
        assert all(each.read().endswith(b"\n\n") for each in streams)
        assert child.wait() == 0


def test_two_applications_share_the_port(tmp_path: Path) -> None:
    with example("two_applications", tmp_path) as child:
        port = child.port()
        assert b"Shop" in get(port)[1]
        assert json.loads(get(port, "/stock/apples")[1]) == {"number": 17, "url": "/stock/apples"}
        assert get(port, "/stock/bread")[0].status == 404
        _clean_end(child)


def test_a_chat_of_twisteds_has_a_face_in_django(tmp_path: Path) -> None:
    with example("twisted_chat", tmp_path) as child, contextlib.ExitStack() as stack:
        telnet = stack.enter_context(contextlib.closing(Telnet(int(child.wait_for(_TELNET)[1]))))
        browser = stack.enter_context(contextlib.closing(Browser(child.port())))
        telnet.say("Ada")
        assert [telnet.hear(), telnet.hear()] == ["Your name?", "Ada: (has come)"]
        page = browser.ask("GET", "/")[1]
        assert '<b id="names">Ada</b>' in page
        assert browser.ask("POST", "/", {"line": "forged"})[0].status == 403
        (token,) = re.findall(r'csrfmiddlewaretoken" value="(\w+)"', page)
        assert browser.ask("POST", "/", {"line": "<b>hello", "csrfmiddlewaretoken": token})[0].status == 302
        assert telnet.hear() == "the web: <b>hello"
        assert "<li>the web: &lt;b&gt;hello</li>" in browser.ask("GET", "/")[1]
        _clean_end(child)


def test_klein_waits_beside_flask(tmp_path: Path) -> None:
    pytest.importorskip("klein")
    with example("klein_flask", tmp_path) as child, contextlib.ExitStack() as stack:
        port = child.port()
        waiting = [HTTPConnection("127.0.0.1", port, timeout=PATIENCE) for _ in range(20)]
        for each in waiting:
            stack.callback(each.close)
            each.request("GET", "/live/after/0")
        browser = stack.enter_context(contextlib.closing(Browser(port)))
        # Of the 20 some may be read later than this: they are answered at once.
        told = browser.ask("POST", "/orders", {"dish": "soup"})[1]
        assert int(told.removesuffix(" told")) <= 20
        for each in waiting:
            assert json.load(each.getresponse()) == ["soup"]
        for each in waiting:
            each.request("GET", "/live/after/1")
            each.close()  # nobody waits any more
        assert browser.ask("POST", "/orders", {"dish": "bread"})[0].status == 200
        assert json.loads(browser.ask("GET", "/live/after/0")[1]) == ["soup", "bread"]
        _clean_end(child)


# ---- In a browser --------------------------------------------------------------------------------------------------


class Pages:
    """What a person does with the pages of an example."""

    def __init__(self, driver: Any, port: int) -> None:
        self.driver = driver
        self.url = f"http://127.0.0.1:{port}/"

    def open(self) -> None:
        self.driver.get(self.url)

    def wait_for(self, selector: str, text: str) -> None:
        """Wait until an element that `selector` finds shows `text`."""
        ui: Any = pytest.importorskip("selenium.webdriver.support.ui")
        shown: list[str] = []

        def is_shown(driver: Any) -> bool:
            # Elements of a page that is being left can not be asked one by one.
            shown[:] = driver.execute_script(
                "return Array.from(document.querySelectorAll(arguments[0]), (each) => each.textContent)", selector
            )
            return text in shown

        ui.WebDriverWait(self.driver, PATIENCE, 0.02).until(is_shown, f"{text} is not in {shown}")

    def type(self, selector: str, text: str) -> None:
        """Type `text` into the field, and press Enter."""
        self.driver.find_element("css selector", selector).send_keys(text + "\n")


def chat_in_flask(pages: Pages) -> None:
    pages.open()
    pages.type("[name=name]", "Ada")
    pages.wait_for("#lines li", "Ada has come")
    pages.type("#line", "good morning")
    pages.wait_for("#lines li", "Ada: good morning")
    pages.driver.find_element("id", "leave").click()
    pages.wait_for("#enter", "Enter")


def look_at_the_shop(pages: Pages) -> None:
    pages.open()
    pages.wait_for("#apples", "17")


def chat_in_django(pages: Pages) -> None:
    pages.open()
    pages.wait_for("#names", "nobody")
    pages.type("[name=line]", "good morning")
    pages.wait_for("li", "the web: good morning")


def order_dishes(pages: Pages) -> None:
    pages.open()
    pages.type("[name=dish]", "soup")
    pages.wait_for("#orders li", "soup")


def enter_as_a_member(pages: Pages) -> None:
    pages.open()
    pages.type("[name=name]", "Ada")
    pages.wait_for("#here", "1")
    pages.driver.switch_to.new_window("tab")
    pages.open()
    pages.wait_for("#here", "2")


def bid_at_the_auction(pages: Pages) -> None:
    pages.open()
    pages.wait_for("#highest", "0")
    pages.type("[name=amount]", "5")
    pages.wait_for("#told", "Yours is the highest bid.")
    pages.wait_for("#highest", "5")


ERRANDS: dict[str, Callable[[Pages], None]] = {
    "flask_chat": chat_in_flask,
    "flask_members": enter_as_a_member,
    "django_events": bid_at_the_auction,
    "two_applications": look_at_the_shop,
    "twisted_chat": chat_in_django,
    "klein_flask": order_dishes,
}


@pytest.mark.once
def test_chromium_uses_the_pages_of_all_examples(tmp_path: Path) -> None:
    # One browser for all of them: its start takes longer than what it does.
    with contextlib.ExitStack() as stack:
        driver = chromium(tmp_path / "chromium")
        stack.callback(driver.quit)
        children = {}
        for name in ERRANDS:
            folder = tmp_path / name
            folder.mkdir()
            children[name] = stack.enter_context(example(name, folder))
        for name, child in children.items():
            ERRANDS[name](Pages(driver, child.port()))
            errors = [each["message"] for each in driver.get_log("browser") if "favicon.ico" not in each["message"]]
            assert not errors
        driver.quit()  # or a stop would wait for the answers that pages wait for
        for child in children.values():
            child.process.terminate()
        assert [child.wait() for child in children.values()] == [0] * len(children)


def test_every_example_is_in_the_list_and_in_these_tests() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    listed = re.findall(r"\]\((\w+)\.py\)", (EXAMPLES / "README.md").read_text(encoding="utf-8"))
    assert names == set(ERRANDS) == set(listed)
