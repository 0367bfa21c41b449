"""HTTP on a transport: bytes in, exchanges to the workers, answers out, one exchange at a time.

`WSGIProtocol` is one connection; what the connections of a service share is in `factory`. How bytes become requests
is `request_reader`'s business, how an application is run `_gateway.handler`'s, how an answer leaves `sender`'s.

Methods under the banner WORKER are called in a worker's thread, all others in the reactor's. Two threads meet in one
place: a worker that sent the last byte gives the connection back by setting ``_exchange`` to None and *then* looks
whether anything has come meanwhile; the reactor first notes what came, and *then* looks at ``_exchange``. Whoever is
second sees the other's mark, so nothing is left lying, and no lock is needed (`_threads.marks`).
"""

from __future__ import annotations

import socket
from socket import AF_INET, AF_INET6
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_wsgiref._gateway.client_gone import ClientGone
from twisted_wsgiref._gateway.environ import ConnectionEnviron
from twisted_wsgiref._gateway.exchange import Exchange
from twisted_wsgiref._gateway.input_pipe import InputPipe
from twisted_wsgiref._gateway.request_body import BodyAtOnce, RequestBody
from twisted_wsgiref._http.errors import ProtocolError
from twisted_wsgiref._http.head import RequestHead
from twisted_wsgiref._http.request_framing import CHUNKED
from twisted_wsgiref._threads.marks import NO_GIL, fence

from .answer_queue import AnswerQueue
from .deadlines import Deadlines, Phase
from .exits import Exit, SocketExit, find_exit
from .handed_over import HandedOver
from .lending import LendingConnection
from .peer import local_facts, tls_facts
from .perhaps_secure import handshake_failure
from .plain_transports import PlainTransport, TCPSocket
from .reading import PIPE_FULL, PIPELINED, SPILLING, TRANSPORT_READ, Reading
from .request_reader import RequestReader
from .sender import make_sender
from .socket_transport import SocketTransport
from .transports import find_socket, host_and_port, is_secure, send_at_once

if TYPE_CHECKING:
    from .factory import WSGIFactory


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class WSGIProtocol(LendingConnection):
    """One connection of `factory`."""

    def __init__(self, factory: WSGIFactory) -> None:
        rules = factory.rules
        # Twice: where a class, here Twisted's, has a name, too, CPython finds it slowly from 3.12 on.
        self.factory = self._factory = factory
        self._rules = rules
        self._incoming = RequestReader(
            rules.limits,
            rules.max_body,
            rules.body_memory,
            self._open_pipe if rules.stream_input or not factory.is_direct else None,
        )
        self._reader = self._incoming.reader
        most = rules.max_pipelined
        self._most = most if most > TRANSPORT_READ else TRANSPORT_READ  # bytes that are kept of requests that wait
        self._exchange: Exchange | None = None
        self._environ: ConnectionEnviron | None = None  # made with the first request
        self._served = False  # at least one request has come
        self._shaking = False  # a part of a TLS handshake has come
        self._closing = False  # the last answer is out, or on its way: what comes now is dropped
        self._half_closed = False  # the client has closed its sending half
        self._closed = False  # the transport was asked to close
        self._lost = False
        self._handed_over: HandedOver | None = None

    def connectionMade(self) -> None:
        """Take over the transport."""
        transport = self.transport
        factory = self.factory
        sock: socket.socket | None
        self._exit: Exit | None
        if isinstance(transport, PlainTransport):  # as with TLS: its port has seen to it that all is sent at once
            sock = transport.leave_socket()
            self._exit = SocketExit(sock, True)
            self._secured = True
        else:
            sock = find_socket(transport)
            self._exit = find_exit(transport) if sock is None else SocketExit(sock)
            self._secured = not is_secure(transport)
            is_tcp = sock is None or sock.family in (AF_INET, AF_INET6)
            if is_tcp and not isinstance(transport, SocketTransport):
                send_at_once(transport)
        self._reading = Reading(self, transport, sock, factory.poller, self._reader, self._most)
        self._queue = AnswerQueue(factory.coder, self._exit, self._ask_to_pump, self._rules.high_water, factory.batch)
        self._deadlines = Deadlines(
            factory.last_limits if factory.draining else factory.limits,
            self._rules.body_rate,
            Phase.FRESH if self._secured else Phase.HANDSHAKE,
            factory.clock(),
        )
        factory.add(self)

    def begin_handshake(self) -> None:
        """Note that a TLS handshake begins. A connection that says nothing before it ends gets no line in the log."""
        self._shaking = True

    def handshakeCompleted(self) -> None:
        """Note that the TLS handshake is done."""
        self._secured = True
        self.factory.note_shaken(True)

    def _ask_to_pump(self) -> None:
        self.factory.wake(self.send_on)

    def send_on(self) -> None:
        """Have the reactor's half of the way out send. It is made now: most connections have all sent by workers."""
        sender = self._sender
        if sender is None:
            sender = self._sender = make_sender(
                self.transport, self._exit, self._queue, self._over, self._stop_short, self._ask_to_pump
            )
        sender.pump()

    # ---- What comes in -----------------------------------------------------------------------------------------

    def begin(self, transport: SocketTransport) -> None:
        """Be connected by `transport`; take what has come already, and then all that comes."""
        self.connected = True
        self.transport = transport
        self.connectionMade()
        self._reading.begin()

    def begin_with(self, transport: SocketTransport, came: bytes | None) -> None:
        """As `begin`, if a read of `transport` has brought `came` already: b"" for its end, None for nothing yet."""
        self.connected = True
        self.transport = transport
        self.connectionMade()
        self._reading.begin_with(came)

    def begin_answered(self, transport: SocketTransport, exchange: Exchange, queue: AnswerQueue) -> None:
        """Be connected by `transport` while `exchange`, the only one, is answered by way of `queue`."""
        self.connected = self.takes_place = True
        self.transport = transport
        self.connectionMade()
        self._queue = queue
        self._exchange = exchange
        self._environ = self._describe()
        self._served = True
        self._deadlines.request = exchange.received
        self._reading.begin_with(None)

    def dataReceived(self, data: bytes) -> None:
        """Take what came."""
        reader = self._reader
        if data == reader.again and self._exchange is None and not self._closing and not reader.buffer:
            # A client that polls sends its last request once more. It is all there, and nothing waits before it.
            self._dispatch(reader.head, None)
            return
        if (
            len(data) == reader.again_size
            and data.startswith(reader.again_start)
            and self._exchange is None
            and not self._closing
            and not reader.buffer
        ):
            # So does one that sends a body, of which all is there, and nothing behind it; or none yet, if it is large.
            head = reader.head
            content = data[len(reader.again_start) :] or self._reading.read_body(head.length)
            if len(content) == head.length:
                body = BodyAtOnce(content)
                body.size = len(content)
                self._dispatch(head, body)
                return
            data += content
        if self._closing:
            # Dropped, but read: so that the client can read its last answer to the end.
            return
        if reader.buffer:
            reader.feed(data)
        else:
            reader.buffer = data  # as `feed` does, without the call: most requests come whole
        if NO_GIL:
            fence()
        if self._exchange is None:
            # Looked at again: a worker may have ended its exchange meanwhile, and with it the connection.
            if not self._closing:
                self._take_request()
        elif self._incoming.pipe is not None:
            self._take_upload()
        else:
            self._hold_back()

    def _hold_back(self) -> None:
        """Read no more where a read could bring more than is kept; while one request is served, the next ones wait.

        They wait in the kernel, and then at the client.
        """
        if self._is_ahead:
            self._reading.pause(PIPELINED)
            if NO_GIL:
                fence()
            if self._exchange is None:
                self._go_on()

    @property
    def _is_ahead(self) -> bool:
        """Whether another read could bring more than is kept of requests that wait."""
        return len(self._reader.buffer) + TRANSPORT_READ > self._most

    def _take_request(self) -> bool:
        """Have the next request answered, if it is all there; return whether one was. It may be over by then."""
        if self._reading.waits & SPILLING:
            return False  # TLS gives what it has, also when it is told to pause; `_spilled` comes back to it
        incoming = self._incoming
        try:
            request = incoming.take()
        except ProtocolError as error:
            self._refuse(error.status, error.reason)
            return False
        if request is not None:
            head, body = request
            self._dispatch(head, body)
            if self._reader.buffer:
                if self._exchange is not None:
                    self._hold_back()
                elif self._is_ahead:
                    # It was answered at once, so `_go_on` will be called for the next one.
                    self._reading.pause(PIPELINED)
            return True
        if incoming.wants_continue:
            incoming.wants_continue = False
            self._ask_for_body()
        body = incoming.body
        if body is None:
            if self._reader.buffer:
                self._deadlines.start(Phase.HEAD, self.factory.clock())
        else:
            self._deadlines.start(Phase.BODY, self.factory.clock())
            if body.is_due():
                self._reading.pause(SPILLING)
                self.factory.spill(body, self._spilled)
        return False

    def _ask_for_body(self) -> None:
        """Send 100 (Continue), straight where the answer goes straight. No exchange is under way.

        What a transport is given waits for its turn, and a worker that is through before would have answered first.
        """
        data = self.factory.coder.interim(100)
        if self._exit is None:
            self.transport.write(data)
            return
        try:
            sent = self._exit.send(data)
        except OSError:
            # No room: who reads nothing is told nothing, and goes on after a while (RFC 9110, section 10.1.1). An error
            # is met again by the next read.
            return
        if sent < len(data):
            self.cut_off()

    def _spilled(self, error: BaseException | None) -> None:
        """Go on reading: a part of the body is in its file, or can not be put there."""
        if self._lost or self._closing:
            self._incoming.close()
        elif error is not None:
            self.factory.log_trouble("a request body could not be written to a file", error)
            self._refuse(500, "no room for the body")
        else:
            self._reading.resume(SPILLING)
            self._take_request()

    def _open_pipe(self, head: RequestHead) -> InputPipe | None:
        """Return a pipe for the body of `head`, so that the request is answered while that arrives; None to collect."""
        factory, rules = self.factory, self._rules
        target = factory.find_target(head)
        streams = rules.stream_input and target.streams and (rules.stream_chunked or head.length != CHUNKED)
        if target.collects and not streams:
            return None

        def go_on(pipe: InputPipe) -> None:
            self.factory.wake(lambda: self._room_in_pipe(pipe))

        return InputPipe(self._rules.body_memory, go_on)

    def _take_upload(self) -> None:
        """Put what came of a body into the pipe that an application reads from."""
        pipe = self._incoming.pipe
        try:
            self._incoming.take()
        except ProtocolError as error:
            # The application is at it: it learns that no more will come, and the client that this is no answer.
            self.factory.note_refusal(error.status, error.reason)
            self._lose_exchange(error.status)
            self._incoming.close()
        else:
            if pipe is not None and pipe.full:
                self._reading.pause(PIPE_FULL)
                if NO_GIL:
                    fence()
                if self._exchange is None:
                    self._go_on()

    def _room_in_pipe(self, pipe: InputPipe) -> None:
        # An application may read on when its request is over: that makes no room for the one that is served now.
        exchange = self._exchange
        if exchange is not None and exchange.body is pipe:
            self._reading.resume(PIPE_FULL)

    def readConnectionLost(self) -> None:
        """Note that the client will send no more: it may still read."""
        self._half_closed = True
        if self._exchange is None and self._closing and not self._is_stalled:
            self._reading.end_with_close()
            self.transport.loseConnection()
            return
        self._reading.end()
        if self._handed_over is not None and not self._closing:
            self._handed_over.read_lost(self.transport.loseConnection)
            return
        if NO_GIL:
            fence()
        exchange = self._exchange
        if exchange is not None:
            exchange.left = True
            if self._incoming.pipe is not None:
                self.factory.note_refusal(400, "the body ended too early")
                self._lose_exchange(400)
                self._incoming.close()
        elif self._incoming.phase is Phase.BODY and not self._closing:
            # RFC 9112, section 8: an incomplete body is never taken for a whole one.
            self._refuse(400, "the body ended too early")
        elif self._reader.buffer and not self._closing:
            self._go_on()  # a worker has just ended its exchange, and what came behind it is not looked at yet
        elif not self._is_stalled:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Do nothing: it was us who closed this half."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Let go of everything; a worker that still runs is told, and lets go of the rest."""
        self._lost = True
        if self._handed_over is not None:
            self._handed_over.lost(reason)
        if self._shaking and not self._secured and not self._closing:
            self._note_handshake(handshake_failure(reason and reason.value))
        self._reading.lose()
        self.factory.remove(self)
        self._queue.lose()
        if self._sender is not None:
            self._sender.stop()
        if self._incoming.body is None or not self._incoming.body.spilling:
            self._incoming.close()
        if NO_GIL:
            fence()
        exchange = self._exchange  # once: a worker may end it, and take it away, at any moment
        if exchange is None:
            self._let_go()
        else:
            if self._exit is not None:
                self._exit.sever()
            exchange.give_up()
            self.send_on()

    def _let_go(self) -> None:
        if self._exit is not None:
            self._exit.release()
        # What refers to this is cut, so that no cycle is left for the collector, which took an eighth of a new
        # connection's time.
        self._queue.let_go()
        self._incoming.open_pipe = self._environ = self._sender = None
        if self.factory.draining:
            self.factory.check_drained()

    # ---- An exchange -------------------------------------------------------------------------------------------

    def _dispatch(self, head: RequestHead, body: BodyAtOnce | RequestBody | InputPipe | None) -> None:
        factory = self._factory
        self._served = True
        connection = self._environ
        if connection is None:
            connection = self._environ = self._describe()
        environ = connection.make(head, 0 if body is None else body.size)
        target = factory.target
        if not factory.is_direct:
            try:
                target = factory.route(head, environ, connection.peer)
            except ProtocolError as error:
                if body is not None:
                    body.close()
                self._refuse(error.status, error.reason)
                return
        exchange = target.prepare(head, environ, body, self._queue, self)
        if factory.draining or not self._rules.keep_alive:
            exchange.persistent = False
        self._deadlines.request = exchange.received
        self._exchange = exchange
        target.start(exchange)

    def _describe(self) -> ConnectionEnviron:
        # Asked at the first request: behind a PROXY header the addresses are not known before.
        transport = self.transport
        offer = self._offer_socket
        if isinstance(transport, (PlainTransport, TCPSocket)):  # ours; of TLS it is the latter
            host, peer = transport.ends()
        else:
            host, peer = host_and_port(transport.getHost()), host_and_port(transport.getPeer())
        if is_secure(transport):
            return ConnectionEnviron(self.factory.environ, "https", host, peer, tls_facts(transport), offer)
        facts = {} if host else local_facts(find_socket(transport))
        return ConnectionEnviron(self.factory.environ, "http", host, peer, facts, offer)

    # ---- WORKER ------------------------------------------------------------------------------------------------

    def exchange_ended(self) -> None:
        """Give the connection back, if all of the answer is sent; else have the reactor do it after the last byte.

        An answer that is kept leaves first, with others.
        """
        queue = self._queue
        if queue.kept:
            self.factory.batch.add(self)
            return
        exchange = self._exchange
        if not queue.finish() or exchange is None:
            return  # the reactor takes the rest, and then the end
        if queue.gone or exchange.cut:
            self.factory.wake(self._over)
            return
        exchange.report()
        if not exchange.persistent:
            self._closing = True
            if self._exit is not None:  # always so: all is sent, and only an exit does that
                # The client sees the end at once, and closes; the reactor is not woken for it.
                self._exit.end()
        self._exchange = None
        if NO_GIL:
            fence()
        if self._reader.buffer or queue.gone or self._half_closed or self._reading.waits or self._factory.draining:
            self.factory.wake(self._go_on)

    def depart(self) -> None:
        """Send the answer that was kept, and end its exchange. Perhaps not called by the thread that made it."""
        try:
            self._queue.send_kept(True)
        except ClientGone:
            exchange = self._exchange
            if exchange is not None and not self._queue.under_way:
                exchange.status = exchange.size = 0
        self.exchange_ended()

    # ---- The end of an exchange, and of the connection ---------------------------------------------------------

    def _over(self) -> None:
        """The last byte of an exchange is with the transport, or there will be none."""
        exchange = self._exchange
        if exchange is None:
            return
        exchange.report()
        self._queue.begin()
        self._exchange = None
        if self._lost:
            self._let_go()
        elif self._closing:
            pass  # answered already, by the reactor
        elif self._pump is not None:
            self._pump.finish()
            self._linger()
        elif self._queue.gone or (exchange.cut and exchange.ends_by_close):
            self.cut_off()  # a part of the answer was not sent; or an orderly end would be the end of the body
        elif exchange.cut or not exchange.persistent:
            self._linger()
        else:
            self._go_on()

    def _go_on(self) -> None:
        """Serve what came while an exchange ran, or end."""
        if self._exchange is not None:
            return
        if self._lost:
            self._let_go()
            return
        if not self._closing:
            self._reading.resume(PIPE_FULL)
            took = bool(self._reader.buffer) and self._take_request()
            # Not for each of many small requests: those that are there are served first.
            if not self._is_ahead or self._incoming.pipe is not None or (self._exchange is None and not took):
                self._reading.resume(PIPELINED)
            if took and self._reader.buffer:
                return  # this is called again for the next one
        else:
            self._reading.resume(self._reading.waits)  # as `_linger` does
        if self._half_closed and self._exchange is None:
            self.transport.loseConnection()
