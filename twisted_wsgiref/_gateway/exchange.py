"""One request and its answer, from the complete request to the last octet: the job that changes thread."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from time import time
from typing import IO, TYPE_CHECKING, Any, Final, NoReturn

from twisted_wsgiref._observe.record import Facts
from twisted_wsgiref._observe.work import Work
from twisted_wsgiref._threads.forks import leave
from twisted_wsgiref._threads.once import Once, claim

from .answer import Answer
from .fields import format_fields
from .input_pipe import InputPipe
from .interfaces import Connection, Outlet
from .request_body import RequestBody

if TYPE_CHECKING:
    from threading import Thread

    from twisted_wsgiref._http.head import RequestHead
    from twisted_wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from .error_stream import ErrorStream
    from .handler import WSGIHandler
    from .interrupt import Interrupt

# A client that has closed its sending half may still read: it is answered. One that did so and has waited this long,
# in seconds, has closed the window: the work would be for nobody.
_PATIENCE: Final = 1.0


class _Nobody:
    """What an exchange comes by in a child that came back out of the application: there is nothing left to do."""

    def exchange_ended(self) -> None:
        """End the child, with what it printed."""
        leave()

    def refuse_exchange(self, status: int) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """What all exchanges of a service share: who answers, and with what at hand."""

    application: WSGIApplication
    handler_class: type[WSGIHandler]
    errors: ErrorStream
    multiprocess: bool
    clock: Callable[[], float]
    observers: tuple[Callable[[Facts], object], ...] = ()
    # What makes an application one that can be interrupted. None: nobody asked for it.
    guard: Callable[[Exchange, WSGIApplication], WSGIApplication] | None = None
    # Whether each request has an empty context of its own, and not that of its thread.
    isolated: bool = False

    def tell(self, facts: Facts) -> None:
        """Tell the observers. What one of them raises is logged, and hurts neither the others nor a connection."""
        for observer in self.observers:
            try:
                observer(facts)
            except BaseException:  # an answer is out, and its connection goes on, whatever it is
                self.log_observer()

    def log_observer(self) -> None:
        """Log what an observer has just raised."""
        self.log_raised("an observer failed")

    def log_raised(self, what: str) -> None:
        """Log the exception that is being handled: it is somebody else's, and hurts nobody."""
        error = sys.exc_info()[1]
        if error is not None:
            self.errors.log_exception(what, error, error.__traceback__)


class Exchange(Answer):
    """A request on its way through a worker, and the answer to it: one object, since each costs time to make.

    ``left`` says that the client has closed its sending half, ``expired`` that its time is over, ``watched`` that its
    age has been logged. ``received`` is when the request was ready, by the gateway's clock. ``interrupt`` ends the
    application, once a worker has begun and where that is asked for.
    """

    __slots__ = (
        "_claimed",
        "_over",
        "_peer",
        "_user",
        "body",
        "connection",
        "environ",
        "expired",
        "gateway",
        "interrupt",
        "left",
        "received",
        "reported",
        "watched",
    )

    def __init__(
        self,
        gateway: Gateway,
        head: RequestHead,
        environ: dict[str, Any],
        body: RequestBody | InputPipe | None,
        outlet: Outlet,
        connection: Connection,
    ) -> None:
        # By its name: `super()` makes an object, once for each request.
        Answer.__init__(self, head, outlet, body if type(body) is InputPipe else None)
        self.gateway = gateway
        self.environ = environ
        self.body = body
        self.connection = connection
        self.received = gateway.clock()
        self.left = False
        self.reported = False
        self.expired = False
        self.watched = False
        self.interrupt: Interrupt | None = None
        self._over = False  # the application is through
        self._peer: str | None = None
        self._user = ""
        self._claimed: Once = [None]  # who takes it answers
        environ["twisted_wsgiref.client_disconnected"] = self.is_client_gone
        environ["wsgi.early_hints"] = self.send_early_hints

    # ---- In any thread -----------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        head = self.head
        # Without the query, where secrets are; in ASCII, since the path is decoded.
        name = f"{type(self).__name__} {head.method} {ascii(head.path)[1:-1]:.100}"
        if self._over:
            return f"<{name} over>"
        doing = "running" if self.is_claimed() else "waiting"
        return f"<{name} {doing} for {self.gateway.clock() - self.received:.1f} s>"

    def describe(self, thread: Thread) -> Work:
        """Return what is told of this to people: `thread` runs it."""
        peer = self.environ.get("REMOTE_ADDR")
        client = peer if type(peer) is str else self._peer
        seconds = self.gateway.clock() - self.received
        return Work(thread, self.head.request_line, seconds, client, self.expired, self.is_client_gone())

    def claim(self) -> bool:
        """Return True to the first who asks: a worker, or the reactor because the wait was too long."""
        return claim(self._claimed)

    def is_claimed(self) -> bool:
        """Return whether somebody has begun to answer."""
        return not self._claimed

    def is_client_gone(self) -> bool:
        """Return whether the client has left, or has closed its sending half, as a closed browser does.

        ``environ["twisted_wsgiref.client_disconnected"]``.
        """
        return self.left or self.outlet.gone

    def is_given_up(self) -> bool:
        """Return whether nobody takes what this answer still has: the client left, or was answered without it."""
        return self.cut or self.outlet.gone

    def is_waited_for(self) -> bool:
        """Return whether somebody may still read the answer."""
        return not self.outlet.gone and not (self.left and self.gateway.clock() - self.received > _PATIENCE)

    def report(self) -> None:
        """Tell the observers, once. Called in the thread that sent the last octet."""
        gateway = self.gateway
        if not gateway.observers or self.reported:
            return
        self.reported = True
        if not self._over:
            self._let_go()
        head = self.head
        field = head.fields.get
        facts = (
            self._peer,
            head.request_line,
            self.status,
            self.octets,
            time(),
            gateway.clock() - self.received,
            field("HTTP_REFERER", ""),
            field("HTTP_USER_AGENT", ""),
            self._user,
        )
        # As `Gateway.tell` does. A call that is made once a request, and so between others, costs 0.3 us.
        for observer in gateway.observers:
            try:
                observer(facts)
            except BaseException:
                gateway.log_observer()

    def _let_go(self) -> None:
        """Keep of the environ what a record needs. It refers to this exchange, and would not be freed before long."""
        environ = self.environ
        # The reactor may come while a worker is through with this: what is empty has been looked at.
        if environ and self.gateway.observers:
            # An application may put anything there.
            peer, user = environ.get("REMOTE_ADDR"), environ.get("REMOTE_USER")
            self._peer = peer if type(peer) is str else None
            self._user = user if type(user) is str else ""
        self._over = True
        self.environ = {}

    # ---- In the child of a fork --------------------------------------------------------------------------------

    def forget(self) -> None:
        """Answer nobody: this is the child of a fork, and the connection its parent's."""
        self.cut = True
        self.connection = _Nobody()
        self.outlet.forget()
        if type(self.body) is InputPipe:
            self.body.forget()
        if self.interrupt is not None:
            self.interrupt.forget()

    # ---- In a worker's thread ----------------------------------------------------------------------------------

    def run(self) -> None:
        """Answer the request. Called once."""
        if not claim(self._claimed):
            return
        environ = self.environ  # taken first: who lets go of it has noted before that the client is gone
        try:
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
                self.gateway.errors.flush()
                if self.body is not None:
                    self.body.close()
            finally:  # else its client would wait for ever
                self.connection.exchange_ended()

    def _run_handler(self, environ: dict[str, Any]) -> None:
        gateway = self.gateway
        application = gateway.application
        body = self.body
        stdin: IO[bytes] | BufferedReader
        try:
            if body is None:
                stdin = BytesIO()
            elif type(body) is InputPipe:
                if self.head.expects_continue:
                    body.before_wait = self._send_continue
                stdin = BufferedReader(body)
            else:
                stdin = body.open()  # type: ignore[union-attr]
        except OSError as error:
            stdin = BytesIO()
            application = _failing(error)
        if gateway.guard is not None:
            application = gateway.guard(self, application)
        environ["wsgi.input"] = stdin
        stdout: Any = self
        handler = gateway.handler_class(
            stdin,
            stdout,
            gateway.errors,
            environ,
            True,
            gateway.multiprocess,
        )
        handler.exchange = self
        if gateway.isolated:
            Context().run(handler.run, application)
        else:
            handler.run(application)

    def send_early_hints(self, headers: list[tuple[str, str]]) -> None:
        """Send 103 (Early Hints) with `headers`, if the client knows of it and no answer has begun. RFC 8297.

        ``environ["wsgi.early_hints"]``. Raises as ``start_response`` does for what can not be sent.
        """
        lines = format_fields(headers).lines
        if self.head.minor:
            self.interim(103, lines)
            self.outlet.wait_for_room()

    def _send_continue(self) -> None:
        """Ask for the body of a client that waits to be asked."""
        self.interim(100)


def _failing(error: OSError) -> WSGIApplication:
    """Return an application that fails as the disk did, so that the client gets its 500 and the log the reason."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> NoReturn:
        raise error

    return application
