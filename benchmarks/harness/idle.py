"""Clients that have asked once and stay: connections that a server keeps alive, all held by this process."""

from __future__ import annotations

import contextlib
import itertools
import resource
import socket
import ssl
import struct
from collections.abc import Iterator

from benchmarks.harness.serving import Running, ServerFailed
from benchmarks.harness.workloads import BROWSER

_TIMEOUT = 10.0
# The first connections fill memory that the start has left free; what the others add is counted.
_FIRST = 500
_MEASURED = 1000
#: Connections whose memory is measured.
ENOUGH = _FIRST + _MEASURED
# Descriptors that a process needs beside those connections.
_OTHERS = 200
# A reset is no TIME_WAIT: the ports can be used again at once.
_RESET = struct.pack("ii", 1, 0)
# A source address has 28,000 ports at most systems.
_PORTS_OF_ONE = 10_000
_FIRST_SOURCE = 2


def allow_descriptors(count: int) -> int:
    """Allow this process, and the servers that it starts, `count` connections; return how many it got."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _OTHERS if most == resource.RLIM_INFINITY else min(most, count + _OTHERS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    return min(count, wanted - _OTHERS)


def request(browser: bool = False) -> bytes:
    """Return a request with one field, or with a browser's."""
    fields = {"Host": "127.0.0.1", **(BROWSER if browser else {})}
    return b"GET / HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode() + b"\r\n"


class Clients:
    """Idle connections to `port`. Use it in a ``with``: at the end they are reset."""

    def __init__(self, port: int, *, tls: bool = False) -> None:
        self._port = port
        self._held: list[socket.socket] = []
        self._numbers = itertools.count()
        self._context = ssl._create_unverified_context() if tls else None

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self._held:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            sock.close()
        self._held.clear()

    def add(self, count: int, asked: bytes, times: int = 1) -> None:
        """Hold `count` more, each of which has asked so many times. Raises `ServerFailed`."""
        for _ in range(count):
            with _named():
                self._held.append(self._one(asked, times))

    def _one(self, asked: bytes, times: int) -> socket.socket:
        source = f"127.0.0.{_FIRST_SOURCE + next(self._numbers) // _PORTS_OF_ONE}"
        sock = socket.create_connection(("127.0.0.1", self._port), _TIMEOUT, (source, 0))
        try:
            if self._context is not None:
                sock = self._context.wrap_socket(sock)
            for _ in range(times):
                sock.sendall(asked)
                if not sock.recv(4096).startswith(b"HTTP/1.1 200"):
                    raise ServerFailed("an idle connection had no answer")
        except BaseException:
            sock.close()
            raise
        return sock

    def check(self) -> None:
        """Do nothing if the server keeps the last of them. Raises `ServerFailed`."""
        sock = self._held[-1]
        with _named():
            sock.sendall(request())
            if not sock.recv(4096):
                raise ServerFailed("the server has closed an idle connection")


def size_of_one(running: Running, *, tls: bool = False, browser: bool = False, times: int = 1) -> float:
    """Return the bytes that an idle connection adds to a server, as PSS. Each has asked so many times.

    Raises `ServerFailed`.
    """
    with Clients(running.port, tls=tls) as clients:
        asked = request(browser)
        clients.add(_FIRST, asked, times)
        before = running.usage().pss
        clients.add(_MEASURED, asked, times)
        found = (running.usage().pss - before) / _MEASURED
        clients.check()
    return found


@contextlib.contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ServerFailed(f"an idle connection failed: {type(error).__name__}: {error}") from None
