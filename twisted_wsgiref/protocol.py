"""HTTP on a transport: octets in, exchanges to the workers, answers out, one exchange at a time.

`WSGIProtocol` is a connection, `WSGIFactory` what the connections of a service share. How a head is read is `_wire`'s
business, how an application is run `_gateway`'s, how an answer leaves `drain`'s.

Methods under the banner WORKER are called in a worker's thread, all others in the reactor's. Two threads meet in one
place: a worker that sent the last octet gives the connection back by setting ``_exchange`` to None and *then* looks
whether anything has come meanwhile; the reactor first notes what came, and *then* looks at ``_exchange``. Whoever is
second sees the other's mark, so nothing is left lying, and no lock is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from socket import AF_INET, AF_INET6, SHUT_WR, SocketIO
from time import time
from typing import IO, Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IHalfCloseableProtocol, ISSLTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ._gateway.environ import connection_environ, request_environ
from ._gateway.exchange import Exchange, Gateway
from ._gateway.outlet import Outlet
from ._gateway.pool import WorkerPool
from ._gateway.request_body import RequestBody
from ._gateway.wake import Wake
from ._ops.record import Record
from ._wire.body import ChunkedBody, LengthBody, body_of
from ._wire.errors import ProtocolError
from ._wire.framing import CHUNKED
from ._wire.head import RequestHead
from ._wire.limits import Limits
from ._wire.reader import HeadReader
from ._wire.response import CONTINUE, error_answer
from .drain import Drain, find_socket

_log = Logger()

# Deadlines are looked at this often, in seconds: one sweep over the connections, no timer for each.
SWEEP: Final = 1.0
# A body's rate is judged over this many seconds: a train in a tunnel is no attack.
_RATE_WINDOW: Final = 10.0
# Tells a client whose request found the queue full when to come again, in seconds.
_RETRY_AFTER: Final = "Retry-After: 1\r\n"

Observer = Callable[[Record], object]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a connection may do and for how long: sizes in octets, times in seconds. The reasons are in `settings`."""

    limits: Limits
    max_body: int
    body_memory: int
    max_pipelined: int
    head_timeout: float
    keep_alive: float
    body_rate: int
    send_timeout: float
    tls_timeout: float
    linger: float
    queue_age: float
    high_water: int


@implementer(IHalfCloseableProtocol)
class WSGIProtocol(Protocol):
    """One connection of `factory`'s. Every deadline is kept by `sweep`."""

    factory: WSGIFactory
    transport: Any

    def __init__(self, factory: WSGIFactory) -> None:
        self.factory = factory
        self._rules = factory.rules
        self._reader = HeadReader(factory.rules.limits)
        self._receive: Callable[[bytes], None] = self._receive_head
        self._exchange: Exchange | None = None
        self._head: RequestHead | None = None  # of the body that is arriving
        self._body: RequestBody | None = None
        self._framing: LengthBody | ChunkedBody | None = None
        self._since = 0.0  # when what is waited for now began; 0: not looked at yet
        self._mark = 0  # how far it had come then
        self._served = False  # at least one request was answered
        self._closing = False  # the last answer is out, or on its way
        self._half_closed = False  # the client has closed its sending half
        self._lost = False
        self._environ: dict[str, Any] | None = None

    def connectionMade(self) -> None:
        """Take over the transport."""
        transport = self.transport
        sock = find_socket(transport)
        # Keeps the descriptor from being given to another connection while a worker is sending: Python closes it when
        # the socket and all its files are closed.
        self._hold: SocketIO | None = None
        if sock is not None:
            self._hold = sock.makefile("wb", buffering=0)
            if sock.family in (AF_INET, AF_INET6):
                # An answer is not held back for the acknowledgement of the one before.
                transport.setTcpNoDelay(True)
        self._sock = sock
        self._outlet = outlet = Outlet(sock, self._ask_to_pump, self._rules.high_water)
        self._drain = Drain(transport, sock, outlet, self._over, self.cut_off)
        self.factory.connections.add(self)

    def _ask_to_pump(self) -> None:
        self.factory.wake(self._drain.pump)

    # ---- What comes in -----------------------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """Take what came."""
        self._receive(data)

    def _receive_head(self, data: bytes) -> None:
        self._reader.feed(data)
        if self._exchange is None:
            self._next_request()
        elif len(self._reader) + 65536 > self._rules.max_pipelined:
            # One request at a time: what comes after it waits in the kernel, and then at the client.
            self.transport.pauseProducing()
            if self._exchange is None:
                self._go_on()

    def _next_request(self) -> None:
        try:
            head = self._reader.take_head()
            if head is None:
                if len(self._reader) and not self._mark:
                    self._mark = 1
                    self._since = self.factory.clock()
                return
            self._since = 0.0
            self._mark = 0
            if head.length == 0:
                self._dispatch(head, BytesIO(), 0)
            else:
                self._begin_body(head)
        except ProtocolError as error:
            self._refuse(error.status, error.reason)

    def _begin_body(self, head: RequestHead) -> None:
        rules = self._rules
        if head.length > rules.max_body:
            raise ProtocolError(413, "the body is larger than max_body")
        first = self._reader.take_rest()
        if head.expects_continue and not first:
            self.transport.write(CONTINUE)
        self._head = head
        self._body = RequestBody(rules.body_memory)
        self._framing = body_of(head.length, rules.limits)
        self._since = self.factory.clock()
        self._mark = 0
        self._receive = self._receive_body
        if first:
            self._take_body(first)

    def _receive_body(self, data: bytes) -> None:
        try:
            self._take_body(data)
        except ProtocolError as error:
            self._refuse(error.status, error.reason)

    def _take_body(self, data: bytes) -> None:
        framing: Any = self._framing
        body: Any = self._body
        head: Any = self._head
        content, rest = framing.feed(data)
        if content:
            if head.length == CHUNKED and body.size + len(content) > self._rules.max_body:
                raise ProtocolError(413, "the body is larger than max_body")
            body.write(content)
        if framing.complete:
            self._head = self._body = self._framing = None
            self._receive = self._receive_head
            self._since = 0.0
            self._mark = 0
            if rest:
                self._reader.put_back(rest)
            self._dispatch(head, body.as_input(), body.size)

    def _discard(self, data: bytes) -> None:
        """Drop what comes after the last answer; it is read so that the client can read that answer to its end."""

    def readConnectionLost(self) -> None:
        """Note that the client will send no more: it may still read."""
        self._half_closed = True
        exchange = self._exchange
        if exchange is not None:
            exchange.left = True
        elif self._drain.busy:
            pass  # the end of an answer is on its way
        elif self._body is not None:
            # RFC 9112, section 8: an incomplete body is never taken for a whole one.
            self._refuse(400, "the body ended too early")
            self.transport.loseConnection()
        else:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Do nothing: it was us who closed this half."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Let go of everything; a worker that still runs is told, and lets go of the rest."""
        self._lost = True
        self.factory.connections.discard(self)
        self._outlet.lose()
        self._drain.stop()
        if self._body is not None:
            self._body.close()
            self._body = self._framing = None
        if self._exchange is None:
            self._let_go()
        else:
            self._drain.pump()

    def _let_go(self) -> None:
        hold, self._hold = self._hold, None
        if hold is not None:
            hold.close()
        self.factory.check_drained()

    # ---- An exchange -------------------------------------------------------------------------------------------

    def _dispatch(self, head: RequestHead, body: IO[bytes], size: int) -> None:
        factory = self.factory
        connection = self._environ
        if connection is None:
            connection = self._environ = self._describe()
        environ = request_environ(factory.environ, connection, head, body, size)
        exchange = Exchange(factory.gateway, head, environ, body, self._outlet, self)
        environ["twisted_wsgiref.client_disconnected"] = exchange.is_client_gone
        if factory.draining or not self._rules.keep_alive:
            exchange.persistent = False
        self._outlet.begin()
        self._exchange = exchange
        self._served = True
        factory.submit(exchange)

    def _describe(self) -> dict[str, Any]:
        # Asked at the first request: behind a PROXY header the addresses are not known before.
        transport = self.transport
        scheme = "https" if ISSLTransport.providedBy(transport) else "http"
        return connection_environ(scheme, _host_and_port(transport.getHost()), _host_and_port(transport.getPeer()))

    def refuse_exchange(self, status: int) -> None:
        """Answer `status` instead of the application, which has not begun, and close."""
        exchange = self._exchange
        if exchange is not None:
            exchange.body.close()
            exchange.status = status
            self._report(exchange)
            self._exchange = None
            self._answer_and_close(status, _RETRY_AFTER if status == 503 else "")

    # ---- WORKER ------------------------------------------------------------------------------------------------

    def exchange_ended(self) -> None:
        """Give the connection back, if all of the answer is sent; else have the reactor do it after the last octet."""
        outlet = self._outlet
        exchange: Any = self._exchange
        if not outlet.finish():
            return  # the reactor takes the rest, and then the end
        if outlet.gone or exchange.cut or self._sock is None:
            self.factory.wake(self._over)
            return
        self._report(exchange)
        if not exchange.persistent:
            self._receive = self._discard
            self._closing = True
            try:
                # The client sees the end at once, and closes; the reactor is not woken for it.
                self._sock.shutdown(SHUT_WR)
            except OSError:
                pass
        self._exchange = None
        if len(self._reader) or outlet.gone or self._half_closed or self.factory.draining:
            self.factory.wake(self._go_on)

    def _report(self, exchange: Exchange) -> None:
        # Called in the thread that sent the last octet.
        observers = self.factory.observers
        if observers:
            fields = exchange.head.fields
            record = Record(
                exchange.environ.get("REMOTE_ADDR"),
                exchange.head.request_line,
                exchange.status,
                exchange.octets,
                time(),
                self.factory.clock() - exchange.received,
                fields.get("HTTP_REFERER", ""),
                fields.get("HTTP_USER_AGENT", ""),
                exchange.environ.get("REMOTE_USER", ""),
            )
            for observer in observers:
                observer(record)

    # ---- The end of an exchange, and of the connection ---------------------------------------------------------

    def _over(self) -> None:
        """The last octet of an exchange is with the transport, or there will be none."""
        exchange = self._exchange
        if exchange is None:
            return
        self._report(exchange)
        self._exchange = None
        if self._lost:
            self._let_go()
        elif exchange.cut and exchange.ends_by_close:
            self.cut_off()  # an orderly end would be the end of the body
        elif exchange.cut or not exchange.persistent:
            self._linger()
        else:
            self._go_on()

    def _go_on(self) -> None:
        """Serve what came while an exchange ran, or end."""
        if self._lost:
            if self._exchange is None:
                self._let_go()
        elif self._exchange is None:
            if self._half_closed and (self._closing or not len(self._reader)):
                self.transport.loseConnection()
            elif not self._closing:
                self.transport.resumeProducing()
                if len(self._reader):
                    self._next_request()
            self.factory.check_drained()

    def _refuse(self, status: int, reason: str) -> None:
        """Answer what the client did wrong; look at nothing more that it sends."""
        body, self._body = self._body, None
        if body is not None:
            body.close()
        self._framing = self._head = None
        self.factory.note_refusal(status, reason)
        self._report_refusal(status)
        self._answer_and_close(status)

    def _report_refusal(self, status: int) -> None:
        observers = self.factory.observers
        if observers:
            peer = _host_and_port(self.transport.getPeer())
            for observer in observers:
                observer(Record(peer and peer[0], "-", status, 0, time(), 0.0, "", "", ""))

    def _answer_and_close(self, status: int, extra: str = "") -> None:
        self._receive = self._discard
        self.transport.write(error_answer(status, self.factory.gateway.stamp.lines(time()), extra))
        self._linger()

    def _linger(self) -> None:
        """Close our half, and read on until the client has closed its own, or the deadline: RFC 9112, section 9.6."""
        self._receive = self._discard
        self._closing = True
        self._since = 0.0
        if self._sock is None or self._half_closed:
            self.transport.loseConnection()
        else:
            self.transport.resumeProducing()
            self.transport.loseWriteConnection()
        self.factory.check_drained()

    def cut_off(self) -> None:
        """Reset the connection, so that nobody takes an answer that is cut short for a whole one."""
        abort = getattr(self.transport, "abortConnection", None)
        if abort is not None:
            abort()
        else:
            self.transport.loseConnection()

    # ---- Deadlines ---------------------------------------------------------------------------------------------

    @property
    def in_flight(self) -> bool:
        """Whether a request is being answered, or its answer still on its way."""
        return self._exchange is not None or self._closing

    def sweep(self, now: float) -> None:
        """Keep the deadlines; `now` is the factory's clock. Called once in `SWEEP` seconds."""
        exchange = self._exchange
        if exchange is not None:
            self._sweep_exchange(exchange, now)
        elif self._body is not None:
            self._sweep_body(self._body, now)
        elif self._mark and not self._closing:
            if now - self._since > self._rules.head_timeout:
                self._refuse(408, "the request head did not arrive in time")
        elif not self._since:
            self._since = now
        elif now - self._since > self._patience():
            if self._closing:
                self.cut_off()
            else:
                self.transport.loseConnection()

    def _patience(self) -> float:
        """Return how long nothing may happen on this connection, in seconds."""
        rules = self._rules
        if self._closing or self.factory.draining:
            return rules.linger
        return rules.keep_alive if self._served else rules.head_timeout

    def _sweep_exchange(self, exchange: Exchange, now: float) -> None:
        outlet = self._outlet
        if not outlet.pending and not self._drain.busy:
            self._since = 0.0
            if now - exchange.received > self._rules.queue_age and exchange.claim():
                self.refuse_exchange(503)
        elif not self._since or outlet.taken != self._mark:
            self._since = now
            self._mark = outlet.taken
        elif now - self._since > self._rules.send_timeout:
            _log.info("a client took nothing of its answer for {seconds} s", seconds=self._rules.send_timeout)
            self.cut_off()

    def _sweep_body(self, body: RequestBody, now: float) -> None:
        elapsed = now - self._since
        if elapsed >= _RATE_WINDOW:
            if body.size - self._mark < self._rules.body_rate * elapsed:
                self._refuse(408, "the request body came too slowly")
            self._since = now
            self._mark = body.size

    def retire(self) -> None:
        """Make the answer that is being made the last one of this connection."""
        if self._exchange is not None:
            self._exchange.persistent = False
        elif not self._closing:
            self._since = 0.0


def _host_and_port(address: Any) -> tuple[str, int] | None:
    return (address.host, address.port) if isinstance(address, IPv4Address | IPv6Address) else None


class WSGIFactory(Factory):
    """What the connections of one service share. Made by `service`; all methods are called in the reactor's thread."""

    noisy = False

    def __init__(
        self,
        gateway: Gateway,
        environ: dict[str, Any],
        rules: Rules,
        pool: WorkerPool,
        wake: Wake,
        call_later: Callable[..., Any],
        observers: Sequence[Observer] = (),
    ) -> None:
        self.gateway = gateway
        self.environ = environ
        self.rules = rules
        self.wake = wake
        self.clock = gateway.clock
        self.observers = tuple(observers)
        self.connections: set[WSGIProtocol] = set()
        self.draining = False
        self._pool = pool
        self._call_later = call_later
        self._gathered: list[Exchange] = []
        self._drained: Callable[[], None] | None = None

    def buildProtocol(self, addr: object) -> WSGIProtocol:  # type: ignore[override]
        """Return the protocol for a new connection."""
        return WSGIProtocol(self)

    def submit(self, exchange: Exchange) -> None:
        """Have `exchange` run by a worker: with all others of this turn of the reactor, and so with one wake."""
        self._gathered.append(exchange)
        if len(self._gathered) == 1:
            self._call_later(0, self._flush)

    def _flush(self) -> None:
        gathered, self._gathered = self._gathered, []
        for exchange in self._pool.put(gathered):
            if exchange.claim():  # type: ignore[attr-defined]
                exchange.connection.refuse_exchange(503)  # type: ignore[attr-defined]

    def sweep(self) -> None:
        """Keep the deadlines of all connections."""
        now = self.clock()
        for connection in list(self.connections):
            try:
                connection.sweep(now)
            except Exception:
                _log.failure("sweeping a connection failed")
        self._pool.grow()

    def note_refusal(self, status: int, reason: str) -> None:
        """Log why a request was refused."""
        _log.debug("refused with {status}: {reason}", status=status, reason=reason)

    def drain(self, drained: Callable[[], None]) -> None:
        """Answer what is in flight and take no more requests than are on their way; then call `drained`, once."""
        self.draining = True
        self._drained = drained
        for connection in list(self.connections):
            connection.retire()
        self.check_drained()

    def check_drained(self) -> None:
        """Call what `drain` was given if the last connection is gone."""
        if self._drained is not None and not self.connections:
            drained, self._drained = self._drained, None
            drained()

    def abandon(self) -> None:
        """Cut every connection off and wait for nobody: what `drain` was given is called."""
        for connection in list(self.connections):
            connection.cut_off()
        if self._drained is not None:
            drained, self._drained = self._drained, None
            drained()
