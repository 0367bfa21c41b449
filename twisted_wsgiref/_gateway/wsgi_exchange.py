"""A request that an application answers: the job that a worker runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import Context
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from typing import IO, TYPE_CHECKING, NoReturn, Protocol

from .exchange import Common, Exchange
from .input_pipe import InputPipe
from .request_body import BodyAtOnce

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocol

    from twisted_wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from .async_body import AsyncBody
    from .handler import WSGIHandler


class Overseer(Protocol):
    """Who is told of exchanges that take too long, or are left in the middle. Called in the reactor's thread."""

    def note_stuck(self, exchange: WSGIExchange) -> None:
        """Learn that the time of `exchange` is over, and a thread still runs it."""

    def note_hindered(self) -> None:
        """Learn that an application could not be interrupted."""

    def note_suspended(self, exchange: WSGIExchange) -> None:
        """Learn that no thread runs `exchange` until `resume`. Called in a worker's thread."""

    def note_going_on(self, exchange: WSGIExchange) -> None:
        """Learn that `exchange` goes on without `resume`. Called in a worker's thread."""

    def resume(self, exchange: WSGIExchange) -> None:
        """Have `exchange`, whose answer has begun, run again by a worker, however many wait."""

    def go_on(self, exchange: WSGIExchange, body: AsyncBody, close: Callable[[], object]) -> None:
        """Have the reactor make the body of `exchange`, whose head is set, and call `close` at the end.

        Called in a worker's thread. Raises `RuntimeError` if `body` is used up.
        """


class Stream(Protocol):
    """A body that is made in the reactor's thread. Called there."""

    #: Whether no thread waits for it.
    is_free: bool

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""

    def lose(self) -> None:
        """Learn that nobody takes it any more."""


class _Leaving:
    """What an exchange comes by while its worker lets go of it: then `go_on` is called in the reactor's thread."""

    def __init__(self, exchange: WSGIExchange, wake: Callable[[Callable[[], None]], object], go_on: Callable[[], None]):
        self._exchange = exchange
        self._connection = exchange.connection
        self._wake = wake
        self._go_on = go_on

    def exchange_ended(self) -> None:
        """Give the exchange to the reactor, instead of the connection."""
        self._exchange.connection = self._connection
        self._wake(self._go_on)

    def refuse_exchange(self, status: int) -> None:
        """Do nothing: a worker has claimed it."""

    def hand_over(self, exchange: Exchange, protocol: IProtocol) -> NoReturn:
        """Give nothing away."""
        raise RuntimeError("the connection can not be taken over: an application answers")


@dataclass(frozen=True, slots=True)
class Gateway(Common):
    """What all exchanges of an application share: who answers, and with what at hand."""

    application: WSGIApplication
    handler_class: type[WSGIHandler]
    multiprocess: bool
    overseer: Overseer
    # What makes an application one that can be interrupted. None: nobody asked for it.
    guard: Callable[[WSGIExchange, WSGIApplication], WSGIApplication] | None = None
    # Whether each request has an empty context of its own, and not that of its thread.
    isolated: bool = False
    # Whether a request gives its thread back while its client has to read. It is isolated, too.
    suspends: bool = False
    # Whether requests have ids, which their threads know.
    identifies: bool = False


class WSGIExchange(Exchange):
    """A request on its way through a worker, and the answer to it.

    ``stream`` is the body that the reactor makes for it, and not there if none is made: most requests need no place.
    """

    __slots__ = ("stream",)

    gateway: Gateway
    #: Whether its handler may be left in the middle of an answer.
    suspends: bool = False
    stream: Stream

    # ---- In the reactor's thread -------------------------------------------------------------------------------

    @property
    def at_work_since(self) -> float:
        """Since when it is run, by the gateway's clock: the thread that runs it now, give or take the wait for that."""
        return self.received

    def expire(self) -> None:
        """Log what holds it up."""
        self.gateway.overseer.note_stuck(self)

    def interrupt_run(self) -> None:
        """Interrupt the application, if that was asked for and can be done."""
        if self.interrupt is not None and not self.interrupt.fire():
            self.gateway.overseer.note_hindered()

    def give_up(self) -> None:
        """Tell whoever makes the body in the reactor's thread."""
        stream: Stream | None = getattr(self, "stream", None)
        if stream is not None:
            stream.lose()

    def is_abandoned(self) -> bool:
        """Return whether its client has closed its half, and has had the time to be answered, while a body is made."""
        stream: Stream | None = getattr(self, "stream", None)
        return stream is not None and not stream.is_over and self.left and not self.is_waited_for()

    def holds_no_thread(self) -> bool:
        """Return whether the reactor makes the body."""
        stream: Stream | None = getattr(self, "stream", None)
        return stream is not None and stream.is_free

    # ---- In a worker's thread ----------------------------------------------------------------------------------

    def run(self) -> None:
        """Answer the request. Called once."""
        try:
            self._claimed.pop()  # as `claim` does, without the call
        except IndexError:
            return
        environ = self.environ  # taken first: who lets go of it has noted before that the client is gone
        try:
            gateway = self.gateway
            if gateway.timed or self.weight:
                self.started = gateway.clock()
            if self.outlet.gone or (self.left and not self.is_waited_for()):
                self.cut = True
            else:
                self._run_handler(environ)
        except BaseException:
            # Ours raises nothing, but a handler class of somebody else's may: the client must not wait for ever.
            self.cut = self.ends_by_close = True
            raise
        finally:
            try:
                self._let_go()
                errors = gateway.errors
                if errors.has_begun:
                    errors.flush()
                if self.body is not None:
                    self.body.close()
            finally:  # else its client would wait for ever
                self.connection.exchange_ended()

    def detach(self, wake: Callable[[Callable[[], None]], object], go_on: Callable[[], None]) -> None:
        """Leave the answer to `go_on`, which `wake` has called in the reactor's thread, once the worker is through."""
        self.connection = _Leaving(self, wake, go_on)

    def close(self) -> None:
        """Take nothing more, unless somebody else goes on with it."""
        if type(self.connection) is not _Leaving:
            super().close()

    def _run_handler(self, environ: WSGIEnvironment) -> None:
        gateway = self.gateway
        application = gateway.application
        body = self.body
        stdin: IO[bytes] | BufferedReader
        try:
            if body is None:
                stdin = BytesIO()
            elif type(body) is BodyAtOnce:
                stdin = body
            elif type(body) is InputPipe:
                if self.head.expects_continue:
                    body.before_wait = self._send_continue
                stdin = BufferedReader(body)
            else:
                stdin = body.open()
        except OSError as error:
            stdin = BytesIO()
            application = _failing(error)
        if gateway.guard is not None:
            application = gateway.guard(self, application)
        environ["wsgi.input"] = stdin
        handler = gateway.handler_class(
            stdin,
            self,
            gateway.errors,
            environ,
            True,
            gateway.multiprocess,
        )
        handler.exchange = self
        if gateway.isolated:
            self._run_apart(handler, application)
        else:
            handler.run(application)

    def iterate(self, handler: WSGIHandler, blocks: Iterable[bytes]) -> None:
        """Have `handler`, which calls this if it `suspends`, send `blocks`, perhaps not all of them now."""
        raise NotImplementedError

    def _run_apart(self, handler: WSGIHandler, application: WSGIApplication) -> None:
        """Run `handler` in a context of its own."""
        Context().run(handler.run, application)

    def _send_continue(self) -> None:
        """Ask for the body of a client that waits to be asked."""
        self.interim(100)


def _failing(error: OSError) -> WSGIApplication:
    """Return an application that fails as the disk did, so that the client gets its 500 and the log the reason."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> NoReturn:
        raise error

    return application
