"""A connection on a plain socket of ours: what a protocol asks of its transport, for the fewest calls of the system.

Twisted's own transport enters each connection into the reactor's epoll object and takes it out again, twice: for its
reading, which is the poller's here, and for its end. This one is known to the poller alone, and to the reactor only
while the socket takes no more of what is written. To a protocol it is the same: `ITCPTransport` or `IUNIXTransport`,
half-closed and reset as they are, with producers, and `connectionLost` once and never within a call of the protocol's.

What lives here: bytes and ends of one descriptor. What may not: HTTP. A subclass that changes the bytes has `_send`,
`_receive` and `_shut` of its own. All is called in the reactor's thread.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from errno import ENOBUFS
from typing import TYPE_CHECKING, Final, cast

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableDescriptor,
    IHalfCloseableProtocol,
    ILoggingContext,
    IPushProducer,
    IReadWriteDescriptor,
    ISystemHandle,
)
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_wsgiref._observe.log import logger
from twisted_wsgiref._twisted.reactor import Reactor

from .transports import Origin, drop_unread

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IProducer, IProtocol

    from .poller import Poller

_log = logger(__name__)

# As Twisted's: above so many bytes a producer pauses, and so many are sent, or read, at a time.
_FULL: Final = 64 * 1024
_PIECE: Final = 128 * 1024
_READ: Final = 64 * 1024
#: The value of SO_LINGER with which a close is a reset.
RESET: Final = struct.pack("ii", 1, 0)

# In the place of the protocol of a connection that is lost; its `connectionMade`, of ``read``.
_NOBODY: Final = Protocol()

# One of each for all connections, as reactors have it: nothing is added to them.
DONE: Final = Failure(ConnectionDone())
ABORTED: Final = Failure(ConnectionAborted())


@implementer(IConsumer, IPushProducer, IReadWriteDescriptor, IHalfCloseableDescriptor, ISystemHandle, ILoggingContext)
class SocketTransport:
    """What `protocol` has of `sock`, which is connected and does not block. It is read once somebody asks for that."""

    connected = True
    disconnected = False
    #: The connection will be closed once all is sent.
    disconnecting = False
    at_end = False  # whoever reads has seen that the other end sends no more
    #: Who is told when there is room; None: nobody.
    producer: IProducer | None = None
    streamingProducer = False
    producerPaused = False

    _half_closing = False  # this half will be closed once all is sent
    _half_closed = False
    _reason: Failure | None = None  # why the connection is lost soon
    _is_left = False  # somebody else closes the socket
    _reads = False  # the poller knows it
    _writes = False  # the reactor knows it
    _rest: bytes | memoryview = b""  # sent next, and then what is unsent
    _count = 0  # bytes of both

    def __init__(
        self,
        sock: socket.socket,
        protocol: IProtocol,
        origin: Origin,
        reactor: Reactor,
        poller: Poller,
    ) -> None:
        self.socket = sock
        self.protocol = protocol
        self.reactor = reactor
        self.fileno: Callable[[], int] = sock.fileno
        #: Called when something can be read; whoever reads by another way puts that here.
        self.read: Callable[[], None] = self.doRead
        self._poller = poller
        self._peer, self._place, self._number, self._host, self._near = origin
        self._unsent: list[bytes] = []

    # ---- What it is ----------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"<{type(self.protocol).__name__} #{self._number} on {self._place}>"

    def logPrefix(self) -> str:
        """Return the words before a line about this connection."""
        protocol = self.protocol
        known = cast(ILoggingContext, protocol) if ILoggingContext.providedBy(protocol) else None
        name = known.logPrefix() if known else type(protocol).__name__
        return f"{name},{self._number},{getattr(self.getPeer(), 'host', None)}"

    def getHandle(self) -> socket.socket:
        """Return the socket."""
        return self.socket

    def getHost(self) -> IAddress:
        """Return the address of this end. Raises `OSError` if nobody has asked before it was closed."""
        if self._host is None:
            self._host = self._address(self.socket.getsockname())
        return self._host

    def getPeer(self) -> IAddress:
        """Return the address of the other end."""
        return self._address(self._peer)

    def _address(self, name: object) -> IAddress:
        raise NotImplementedError

    # ---- What comes ----------------------------------------------------------------------------------------------

    def startReading(self) -> None:
        """Have what comes read."""
        if not self._reads and self.connected and self._reason is None:
            self._reads = True
            self._poller.add(self.fileno(), self.read)

    def stopReading(self) -> None:
        """Have nothing read."""
        if self._reads:
            self._reads = False
            self._poller.remove(self.fileno())

    pauseProducing = stopReading

    def resumeProducing(self) -> None:
        """Have more read, unless the connection is about to end."""
        if not self.disconnecting:
            self.startReading()

    def stopProducing(self) -> None:
        """End the connection."""
        self.loseConnection()

    def doRead(self) -> None:
        """Give the protocol what there is."""
        try:
            data = self._receive(_READ)
        except BlockingIOError:
            return
        except OSError as error:
            self.lose(Failure(ConnectionLost(error)))
            return
        try:
            if data:
                self.protocol.dataReceived(data)
            else:
                self.readConnectionLost(DONE)
        except Exception:
            _log.failure("a protocol failed")
            self.lose(Failure())

    def readConnectionLost(self, reason: Failure) -> None:
        """Tell the protocol that the other end sends no more; one that can not do with half of it loses it all."""
        protocol, self.at_end = self.protocol, True
        if IHalfCloseableProtocol.providedBy(protocol):
            self.stopReading()
            cast(IHalfCloseableProtocol, protocol).readConnectionLost()
        else:
            self.lose(reason)

    # ---- What goes -----------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send `data` after what was written before. Raises `TypeError` for anything but `bytes`."""
        if not isinstance(data, bytes):
            raise TypeError(f"what is written has to be bytes, not {type(data).__name__}")
        if data and self._may_write():
            self._unsent.append(data)
            self._added(len(data))

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send all of `iovec`; as `write`."""
        self.write(b"".join(iovec))

    def _may_write(self) -> bool:
        return self.connected and self._reason is None and not self._half_closed

    def _added(self, count: int) -> None:
        self._count += count
        producer = self.producer
        if producer is not None and self.streamingProducer and self._count > _FULL:
            self.producerPaused = True
            cast(IPushProducer, producer).pauseProducing()
        self.startWriting()

    def startWriting(self) -> None:
        """Call `doWrite` when the socket takes more."""
        if not self._writes and self.connected and self._reason is None:
            self._writes = True
            self.reactor.addWriter(self)

    def stopWriting(self) -> None:
        """Call it no more."""
        if self._writes:
            self._writes = False
            self.reactor.removeWriter(self)

    def doWrite(self) -> None:
        """Send what the socket takes, and do what has waited for that."""
        try:
            if self._count:
                self._send_some()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != ENOBUFS:
                self.lose_soon(Failure(ConnectionLost(error)))
            return
        if self._count:
            return
        self.stopWriting()
        producer = self.producer
        if producer is not None and (self.producerPaused or not self.streamingProducer):
            self.producerPaused = False
            cast(IPushProducer, producer).resumeProducing()
        elif self.disconnecting:
            self.lose_soon(DONE)
        elif self._half_closing:
            self._close_half()

    def _send_some(self) -> None:
        """Send a piece of what is written. Raises `OSError`."""
        if not self._rest:
            self._rest = b"".join(self._unsent)
            self._unsent.clear()
        rest = self._rest
        sent = self._send(memoryview(rest)[:_PIECE] if len(rest) > _PIECE else rest)
        self._count -= sent
        # What is left is not copied again for each piece.
        self._rest = memoryview(rest)[sent:] if sent < len(rest) else b""

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Have `producer` told when to pause and when there is room. Raises `RuntimeError` if another one is."""
        if self.producer is not None:
            raise RuntimeError(f"{self.producer!r} is registered, and has to be unregistered before {producer!r}")
        if not self.connected:
            producer.stopProducing()
            return
        self.producer, self.streamingProducer, self.producerPaused = producer, streaming, False
        if not streaming:
            cast(IPushProducer, producer).resumeProducing()

    def unregisterProducer(self) -> None:
        """Tell nobody any more; an end that has waited for that comes."""
        self.producer = None
        if self.disconnecting or self._half_closing:
            self.startWriting()

    def stopConsuming(self) -> None:
        """End the connection: a producer has no more."""
        self.unregisterProducer()
        self.loseConnection()

    # ---- The end -------------------------------------------------------------------------------------------------

    def loseConnection(self) -> None:
        """Close the connection once all is sent, and the producer, if there is one, is through. Read no more."""
        if not self.connected or self.disconnecting:
            return
        self.disconnecting = True
        if self._half_closed or (not self._count and self.producer is None):
            self.lose_soon(DONE)
        else:
            self.stopReading()
            self.startWriting()

    def loseWriteConnection(self) -> None:
        """Close this half once all is sent."""
        if not self.connected or self._half_closing:
            return
        self._half_closing = True
        if self._count or self.producer is not None:
            self.startWriting()
        else:
            self._close_half()

    def _close_half(self) -> None:
        self._half_closing = self._half_closed = True
        with suppress(OSError):  # the other end has left: its end is read next
            self._shut()
        protocol = self.protocol
        if IHalfCloseableProtocol.providedBy(protocol):
            try:
                cast(IHalfCloseableProtocol, protocol).writeConnectionLost()
            except Exception:
                _log.failure("a protocol failed")
                self.lose_soon(Failure())

    def abortConnection(self) -> None:
        """Reset the connection; what is not sent is dropped."""
        if self.connected:
            self.lose_soon(ABORTED)

    def lose_soon(self, reason: Failure) -> None:
        """Have the connection lost for `reason`: when all that can be read now is read, or in the next turn.

        Nothing is read or written until then. A reset goes before any other reason.
        """
        earlier, self._reason = self._reason, reason
        if earlier is not None:
            if reason is not ABORTED:
                self._reason = earlier
            return
        self.stopWriting()
        if self._poller.turning:
            self._forget_reading()
            self._poller.after(self._lose_now)
        else:
            self.stopReading()
            self.reactor.callLater(0, self._lose_now)

    def _lose_now(self) -> None:
        self.lose(self._reason or DONE)

    def _forget_reading(self) -> None:
        """Have nothing read, without a word to the kernel, which forgets what is closed. That has to come soon."""
        if self._reads:
            self._reads = False
            self._poller.forget(self.fileno())

    def lose(self, reason: Failure) -> None:
        """Have the connection lost now, if it is not yet: the socket is closed, and the protocol told `reason`."""
        if not self.connected:
            return
        self.connected, self.disconnected = False, True
        if self._count or self._writes:
            self.stopWriting()
            self._unsent.clear()
            self._rest, self._count = b"", 0
        if self._reads:
            self._forget_reading()
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.stopProducing()
        if reason is not DONE and isinstance(reason.value, ConnectionAborted):  # `check` asks by names, all of them
            with suppress(OSError):
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        elif reason is DONE and not self.at_end:
            drop_unread(self._receive)
        if not self._is_left:
            self.socket.close()
        # As Twisted's let go of each other here: the cycle collector has nothing to do with a connection.
        protocol, self.protocol, self.read = self.protocol, _NOBODY, _NOBODY.connectionMade
        try:
            protocol.connectionLost(reason)
        except Exception:
            _log.failure("a protocol failed")

    def close(self) -> None:
        """Have the connection lost now, in order, if it is not yet."""
        self.lose(DONE)

    def connectionLost(self, reason: Failure) -> None:
        """As `lose`: a reactor calls it, after `doWrite` or at its own end."""
        self.lose(reason)

    writeConnectionLost = connectionLost  # a reactor may call it, and has no half to lose

    def leave_socket(self) -> socket.socket:
        """Return the socket, whose close is the caller's: once the connection is lost, and no thread sends on it."""
        self._is_left = True
        return self.socket

    # ---- What a subclass may do otherwise ------------------------------------------------------------------------

    def _send(self, data: bytes | memoryview) -> int:
        """Send what is taken of `data`, and return how much. Raises `BlockingIOError` for nothing, or `OSError`."""
        return self.socket.send(data)

    def _receive(self, most: int) -> bytes:
        """Return what came, b"" at the end. Raises `BlockingIOError` for nothing, or `OSError`."""
        return self.socket.recv(most)

    def _shut(self) -> None:
        """Have the other end see the end of what is sent. Raises `OSError`."""
        self.socket.shutdown(socket.SHUT_WR)
