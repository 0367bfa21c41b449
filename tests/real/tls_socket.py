"""A client's TLS socket that one thread may read while another one writes.

OpenSSL forbids two threads in one connection, and CPython's `ssl` keeps them apart in late versions only. The client of
`websockets.sync` reads in a thread of its own. While that thread reads the session tickets, which come right after a
TLS 1.3 handshake, the first message of the other one may vanish without an error: about one in a hundred does with
CPython 3.11, whichever server it goes to, and the client waits for an answer to a request that it has never sent.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from .children import PATIENCE

_T = TypeVar("_T")


class LockedSocket(ssl.SSLSocket):
    """A blocking TLS socket, once `prepare` was called, with a lock around each step and none around a wait."""

    _steps: threading.Lock | None = None

    def prepare(self) -> None:
        """Never wait within OpenSSL from now on."""
        super().settimeout(0)
        self._steps = threading.Lock()

    def settimeout(self, value: float | None) -> None:
        """Keep to `PATIENCE`, whatever `value` is, once prepared."""
        if self._steps is None:
            super().settimeout(value)

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Return what has come; wait for it."""
        return self._step(partial(ssl.SSLSocket.recv, self, buflen, flags), None)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all of `data`."""
        left = memoryview(data).cast("B")
        while left:
            left = left[self._step(partial(ssl.SSLSocket.send, self, left, flags), PATIENCE) :]

    def close(self) -> None:
        """Close it, and have whoever waits in `recv` see the end."""
        if self._steps is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self, socket.SHUT_RDWR)
        super().close()

    def _step(self, call: Callable[[], _T], patience: float | None) -> _T:
        if self._steps is None:
            return call()
        while True:
            reads: list[ssl.SSLSocket] = []
            writes: list[ssl.SSLSocket] = []
            with self._steps:
                try:
                    return call()
                except ssl.SSLWantReadError:
                    reads = [self]
                except (ssl.SSLWantWriteError, BlockingIOError):
                    writes = [self]
            if self.fileno() < 0 or not any(select.select(reads, writes, [], patience)):
                raise TimeoutError("the other end neither sends nor takes anything")


class _Context(ssl.SSLContext):
    sslsocket_class = LockedSocket

    def wrap_socket(self, *given: Any, **named: Any) -> ssl.SSLSocket:
        made = super().wrap_socket(*given, **named)
        if isinstance(made, LockedSocket):
            made.prepare()
        return made


def locked_context(certificate: Path | None) -> ssl.SSLContext:
    """Return a client's context that trusts `certificate`; its sockets may be read and written by two threads."""
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificate)
    return context
