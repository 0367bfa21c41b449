"""A client's end of a connection by TLS, used as a blocking socket is, also by one thread that sends while one reads.

OpenSSL forbids two threads in one connection: each step takes a lock, and none waits within OpenSSL. Half of it can be
closed, by a close_notify, which `ssl` can not do. Nobody looks at certificates here.
"""

from __future__ import annotations

import asyncio
import errno
import io
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, Literal, TypeAlias, TypeVar

from OpenSSL import SSL

_T = TypeVar("_T")
# What one record carries at most, in bytes.
_RECORD = 16384


class SecurePort(int):
    """A port of the loopback interface that speaks TLS."""

    __slots__ = ()


@cache
def client_context() -> SSL.Context:
    """Return the context of all clients."""
    return SSL.Context(SSL.TLS_CLIENT_METHOD)


class SecureSocket:
    """TLS on `sock`, which is connected and has a timeout: that of every wait here. Raises `OSError`."""

    def __init__(self, sock: socket.socket) -> None:
        self._timeout = sock.gettimeout()
        sock.settimeout(0)
        self._sock = sock
        self._lock = threading.Lock()
        self._connection = SSL.Connection(client_context(), sock)
        self._connection.set_tlsext_host_name(b"localhost")
        self._connection.set_connect_state()
        self.fileno, self.setsockopt, self.getsockname = sock.fileno, sock.setsockopt, sock.getsockname
        try:
            self._step(self._connection.do_handshake)
        except OSError:
            sock.close()
            raise

    def gettimeout(self) -> float | None:
        """Return how long the next step may wait, in seconds."""
        return self._timeout

    def settimeout(self, seconds: float | None) -> None:
        """Have the steps that begin after this wait so long, in seconds; 0 is not at all."""
        self._timeout = seconds

    def setblocking(self, blocks: bool) -> None:
        """As a socket's."""
        self._timeout = None if blocks else 0

    def recv(self, most: int) -> bytes:
        """Return what has come: b"" after a close_notify. Raises `ConnectionResetError` if it ends without one."""
        return self._step(lambda: self._connection.recv(most))

    def send(self, data: bytes | memoryview) -> int:
        """Send a record; return how many bytes of `data` it took."""
        return self._step(lambda: self._connection.send(data[:_RECORD])) if data else 0

    def sendall(self, data: bytes) -> None:
        """Send all of `data`."""
        view = memoryview(data)
        while view:
            view = view[self.send(view) :]

    def makefile(self, mode: Literal["rb"]) -> io.BufferedReader:
        """Return a stream to read from."""
        return io.BufferedReader(_Reading(self), _RECORD)

    def shutdown(self, how: int) -> None:
        """Say by a close_notify that nothing more is sent, and send the end of the stream behind it."""
        with self._lock, suppress(SSL.Error):
            self._connection.shutdown()
        self._sock.shutdown(how)

    def cut(self) -> None:
        """Send the end of the stream without a close_notify."""
        self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Be gone, without a word."""
        self._sock.close()

    def _step(self, call: Callable[[], _T]) -> _T:
        timeout = self._timeout
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                with self._lock:
                    return call()
            except SSL.WantReadError:
                wants = select.POLLIN
            except SSL.WantWriteError:
                wants = select.POLLOUT
            except SSL.ZeroReturnError:
                return b""  # type: ignore[return-value]  # only `recv` meets it
            except SSL.Error as error:
                code = error.args[0] if isinstance(error, SSL.SysCallError) and error.args[0] > 0 else errno.ECONNRESET
                raise OSError(code, f"TLS was cut: {error}") from None
            if timeout == 0:
                raise BlockingIOError
            left = None if end is None else max(0.0, end - time.monotonic())
            if left == 0:
                raise TimeoutError
            if self._sock.fileno() < 0:
                raise OSError(errno.EBADF, "closed")
            poll = select.poll()
            poll.register(self._sock, wants)
            poll.poll(min(1000, 1000 if left is None else left * 1000))


class _Reading(io.RawIOBase):
    def __init__(self, sock: SecureSocket) -> None:
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._sock.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)


Socket: TypeAlias = socket.socket | SecureSocket


def connect(where: int | str, timeout: float | None, receive_buffer: int = 0) -> Socket:
    """Return a socket that is connected to `where`, with the handshake done if that is a `SecurePort`.

    Raises `OSError`.
    """
    sock = socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(timeout)
    try:
        sock.connect(where if isinstance(where, str) else ("127.0.0.1", where))
    except OSError:
        sock.close()
        raise
    return SecureSocket(sock) if isinstance(where, SecurePort) else sock


async def open_streams(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """As `connect`, for asyncio."""
    context = _streams_context() if isinstance(port, SecurePort) else None
    return await asyncio.open_connection("127.0.0.1", int(port), ssl=context)


@cache
def _streams_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
