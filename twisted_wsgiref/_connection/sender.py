"""The reactor's half of an answer: takes what a worker queued, and gives it to the transport as fast as that goes.

Nothing here knows HTTP. Everything is called in the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.interfaces import IPullProducer, IPushProducer
from zope.interface import implementer

from twisted_wsgiref._gateway.file_span import FileSpan
from twisted_wsgiref._http.response import UncodedHead
from twisted_wsgiref._twisted.reactor import Transport

from .answer_queue import AnswerQueue
from .blocks import END, Block, End
from .exits import Exit

# What a transport that changes bytes is given at a time: each piece that it takes is progress of a slow client's.
_SMALL_PIECE: Final = 16 * 1024
# After so many pieces in a row the other connections have their turn. A client that reads as fast as an application
# makes blocks would else keep the reactor for as long as the answer lasts.
_PIECES_A_TURN: Final = 8
# HTTP/1 has a coder that writes each head before it is queued.
_UNCODED: Final = "a head that no coder has written can not be sent as bytes"


class Sender(Protocol):
    """The reactor's half of the way out of a connection."""

    #: Bytes that the kernel, or a transport that changes them, has taken so far.
    sent: int

    @property
    def busy(self) -> bool:
        """Whether the client has to read before more can be sent."""

    def pump(self) -> None:
        """Send what is queued, until the client has to read. Called on the queue's wake."""

    def stop(self) -> None:
        """Forget what was not sent: the connection is lost."""


@implementer(IPullProducer)
class ExitSender:
    """Empties `queue` by `exit`, and calls `over` after the last byte of an exchange.

    What the exit does not take waits here; `transport`, which never has anything of ours, tells when more can be
    sent: it takes this for a pull producer. `fail` is told why no more can be sent. `again` has `pump` called in the
    reactor's next turn.
    """

    __slots__ = ("_again", "_asked", "_exit", "_fail", "_over", "_queue", "_registered", "_rest", "_transport", "sent")

    def __init__(
        self,
        transport: Transport,
        exit: Exit,
        queue: AnswerQueue,
        over: Callable[[], None],
        fail: Callable[[OSError], None],
        again: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._exit = exit
        self._queue = queue
        self._over = over
        self._fail = fail
        self._again = again
        self._rest: Block | None = None
        self._registered = False
        self._asked = False
        #: Bytes that the kernel has taken so far.
        self.sent = 0

    @property
    def busy(self) -> bool:
        """Whether the client has to read before more can be sent."""
        return self._registered

    def pump(self) -> None:
        """Send until the exit takes no more, nothing is queued, or it is the others' turn."""
        if not self._registered:
            self._pump()

    def _pump(self) -> None:
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
                self._rest = self._send(block)
            except OSError as error:
                self._fail(error)
                return
            if self._rest is not None:
                self._wait_for_exit()
                return
        if self._registered:
            self._wait_for_exit()
        else:
            self._again()

    def _wait_for_exit(self) -> None:
        if self._registered:
            self._transport.startWriting()
            return
        self._registered = True
        # A pull producer is asked at once when it is registered, and then whenever the transport, which never has
        # anything of ours, finds that the socket can be written.
        self._asked = False
        self._transport.registerProducer(self, False)
        self._asked = True
        self._transport.startWriting()

    def _send(self, block: Block) -> Block | None:
        """Send what the exit takes of `block`; return what it does not. Raises `OSError`."""
        if isinstance(block, FileSpan):
            before = block.remaining
            took_all = self._exit.send_file(block)
            self.sent += before - block.remaining
            if not took_all:
                return block
            if block.remaining:
                self._queue.put_back(block)
            return None
        if isinstance(block, UncodedHead):
            raise TypeError(_UNCODED)
        try:
            sent = self._exit.send(block)
        except BlockingIOError:
            return block
        self.sent += sent
        return block[sent:] if sent < len(block) else None

    def stop(self) -> None:
        """Forget what was not sent: the connection is lost."""
        self._registered = False
        if isinstance(self._rest, FileSpan):
            self._rest.close()
        self._rest = None

    # ---- Called by the transport -------------------------------------------------------------------------------

    def resumeProducing(self) -> None:
        """Send more: the socket can be written."""
        if self._asked:
            self._pump()

    def stopProducing(self) -> None:
        """Do nothing: the transport is lost, and `connectionLost` will say so."""


@implementer(IPushProducer)
class TransportSender:
    """Empties `queue` into `transport`, which says when to pause; the rest is as for `ExitSender`."""

    __slots__ = ("_again", "_fail", "_over", "_paused", "_queue", "_registered", "_transport", "sent")

    def __init__(
        self,
        transport: Transport,
        queue: AnswerQueue,
        over: Callable[[], None],
        fail: Callable[[OSError], None],
        again: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._queue = queue
        self._over = over
        self._fail = fail
        self._again = again
        self._registered = False
        self._paused = False
        #: Bytes that the transport has taken so far.
        self.sent = 0

    @property
    def busy(self) -> bool:
        """Whether the client has to read before more can be sent."""
        # It stays registered while the application makes the next block: that is not the client's doing.
        return self._paused

    def pump(self) -> None:
        """Give the transport what is queued, until it has enough, or it is the others' turn."""
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
            if isinstance(block, UncodedHead):
                raise TypeError(_UNCODED)
            data = bytes(block)
            self.sent += len(data)
            self._transport.write(data)
        if not self._paused:
            self._again()

    def _read(self, span: FileSpan) -> bytes:
        data = span.read(_SMALL_PIECE)
        if span.remaining:
            self._queue.put_back(span)
        return data

    def stop(self) -> None:
        """Forget what was not sent: the connection is lost."""
        self._registered = False
        self._paused = False

    # ---- Called by the transport -------------------------------------------------------------------------------

    def resumeProducing(self) -> None:
        """Give more: the transport has room again."""
        self._paused = False
        self.pump()

    def pauseProducing(self) -> None:
        """Give the transport nothing until it asks: it has enough."""
        self._paused = True

    def stopProducing(self) -> None:
        """Give nothing any more: the transport is lost, and `connectionLost` will say so."""
        self._paused = True


def make_sender(
    transport: Transport,
    exit: Exit | None,
    queue: AnswerQueue,
    over: Callable[[], None],
    fail: Callable[[OSError], None],
    again: Callable[[], None],
) -> Sender:
    """Return the reactor's half for a connection that has `exit`, or none."""
    if exit is None:
        return TransportSender(transport, queue, over, fail, again)
    return ExitSender(transport, exit, queue, over, fail, again)
