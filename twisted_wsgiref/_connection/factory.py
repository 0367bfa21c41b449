"""What the connections of one service share: rules, workers, deadlines, the limit on their number.

All is called in the reactor's thread. No global reactor: what is needed of one is handed in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from random import Random
from typing import TYPE_CHECKING, Final, Protocol

from twisted.internet.interfaces import IProtocolNegotiationFactory
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_wsgiref._gateway.environ import believe
from twisted_wsgiref._gateway.exchange import Common
from twisted_wsgiref._gateway.interfaces import Mounts, Target
from twisted_wsgiref._gateway.request_body import RequestBody
from twisted_wsgiref._http.coder import HTTP1Coder
from twisted_wsgiref._http.forwarded import apply as read_forwarded
from twisted_wsgiref._http.head import RequestHead
from twisted_wsgiref._http.request_id import Identifier
from twisted_wsgiref._observe.log import logger
from twisted_wsgiref._observe.tally import Tally
from twisted_wsgiref._threads.answer_batch import AnswerBatch
from twisted_wsgiref._threads.forks import Places, drop
from twisted_wsgiref._threads.marks import NO_GIL, fence
from twisted_wsgiref._threads.pool import Pool
from twisted_wsgiref._threads.reactor_wake import ReactorWake
from twisted_wsgiref._wsgiref.tracebacks import traceback_text

from .census import Census
from .deadlines import Phase
from .poller import Poller
from .protocol import WSGIProtocol
from .rules import Rules

if TYPE_CHECKING:
    from twisted_wsgiref._gateway.environ import WSGIEnvironment

_log = logger(__name__)

#: Deadlines are looked at this often, in seconds: one sweep over the connections, no timer for each.
SWEEP: Final = 1.0
#: And this often while the service stops: somebody waits for the last idle connection to go.
LAST_SWEEP: Final = 0.25


def log_failure(what: str, error: BaseException) -> None:
    """Log `what`, with the traceback of `error`, whatever formatting that does. Raises nothing. Any thread may call."""
    try:
        _log.failure(what, Failure(error))
    except BaseException:  # twisted.logger lets pass whatever is no Exception
        _log.critical("{text}", text=f"{what}\n{traceback_text(type(error), error, error.__traceback__)}")


def _limits(rules: Rules) -> dict[Phase, float]:
    """Return how long each phase of a connection may take, in seconds; what may take for ever is not in it."""
    limits = {
        Phase.HANDSHAKE: rules.tls_timeout,
        Phase.FRESH: rules.head_timeout,
        Phase.IDLE: rules.keep_alive,
        Phase.HEAD: rules.head_timeout,
        Phase.QUEUED: rules.queue_age,
        Phase.SENDING: rules.send_timeout,
        Phase.CLOSING: rules.linger,
    }
    if rules.request_timeout:
        limits[Phase.RUNNING] = rules.request_timeout
    return limits


class Counted(Protocol):
    """What a factory counts, and looks after: a connection, or a request that came by somebody else's.

    ``takes_place`` says that it goes on instead of another, which was counted until this moment.
    """

    takes_place: bool

    @property
    def expendable_since(self) -> float | None:
        """Since when it may go for another; None if it may not."""

    @property
    def is_unanswered(self) -> bool:
        """Whether a request that has come is not answered to its end."""

    def retire(self) -> None:
        """Make the next answer the last one."""

    def resume(self) -> None:
        """Take `retire` back."""

    def sweep(self, now: float) -> None:
        """Keep the deadlines."""

    def cut_off(self) -> None:
        """End it at once."""


class _Spill:
    """A part of a body on its way into a file. A job for the thread that waits for disks."""

    def __init__(self, body: RequestBody, done: Callable[[BaseException | None], None], wake: ReactorWake) -> None:
        self._body = body
        self._done = done
        self._wake = wake
        self._error: BaseException | None = None

    def run(self) -> None:
        """Write it. Called in the disk's thread."""
        try:
            self._body.spill()
        except Exception as error:  # whatever it is: the connection waits for this
            self._error = error
        self._wake(self._finish)

    def _finish(self) -> None:
        self._body.end_spill()
        self._done(self._error)


@dataclass(frozen=True, slots=True)
class Means:
    """What the connections of a service share with its threads and its log.

    ``poller`` reads the plain sockets; None if they read for themselves. ``batch`` has answers leave together. ``disk``
    is a pool of one thread for large bodies. ``wake`` has functions called in the reactor's thread. ``tally`` sums up
    floods of log lines.
    """

    poller: Poller | None
    batch: AnswerBatch
    disk: Pool
    wake: ReactorWake
    tally: Tally


@implementer(IProtocolNegotiationFactory)
class WSGIFactory(Factory):
    """Makes the connections of one service, and knows them all.

    `target` answers, unless something else is mounted (`mount`) where the request goes.
    """

    noisy = False

    def __init__(
        self,
        common: Common,
        target: Target,
        environ: WSGIEnvironment,
        rules: Rules,
        coder: HTTP1Coder,
        means: Means,
    ) -> None:
        self.common = common
        #: Who answers, unless something else is mounted where the request goes.
        self.target = target
        self.environ = environ
        self.rules = rules
        self.coder = coder
        self.wake = means.wake
        self.clock = common.clock
        #: A brief one is taken out in any thread, so whoever looks at several makes a list of them first.
        self.connections: set[Counted] = set()
        self.draining = False
        self.limits = _limits(rules)
        #: The limits of those connections that are served their last answer.
        self.last_limits = {
            **self.limits,
            Phase.IDLE: rules.linger,
            Phase.FRESH: rules.linger,
            Phase.HANDSHAKE: min(rules.linger, rules.tls_timeout),
        }
        #: How often the sweep has made up for a wake that was lost.
        self.forgotten = 0
        self._disk = means.disk
        self.poller = means.poller
        #: Where connections come from.
        self.places = Places()
        #: Makes a transport of a socket, as a reactor's ``adoptStreamConnection``; None if it can not.
        self.adopt: Callable[..., object] | None = None
        self.batch = means.batch
        self._drained: Callable[[], None] | None = None
        self._oldest: deque[Counted] = deque()
        self._tally = means.tally
        self._meter = common.meter
        #: Counts what connections wait for, at each sweep. None: nobody asks.
        self.census: Census | None = None
        #: Gives each request an id; None: there are none.
        self.identifier = Identifier(Random().getrandbits) if rules.request_id else None
        self.mount(None)

    # ---- Connections -------------------------------------------------------------------------------------------

    def buildProtocol(self, addr: object) -> WSGIProtocol:  # type: ignore[override]
        """Return the protocol for a new connection."""
        return WSGIProtocol(self)

    def add(self, connection: Counted) -> None:
        """Count `connection` in; beyond the limit the one that has been idle longest goes, or else this one.

        Half a head is no better than an idle connection: else as many as the limit would shut everybody out. One that
        takes the place of another was judged when that came: those that were cut off since, and are not lost yet, are
        still counted.
        """
        if len(self.connections) >= self.rules.max_connections and not connection.takes_place:
            self.count_refusal(0, "connections")
            victim = self._find_expendable()
            if victim is None:
                self._tally.note("a connection was cut off: the limit is reached and none is idle")
            else:
                self._tally.note("an idle connection was closed: the limit is reached")
            (victim or connection).cut_off()
        self.connections.add(connection)

    def remove(self, connection: Counted) -> None:
        """Count `connection` out."""
        self.connections.discard(connection)

    def _find_expendable(self) -> Counted | None:
        """Return the connection that has been idle longest. The list is made anew only when it is used up."""
        for _ in range(2):
            while self._oldest:
                candidate = self._oldest.popleft()
                if candidate in self.connections and candidate.expendable_since is not None:
                    return candidate
            idle = [(since, each) for each in list(self.connections) if (since := each.expendable_since) is not None]
            idle.sort(key=itemgetter(0))
            self._oldest.extend(each for _, each in idle[: len(idle) // 4 + 1])
        return None

    def acceptableProtocols(self) -> list[bytes]:
        """Return what is spoken here, for ALPN: Twisted ends the handshake of a client that offers nothing of it.

        RFC 7301, section 6. Every browser, and curl, offer a list.
        """
        return [b"http/1.1", b"http/1.0"]

    # ---- Requests ----------------------------------------------------------------------------------------------

    def mount(self, mounts: Mounts | None) -> None:
        """Have `mounts` answer from now on, and the target what is at none of them."""
        self._mounts = mounts
        #: Every request goes to one target as it came: nothing is mounted, no proxy is believed, none is identified.
        self.is_direct = mounts is None and self.rules.trusted is None and self.identifier is None

    def find_target(self, head: RequestHead) -> Target:
        """Return who answers the request of `head`. Raises `ProtocolError` if its path could mean another one."""
        mounted = None if self._mounts is None else self._mounts.find(head)
        return self.target if mounted is None else mounted

    def route(self, head: RequestHead, environ: WSGIEnvironment, peer: str | None) -> Target:
        """Return as `find_target`; `environ` says of the client, `peer` or behind it, what is believed of it.

        Called if not ``is_direct``. Raises `ProtocolError`, also if a proxy says what can not be understood.
        """
        target = self.find_target(head)
        if self.rules.trusted is not None:
            believe(environ, read_forwarded(head.fields, peer, self.rules.trusted))
        self.identify(head, environ, peer)
        return target

    def identify(self, head: RequestHead, environ: WSGIEnvironment, peer: str | None, known: str = "") -> None:
        """Give the request of `head` its id, if requests have any; `peer` has sent it, None over a UNIX socket.

        `known` is the id that it has, if it was passed on.
        """
        if self.identifier is not None:
            trusted = self.rules.trusted
            believed = trusted is not None and trusted.trusts(peer)
            head.request_id = self.identifier.identify(environ, believed, known)

    def spill(self, body: RequestBody, done: Callable[[BaseException | None], None]) -> None:
        """Have a part of `body` written to its file, and `done` called in the reactor's thread."""
        body.start_spill()
        self._disk.put([_Spill(body, done, self.wake)])

    # ---- Deadlines and logs ------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Keep the deadlines of all connections."""
        now = self.clock()
        if self.census is not None:
            self.census.begin(now)
        for connection in list(self.connections):
            try:
                connection.sweep(now)
            except Exception:
                _log.failure("a sweep failed: this is a bug in twisted_wsgiref")
        if self._disk.sweep():
            self.note_forgotten("a body waited though the disk's thread was idle")
        if self.wake.sweep():
            self.note_forgotten("threads had calls for the reactor")
        self._tally.sum_up()

    def note_forgotten(self, what: str) -> None:
        """Count and log that the sweep has made up for a wake that was lost."""
        self.forgotten += 1
        if self._meter is not None:
            self._meter.forgotten()
        self._tally.note(f"a wake-up was lost, and came late: {what}")

    def count_refusal(self, status: int, cause: str = "") -> None:
        """Count a refusal, or a connection that is cut off, if anybody asks for numbers."""
        if self._meter is not None:
            self._meter.refuse(status, cause)

    def note_shaken(self, well: bool) -> None:
        """Count a TLS handshake that is over, if anybody asks for numbers."""
        if self._meter is not None:
            self._meter.shaken(well)

    def note_refusal(self, status: int, reason: str, cause: str = "") -> None:
        """Log why a request was refused; floods of one kind are counted and summed up.

        It is counted by its `status`, or as one of the causes of `_observe.board`; with neither it is no refusal.
        """
        if status or cause:
            self.count_refusal(status, cause)
        self._tally.note(f"refused with {status}: {reason}" if status else reason)

    def log_trouble(self, what: str, error: BaseException) -> None:
        """Log what the server itself could not do."""
        self._tally.note(f"{what}: {error}")

    def log_bug(self, error: BaseException) -> None:
        """Log what should not have been raised."""
        log_failure("this is a bug in twisted_wsgiref", error)

    # ---- In the child of a fork --------------------------------------------------------------------------------

    def forked(self, heir: bool) -> None:
        """Know that no other thread is left; one that is no `heir` lets go of all sockets."""
        if not heir:
            if self.poller is not None:
                self.poller.forked()
            drop(self.places.descriptors())
        self._disk.forked(heir)

    # ---- The end -----------------------------------------------------------------------------------------------

    def retire(self) -> None:
        """Take no more requests than are on their way; so do the connections that are still to come."""
        self.draining = True
        if NO_GIL:
            fence()
        for connection in list(self.connections):
            connection.retire()

    def drain(self, drained: Callable[[], None]) -> None:
        """Answer what is in flight and on its way; then call `drained`, once."""
        self.retire()
        self._drained = drained
        self.check_drained()

    def resume(self) -> None:
        """Take requests as before `retire`; what `drain` was given is not called any more."""
        self.draining = False
        self._drained = None
        for connection in list(self.connections):
            connection.resume()

    def check_drained(self) -> None:
        """Call what `drain` was given if the last connection is gone."""
        if self._drained is not None and not self.connections:
            drained, self._drained = self._drained, None
            drained()

    def close(self) -> None:
        """Leave nothing with the reactor. Connections may still come, and be served, after another start."""
        if self.poller is not None:
            self.poller.close()
        self.places.clear()

    def count_unanswered(self) -> int:
        """Return how many requests that have come are not answered to their end."""
        return sum(connection.is_unanswered for connection in list(self.connections))

    def cut_off(self) -> None:
        """Cut every connection off. Each is lost a turn later."""
        for connection in list(self.connections):
            connection.cut_off()

    def abandon(self) -> None:
        """Cut every connection off and wait for nobody: what `drain` was given is called."""
        self.cut_off()
        if self._drained is not None:
            drained, self._drained = self._drained, None
            drained()
