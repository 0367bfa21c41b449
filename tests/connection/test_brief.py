"""Is a connection of one request answered as any other, alone, and ended once: by its worker or by the reactor?"""

from __future__ import annotations

import gc
import os
import socket
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.testing import StringTransport

from tests.connection.accepted import CLOSING, LOCAL, Listening, listening, reset
from tests.connection.interleaving import Run, Switches, try_all
from tests.gateway.exchanges import LIMITS
from tests.stepped import SteppedReactor
from tests.support import GET, TEXT, hello, request
from twisted_wsgiref._connection import brief
from twisted_wsgiref._connection.brief import BriefConnection
from twisted_wsgiref._connection.poller import make_poller
from twisted_wsgiref._connection.protocol import WSGIProtocol
from twisted_wsgiref._gateway.client_gone import ClientGone
from twisted_wsgiref._http.errors import ProtocolError
from twisted_wsgiref._http.head import read_last_head
from twisted_wsgiref._http.reader import HeadReader

pytestmark = pytest.mark.skipif(make_poller(SteppedReactor(), print, print) is None, reason="there is no epoll here")
OK = b"HTTP/1.1 200 "


def kinds(made: Listening) -> list[type]:
    return [type(each) for each in made.connections]


# ---- Which ones ------------------------------------------------------------------------------------------------------

LAST = [
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.0\r\nHost: h\r\nConnection: close\r\n\r\n",
    b"GET /?a=b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: h\r\nconnection: TE, Close\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    b"GET http://other/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
]
NOT_LAST = [
    GET,
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    CLOSING + b"x",
    CLOSING + CLOSING,
    CLOSING[:-1],
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nConnection: close\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.0\r\nX: " + b"x" * 8190 + b"\r\n\r\n",
    b"GET / HTTP/1.0\r\n" + (b"X: " + b"x" * 8000 + b"\r\n") * 5 + b"\r\n",
    b"GET /" + b"x" * 9000 + b" HTTP/1.0\r\n\r\n",
]
WRONG = [
    b"\r\nGET / HTTP/1.0\r\n\r\n",
    b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.0\r\nX : y\r\n\r\n",
    b"GET / HTTP/1.0\nX: y\r\n\r\n",
    b"GET / HTTP/1.0\r\nX: y\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
]


@pytest.mark.parametrize("octets", LAST)
def test_a_whole_request_that_is_the_last_is_read_as_any_other(octets: bytes) -> None:
    reader = HeadReader(LIMITS)
    reader.feed(octets)
    usual, last = reader.take_head(), read_last_head(octets, LIMITS)
    assert usual is not None
    assert last is not None
    for name in usual.__slots__:
        assert getattr(last, name) == getattr(usual, name)


@pytest.mark.parametrize("octets", NOT_LAST)
def test_no_other_request_is_taken_for_one(octets: bytes) -> None:
    assert read_last_head(octets, LIMITS) is None


@pytest.mark.parametrize("octets", WRONG)
def test_a_mistake_is_left_to_an_ordinary_connection(octets: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_last_head(octets, LIMITS)


@pytest.mark.parametrize("octets", LAST)
def test_it_is_answered_and_closed_by_its_worker(octets: bytes) -> None:
    with listening() as made:
        client = made.connect(octets)
        made.server.settle(work=False)
        assert kinds(made) == [BriefConnection]
        sock = made.connections[0]._sock
        for job in made.server.pool.jobs:
            job.run()
        made.server.pool.jobs.clear()
        assert (made.connections, sock.fileno()) == ([], -1)  # without a turn of the reactor
        assert client.recv(1000).startswith(OK)
        assert client.recv(1000) == b""


@pytest.mark.parametrize("octets", [*NOT_LAST[:5], *WRONG])
def test_others_are_served_as_before(octets: bytes) -> None:
    with listening() as made:
        client = made.connect(octets)
        made.server.settle(work=False)
        assert BriefConnection not in kinds(made)
        made.server.settle()
        client.shutdown(socket.SHUT_WR)
        status = b"400 " if octets in WRONG[1:] else b"200 "
        received = made.received(client)
        assert received.startswith(b"HTTP/1.1 " + status) or octets == CLOSING[:-1]


@pytest.mark.parametrize("settings", [{"keep_alive": 0}])
def test_an_end_that_is_our_wish_is_no_such_one(settings: dict[str, Any]) -> None:
    with listening(**settings) as made:
        made.connect(CLOSING)
        made.server.settle(work=False)
        assert kinds(made) == [WSGIProtocol]


# ---- What applications see -------------------------------------------------------------------------------------------


def test_nothing_of_one_client_is_seen_by_the_next() -> None:
    told: list[dict[str, Any]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        told.append(dict(environ))
        environ["REMOTE_USER"] = environ["HTTP_X_MINE"] = "me"  # it may do as it likes with what it is given
        environ["SERVER_NAME"] = "mine"
        return hello(environ, start_response)

    with listening(application) as made:
        rounds = [request("/a?q=1", fields="Connection: close\nCookie: secret\nX-A: 1"), CLOSING] * 3
        clients = [made.connect(octets) for octets in rounds]
        made.server.settle()
        assert [each["REMOTE_PORT"] for each in told] == [str(client.getsockname()[1]) for client in clients]
        for first, second in zip(told[::2], told[1::2], strict=True):
            assert (first["HTTP_COOKIE"], first["QUERY_STRING"]) == ("secret", "q=1")
            assert not {"HTTP_COOKIE", "HTTP_X_A", "REMOTE_USER", "HTTP_X_MINE"} & set(second)
            assert (second["QUERY_STRING"], second["SERVER_NAME"]) == ("", "127.0.0.1")


@pytest.mark.parametrize("call", ["write", "wsgi.early_hints"])
def test_what_an_application_has_kept_reaches_nobody_who_has_the_descriptor_next(call: str) -> None:
    kept: list[Callable[..., object]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [*TEXT])
        kept.append(write if call == "write" else environ[call])
        return [b"mine"]

    with listening(application) as made:
        second = socket.socket()  # made first, so that the number is free again when it is accepted
        made.clients.append(second)
        made.connect(CLOSING)
        made.server.settle(work=False)
        number = made.connections[0]._sock.fileno()
        made.server.settle()
        second.connect(made.port.socket.getsockname())
        second.setblocking(False)
        second.send(GET)
        made.server.settle(work=False)
        assert made.connections[0].transport.getHandle().fileno() == number
        for late in (kept[0],) * 2:
            with suppress(ClientGone, RuntimeError):
                late(b"LATE" if call == "write" else [("Link", "LATE")])
        made.server.settle()
        assert second.recv(1000).endswith(b"\r\n\r\nmine")
        with pytest.raises(BlockingIOError):
            second.recv(1000)


@pytest.mark.parametrize("octets", [GET, CLOSING])
@pytest.mark.parametrize(
    "endpoint", [LOCAL, "tcp:0:interface=", r"tcp6:0:interface=\:\:1", r"tcp6:0:interface=\:\:", "unix"]
)
def test_both_kinds_of_connections_have_the_same_environ(endpoint: str, octets: bytes, tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        told.append({name: value for name, value in environ.items() if isinstance(value, str)})
        return hello(environ, start_response)

    endpoint = f"unix:{tmp_path}/s" if endpoint == "unix" else endpoint
    with listening(application, endpoint) as made:
        family = made.port.socket.family
        place = made.port.socket.getsockname()
        if family != socket.AF_UNIX:
            place = ("::1" if family == socket.AF_INET6 else "127.0.0.1", place[1])
        with socket.socket(family) as client:
            client.connect(place)
            client.send(octets)
            made.server.settle()
        environ = told[0]
        if family == socket.AF_UNIX:
            assert environ["X_REMOTE_PID"] == str(os.getpid())
            assert "REMOTE_ADDR" not in environ
            assert environ["SERVER_NAME"] == "h"
        else:
            name = f"[{place[0]}]" if ":" in place[0] else place[0]
            assert (environ["REMOTE_ADDR"], environ["SERVER_NAME"]) == (place[0], name)
            assert environ["SERVER_PORT"] == str(place[1])


def test_a_client_by_ipv4_of_a_port_for_both_has_its_usual_name() -> None:
    told: list[dict[str, Any]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        told.append(environ.copy())
        return hello(environ, start_response)

    with listening(application, r"tcp6:0:interface=\:\:") as made:
        with socket.create_connection(("127.0.0.1", made.port.socket.getsockname()[1])) as client:
            client.send(CLOSING)
            made.server.settle()
        assert (told[0]["REMOTE_ADDR"], told[0]["SERVER_NAME"]) == ("127.0.0.1", "127.0.0.1")


def test_a_trusted_proxy_is_believed_and_requests_are_identified() -> None:
    told: list[dict[str, Any]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        told.append(environ.copy())
        return hello(environ, start_response)

    with listening(application, trusted_proxy=("127.0.0.1",), request_id=True) as made:
        octets = request(minor=0, fields="X-Forwarded-For: 192.0.2.7\nX-Request-ID: abcdef")
        client = made.connect(octets)
        made.server.settle(work=False)
        assert kinds(made) == [BriefConnection]
        assert made.received(client).startswith(OK)
        assert (told[0]["REMOTE_ADDR"], told[0]["HTTP_X_REQUEST_ID"]) == ("192.0.2.7", "abcdef")
        assert made.received(made.connect(request(minor=0, fields="X-Forwarded-For: nonsense,"))).startswith(
            b"HTTP/1.1 400 "
        )


# ---- What may happen to it -------------------------------------------------------------------------------------------


def test_what_came_behind_the_request_before_the_end_hurts_nothing() -> None:
    with listening() as made:
        client = made.connect(CLOSING)
        made.server.settle(work=False)
        client.send(b"x" * 200_000)
        assert made.received(client).startswith(OK)


def test_one_that_is_reset_before_its_end_is_closed() -> None:
    with listening() as made:
        client = made.connect(CLOSING)
        made.server.settle(work=False)
        sock = made.connections[0]._sock
        reset(client)
        made.server.settle()
        assert (made.connections, sock.fileno()) == ([], -1)


def test_a_client_that_has_closed_its_half_is_answered() -> None:
    with listening() as made:
        client = made.connect(CLOSING)
        client.shutdown(socket.SHUT_WR)
        assert made.received(client).startswith(OK)
        assert made.connections == []


@pytest.mark.parametrize("moment", ["at once", "in the middle"])
def test_blocks_and_files_are_sent_to_their_end(moment: str, tmp_path: Path) -> None:
    size = 5_000_000
    (tmp_path / "file").write_bytes(b"x" * size)

    def blocks(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT])
        if environ["PATH_INFO"] == "/file":
            return iter(environ["wsgi.file_wrapper"](open(tmp_path / "file", "rb")))
        return iter([b"x" * 1000] * (size // 1000))

    def file(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [*TEXT])
        return environ["wsgi.file_wrapper"](open(tmp_path / "file", "rb"))

    for application in (blocks, file):
        with listening(application, high_water=10_000_000) as made:
            client = made.connect(request(minor=0))
            made.server.settle(work=False)
            if moment == "in the middle":
                made.wait_a_moment()
                assert kinds(made) == [WSGIProtocol]
            assert made.received(client).partition(b"\r\n\r\n")[2] == b"x" * size
            client.close()
            made.server.advance(0.1)
            assert made.connections == []


def test_a_full_queue_and_a_limit_of_time_refuse_it() -> None:
    with listening(queue_age=1) as made:
        client = made.connect(CLOSING)
        made.server.settle(work=False)
        made.server.held = True
        made.server.advance(3, work=False)
        made.server.held = False
        assert made.received(client).startswith(b"HTTP/1.1 503 ")
    with listening() as made:
        client = made.connect(CLOSING)
        made.server.settle(work=False)
        made.connections[0].refuse_exchange(503)
        made.server.pool.jobs.clear()
        assert made.received(client).startswith(b"HTTP/1.1 503 ")


def test_beyond_the_limit_an_ordinary_one_is_judged() -> None:
    with listening(max_connections=1) as made:
        made.connect(CLOSING)
        made.server.settle(work=False)
        second = made.connect(CLOSING)
        made.server.settle(work=False)
        made.server.settle()
        with pytest.raises(ConnectionResetError):
            second.recv(100)
        assert made.received(made.clients[0]).startswith(OK)
        assert "the limit is reached" in made.server.logged()


def test_one_that_becomes_ordinary_is_not_judged_once_more() -> None:
    with listening(max_connections=2) as made:
        clients = [made.connect(CLOSING), made.connect(CLOSING)]
        made.server.settle(work=False)
        made.server.factory.buildProtocol(None).makeConnection(StringTransport())  # it is cut off, and not lost yet
        made.server.factory.sweep()
        made.server.settle()
        assert [made.received(client)[:13] for client in clients] == [OK, OK]
        assert made.server.logged().count("the limit is reached") == 1


def test_all_are_cut_off_at_the_end_of_the_grace() -> None:
    with listening(grace=1) as made:
        client = made.connect(CLOSING)
        made.server.settle(work=False)
        (exchange, _) = made.connections[0].answering
        made.server.factory.abandon()
        made.server.advance(0.1, work=False)
        assert exchange.is_client_gone()
        with pytest.raises(ConnectionResetError):
            client.recv(100)
        made.server.settle()
        assert made.connections == []


def test_a_sweep_and_a_count_find_it() -> None:
    with listening() as made:
        made.connect(CLOSING)
        made.server.settle(work=False)
        factory = made.server.factory
        assert (factory.count_unanswered(), made.server.service.connections) == (1, 1)
        connection = made.connections[0]
        assert connection.expendable_since is None
        factory.sweep()
        assert kinds(made) == [WSGIProtocol]
        assert (factory.count_unanswered(), made.server.service.connections) == (1, 1)
        made.server.settle()
        assert made.received(made.clients[0]).startswith(OK)
        connection.sweep(0.0)
        connection.cut_off()
        assert connection.transport is not None
        factory.retire()
        factory.resume()


def test_one_that_is_over_is_nothing_to_whoever_comes_late() -> None:
    with listening() as made:
        client = made.connect(CLOSING)
        made.server.settle(work=False)
        connection = made.connections[0]
        made.server.settle()
        assert made.received(client).startswith(OK)
        for late in (connection.watch, connection.cut_off, connection._send, connection._end):
            late()
        connection.sweep(0.0)
        connection.refuse_exchange(503)
        assert connection.transport is None
        with pytest.raises(RuntimeError):
            connection.hand_over(None, None)
        assert made.connections == []


@pytest.mark.parametrize("watched", [False, True])
def test_it_leaves_nothing_for_the_cycle_collector(watched: bool) -> None:
    with listening() as made:
        client = made.connect(CLOSING)
        made.server.settle(work=False)
        gc.collect()
        gc.disable()
        try:
            left = [weakref.ref(made.connections[0])]
            if watched:
                made.wait_a_moment()
                left.append(weakref.ref(made.connections[0]))
            made.server.settle()
            client.close()
            made.server.advance(0.01)
            assert not made.connections
            assert [each() for each in left] == [None] * len(left)
        finally:
            gc.enable()


# ---- Two threads at its end ------------------------------------------------------------------------------------------


class Ordinary:
    """What stands for the connection that takes the place of a brief one."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.begun = self.ended = 0

    def begin_answered(self, transport: object, exchange: object, queue: object) -> None:
        self._run.step()
        self.begun += 1
        self._run.step()

    def exchange_ended(self) -> None:
        assert self.begun  # it is whole before anybody finds it
        self.ended += 1

    send_on = depart = cut_off = exchange_ended


class Sock:
    """A socket that notes its end."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.closes = 0

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        self._run.step()
        self.closes += 1


def test_either_its_worker_closes_it_or_an_ordinary_one_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[str] = set()
    monkeypatch.setattr(brief, "ioctl", lambda *_: 0)
    monkeypatch.setattr(brief, "_close", Sock.close)

    def once(switches: Switches) -> Run:
        run = Run([brief.__file__ or ""], switches)
        due: list[Callable[[], None]] = []
        sock, ordinary, drained = Sock(run), Ordinary(run), []
        factory = SimpleNamespace(
            connections=set(), wake=due.append, batch=None, draining=True, check_drained=lambda: drained.append(1)
        )
        live: set[object] = set()
        reception: Any = SimpleNamespace(factory=factory, make_ordinary=lambda *_: (ordinary, None), live=live)
        connection = BriefConnection(reception, sock, None)  # type: ignore[arg-type]
        queue = SimpleNamespace(kept=b"", gone=False, finish=lambda: True)
        reports: list[int] = []
        exchange = SimpleNamespace(outlet=queue, cut=False, report=lambda: reports.append(1))
        connection.answering = exchange, queue  # type: ignore[assignment]
        factory.connections.add(connection)
        live.add(connection)
        over: list[bool] = []

        def work() -> None:
            connection.exchange_ended()
            over.append(True)

        def react() -> None:
            connection.watch()
            run.wait(lambda: bool(due or over))
            while due:
                due.pop(0)()

        run([work, react])
        assert not run.errors
        assert not factory.connections
        assert not live
        assert (sock.closes, ordinary.ended, bool(drained)) in ((1, 0, True), (0, 1, False))
        assert ordinary.begun == ordinary.ended
        assert queue.gone == bool(sock.closes)
        seen.add("closed" if sock.closes else "ended")
        return run

    try_all(2, once)
    assert seen == {"closed", "ended"}
