"""What the connections of one service share: rules, workers, deadlines, the limit on their number.

All is called in the reactor's thread. No global reactor: what is needed of one is handed in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from operator import itemgetter
from typing import Any, Final

from twisted.internet.interfaces import IProtocolNegotiationFactory
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_wsgiref._gateway.exchange import Exchange, Gateway
from twisted_wsgiref._gateway.request_body import RequestBody
from twisted_wsgiref._http.coder import HTTP1Coder
from twisted_wsgiref._observe.log import logger
from twisted_wsgiref._observe.stacks import describe_threads, requests_of
from twisted_wsgiref._observe.tally import Tally
from twisted_wsgiref._threads.forks import Places, drop
from twisted_wsgiref._threads.marks import NO_GIL, fence
from twisted_wsgiref._threads.pool import Pool
from twisted_wsgiref._threads.schedule import Schedule
from twisted_wsgiref._threads.wake import Wake
from twisted_wsgiref._wsgiref.tracebacks import traceback_text

from .deadlines import Phase
from .poller import Poller
from .protocol import WSGIProtocol
from .rules import Rules

_log = logger(__name__)

#: Deadlines are looked at this often, in seconds: one sweep over the connections, no timer for each.
SWEEP: Final = 1.0
#: And this often while the service stops: somebody waits for the last idle connection to go.
LAST_SWEEP: Final = 0.25
#: A request that runs for longer, in seconds, is in the log with its stack: most balancers have given up by then.
LONG: Final = 60.0


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


def _let_leave(exchange: Exchange) -> None:
    """Have the first block of `exchange` leave, if it is kept."""
    exchange.outlet.take_over()


class _Spill:
    """A part of a body on its way into a file. A job for the thread that waits for disks."""

    def __init__(self, body: RequestBody, done: Callable[[BaseException | None], None], wake: Wake) -> None:
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


@implementer(IProtocolNegotiationFactory)
class WSGIFactory(Factory):
    """Makes the connections of one service, and knows them all.

    `schedule` gives exchanges to the workers; `poller` reads the plain sockets, where there is such a thing;
    `disk` is a pool of one thread for large bodies.
    """

    noisy = False

    def __init__(
        self,
        gateway: Gateway,
        environ: dict[str, Any],
        rules: Rules,
        coder: HTTP1Coder,
        *,
        schedule: Schedule,
        poller: Poller | None,
        disk: Pool,
        wake: Wake,
    ) -> None:
        self.gateway = gateway
        self.environ = environ
        self.rules = rules
        self.coder = coder
        self.wake = wake
        self.clock = gateway.clock
        self.connections: set[WSGIProtocol] = set()
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
        self._unfit = False  # every thread is stuck, and that was said
        self._pool = schedule.pool
        self._disk = disk
        self.poller = poller
        #: Where connections come from.
        self.places = Places()
        self._schedule = schedule
        schedule.refused = self._refuse
        schedule.release = _let_leave
        if poller is not None:
            schedule.reading = poller
        #: Has an exchange run by a worker. No method of ours: this is a call for each request.
        self.submit: Callable[[Exchange], None] = schedule.submit
        self.batch = schedule.batch
        #: Called when every thread is stuck: what a service may still do is end.
        self.on_unfit: Callable[[], object] = lambda: None
        self._drained: Callable[[], None] | None = None
        self._oldest: deque[WSGIProtocol] = deque()
        self._tally = Tally(self._say, gateway.clock)

    # ---- Connections -------------------------------------------------------------------------------------------

    def buildProtocol(self, addr: object) -> WSGIProtocol:  # type: ignore[override]
        """Return the protocol for a new connection."""
        return WSGIProtocol(self)

    def add(self, connection: WSGIProtocol) -> None:
        """Count `connection` in; beyond the limit the one that has been idle longest goes, or else this one.

        Half a head is no better than an idle connection: else as many as the limit would shut everybody out.
        """
        if len(self.connections) >= self.rules.max_connections:
            victim = self._find_expendable()
            if victim is None:
                self._tally.note("a connection was cut off: the limit is reached and none is idle")
            else:
                self._tally.note("an idle connection was closed: the limit is reached")
            (victim or connection).cut_off()
        self.connections.add(connection)

    def remove(self, connection: WSGIProtocol) -> None:
        """Count `connection` out."""
        self.connections.discard(connection)

    def _find_expendable(self) -> WSGIProtocol | None:
        """Return the connection that has been idle longest. The list is made anew only when it is used up."""
        for _ in range(2):
            while self._oldest:
                candidate = self._oldest.popleft()
                if candidate in self.connections and candidate.expendable_since is not None:
                    return candidate
            idle = [(since, each) for each in self.connections if (since := each.expendable_since) is not None]
            idle.sort(key=itemgetter(0))
            self._oldest.extend(each for _, each in idle[: len(idle) // 4 + 1])
        return None

    def acceptableProtocols(self) -> list[bytes]:
        """Return what is spoken here, for ALPN: Twisted ends the handshake of a client that offers nothing of it.

        RFC 7301, section 6. Every browser, and curl, offer a list.
        """
        return [b"http/1.1", b"http/1.0"]

    # ---- Exchanges ---------------------------------------------------------------------------------------------

    def _refuse(self, exchange: Exchange) -> None:
        """Answer 503 to `exchange`, for which there is no room."""
        self._tally.note("a request was answered 503: the queue is full")
        if exchange.claim():
            exchange.connection.refuse_exchange(503)

    def spill(self, body: RequestBody, done: Callable[[BaseException | None], None]) -> None:
        """Have a part of `body` written to its file, and `done` called in the reactor's thread."""
        body.start_spill()
        self._disk.put([_Spill(body, done, self.wake)])

    # ---- Deadlines and logs ------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Keep the deadlines of all connections."""
        now = self.clock()
        self._judge()
        for connection in list(self.connections):
            try:
                connection.sweep(now)
            except Exception:
                _log.failure("a sweep failed: this is a bug in twisted_wsgiref")
        for pool in (self._pool, self._disk):
            if pool.sweep():
                self.note_forgotten("a request waited though a thread was idle")
        if self.wake.sweep():
            self.note_forgotten("threads had calls for the reactor")
        self._watch_ages(now)
        self._tally.sum_up()

    def note_forgotten(self, what: str) -> None:
        """Count and log that the sweep has made up for a wake that was lost."""
        self.forgotten += 1
        self._tally.note(f"a wake-up was lost, and came late: {what}")

    def note_refusal(self, status: int, reason: str) -> None:
        """Log why a request was refused; floods of one kind are counted and summed up."""
        self._tally.note(f"refused with {status}: {reason}" if status else reason)

    @property
    def stuck(self) -> int:
        """How many threads run a request whose time is over."""
        return sum(job.expired for _, job in self._pool.running())  # type: ignore[attr-defined]

    def note_stuck(self, exchange: Exchange) -> None:
        """Count and log what holds up `exchange`, whose time is over."""
        self._describe(exchange, "a request took too long and was given up")
        if self.gateway.guard is None:
            self._judge()  # else at the next sweep: an exception is on its way that may free the thread

    def note_hindered(self) -> None:
        """Log that an application was not interrupted, and why."""
        from twisted_wsgiref._gateway.interrupt import (
            HINDERED,  # late: only a service that has asked for it needs ctypes
        )

        self._tally.note(HINDERED)

    def _judge(self) -> None:
        """Say so, once, where no thread is left for others."""
        unfit, self._unfit = self._unfit, self.stuck >= self._pool.size
        if self._unfit and not unfit:
            self._say("every thread is stuck")
            self.on_unfit()

    def _describe(self, exchange: object, what: str) -> None:
        running = [(thread, job) for thread, job in self._pool.running() if job is exchange]
        self._say(f"{what}\n{describe_threads(requests_of(running), only=True)}")

    def _watch_ages(self, now: float) -> None:
        """Log the stack of each request that runs for long, once: where it hangs is what one wants to know later."""
        for _, job in self._pool.running():
            exchange: Any = job
            if not exchange.watched and now - exchange.received > LONG:
                exchange.watched = True
                self._describe(exchange, f"a request has been running for {now - exchange.received:.0f} s")

    def log_trouble(self, what: str, error: BaseException) -> None:
        """Log what the server itself could not do."""
        self._tally.note(f"{what}: {error}")

    def log_bug(self, error: BaseException) -> None:
        """Log what should not have been raised."""
        log_failure("this is a bug in twisted_wsgiref", error)

    def _say(self, text: str) -> None:
        _log.info("{text}", text=text)

    # ---- In the child of a fork --------------------------------------------------------------------------------

    def forked(self, heir: bool) -> None:
        """Know that no other thread is left; one that is no `heir` answers nobody, and lets go of all sockets."""
        if not heir:
            if self.poller is not None:
                self.poller.forked()
            for _, exchange in self._pool.running():
                exchange.forget()  # type: ignore[attr-defined]
            drop(self.places.descriptors())
        self._pool.forked(heir)
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
        for connection in self.connections:
            connection.resume()

    def check_drained(self) -> None:
        """Call what `drain` was given if the last connection is gone."""
        if self._drained is not None and not self.connections:
            drained, self._drained = self._drained, None
            drained()

    def close(self) -> None:
        """Leave nothing with the reactor. Connections may still come, and be served, after another start."""
        self._schedule.close()
        if self.poller is not None:
            self.poller.close()
        self.places.clear()

    def count_unanswered(self) -> int:
        """Return how many requests that have come are not answered to their end."""
        return sum(connection.is_unanswered for connection in self.connections)

    def abandon(self) -> None:
        """Cut every connection off and wait for nobody: what `drain` was given is called."""
        for connection in list(self.connections):
            connection.cut_off()
        if self._drained is not None:
            drained, self._drained = self._drained, None
            drained()
