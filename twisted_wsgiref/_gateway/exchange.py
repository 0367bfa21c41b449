"""One request and its answer, whoever answers: as the connection and the observers see it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from time import time
from typing import TYPE_CHECKING, Final, NoReturn

from twisted_wsgiref._observe.lines import path_and_query
from twisted_wsgiref._observe.metrics import Meter
from twisted_wsgiref._observe.record import ExchangeLog, Extra, Extract, Facts
from twisted_wsgiref._observe.work import Work
from twisted_wsgiref._threads.forks import leave
from twisted_wsgiref._threads.once import Once, claim

from .answer import Answer
from .fields import format_fields
from .input_pipe import InputPipe
from .interfaces import Body, Connection, Outlet

if TYPE_CHECKING:
    from threading import Thread

    from twisted.internet.interfaces import IProtocol

    from twisted_wsgiref._http.head import RequestHead
    from twisted_wsgiref.types import WSGIEnvironment

    from .error_stream import ErrorStream
    from .interrupt import Interrupt

# A client that has closed its sending half may still read: it is answered. One that did so and has waited this long,
# in seconds, has closed the window: the work would be for nobody.
_PATIENCE: Final = 1.0


# What is first in no note.
_NOT_NOTED: Final = object()


class _Nobody:
    """What an exchange comes by in a child that came back out of the application: there is nothing left to do."""

    def exchange_ended(self) -> None:
        """End the child, with what it printed."""
        leave()

    def refuse_exchange(self, status: int) -> None:
        """Do nothing."""

    def hand_over(self, exchange: Exchange, protocol: IProtocol) -> NoReturn:
        """Give nothing away."""
        raise RuntimeError("the connection is that of another process")


@dataclass(frozen=True, slots=True)
class Common:
    """What all exchanges of a service have at hand, whoever answers them."""

    errors: ErrorStream
    clock: Callable[[], float]
    observers: tuple[Callable[[Facts], object], ...]
    # What an observer asks for beyond what every record has. None: nothing.
    extract: Extract | None = field(default=None, kw_only=True)
    # Counts what is over. None: nobody asks for numbers.
    meter: Meter | None = field(default=None, kw_only=True)
    # The access log, if it takes exchanges, and not the facts of them.
    log: ExchangeLog | None = field(default=None, kw_only=True)
    # Tells all who are told of each exchange. None: nobody is.
    told: Callable[[Exchange], object] | None = field(default=None, init=False)
    # Whether somebody wants to know something of an environ before it goes.
    keeps: bool = field(default=False, init=False)
    # First in the note of a head if the second value there is all that is to be kept of an environ without a user.
    noted: object = field(default=_NOT_NOTED, init=False)
    # Whether somebody wants to know when a thread took a request.
    timed: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        log, meter, told = self.log, self.meter, list[Callable[[Exchange], object]]()
        if meter is not None:
            told.append(meter.count)
        if log is not None:
            told.append(log.observe_exchange)
        if self.observers:
            told.append(Exchange.tell_facts)
        if told:
            object.__setattr__(self, "told", told[0] if len(told) == 1 else _teller(told, self.log_observer))
        if log is not None:
            object.__setattr__(self, "noted", log.noted)
        object.__setattr__(self, "keeps", bool(log is not None or self.observers))
        object.__setattr__(self, "timed", bool(self.observers) or (log is not None and log.timed))

    def tell(self, facts: Facts) -> None:
        """Tell of input that never became a request."""
        if self.meter is not None:
            self.meter.count_unread(facts[2], facts[3])
        hears = () if self.log is None else (self.log.observe_facts,)
        self.tell_each((*hears, *self.observers), facts)

    def tell_each(self, observers: Iterable[Callable[[Facts], object]], facts: Facts) -> None:
        """Tell each of `observers`; what one raises is logged, and hurts neither the others nor a connection."""
        for tell in observers:
            try:
                tell(facts)
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


def _teller(told: Sequence[Callable[[Exchange], object]], failed: Callable[[], None]) -> Callable[[Exchange], None]:
    """Return a function that tells each of `told`, and calls `failed` while it handles what one raises."""

    def tell_all(exchange: Exchange) -> None:
        for tell in told:
            try:
                tell(exchange)
            except BaseException:
                failed()

    return tell_all


class Exchange(Answer):
    """A request and the answer to it: one object, since each costs time to make. What answers it is a subclass's.

    ``left`` says that the client has closed its sending half, ``expired`` that its time is over, ``watched`` that its
    age has been logged. ``received`` is when the request was ready, by the gateway's clock, and ``started`` when a
    thread took it: 0.0 before, and ``received`` if it needs none; it is noted only if somebody wants to know.
    ``interrupt`` ends an application, once a worker has begun and if that is asked for. Metrics measure it for
    ``weight`` requests.
    """

    __slots__ = (
        "_claimed",
        "_extra",
        "_over",
        "_peer",
        "_user",
        "body",
        "connection",
        "environ",
        "expired",
        "gateway",
        "interrupt",
        "kept",
        "left",
        "received",
        "reported",
        "started",
        "watched",
        "weight",
    )

    def __init__(
        self,
        gateway: Common,
        head: RequestHead,
        environ: WSGIEnvironment,
        body: Body,
        outlet: Outlet,
        connection: Connection,
    ) -> None:
        # All that `Answer` sets, without a call for each request.
        self.head = head
        self.outlet = outlet
        self.upload = body if type(body) is InputPipe else None
        self.persistent = head.persistent
        self.begun = self.ended = self.cut = self.ends_by_close = self.last = False
        self.status = self.size = 0
        self.fields = None
        self._head = b""
        self._chunked = self._bodyless = False
        self._remaining = None
        self.gateway = gateway
        self.environ = environ
        self.body = body
        self.connection = connection
        self.received = gateway.clock()
        self.started = 0.0
        self.weight = 0
        self.left = self.reported = self.expired = self.watched = False
        self.interrupt: Interrupt | None = None
        self._over = False  # the application is through
        self._peer: str | None = None
        self._user = ""
        #: What the access log has kept of the environ.
        self.kept: object = ()
        self._extra: Extra = ()
        self._claimed: Once = [None]  # whoever takes it answers
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

    def facts(self) -> dict[str, object]:
        """Return what a message about the request says of it."""
        head = self.head
        path, _, _ = path_and_query(head.target)
        client = self.environ.get("REMOTE_ADDR")
        told = {"request": head.request_line, "method": head.method, "path": path, "client": client}
        return {**told, "request_id": head.request_id}

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
        """Tell the observers, once. Called in the thread that sent the last byte."""
        gateway = self.gateway
        tell = gateway.told
        if tell is None or self.reported:
            return
        self.reported = True
        if not self._over and gateway.keeps:
            self._let_go()
        # As `tell_each` of the gateway does. A call that is made once a request, and so between others, costs 0.3 us.
        try:
            tell(self)
        except BaseException:
            gateway.log_observer()

    def tell_facts(self) -> None:
        """Tell those observers that are told of facts."""
        gateway, head = self.gateway, self.head
        get = head.fields.get
        received, started, now = self.received, self.started, gateway.clock()
        facts = (
            self._peer,
            head.request_line,
            self.status,
            self.size,
            time(),
            now - received,
            get("HTTP_REFERER", ""),
            get("HTTP_USER_AGENT", ""),
            self._user,
            head.method,
            (started or now) - received,
            self.taken(),
            head.request_id,
            self._extra,
        )
        gateway.tell_each(gateway.observers, facts)

    def taken(self) -> int:
        """Return how many bytes of the request's body came."""
        body = self.body
        return 0 if body is None else body.received if type(body) is InputPipe else body.size

    def finish(self) -> None:
        """Let go of the environ and the body, and give the connection back. Called once, by the thread that answers."""
        try:
            self._let_go()
            if self.body is not None:
                self.body.close()
        finally:  # else its client would wait for ever
            self.connection.exchange_ended()

    def _let_go(self) -> None:
        """Keep of the environ what a record needs. It refers to this exchange, and would not be freed before long."""
        environ = self.environ
        # The reactor may come while a worker is through with this: what is empty has been looked at.
        gateway = self.gateway
        if environ and gateway.keeps:
            note = self.head.note
            # A client that sends the same again, and no user: no call, since so are most requests of a busy client.
            if note[0] is gateway.noted and "REMOTE_USER" not in environ:
                self.kept = note[1]
            elif gateway.log is not None:
                self.kept = gateway.log.keep(self.head, environ)
            if gateway.observers:
                self._keep_facts(environ)
        self._over = True
        self.environ = {}

    def _keep_facts(self, environ: WSGIEnvironment) -> None:
        # An application may put anything there.
        peer, user = environ.get("REMOTE_ADDR"), environ.get("REMOTE_USER")
        self._peer = peer if type(peer) is str else None
        self._user = user if type(user) is str else ""
        extract = self.gateway.extract
        if extract is not None:
            lines = "" if self.fields is None else self.fields.lines
            self._extra = extract(environ, self.head.fields, lines)

    def follow(self, earlier: Exchange) -> None:
        """Answer instead of `earlier`, which was passed on: what is known of the client and of the stop is known here.

        Called in the reactor's thread, before this is started.
        """
        self.received, self.started, self.weight = earlier.received, earlier.started, earlier.weight
        self.left, self.last = earlier.left, earlier.last
        self.upload = earlier.upload

    # ---- In the reactor's thread, for a subclass to do more ------------------------------------------------------

    def expire(self) -> None:
        """Learn that the time is over: the answer will be given up next."""

    def give_up(self) -> None:
        """Learn that nobody takes the answer any more: the client left, or was answered without it."""

    def is_abandoned(self) -> bool:
        """Return whether its client has left in order, and nobody else would notice. An application asks for itself."""
        return False

    def holds_no_thread(self) -> bool:
        """Return whether its answer, which an application has begun, goes on in the reactor's thread."""
        return False

    def interrupt_run(self) -> None:
        """End what still runs, now that nothing of the connection can be interrupted any more."""

    # ---- In any thread, called by who answers --------------------------------------------------------------------

    def send_early_hints(self, headers: list[tuple[str, str]]) -> None:
        """Send 103 (Early Hints) with `headers`, if the client knows of it and no answer has begun. RFC 8297.

        ``environ["wsgi.early_hints"]``. Raises as ``start_response`` does for what can not be sent.
        """
        lines = format_fields(headers).lines
        if self.head.minor:
            self.interim(103, lines)
            self.outlet.wait_for_room()

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
