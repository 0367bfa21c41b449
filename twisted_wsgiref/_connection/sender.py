"""The reactor's half of an answer: takes what a worker queued, and gives it to the transport as fast as that goes.

Nothing here knows HTTP. Everything is called in the reactor's thread.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IPullProducer, IPushProducer
from zope.interface import implementer

from twisted_wsgiref._gateway.file_span import FileSpan

from .answer_queue import AnswerQueue
from .blocks import END, Block, End

# What a transport that changes octets is given at a time: each piece that it takes is progress of a slow client's.
_SMALL_PIECE: Final = 16 * 1024
# After so many pieces in a row the other connections have their turn. A client that reads as fast as an application
# makes blocks would else keep the reactor for as long as the answer lasts.
_PIECES_A_TURN: Final = 8


@implementer(IPullProducer, IPushProducer)
class Sender:
    """Empties `queue` into `transport`, and calls `over` after the last octet of an exchange.

    With `sock`, the transport's own, it sends straight; what the kernel does not take waits here, and the transport,
    which never has anything of ours, tells when the socket can be written (it takes us for a pull producer). Without,
    the transport says when to pause (a push producer). `fail` is told why no more can be sent, `again` where `pump`
    is to be called in the reactor's next turn.
    """

    __slots__ = (
        "_again",
        "_asked",
        "_fail",
        "_over",
        "_paused",
        "_queue",
        "_registered",
        "_rest",
        "_sock",
        "_transport",
        "sent",
    )

    def __init__(
        self,
        transport: Any,
        sock: socket.socket | None,
        queue: AnswerQueue,
        over: Callable[[], None],
        fail: Callable[[OSError], None],
        again: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._sock = sock
        self._queue = queue
        self._over = over
        self._fail = fail
        self._again = again
        self._rest: bytes | memoryview | FileSpan | None = None
        self._registered = False
        self._paused = False
        self._asked = False
        #: Octets that the kernel, or a transport that changes them, has taken so far.
        self.sent = 0

    @property
    def busy(self) -> bool:
        """Whether the client has to read before more can be sent."""
        # A push producer stays registered while the application makes the next block: that is not the client's doing.
        return self._registered if self._sock is not None else self._paused

    def pump(self) -> None:
        """Send what is queued, until the transport has enough. Called on the queue's wake."""
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
        """Send until the kernel takes no more, nothing is queued, or it is the others' turn."""
        for _ in range(_PIECES_A_TURN):
            block: Block | End | None = self._rest or self._queue.take()
            self._rest = None
            if block is None or block is END:
                if self._registered:
                    self._registered = False
                    self._transport.unregisterProducer()
                if block is END:
                    self._over()
                return
            try:
                self._rest = self._send(sock, block)  # type: ignore[arg-type]
            except OSError as error:
                self._fail(error)
                return
            if self._rest is not None:
                self._wait_for_socket()
                return
        if self._registered:
            self._wait_for_socket()
        else:
            self._again()

    def _wait_for_socket(self) -> None:
        if self._registered:
            self._transport.startWriting()
        else:
            self._registered = True
            self._ask_when_writable()

    def _ask_when_writable(self) -> None:
        # A pull producer is asked at once when it is registered, and then whenever the transport, which never has
        # anything of ours, finds that the socket can be written.
        self._asked = False
        self._transport.registerProducer(self, False)
        self._asked = True
        self._transport.startWriting()

    def _send(self, sock: socket.socket, block: bytes | memoryview | FileSpan) -> bytes | memoryview | FileSpan | None:
        """Send what the kernel takes of `block`; return what it does not. Raises `OSError`."""
        if isinstance(block, FileSpan):
            before = block.remaining
            took_all = block.send_piece(sock)
            self.sent += before - block.remaining
            if not took_all:
                return block
            if block.remaining:
                self._queue.put_back(block)
            return None
        try:
            sent = sock.send(block)
        except BlockingIOError:
            return block
        self.sent += sent
        return block[sent:] if sent < len(block) else None

    def _pump_transport(self) -> None:
        for _ in range(_PIECES_A_TURN):
            if self._paused:
                return
            block = self._queue.take(_SMALL_PIECE)
            if block is None:
                return
            if block is END:
                if self._registered:
                    self._registered = False
                    self._transport.unregisterProducer()
                self._over()
                return
            if isinstance(block, FileSpan):
                try:
                    block = self._read(block)
                except OSError as error:
                    self._fail(error)
                    return
            if not self._registered:
                # Also for a single block: the exchange is over, and the next one begun, only once the transport has
                # room again. Else a client that pipelines and reads nothing would fill the memory with answers.
                self._registered = True
                self._transport.registerProducer(self, True)
            octets = bytes(block)  # type: ignore[arg-type]
            self.sent += len(octets)
            self._transport.write(octets)
        if not self._paused:
            self._again()

    def _read(self, span: FileSpan) -> bytes:
        octets = span.read(_SMALL_PIECE)
        if span.remaining:
            self._queue.put_back(span)
        return octets

    # ---- Called by the transport -------------------------------------------------------------------------------

    def resumeProducing(self) -> None:
        """Send more: the socket can be written, or the transport has room again."""
        if self._sock is None:
            self._paused = False
            self._pump_transport()
        elif self._asked:
            self._pump_straight(self._sock)

    def pauseProducing(self) -> None:
        """Give the transport nothing until it asks: it has enough."""
        self._paused = True

    def stopProducing(self) -> None:
        """Give nothing any more: the transport is lost, and `connectionLost` will say so."""
        self._paused = True
