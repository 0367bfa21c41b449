"""The reading half of one connection: all that comes is read, unless there is a reason to wait.

Where a socket can be polled (`poller`), it is read here; else the transport reads, and is paused and resumed here. A
transport of ours has the poller call what is here.
Called in the reactor's thread, but for ``waits``, which is read in any.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final, cast

from twisted_wsgiref._http.reader import HeadReader
from twisted_wsgiref._twisted.private import lose_connection, stop_transport_reading
from twisted_wsgiref._twisted.reactor import Transport

from .poller import Poller, can_be_polled
from .socket_transport import SocketTransport

if TYPE_CHECKING:
    from .protocol import WSGIProtocol

#: What Twisted's transports read at a time, in bytes: the least that has to be kept.
TRANSPORT_READ: Final = 64 * 1024
# What we read ourselves, where nothing waits: a body of 64 KiB, as clients like to send, together with its head.
_READ: Final = 96 * 1024

#: Why a connection is not read: so many requests wait already.
PIPELINED: Final = 1
#: Why a connection is not read: its body is being written to a file.
SPILLING: Final = 2
#: Why a connection is not read: its application has not taken what came of the body.
PIPE_FULL: Final = 4
#: Why a connection is not read: whoever took it over wants a pause.
TAKEN_OVER: Final = 8
_NOBODY: Final = cast("WSGIProtocol", None)  # in the place of the protocol of a connection that is lost


def first_read(most: int) -> int:
    """Return how many bytes are read at a time where nothing waits, if at most `most` are kept."""
    return _READ if most > _READ else most


class Reading:
    """Has `protocol` told what comes by `transport`, from now on: bytes, and the end.

    `sock` is the transport's own, where bytes are sent on it as they are given. At most `most` bytes are read where
    `reader` has none that wait, and fewer if it asks for fewer.
    """

    __slots__ = ("_is_ours", "_poller", "_protocol", "_reader", "_sock", "_transport", "ended", "waits")

    def __init__(
        self,
        protocol: WSGIProtocol,
        transport: Transport,
        sock: socket.socket | None,
        poller: Poller | None,
        reader: HeadReader,
        most: int,
    ) -> None:
        self._protocol = protocol
        self._transport = transport
        if sock is not None:
            self._sock = sock
        self._reader = reader
        self._is_ours = False
        self._poller: Poller | None = None
        #: The reasons to wait, as bits.
        self.waits = 0
        #: Nothing more will come, or be looked at.
        self.ended = False
        if sock is None:
            return
        reader.usual_read = reader.next_read = first_read(most)
        if isinstance(transport, SocketTransport):
            self._is_ours = True
            transport.read = self._read  # whoever has accepted it lets it begin
        elif poller is not None and can_be_polled(transport):
            self._poller = poller
            stop_transport_reading(transport)
            self._start()

    def pause(self, reason: int) -> None:
        """Read nothing until `reason` is gone."""
        if not self.waits and not self.ended:
            self._stop()
        self.waits |= reason

    def resume(self, reason: int) -> None:
        """Read again, if `reason` was the last."""
        waits, self.waits = self.waits, self.waits & ~reason
        if waits and not self.waits and not self.ended:
            self._start()

    def end(self) -> None:
        """Read no more, whatever reasons go: the client sends nothing, or nobody looks at it.

        A transport that reads for itself goes on: it has to see its end.
        """
        self.ended = True
        if self._poller is not None or self._is_ours:
            self._stop()

    def end_with_close(self) -> None:
        """As `end` at the end of what comes, if the transport is asked next to close.

        One of ours stops reading then, for fewer calls.
        """
        transport = self._transport
        if isinstance(transport, SocketTransport):
            self.ended = transport.at_end = True
        else:
            self.end()

    def begin(self) -> None:
        """Read what has come already, and then all that comes. Called by whoever has accepted a transport of ours."""
        if self._is_ours:
            self._read()
        else:  # by TLS
            cast("SocketTransport", self._transport).read()
        if not self.waits and not self.ended:
            self._start()

    def begin_with(self, came: bytes | None) -> None:
        """As `begin`, after a read that has brought `came`: b"" for the end, None for nothing yet."""
        try:
            if came:
                self._protocol.dataReceived(came)
            elif came is not None:
                self._protocol.readConnectionLost()
        except Exception as error:
            self._protocol.factory.log_bug(error)
            self._protocol.cut_off()
        if not self.waits and not self.ended:
            self._start()

    def read_body(self, length: int) -> bytes:
        """Return at most `length` bytes that have come; b"" if there are none. Raises `OSError`.

        To be called in the middle of a read. Bytes that are read by themselves need not be copied to be a body.
        """
        try:
            return self._sock.recv(length)
        except BlockingIOError:
            return b""

    def lose(self) -> None:
        """As `end`, when the connection is lost. The protocol is told nothing any more, and not referred to.

        One of ours has ended its reading.
        """
        self.ended = True
        if self._poller is not None:
            self._stop()
        self._protocol = _NOBODY

    def _start(self) -> None:
        if self._poller is not None:
            self._poller.add(self._sock.fileno(), self._read)
        else:
            self._transport.resumeProducing()

    def _stop(self) -> None:
        if self._poller is not None:
            self._poller.remove(self._sock.fileno())
        else:
            self._transport.pauseProducing()

    def _read(self) -> None:
        """Read what a transport would read."""
        reader = self._reader
        try:
            data = self._sock.recv(TRANSPORT_READ if reader.buffer else reader.next_read)
            if data:
                self._protocol.dataReceived(data)
            else:
                self._protocol.readConnectionLost()
        except BlockingIOError:
            pass
        except OSError as error:
            self.end()
            lose_connection(self._transport, error)
        except Exception as error:
            self._protocol.factory.log_bug(error)
            self._protocol.cut_off()
