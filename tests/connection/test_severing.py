"""Is a connection that is severed closed to its client, and does nothing reach anybody that a worker sends after it?"""

from __future__ import annotations

import os
import resource
import socket
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support import GET, TEXT, request, serving
from twisted_wsgiref._connection import transports
from twisted_wsgiref._connection.transports import sever
from twisted_wsgiref._gateway import file_span

pytestmark = pytest.mark.skipif(os.name != "posix", reason="descriptors are not replaced here")


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Have the process as many descriptors as it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.dup(0)]
    most = max(map(int, os.listdir("/proc/self/fd"))) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in taken:
            os.close(each)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return two ends of a TCP connection: a server's that its transport has closed, and its client's."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        client.settimeout(10)
        ours, _ = listener.accept()
        with ours.makefile("wb", buffering=0):
            ours.close()
            yield ours, client


@pytest.fixture
def closed_by_a_program() -> Iterator[socket.socket]:
    """Have the dead end's descriptor closed, as daemons do with all they find, and another's socket in its place."""
    number = transports._dead_end.fileno()  # type: ignore[union-attr]
    ours, theirs = socket.socketpair()
    os.dup2(ours.fileno(), number)
    ours.close()
    stranger = socket.socket(fileno=number)
    stranger.setblocking(False)
    with theirs, stranger:
        yield theirs
        stranger.send(b"is still there")
        assert theirs.recv(100) == b"is still there"


def send_file(sock: socket.socket) -> int:
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 1000)
        file.flush()
        return os.sendfile(sock.fileno(), file.fileno(), 0, 1000)


SENDS: list[Callable[[socket.socket], int]] = [
    lambda sock: sock.send(b"x"),
    lambda sock: sock.send(b"x", socket.MSG_MORE),
    lambda sock: sock.sendmsg((b"x", b"y")),
    send_file,
]


def fails_to_send(sock: socket.socket) -> bool:
    for send in SENDS:
        with pytest.raises(BrokenPipeError):
            send(sock)
    return True


def test_a_client_sees_the_end_and_every_late_send_fails(pair: Any) -> None:
    ours, client = pair
    sever(ours)
    assert client.recv(1) == b""
    assert fails_to_send(ours)
    # What a worker may still do at its end does no harm to the next that is severed.
    ours.shutdown(socket.SHUT_WR)
    assert fails_to_send(ours)


def test_a_client_sees_a_reset(pair: Any) -> None:
    ours, client = pair
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sever(ours)
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_no_descriptor_is_needed(pair: Any) -> None:
    ours, client = pair
    with no_descriptor_left():
        sever(ours)
    assert client.recv(1) == b""
    assert fails_to_send(ours)


@pytest.mark.parametrize("none_left", [False, True])
def test_a_program_that_closes_what_is_not_its_own_connects_nobody_with_a_stranger(
    pair: Any, closed_by_a_program: socket.socket, none_left: bool
) -> None:
    ours, client = pair
    if none_left:
        with no_descriptor_left():
            sever(ours)
    else:
        sever(ours)
    assert client.recv(1) == b""
    assert fails_to_send(ours)
    closed_by_a_program.setblocking(False)
    with pytest.raises(BlockingIOError):
        closed_by_a_program.recv(1)


def test_a_client_that_resets_while_no_descriptor_is_left_hurts_nobody() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [*TEXT])
        yield b"first"
        if environ["PATH_INFO"] == "/resets":
            client.leave()  # with the first block unread: that is a reset
            with no_descriptor_left():
                for _ in range(5):
                    server.reactor.turn()
            yield b"for nobody"

    with serving(app) as server:
        other = server.connect()
        client = server.connect()
        client.reading = False
        client.send(request("/resets"))
        server.settle()
        assert [record.status for record in server.records] == [200]
        assert server.factory.connections == {other.protocol}
        other.send(GET)
        server.settle()
        assert other.answers()[0].body == b"first"


def test_a_file_whose_client_is_cut_off_between_two_pieces_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100_000)
    sent: list[int] = []
    real = os.sendfile

    def sendfile(*args: int) -> int:
        sent.append(real(*args))
        if len(sent) == 1:
            client.protocol.cut_off()
            for _ in range(5):
                server.reactor.turn()
        return sent[-1]

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [*TEXT])
        return environ["wsgi.file_wrapper"](path.open("rb"))

    monkeypatch.setattr(file_span, "FILE_PIECE", 10_000)
    monkeypatch.setattr(os, "sendfile", sendfile)
    with serving(app) as server:
        client = server.connect().send(GET)
        server.settle()
        assert sent == [10_000]
        assert len(server.records) == 1
        assert server.factory.connections == set()
