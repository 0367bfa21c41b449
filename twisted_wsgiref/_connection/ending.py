"""How a connection ends, and what it answers instead of a target: refusals, an answer that is given up, a reset.

Nothing here is called for an ordinary request. All is called in the reactor's thread.
"""

from __future__ import annotations

from errno import EIO
from time import time
from typing import TYPE_CHECKING, Final

from twisted.internet.protocol import Protocol

from twisted_wsgiref._http.request_id import id_line
from twisted_wsgiref._http.response import NOT_TLS, error_size
from twisted_wsgiref._observe.record import Record

from .transports import abort, host_and_port

if TYPE_CHECKING:
    from twisted_wsgiref._gateway.exchange import Exchange
    from twisted_wsgiref._twisted.reactor import Transport

    from .exits import Exit
    from .factory import WSGIFactory
    from .reading import Reading
    from .request_reader import RequestReader

# Tells a client whose request found the queue full when to come again, in seconds.
_RETRY_AFTER: Final = "Retry-After: 1\r\n"


class EndingConnection(Protocol):
    """A connection of `factory`, as far as it ends. A subclass serves."""

    factory: WSGIFactory
    transport: Transport  # type: ignore[assignment]  # Twisted's type has few of its names

    # What the connection is at, as the subclass leaves it.
    _exchange: Exchange | None
    _exit: Exit | None
    _incoming: RequestReader
    _reading: Reading
    _closing: bool
    _half_closed: bool

    def refuse_exchange(self, status: int) -> None:
        """Answer `status` instead of the application, which has not begun, and close."""
        exchange = self._exchange
        if exchange is not None:
            if exchange.body is not None:
                exchange.body.close()
            self._report_refused(exchange, status)
            self._exchange = None
            self._answer_and_close(status, exchange.head.method, exchange.head.request_id)

    def _lose_exchange(self, status: int) -> None:
        """Give up the answer that is being made, for `status` if none has begun: its worker meets `ClientGone` next.

        To be called before the body is closed, whose reader has to find the answer given up.
        """
        exchange = self._exchange
        if exchange is not None:
            exchange.cut = True
            if exchange.seize():
                self._report_refused(exchange, status)
                self._answer_and_close(status, exchange.head.method, exchange.head.request_id)
            else:
                self.cut_off()
            exchange.give_up()

    def _report_refused(self, exchange: Exchange, status: int) -> None:
        exchange.status = status
        exchange.size = error_size(status, exchange.head.method)
        exchange.report()

    def _refuse(self, status: int, reason: str) -> None:
        """Answer what the client did wrong; look at nothing more that it sends."""
        self._incoming.close()
        self.factory.note_refusal(status, reason)
        peer = host_and_port(self.transport.getPeer())
        self.factory.common.tell(Record.refused(peer and peer[0], status, error_size(status), time()))
        self._answer_and_close(status)

    def refuse_plain(self, reason: str, below: Transport, method: str) -> None:
        """Answer whoever does not speak TLS, on `below`, the transport under it; look at nothing more that comes."""
        self.transport = below
        self._closing = True
        self.factory.note_refusal(400, reason)
        head = method == "HEAD"
        peer = host_and_port(below.getPeer())
        self.factory.common.tell(Record.refused(peer and peer[0], 400, 0 if head else len(NOT_TLS), time()))
        below.write(self.factory.coder.error(400, time(), head=head, body=NOT_TLS))
        below.loseWriteConnection()

    def _answer_and_close(self, status: int, method: str = "", request_id: str = "") -> None:
        extra = (_RETRY_AFTER if status == 503 else "") + id_line(request_id)
        self.transport.write(self.factory.coder.error(status, time(), extra, head=method == "HEAD"))
        self._linger()

    def _linger(self) -> None:
        """Close our half, and read on until the client has closed its own, or the deadline: RFC 9112, section 9.6."""
        self._closing = True
        if self._exit is None or self._half_closed:
            self.transport.loseConnection()
        else:
            self._reading.resume(self._reading.waits)
            self.transport.loseWriteConnection()

    def cut_off(self) -> None:
        """Reset the connection, so that nobody takes an answer that is cut short for a whole one."""
        self._closing = True
        self._reading.end()  # the transport loses its connection a turn later, and only once
        abort(self.transport)

    def _stop_short(self, error: OSError) -> None:
        """Cut the connection: the rest of an answer can not be sent."""
        if error.errno == EIO:  # not the client's doing, nor the network's
            self.factory.log_trouble("the file of an answer could not be read", error)
        self.cut_off()
