"""A request of `twisted.web` on its way through our workers: to `WSGIFactory` it is one connection, for one exchange.

How an answer leaves through a request of somebody else's server, how a client's leaving is noticed, and the deadlines
that can be kept. Everything is called in the reactor's thread, but for what says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EIO
from typing import TYPE_CHECKING, Any, Final, NoReturn

from twisted.internet.interfaces import IProtocol, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_wsgiref._gateway.exchange import Exchange
from twisted_wsgiref._gateway.file_span import FileSpan
from twisted_wsgiref._http.errors import ProtocolError
from twisted_wsgiref._http.response import UncodedHead, error_size
from twisted_wsgiref._twisted.web_private import waits_for_transport

from .blocks import END, Block
from .deadlines import Deadlines, Phase
from .web_answer import Given, WebCoder, WebQueue, is_http1, refusal, split_whole, write_head, write_straight
from .web_head import WebReader, take_body

if TYPE_CHECKING:
    from .factory import WSGIFactory

_CODER: Final = WebCoder()
# A transport says that it has enough at 64 KiB: what it is given beyond is copied, and waits in memory.
_PIECE: Final = 64 * 1024
# After so many pieces in a row the other connections have their turn.
_PIECES_A_TURN: Final = 8


@implementer(IPushProducer)
class WebRequest:
    """A request of `twisted.web`, answered by the workers of `factory`; may be used for another after it.

    `server` is the value of the Server field, empty for none. `over` gets the transport at each end.
    """

    #: No request goes for another.
    expendable_since = None
    #: Nor in its place.
    takes_place = False

    __slots__ = (
        "__weakref__",
        "_again",
        "_answered",
        "_channel",
        "_deadlines",
        "_exchange",
        "_factory",
        "_over",
        "_paused",
        "_queue",
        "_reader",
        "_registered",
        "_request",
        "_sent",
        "_server",
    )

    def __init__(self, factory: WSGIFactory, server: bytes, over: Callable[[object], None]) -> None:
        self._factory = factory
        self._server = server
        self._over = over
        self._reader = WebReader(factory.environ, factory.rules)
        self._queue = WebQueue(_CODER, None, self._ask_to_pump, factory.rules.high_water, factory.batch)
        self._request: Any = None  # between two requests there is none
        self._channel: object = None
        self._exchange: Exchange | None = None
        self._deadlines: Deadlines | None = None  # most requests are over before somebody looks
        self._registered = False  # we are told when to pause
        self._paused = False
        self._again = False  # somebody will pump soon
        self._answered = True  # the request is finished, or its client gone: nothing goes to it any more
        self._sent = 0

    @property
    def is_free(self) -> bool:
        """Whether another request may be begun: nothing is left of the one before, in no thread."""
        return self._answered and self._exchange is None and not self._queue.gone

    def begin(self, request: Any) -> None:
        """Have a worker answer, or refuse what our own server would refuse."""
        factory, self._request = self._factory, request
        self._channel = getattr(request, "channel", None)
        self._answered = self._registered = self._paused = False
        self._deadlines, self._sent = None, 0
        self._queue.begin()
        request.defaultContentType = None  # the application says what it sends, or does not
        request.notifyFinish().addCallbacks(self._finished, self._lost)
        if len(factory.connections) >= factory.rules.max_connections:
            factory.note_refusal(503, "as many requests as max_connections are being answered")
            self._refuse(503)
            return
        factory.add(self)
        body = None
        try:
            head = self._reader.read_head(request)
            body = take_body(request)
            if body is not None and body.size > factory.rules.max_body:
                raise ProtocolError(413, "the body is larger than max_body")
            environ = self._reader.make_environ(request, head, body)
            factory.identify(head, environ, self._reader.peer)
        except ProtocolError as error:
            if body is not None:
                body.close()
            factory.note_refusal(error.status, error.reason)
            self._refuse(error.status)
            return
        self._exchange = exchange = factory.target.prepare(head, environ, body, self._queue, self)
        if factory.draining:
            exchange.persistent = False
        factory.target.start(exchange)

    # ---- In any thread -----------------------------------------------------------------------------------------

    def _ask_to_pump(self) -> None:
        self._factory.wake(self._pump)

    def exchange_ended(self) -> None:
        """Learn that the handler is through. Called in a worker's thread."""
        self._queue.finish()

    # ---- The answer --------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Give the request what is queued, until its transport has enough, or it is the others' turn."""
        if self._answered:
            self._drop()
            return
        try:
            more = self._give_some()
        except OSError as error:
            if error.errno == EIO:
                self._factory.log_trouble("the file of an answer could not be read", error)
            self.cut_off()
        except Exception as error:  # somebody's subclass of a request, or an encoder of its site
            self._factory.log_trouble("a request of twisted.web did not take its answer", error)
            self.cut_off()
        else:
            if more and not self._again:
                self._again = True
                self._factory.wake(self._pump_again)

    def _give_some(self) -> bool:
        """Give a few pieces; return whether there may be more that can be given at once."""
        if not (self._paused or self._registered or waits_for_transport(self._channel)):
            blocks = self._queue.take_whole(_PIECE)
            if blocks is not None:
                self._give_whole(blocks)
                return False
        for _ in range(_PIECES_A_TURN):
            block = None if self._paused or self._answered else self._queue.take(_PIECE)
            if block is None:
                return False
            if block is END:
                self._end()
                return False
            self._give(block)
        return True

    def _give_whole(self, blocks: list[Given]) -> None:
        """Give all of an answer, and its end; as one, if its request is one of Twisted's own, on a plain socket."""
        exchange = self._exchange
        # Behind an answer that is cut there must be no end of it.
        whole = split_whole(blocks) if exchange is not None and not exchange.cut else None
        if whole is not None:
            head, body = whole
            self._write_head(head)
            self._sent += len(body)
            if not write_straight(self._request, self._channel, body) and body:
                self._request.write(body)
        else:
            for each in blocks:
                self._give_now(each)
        self._end()

    def _pump_again(self) -> None:
        self._again = False
        self._pump()

    def _give(self, block: Block) -> None:
        """Give a piece of an answer that is not all there, or large."""
        if not isinstance(block, UncodedHead):
            self._register()
            if isinstance(block, FileSpan):
                span = block
                block = b"" if self._paused else span.read(_PIECE)
                if span.remaining:
                    self._queue.put_back(span)
            elif self._paused:
                self._queue.give_back(block)
                return
        self._give_now(block)

    def _give_now(self, block: Given) -> None:
        if isinstance(block, UncodedHead):
            self._write_head(block, alone=not self._queue.pending)
        elif block:
            self._sent += len(block)
            self._request.write(bytes(block))

    def _register(self) -> None:
        """Be told when to pause."""
        if not self._registered:
            self._registered = True
            self._request.registerProducer(self, True)
            if waits_for_transport(self._channel):
                self._paused = True

    def _write_head(self, head: UncodedHead, *, alone: bool = False) -> None:
        """Set the head of the answer, which leaves with the first block, or `alone`; or send an interim answer."""
        close = self._exchange is not None and not self._exchange.persistent
        write_head(self._request, self._channel, head, self._server, close, alone)

    def _end(self) -> None:
        """The exchange is through: finish the request, or have its client see that the answer is cut short."""
        exchange = self._exchange
        if exchange is not None:
            if exchange.cut or self._queue.gone:
                self._cut()
            else:
                self._finish()
            self._drop()

    def _finish(self) -> None:
        self._unregister()
        self._request.finish()

    def _unregister(self) -> None:
        if self._registered:
            self._registered = False
            self._request.unregisterProducer()

    def _drop(self) -> None:
        """Take the end of the exchange, when nothing goes to the request any more."""
        exchange = self._exchange
        if exchange is None:
            return
        if not self._answered:
            self._leave()
        exchange.give_up()
        if self._queue.drop():
            self._exchange = None
            exchange.report()

    def _cut(self) -> None:
        if is_http1(self._channel) and self._request.clientproto == b"HTTP/1.1" and self._request.startedWriting:
            # What was made of the answer still leaves; without its end it is seen to be cut short.
            self._unregister()
            self._request.loseConnection()
        else:
            self.cut_off()

    def _refuse(self, status: int, request_id: str = "") -> None:
        """Answer `status` with our own words."""
        self._queue.lose()
        head, body = refusal(status, request_id)
        try:
            self._write_head(head)
            self._request.write(body)
            self._finish()
        except Exception as error:
            self._factory.log_trouble("a request of twisted.web did not take its answer", error)
            self.cut_off()
        self._leave()

    def refuse_exchange(self, status: int) -> None:
        """Answer `status` instead of the application, which has not begun."""
        exchange = self._exchange
        if exchange is not None and not self._answered:
            self._exchange = None
            if exchange.body is not None:
                exchange.body.close()
            self._report_refused(exchange, status)
            self._refuse(status, exchange.head.request_id)

    def hand_over(self, exchange: Exchange, protocol: IProtocol) -> NoReturn:
        """Raise `RuntimeError`: the connection is somebody else's."""
        raise RuntimeError("a request of twisted.web has no connection to give away")

    def _report_refused(self, exchange: Exchange, status: int) -> None:
        exchange.status = status
        exchange.size = error_size(status, exchange.head.method)
        exchange.report()

    # ---- Called by twisted.web ---------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """Give nothing until asked: the transport has enough."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Give more."""
        self._paused = False
        if not self._answered:
            # Not at once: a transport of Twisted's is in the middle of its own work when it calls this.
            self._ask_to_pump()

    def stopProducing(self) -> None:
        """Give nothing any more: the transport is lost, and the request will say so."""
        self._paused = True

    def _finished(self, result: object) -> None:
        """The request is finished, by us or by somebody else."""
        self._leave()

    def _lost(self, failure: Failure) -> None:
        """The client is gone: every further block meets `ClientGone`."""
        self._queue.lose()
        if self._exchange is not None:
            self._exchange.left = True
        self._leave()
        self._drop()

    def _leave(self) -> None:
        """Be no request that somebody waits for."""
        if not self._answered:
            self._answered = True
            transport = getattr(self._channel, "transport", None)
            self._request = self._channel = None  # whoever keeps us by the channel would keep that for ever
            self._factory.remove(self)
            self._over(transport)
            self._factory.check_drained()

    # ---- Deadlines, and the end of the service -----------------------------------------------------------------

    @property
    def is_unanswered(self) -> bool:
        """Whether the request is not answered to its end."""
        return not self._answered

    def retire(self) -> None:
        """Say in a head to come that the connection takes no other request."""
        if self._exchange is not None:
            self._exchange.last = True

    def resume(self) -> None:
        """Take `retire` back."""
        if self._exchange is not None:
            self._exchange.last = False

    def cut_off(self) -> None:
        """End the connection, or in HTTP/2 the stream, at once: nobody takes the answer for a whole one."""
        if self._answered:
            return
        self._queue.lose()
        below = getattr(self._channel, "transport", None) or self._channel
        abort = getattr(below, "abortConnection", None) or getattr(self._request, "loseConnection", None)
        if abort is not None:
            abort()  # twisted.web tells `_lost`
        if not self._answered:
            self._leave()
            self._drop()

    def sweep(self, now: float) -> None:
        """Keep the deadlines; `now` is by the factory's clock. Called about once a second."""
        exchange = self._exchange
        if exchange is None or self._answered:
            return
        if not exchange.is_claimed():
            phase, progress = Phase.QUEUED, 0
        elif self._queue.pending or self._paused:
            phase, progress = Phase.SENDING, self._sent
        else:
            phase = Phase.STREAMING if exchange.holds_no_thread() else Phase.RUNNING
            progress = self._sent + exchange.begun
        if self._deadlines is None:
            self._deadlines = Deadlines(self._factory.limits, 0)
            self._deadlines.request = exchange.received
        if not self._deadlines.is_late(phase, now, progress):
            return
        if phase is Phase.QUEUED:
            if exchange.claim():
                self._factory.note_refusal(0, "a request was answered 503: no thread was free within queue_age")
                self.refuse_exchange(503)
        elif phase is Phase.SENDING:
            self._factory.note_refusal(0, "a client took nothing of its answer")
            self.cut_off()
        else:
            self._expire(exchange)

    def _expire(self, exchange: Exchange) -> None:
        """Answer instead of an application that takes too long; its thread is free when it notices."""
        if exchange.expired:
            return
        exchange.cut = exchange.expired = True  # in this order: whoever is interrupted has to find it given up
        exchange.expire()
        if exchange.seize():
            self._report_refused(exchange, 504)
            self._refuse(504, exchange.head.request_id)
        else:
            self.cut_off()
        exchange.give_up()
        exchange.interrupt_run()
