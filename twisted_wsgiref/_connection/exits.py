"""The straight way out of a connection: whoever owns it sends without asking the reactor.

A connection has an exit if its transport sends bytes as they are given. Without one (TLS as Twisted does it, or
a transport of somebody else's) the reactor gives everything to the transport. `answer_queue` decides who owns the way
out at a moment; an exit asks nobody.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final, Protocol

from twisted_wsgiref._gateway.file_span import FileSpan

from .transports import sever

# Linux's own.
_MORE: Final[int] = getattr(socket, "MSG_MORE", 0)


class Exit(Protocol):
    """Where the thread that owns the way out sends. Raises `BlockingIOError` if nothing is taken, `OSError` if lost."""

    def send(self, data: bytes | memoryview, /) -> int:
        """Send what is taken of `data` at once, and return how many bytes that is."""

    def send_parts(self, parts: tuple[bytes, bytes], /) -> int:
        """Send two parts as one; as `send`."""

    def send_before_file(self, data: bytes) -> int:
        """As `send`; a part of a file follows."""

    def send_file(self, span: FileSpan) -> bool:
        """Send a piece of `span`; return whether all of the piece was taken."""

    def close_half(self) -> None:
        """Have the client see the end of what is sent. Raises nothing."""

    def end(self) -> None:
        """As `close_half`; and nobody will look at what comes, but at its end."""

    def sever(self) -> None:
        """Have whatever is sent from now on fail: the transport has closed the connection. Raises nothing."""

    def release(self) -> None:
        """Let go of the descriptor, which until then is nobody else's: no thread will send any more."""


class SocketExit:
    """An `Exit` by a plain socket. ``send`` and ``send_parts`` are the socket's own: a call less for each answer."""

    __slots__ = ("_hold", "_sock", "send", "send_parts")

    def __init__(self, sock: socket.socket, is_left: bool = False) -> None:
        self._sock = sock
        # Keeps the descriptor from being given to another connection while a worker is sending. If it is left to us,
        # it is closed here; else Python closes it when the socket and all its files are closed.
        self._hold: socket.socket | socket.SocketIO | None = sock if is_left else sock.makefile("wb", buffering=0)
        self.send = sock.send
        self.send_parts = sock.sendmsg

    def send_before_file(self, data: bytes) -> int:
        """As `send`; the kernel waits with a packet that is not full."""
        return self._sock.send(data, _MORE)

    def send_file(self, span: FileSpan) -> bool:
        """Send a piece of `span` from the kernel's hands; return whether all of the piece was taken."""
        return span.send_piece(self._sock)

    def close_half(self) -> None:
        """Shut our half down."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:  # the client has left; not `suppress`, which costs four times as much
            pass

    end = close_half

    def sever(self) -> None:
        """Put a socket without another end in the descriptor's place."""
        sever(self._sock)

    def release(self) -> None:
        """Close the descriptor, unless the transport still has it open."""
        hold, self._hold = self._hold, None
        if hold is not None:
            hold.close()


def find_exit(transport: object) -> Exit | None:
    """Return the straight way out that `transport` itself has: one of ours that changes bytes. None if it has none."""
    make: Callable[[], Exit] | None = getattr(transport, "make_exit", None)
    return None if make is None else make()
