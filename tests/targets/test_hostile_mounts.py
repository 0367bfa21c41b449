"""Does what is mounted stand hostile and slow clients as the application does, and frame its answers as strictly?"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from tests.answers import Answer, read_answers
from tests.corpus import HOSTILE, TRUNCATED, VALID, Hostile, Truncated, Valid
from tests.support import KINDS, Client, Server, request, serving
from twisted_wsgiref import InternalMount

# All of it is decided by code that the corpus of the application has asked on this Python already.
pytestmark = pytest.mark.once

LARGE = bytes(range(256)) * 8192  # 2 MiB
# One answer of a target that reads no body is all that a client gets whose mistake is in the body.
EARLY = (200, 404, 405)


class Echo(Resource):
    """Tells what it was asked; ``asked`` is that, too. The paths below are those of `Answers`."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str, bytes]] = []

    def render(self, request: Any) -> Any:
        path = request.uri.decode("latin-1").partition("?")[0]
        self.asked.append((request.method.decode("latin-1"), path, request.content.read()))
        call = getattr(Answers, path.rpartition("/")[2].replace("-", "_"), None)
        return b"x" if call is None else call(request)


class Answers:
    """What a resource may do wrong, or right, by the last segment of the path."""

    @staticmethod
    def no_content(request: Any) -> Any:
        request.setResponseCode(204)
        return b""

    @staticmethod
    def not_modified(request: Any) -> Any:
        request.setResponseCode(304)
        request.write(b"")
        request.finish()
        return NOT_DONE_YET

    @staticmethod
    def more(request: Any) -> Any:
        request.setHeader(b"Content-Length", b"5")
        request.write(b"hello and more")
        request.finish()
        return NOT_DONE_YET

    @staticmethod
    def fewer(request: Any) -> Any:
        request.setHeader(b"Content-Length", b"9")
        request.write(b"hello")
        request.finish()
        return NOT_DONE_YET

    @staticmethod
    def blocks(request: Any) -> Any:
        for block in (b"one", b"", b"two"):
            request.write(block)
        request.finish()
        return NOT_DONE_YET

    @staticmethod
    def fails(request: Any) -> Any:
        raise ZeroDivisionError

    @staticmethod
    def fails_late(request: Any) -> Any:
        request.write(b"begun")
        raise ZeroDivisionError

    @staticmethod
    def two_lengths(request: Any) -> Any:
        request.responseHeaders.setRawHeaders(b"Content-Length", [b"5", b"6"])
        request.write(b"hello")
        return NOT_DONE_YET

    @staticmethod
    def injects(request: Any) -> Any:
        request.responseHeaders._rawHeaders[b"x-a"] = [b"b\r\nX-Injected: c"]
        return b"hello"

    @staticmethod
    def frames(request: Any) -> Any:
        request.setHeader(b"Transfer-Encoding", b"chunked")
        request.setHeader(b"Connection", b"X-Mine")
        return b"hello"

    @staticmethod
    def large(request: Any) -> Any:
        class Producer:
            left = len(LARGE)

            def resumeProducing(self) -> None:
                start = len(LARGE) - self.left
                self.left -= 65536
                request.write(LARGE[start : start + 65536])
                if self.left <= 0:
                    request.unregisterProducer()
                    request.finish()

            def stopProducing(self) -> None:
                pass

        request.registerProducer(Producer(), False)
        return NOT_DONE_YET


class House:
    """A server with something mounted; ``asked`` is what its resource was asked, ``below`` the prefix of its paths."""

    def __init__(self, server: Server, echo: Echo, below: str, early: bool) -> None:
        self.server = server
        self.asked = echo.asked
        self.below = below
        self.early = early

    def one(self, path: str, *, method: str = "GET", kind: str = "socket", **how: Any) -> tuple[Answer, Client]:
        client = self.server.ask(request(self.below + path, method=method, **how), kind)
        (answer,) = client.answers(method)
        return answer, client


def passes_on(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Pass all on to the internal mount, but what is for the whole server."""
    environ["wsgi.input"].read()
    start_response("200 OK", [("X-Accel-Redirect", f"/inner{environ.get('PATH_INFO') or '/'}".replace("%", "%25"))])
    return []


def never(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"the application"]


@contextmanager
def house(name: str, folder: Path, **settings: Any) -> Iterator[House]:
    """Make the house of `name`: a resource or files, mounted for everybody or behind X-Accel-Redirect."""
    echo = Echo()
    what: Any = echo if name.endswith("resource") else f"static:{folder}"
    application: Callable[..., Any] = never
    mounts: dict[str, Any] = {"/": what}
    if name.startswith("internal"):
        application, mounts = passes_on, {"/inner": InternalMount(what)}
    with serving(application, validated=False, service={"mounts": mounts}, **settings) as server:
        yield House(server, echo, "", name == "static")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "large").write_bytes(LARGE)
    (tmp_path / "hello").write_bytes(b"hello")
    for path in tmp_path.iterdir():
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return tmp_path


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty")


HOUSES = ["resource", "static", "internal resource"]
houses = pytest.mark.parametrize("name", HOUSES)
resources = pytest.mark.parametrize("name", ["resource", "internal resource"])
everywhere = pytest.mark.parametrize("name", [*HOUSES, "internal static"])


# ---- The corpus ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", HOSTILE, ids=lambda message: message.name)
def test_no_hostile_message_reaches_what_is_mounted(message: Hostile, empty: Path) -> None:
    for name in HOUSES:
        with house(name, empty) as made:
            for split in ("whole", "random"):
                client = made.server.ask_in_pieces(message.octets, split)
                answers = read_answers(client.received)
                allowed = message.statuses + (EARLY if made.early else ())
                # A mistake behind an answer that has not left yet, in the same turn, cuts that off, too.
                cut = made.early and client.aborted and not answers
                assert cut or [answer.status in allowed for answer in answers] == [True], (name, client.received)
                assert client.ended, name
            assert made.asked == [], name
            assert made.server.pool.done == 0, name
            assert "Traceback" not in made.server.logged(), (name, made.server.logged())


@houses
@pytest.mark.parametrize("message", TRUNCATED, ids=lambda message: message.name)
def test_half_a_message_reaches_no_resource(message: Truncated, name: str, empty: Path) -> None:
    with house(name, empty) as made:
        client = made.server.ask(message.octets, "string")
        client.half_close()
        made.server.settle()
        client.leave()
        made.server.settle()
        assert made.asked == []
        assert made.server.factory.connections == set()
        assert len(read_answers(client.received, ended=True)) <= 1


@houses
@pytest.mark.parametrize("message", VALID, ids=lambda message: message.name)
def test_a_right_message_is_answered_once(message: Valid, name: str, empty: Path) -> None:
    with house(name, empty) as made:
        client = made.server.ask_in_pieces(message.octets, "random")
        answers = read_answers(client.received, [message.method])
        if name == "resource" and message.path:
            assert [answer.status for answer in answers] == [200], client.received
            ((method, _, body),) = made.asked
            assert (method, body) == (message.method, message.body)
        elif name == "internal resource":
            assert [answer.status in (200, 404, 500) for answer in answers] == [True]  # 404: of two readings
            assert [(method in ("GET", "HEAD"), body) for method, _, body in made.asked] in ([], [(True, b"")])
        else:
            assert [answer.status in EARLY for answer in answers] == [True], client.received
        if not (made.early and message.method == "POST"):  # else its body is not read
            assert client.ended is not message.persistent


# ---- Limits and deadlines --------------------------------------------------------------------------------------


@everywhere
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"a" * 9000, 414),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA: " + b"a" * 9000, 431),
        (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\nExpect: 100-continue\r\n\r\n", 413),
    ],
)
def test_the_limits_are_those_of_the_application(name: str, folder: Path, data: bytes, status: int) -> None:
    with house(name, folder, max_body=1_000_000) as made:
        client = made.server.ask(data, "string")
        (answer,) = client.answers()
        assert answer.status == status
        assert client.ended
        assert made.asked == []


@everywhere
@pytest.mark.parametrize("kind", KINDS)
def test_a_slow_head_is_refused(name: str, folder: Path, kind: str) -> None:
    with house(name, folder, head_timeout=20.0) as made:
        client = made.server.connect(kind).send(b"GET /hello HTTP/1.1\r\nHost: h\r\n")
        for _ in range(24):
            made.server.advance(1)
            client.send(b"A")
        (answer,) = client.answers()
        assert (answer.status, client.ended) == (408, True)


@resources
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("settings", [{}, {"stream_input": True}])
def test_a_slow_body_is_refused(name: str, folder: Path, kind: str, settings: dict[str, Any]) -> None:
    with house(name, folder, body_rate=256, **settings) as made:
        made.server.held = True  # whoever streams waits for the body; here nobody reads it
        client = made.server.connect(kind).send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(24):
            made.server.advance(1)
            client.send(b"a")
        if name == "resource" or not settings:
            (answer,) = client.answers("POST")
            assert (answer.status, client.ended) == (408, True)
        assert made.asked == []
        made.server.held = False


@everywhere
@pytest.mark.parametrize("kind", ["socket", "opaque"])
def test_a_reader_that_takes_nothing_is_cut_off(name: str, folder: Path, kind: str) -> None:
    with house(name, folder, send_timeout=60.0) as made:
        client = made.server.connect(kind, buffer=4096)
        client.reading = False
        client.send(request("/large"))
        made.server.advance(50)
        assert not client.aborted
        made.server.advance(15)
        assert client.aborted
        assert made.server.service.connections == 0
        assert made.server.pool.running() == []


@everywhere
@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_that_is_slow_gets_all_and_memory_stays_small(name: str, folder: Path, kind: str) -> None:
    with house(name, folder, high_water=65536) as made:
        client = made.server.connect(kind, buffer=None if kind == "string" else 4096)
        client.reading = False
        client.send(request("/large") + request("/hello"))
        made.server.settle()
        if name.endswith("resource"):
            assert client.protocol._queue.pending < 3 * 65536
        client.reading = True
        made.server.settle()
        first, second = client.answers()
        assert first.body == LARGE
        assert second.status == 200


@everywhere
@pytest.mark.parametrize("kind", KINDS)
def test_an_idle_connection_is_closed(name: str, folder: Path, kind: str) -> None:
    with house(name, folder, keep_alive=10.0) as made:
        _, client = made.one("/hello", kind=kind)
        made.server.advance(8)
        assert not client.ended
        made.server.advance(5)
        assert client.ended


@everywhere
def test_pipelined_requests_are_answered_in_order(name: str, folder: Path) -> None:
    with house(name, folder) as made:
        client = made.server.ask(b"".join(request("/hello") for _ in range(300)))
        assert {(answer.status, answer.body) for answer in client.answers()} in ({(200, b"hello")}, {(200, b"x")})
        assert len(client.answers()) == len(made.server.records) == 300


@everywhere
def test_an_old_client_gets_no_chunks(name: str, folder: Path) -> None:
    with house(name, folder) as made:
        path = "/blocks" if name.endswith("resource") else "/hello"
        answer, client = made.one(path, minor=0)
        assert answer.body == (b"onetwo" if name.endswith("resource") else b"hello")
        assert "transfer-encoding" not in answer.fields
        assert client.ended


# ---- The framing of what a resource gives ----------------------------------------------------------------------


@resources
@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_without_a_body_has_none(name: str, folder: Path, kind: str) -> None:
    with house(name, folder) as made:
        answer, client = made.one("/no-content", kind=kind)
        assert (answer.status, answer.body, client.ended) == (204, b"", False)
        assert not {"content-length", "transfer-encoding"} & answer.fields.keys()
        answer, client = made.one("/not-modified", kind=kind)
        assert (answer.status, answer.body, client.ended) == (304, b"", False)
        answer, client = made.one("/blocks", method="HEAD", kind=kind)
        assert (answer.status, answer.body, client.ended) == (200, b"", False)


@resources
@pytest.mark.parametrize("kind", KINDS)
def test_no_answer_is_longer_or_shorter_than_it_says(name: str, folder: Path, kind: str) -> None:
    with house(name, folder) as made:
        client = made.server.ask(request("/more") + request("/hello"), kind)
        assert client.received.endswith(b"\r\n\r\nhello")
        assert client.gone
        client = made.server.ask(request("/fewer") + request("/hello"), kind)
        assert client.received.endswith(b"\r\n\r\nhello")
        assert client.gone


@resources
def test_blocks_are_chunks_and_end_once(name: str, folder: Path) -> None:
    with house(name, folder) as made:
        answer, client = made.one("/blocks")
        assert (answer.body, answer.fields["transfer-encoding"]) == (b"onetwo", ["chunked"])
        assert not client.ended


@resources
@pytest.mark.parametrize("path", ["/injects", "/two-lengths", "/fails"])
def test_a_head_that_can_not_be_sent_is_a_500(name: str, folder: Path, path: str) -> None:
    with house(name, folder) as made:
        answer, _ = made.one(path)
        assert answer.status == 500
        assert "x-injected" not in answer.fields
        assert b"ZeroDivisionError" not in answer.body


@resources
@pytest.mark.parametrize("kind", KINDS)
def test_a_failure_behind_the_head_is_seen(name: str, folder: Path, kind: str) -> None:
    with house(name, folder) as made:
        client = made.server.ask(request("/fails-late") + request("/hello"), kind)
        assert not client.received.endswith(b"0\r\n\r\n")
        assert client.received.count(b"HTTP/1.1 ") <= 1
        assert client.gone
        assert "ZeroDivisionError" in made.server.logged()


@resources
def test_the_framing_is_the_server_s(name: str, folder: Path) -> None:
    with house(name, folder) as made:
        answer, client = made.one("/frames")
        assert (answer.body, answer.fields["content-length"]) == (b"hello", ["5"])
        assert not {"transfer-encoding", "connection"} & answer.fields.keys()
        assert not client.ended


@everywhere
def test_date_and_server_are_there_once(name: str, folder: Path) -> None:
    with house(name, folder) as made:
        for path in ("/hello", "/nothing"):
            answer, _ = made.one(path)
            assert [len(answer.fields[field]) for field in ("date", "server")] == [1, 1]
