"""The reactor's half of an outlet: takes what a worker queued, and gives it to the transport as fast as that goes.

Nothing here knows HTTP. Everything is called in the reactor's thread.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPullProducer, IPushProducer
from zope.interface import implementer

from ._gateway.outlet import END, PIECE, FileSpan, Outlet


@implementer(IPullProducer, IPushProducer)
class Drain:
    """Empties `outlet` into `transport`, and calls `over` after the last octet of an exchange.

    With `sock`, the transport's own, it sends straight and turns to the transport only for what the kernel does not
    take: the transport then asks for more whenever it is empty (a pull producer), which is also when a file goes on.
    Without, the transport says when to pause (a push producer). `fail` is called where no more can be sent.
    """

    __slots__ = ("_fail", "_outlet", "_over", "_paused", "_registered", "_rest", "_sock", "_transport")

    def __init__(
        self,
        transport: Any,
        sock: socket.socket | None,
        outlet: Outlet,
        over: Callable[[], None],
        fail: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._sock = sock
        self._outlet = outlet
        self._over = over
        self._fail = fail
        self._rest: bytes | memoryview | FileSpan | None = None
        self._registered = False
        self._paused = False

    @property
    def busy(self) -> bool:
        """Whether the client has to read before more can be sent."""
        # A push producer stays registered while the application makes the next block: that is not the client's doing.
        return self._registered if self._sock is not None else self._paused

    def pump(self) -> None:
        """Send what is queued, until the transport has enough. Called on the outlet's wake."""
        if self._sock is None:
            self._pump_transport()
        elif not self._registered:
            self._pump_straight(self._sock)

    def stop(self) -> None:
        """Forget what was not sent: the connection is lost."""
        self._registered = False
        self._paused = False
        if isinstance(self._rest, FileSpan):
            self._rest.close()
        self._rest = None

    def _pump_straight(self, sock: socket.socket) -> None:
        while True:
            block = self._outlet.take()
            if block is None:
                return
            if block is END:
                self._over()
                return
            try:
                rest = self._send(sock, block)  # type: ignore[arg-type]
            except OSError:
                self._fail()
                return
            if rest is not None:
                self._rest = rest
                self._registered = True
                # Calls resumeProducing at once.
                self._transport.registerProducer(self, False)
                return

    def _send(self, sock: socket.socket, block: bytes | memoryview | FileSpan) -> bytes | memoryview | FileSpan | None:
        """Send what the kernel takes of `block`; return what it does not. Raises `OSError`."""
        try:
            if not isinstance(block, FileSpan):
                sent = sock.send(block)
                return block[sent:] if sent < len(block) else None
            block.send_all(sock)
        except BlockingIOError:
            return block
        return None

    def _pump_transport(self) -> None:
        while not self._paused:
            block = self._outlet.take()
            if block is None:
                return
            if block is END:
                if self._registered:
                    self._registered = False
                    self._transport.unregisterProducer()
                self._over()
                return
            if isinstance(block, FileSpan):
                block = self._read(block)
            if not self._registered:
                # Also for a single block: the exchange is over, and the next one begun, only once the transport has
                # room again. Else a client that pipelines and reads nothing would fill the memory with answers.
                self._registered = True
                self._transport.registerProducer(self, True)
            self._transport.write(bytes(block))  # type: ignore[arg-type]

    def _read(self, span: FileSpan) -> bytes:
        octets = span.read(PIECE)
        if not octets:
            span.close()
            self._fail()
        elif span.remaining:
            self._outlet.put_back(span)
        else:
            span.close()
        return octets

    # ---- Called by the transport -------------------------------------------------------------------------------

    def resumeProducing(self) -> None:
        """Give the transport more: it is empty."""
        if self._sock is None:
            self._paused = False
            self._pump_transport()
            return
        block: Any = self._rest
        self._rest = None
        if block is None:
            block = self._outlet.take()
            if block is None or block is END:
                self._registered = False
                self._transport.unregisterProducer()
                if block is END:
                    self._over()
                return
        if isinstance(block, FileSpan):
            try:
                self._rest = self._send(self._sock, block)
            except OSError:
                self._fail()
                return
            # Asked again when the socket can be written; also after the last of the file, to go on behind it.
            self._transport.startWriting()
        else:
            self._transport.write(bytes(block))

    def pauseProducing(self) -> None:
        """Give the transport nothing until it asks: it has enough."""
        self._paused = True

    def stopProducing(self) -> None:
        """Give nothing any more: the transport is lost, and `connectionLost` will say so."""
        self._paused = True
