"""May an application have its connection as a socket, and is it one request like others otherwise?"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import KINDS, PATIENCE, TEXT, Client, Server, request, serving

UPGRADE = "Upgrade: websocket\nConnection: keep-alive, Upgrade"
ASKED = request("/ws", fields=UPGRADE)
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
SOCKET = "werkzeug.socket"
kinds = pytest.mark.parametrize("kind", KINDS)


def talking(talk: Callable[[Any], object], returned: list[bytes] | None = None) -> Any:
    """Return an application that lets `talk` have the socket, and returns an ordinary answer afterwards."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        talk(environ[SOCKET])
        start_response("200 OK", [*TEXT])
        return [b"not for the wire"] if returned is None else returned

    return application


def ask(server: Server, kind: str = "socket", octets: bytes = ASKED, **how: Any) -> tuple[Client, threading.Thread]:
    client = server.connect(kind, **how).send(octets)
    server.settle(work=False)
    return client, server.step_in_thread()


def upper(sock: Any) -> None:
    """Answer 101, and give back what comes, in capitals, until the client has said all."""
    sock.sendall(SWITCHED)
    while data := sock.recv(65536):
        sock.sendall(data.upper())


@kinds
def test_the_socket_speaks_with_the_client(kind: str) -> None:
    with serving(talking(upper)) as server:
        client, thread = ask(server, kind, ASKED + b"early ")
        server.wait_until(lambda: client.received.endswith(b"EARLY "))
        client.send(b"later")
        server.wait_until(lambda: client.received.endswith(b"LATER"))
        client.half_close()
        server.settle_while(thread)
        assert client.received == SWITCHED + b"EARLY LATER"
        assert client.gone
        assert [(record.status, record.size) for record in server.records] == [(101, 0)]


@kinds
def test_an_end_that_came_before_the_socket_is_used_is_seen(kind: str) -> None:
    with serving(talking(upper)) as server:
        client = server.connect(kind).send(ASKED + b"early")
        client.half_close()
        server.settle(work=False)
        thread = server.step_in_thread()
        server.settle_while(thread)
        assert client.received == SWITCHED + b"EARLY"
        assert client.gone


@kinds
@pytest.mark.parametrize("returned", [[], [b""], [b"not for the wire"]])
def test_the_answer_of_an_application_that_used_the_socket_is_dropped(kind: str, returned: list[bytes]) -> None:
    with serving(talking(lambda sock: sock.sendall(SWITCHED + b"bye"), returned)) as server:
        client, thread = ask(server, kind)
        server.settle_while(thread)
        assert client.received == SWITCHED + b"bye"
        client.leave()
        server.settle()
        assert [record.status for record in server.records] == [101]
        assert not server.factory.connections
        assert "failed" not in server.logged()


@kinds
def test_without_a_use_the_answer_is_an_ordinary_one(kind: str) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        repr(environ[SOCKET])
        {**environ}[SOCKET].close()
        start_response("426 Upgrade Required", [*TEXT])
        return [b"no"]

    with serving(application) as server:
        client = server.ask(ASKED + ASKED + request(), kind)
        # The second asks again with the same fields, the third does not ask.
        assert [answer.status for answer in client.answers()[:2]] == [426, 426]
        assert "KeyError: 'werkzeug.socket'" in server.logged()
        server.log.clear()


@pytest.mark.parametrize(
    "octets",
    [
        request(),
        request(fields="Upgrade: websocket"),
        request(fields="Connection: upgrade"),
        request(fields=UPGRADE, minor=0),
        request(fields=UPGRADE, body=b"body"),
        request(fields=f"{UPGRADE}\nTransfer-Encoding: chunked") + b"0\r\n\r\n",
    ],
)
def test_only_a_request_that_asks_for_an_upgrade_has_a_socket(octets: bytes) -> None:
    seen: list[bool] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(SOCKET in environ)
        start_response("200 OK", [*TEXT])
        return []

    with serving(application) as server:
        server.ask(octets)
        assert seen == [False]


def test_behind_a_trusted_proxy_it_is_the_same() -> None:
    with serving(talking(upper), trusted_proxy="127.0.0.2") as server:
        client, thread = ask(server, octets=request(fields=f"{UPGRADE}\nX-Forwarded-For: 10.1.1.1") + b"x")
        server.wait_until(lambda: client.received.endswith(b"X"))
        client.leave()
        server.settle_while(thread)
        assert [(record.status, record.peer) for record in server.records] == [(101, "10.1.1.1")]


@kinds
def test_the_client_s_leaving_ends_the_socket(kind: str) -> None:
    with serving(talking(upper)) as server:
        client, thread = ask(server, kind)
        server.wait_until(lambda: client.received == SWITCHED)
        client.leave()
        server.settle_while(thread)
        assert not server.factory.connections
        assert [record.status for record in server.records] == [101]


@kinds
def test_much_goes_both_ways_and_neither_side_is_flooded(kind: str) -> None:
    begin = threading.Event()
    much = bytes(range(256)) * (1 << 14)  # 4 MiB

    def talk(sock: Any) -> None:
        sock.sendall(SWITCHED)
        begin.wait(PATIENCE)
        got = bytearray()
        while len(got) < len(much):
            got += sock.recv(65536)
        sock.sendall(bytes(got))

    with serving(talking(talk)) as server:
        client, thread = ask(server, kind)
        client.send(much)
        for _ in range(50):
            server.turn()
        assert client.unsent > len(much) // 2  # nobody reads: the client waits
        begin.set()
        client.reading = False
        server.wait_until(lambda: not client.unsent and thread.is_alive())
        for _ in range(50):
            server.turn()
        assert thread.is_alive()  # nobody reads: the application waits
        client.reading = True
        server.settle_while(thread)
        assert client.received == SWITCHED + much


def test_a_client_that_takes_nothing_is_cut_off_in_time() -> None:
    met: list[OSError] = []

    def talk(sock: Any) -> None:
        try:
            while True:
                sock.sendall(bytes(65536))
        except OSError as error:
            met.append(error)

    with serving(talking(talk), send_timeout=5) as server:
        client, thread = ask(server)
        client.reading = False
        (connection,) = server.factory.connections
        server.wait_until(lambda: connection._pump is not None and connection._pump.held)
        server.advance(8, work=False)
        server.settle_while(thread)
        assert client.aborted
        assert isinstance(met[0], BrokenPipeError | ConnectionResetError)


@kinds
def test_a_client_sees_that_the_application_has_closed_its_socket_while_that_goes_on(kind: str) -> None:
    seen = threading.Event()

    def talk(sock: Any) -> None:
        sock.sendall(SWITCHED + b"bye")
        sock.close()
        if not seen.wait(PATIENCE):
            raise RuntimeError("the client saw no end")

    with serving(talking(talk)) as server:
        client, thread = ask(server, kind)
        server.wait_until(lambda: client.ended)
        assert client.received == SWITCHED + b"bye"
        seen.set()
        server.settle_while(thread)


@kinds
def test_no_deadline_of_http_ends_a_quiet_socket(kind: str) -> None:
    with serving(talking(upper), keep_alive=5, request_timeout=5, send_timeout=5) as server:
        client, thread = ask(server, kind)
        server.wait_until(lambda: client.received == SWITCHED)
        server.advance(200, work=False)
        client.send(b"still here")
        server.wait_until(lambda: client.received.endswith(b"STILL HERE"))
        assert "has been running" not in server.logged()
        client.half_close()
        server.settle_while(thread)


@kinds
def test_the_end_of_the_grace_ends_the_socket(kind: str) -> None:
    with serving(talking(upper), grace=5) as server:
        client, thread = ask(server, kind)
        server.wait_until(lambda: client.received == SWITCHED)
        stopped: Any = server.service.stopService()
        server.advance(3, work=False)
        assert thread.is_alive()
        server.advance(3, work=False)
        assert stopped.called
        server.settle_while(thread)


def test_after_an_answer_the_socket_is_of_no_use() -> None:
    kept: list[Any] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        kept.append(environ[SOCKET])
        start_response("200 OK", [*TEXT])
        return [b"over"]

    with serving(application) as server:
        client = server.ask(ASKED)
        for _ in range(2):
            with pytest.raises(BrokenPipeError):
                kept[0].send(b"late")
        server.settle()
        assert client.answers()[0].body == b"over"


def test_a_socket_that_is_used_while_an_answer_is_under_way_is_refused() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [*TEXT])(b"begun, ")
        with pytest.raises(BrokenPipeError):
            environ[SOCKET].send(b"too late")
        return [b"ended"]

    with serving(application) as server:
        assert server.ask(ASKED).answers()[0].body == b"begun, ended"


def test_a_socket_that_is_used_by_another_thread_after_the_application_has_an_end() -> None:
    left: list[threading.Thread] = []
    end: list[bytes] = []

    def talk(sock: Any) -> None:
        sock.sendall(SWITCHED)
        left.append(threading.Thread(target=lambda: end.append(sock.recv(10)), daemon=True))
        left[0].start()

    with serving(talking(talk)) as server:
        client, thread = ask(server)
        server.settle_while(thread)
        server.settle_while(left[0])
        assert client.received == SWITCHED
        assert end == [b""]


def test_an_exception_after_the_first_use_is_logged_and_the_connection_ends() -> None:
    def talk(sock: Any) -> None:
        sock.sendall(SWITCHED)
        raise ZeroDivisionError("by a bug")

    with serving(talking(talk)) as server:
        client, thread = ask(server)
        server.settle_while(thread)
        assert client.received == SWITCHED
        assert client.ended
        assert "by a bug" in server.logged()
        server.log.clear()


def test_a_client_that_left_before_the_first_use_is_met_as_a_broken_pipe() -> None:
    begin = threading.Event()
    met: list[OSError] = []

    def talk(sock: Any) -> None:
        begin.wait(PATIENCE)
        try:
            sock.sendall(SWITCHED)
        except OSError as error:
            met.append(error)

    with serving(talking(talk)) as server:
        client, thread = ask(server)
        server.wait_until(lambda: bool(server.pool.running()))
        client.transport.abortConnection()
        server.settle(work=False)
        begin.set()
        server.settle_while(thread)
        assert isinstance(met[0], BrokenPipeError)
        assert not server.factory.connections


def test_no_descriptor_is_left() -> None:
    import os

    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    with serving(talking(upper)) as server:
        server.ask(request("/none", method="OPTIONS"))
        server.log.clear()
        before = count()
        for _ in range(3):
            client, thread = ask(server)
            server.wait_until(lambda client=client: client.received == SWITCHED)  # type: ignore[misc]
            client.leave()
            server.settle_while(thread)
        assert count() <= before


def test_a_reactor_that_adopts_no_sockets_offers_none() -> None:
    with serving(talking(upper)) as server:
        server.factory.adopt = None
        assert server.ask(ASKED).answers()[0].status == 500
        server.log.clear()


def test_it_can_be_selected_and_made_a_file() -> None:
    import select

    def talk(sock: Any) -> None:
        with sock as same:
            same.sendall(SWITCHED)
            select.select([same], [], [], PATIENCE)
            assert same.family == socket.AF_UNIX
            with same.makefile("rb") as lines:
                same.sendall(lines.readline().upper())

    with serving(talking(talk)) as server:
        client, thread = ask(server)
        client.send(b"line\n")
        server.settle_while(thread)
        assert client.received == SWITCHED + b"LINE\n"
