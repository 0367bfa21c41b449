"""Do WebSockets within a Flask application (flask-sock) work as on its own server, plain and over TLS?"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import simple_websocket
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect, unix_connect

from .children import COMMANDS, PATIENCE, environment
from .tls_socket import locked_context
from .wires import MIB, WIRES, Served, client, served

pytestmark = [pytest.mark.slow, pytest.mark.libraries]

Open = Callable[[str], contextlib.AbstractContextManager[ClientConnection]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("sockets")
    words = [*COMMANDS["twistd"], "--app", "tests.real.sock_app:app", "--threads", "6", "--grace", "5"]
    with served(words, folder, environment(), folder) as made:
        yield made


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def open_at(server: Served, wire: str) -> Open:
    def open_there(path: str) -> contextlib.AbstractContextManager[ClientConnection]:
        there = server.wires[wire]
        how: dict[str, Any] = {"open_timeout": PATIENCE, "close_timeout": PATIENCE, "max_size": None}
        if wire == "unix":
            return unix_connect(there.where, f"ws://localhost{path}", **how)
        if wire == "tls":
            return connect(f"wss://localhost:{there.where}{path}", ssl=locked_context(there.certificate), **how)
        return connect(f"ws://localhost:{there.where}{path}", **how)

    return open_there


def test_messages_come_back(open_at: Open) -> None:
    with open_at("/echo") as ws:
        for message in ("one", b"two", "ü" * 1000, bytes(MIB)):
            ws.send(message)
            assert ws.recv(PATIENCE) == message


def test_the_close_of_the_application_arrives_with_its_code(open_at: Open) -> None:
    with open_at("/bye") as ws:
        assert ws.recv(PATIENCE) == "bye"
        with pytest.raises(ConnectionClosed) as caught:
            ws.recv(PATIENCE)
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4001, "enough")


def test_an_application_that_returns_closes(open_at: Open) -> None:
    with open_at("/once") as ws:
        ws.send("so")
        assert ws.recv(PATIENCE) == "SO"
        with pytest.raises(ConnectionClosed) as caught:
            ws.recv(PATIENCE)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1000


def test_more_clients_than_threads_come_one_after_the_other(open_at: Open) -> None:
    for number in range(20):
        with open_at("/echo") as ws:
            ws.send(str(number))
            assert ws.recv(PATIENCE) == str(number)


def test_pings_are_answered(open_at: Open) -> None:
    with open_at("/echo") as ws:
        assert ws.ping().wait(PATIENCE)


def test_ordinary_requests_go_on_beside_it(open_at: Open, server: Served, wire: str) -> None:
    with open_at("/echo") as ws, client(server.wires[wire]) as beside:
        for _ in range(10):
            ws.send("x")
            assert ws.recv(PATIENCE) == "x"
            assert beside.get("/").text == "hello"


def test_a_client_that_vanishes_frees_its_thread(server: Served) -> None:
    for _ in range(20):  # of six threads
        plain = socket.create_connection(("localhost", int(server.wires["tcp"].where)), PATIENCE)
        with plain:
            plain.sendall(
                b"GET /echo HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            assert plain.recv(65536).startswith(b"HTTP/1.1 101 ")


def test_a_client_of_simple_websocket_speaks_with_it(server: Served) -> None:
    where = server.wires["tcp"].where
    ws = simple_websocket.Client.connect(f"ws://localhost:{where}/echo")
    ws.send("hello")
    assert ws.receive(PATIENCE) == "hello"
    ws.close()
    ws.thread.join(PATIENCE)


def test_at_a_stop_a_quiet_socket_lasts_as_long_as_the_grace(tmp_path: Path) -> None:
    words = [*COMMANDS["twistd"], "--app", "tests.real.sock_app:app", "--grace", "1"]
    with served(words, tmp_path, environment(), tmp_path) as made:
        where = made.wires["tcp"].where
        with connect(f"ws://localhost:{where}/echo", open_timeout=PATIENCE, close_timeout=PATIENCE) as ws:
            ws.send("x")
            assert ws.recv(PATIENCE) == "x"
            made.child.process.terminate()
            with pytest.raises(ConnectionClosed):
                ws.recv(PATIENCE)
