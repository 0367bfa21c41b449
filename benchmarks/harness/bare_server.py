"""No server, but its system calls: ``python -m benchmarks.harness.bare_server KIND PORT [CERTIFICATE KEY]``.

It accepts, reads, sends always the same answer, and closes. It parses nothing, runs no application, keeps no limit and
no deadline, and notices no client that leaves. So it is no model for a server; it tells what Python code that does its
work in no time would still pay. The kinds:

- ``alone``: one thread does it all.
- ``worker``: one thread accepts and reads, another sends and closes, as each server that runs applications in threads
  has to. It is woken as our workers are: by an event descriptor, once for all that a turn brings.
- ``closer``: as ``worker``, but the other thread closes our half, and the first the descriptor.
- ``tls``: one thread, which also has OpenSSL do what it does for this server: the same library, suites and tickets.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nHello, world!\n"
)
_MOST = 64
_READ = 96 * 1024
_ONE = (1).to_bytes(8, sys.byteorder)


def main(kind: str, port: str, *files: str) -> None:
    """Answer on `port` of the loopback interface for ever. Raises `KeyError` for a kind that is none.

    For ``tls`` the `files` are the certificate and its key.
    """
    listener = socket.create_server(("127.0.0.1", int(port)), backlog=1024)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
    listener.setblocking(False)
    KINDS[kind](listener, *files)


def _accept_all(listener: socket.socket, serve: Callable[[socket.socket], object]) -> None:
    """Have `serve` take all who wait."""
    for _ in range(_MOST):
        try:
            descriptor, _ = listener._accept()  # type: ignore[attr-defined]  # without the enums of `accept`
        except BlockingIOError:
            return
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, descriptor)
        sock.setblocking(False)
        serve(sock)


def _turn(listener: socket.socket, serve: Callable[[socket.socket], object]) -> None:
    """Accept all who wait; `serve` those who have sent something, the others later."""

    def read(sock: socket.socket) -> None:
        try:
            sock.recv(_READ)
        except BlockingIOError:
            sock.setblocking(True)  # one in so many: what it costs does not matter
            sock.recv(_READ)
        except OSError:
            sock.close()
            return
        serve(sock)

    _accept_all(listener, read)


def _alone(listener: socket.socket) -> None:
    epoll = select.epoll()
    epoll.register(listener.fileno(), select.EPOLLIN)

    def answer(sock: socket.socket) -> None:
        with suppress(OSError):  # its client has left
            sock.send(ANSWER)
        sock.close()

    while True:
        epoll.poll()
        _turn(listener, answer)


def _work(
    jobs: deque[socket.socket], signal: int, idle: list[bool], through: Callable[[socket.socket], object]
) -> None:
    while True:
        try:
            sock = jobs.popleft()
        except IndexError:
            idle.append(True)
            if jobs and idle:
                idle.pop()
                continue
            os.read(signal, 8)
        else:
            with suppress(OSError):  # its client has left
                sock.send(ANSWER)
            through(sock)


def _by_worker(listener: socket.socket) -> None:
    _run_two(listener, socket.socket.close, lambda: None)


def _by_closer(listener: socket.socket) -> None:
    over: deque[socket.socket] = deque()

    def through(sock: socket.socket) -> None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
        over.append(sock)

    def close() -> None:
        while over:
            over.popleft().close()

    _run_two(listener, through, close)


def _run_two(listener: socket.socket, through: Callable[[socket.socket], object], close: Callable[[], None]) -> None:
    jobs: deque[socket.socket] = deque()
    idle: list[bool] = []
    signal = os.eventfd(0, os.EFD_CLOEXEC)
    threading.Thread(target=_work, args=(jobs, signal, idle, through), daemon=True).start()
    epoll = select.epoll()
    epoll.register(listener.fileno(), select.EPOLLIN)
    gathered: list[socket.socket] = []
    while True:
        epoll.poll()
        close()
        _turn(listener, gathered.append)
        jobs.extend(gathered)
        gathered.clear()
        if jobs and idle:
            idle.pop()
            os.write(signal, _ONE)
            os.sched_yield()


def _by_tls(listener: socket.socket, certificate: str, key: str) -> None:
    from OpenSSL import SSL

    from twisted_wsgiref._connection.certificates import read_secure

    options = read_secure(f"0:certKey={certificate}:privateKey={key}:minimum=1.2:tickets=on").options
    epoll = select.epoll()
    epoll.register(listener.fileno(), select.EPOLLIN)
    shaking: dict[int, SSL.Connection] = {}

    def begin(sock: socket.socket) -> None:
        connection = SSL.Connection(options.getContext(), sock)
        connection.set_accept_state()
        shaking[sock.fileno()] = connection
        epoll.register(sock.fileno(), select.EPOLLIN)
        go_on(sock.fileno(), connection)

    def go_on(descriptor: int, connection: SSL.Connection) -> None:
        try:
            connection.do_handshake()
            connection.recv(_READ)
            connection.send(ANSWER)
            connection.shutdown()
        except SSL.WantReadError:
            return
        except SSL.Error:
            pass  # its client has left
        del shaking[descriptor]
        connection.close()

    while True:
        for descriptor, _ in epoll.poll():
            if descriptor == listener.fileno():
                _accept_all(listener, begin)
            else:
                go_on(descriptor, shaking[descriptor])


KINDS: dict[str, Callable[..., None]] = {"alone": _alone, "worker": _by_worker, "closer": _by_closer, "tls": _by_tls}

if __name__ == "__main__":
    main(*sys.argv[1:])
