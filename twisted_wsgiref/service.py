"""The service of an embedding program: an application, its threads and its endpoints, as one `IService`.

Several services may live in one process: they share the reactor and nothing else. All is called in the reactor's
thread, unless a docstring says otherwise, and nothing here ever waits for another thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.python.failure import Failure

from . import __version__
from ._connection.endpoints import endpoint_name
from ._connection.factory import LAST_SWEEP, SWEEP, Means, WSGIFactory, log_failure
from ._connection.listening import Announcement, Listener, NotListening
from ._connection.poller import Poller, make_poller
from ._connection.ports import Ports
from ._connection.proxied import ProxiedReactor
from ._connection.rules import environ_of, pools_of, rules_of
from ._connection.tls_settings import endpoints_of, renewed
from ._gateway.handler import WSGIHandler
from ._gateway.reactor_caller import ReactorCaller
from ._gateway.wsgi_exchange import Gateway, WSGIExchange
from ._http.coder import HTTP1Coder
from ._http.identifying import IdentifyingCoder
from ._observe.log import logger
from ._observe.record import FactsObserver, Record
from ._observe.standing import Seat
from ._observe.sums import Told
from ._observe.tally import Tally
from ._observe.work import Work, application_name
from ._service.reports import Reports
from ._targets.mounted import MountedTargets
from ._targets.passed_on import Passage
from ._targets.status import Others
from ._targets.table import FileSettings, TargetMaker
from ._targets.workers import Workers
from ._targets.wsgi import WSGITarget, accepted, find_guard
from ._threads.forks import tell
from ._threads.pool import Pool, WorkerPool
from ._threads.reactor_wake import ReactorWake
from ._threads.schedule import Schedule
from ._twisted.reactor import Listening, Reactor, repeating, the_reactor
from ._twisted.typed import Service
from .settings import SettingError, Settings
from .util import FileWrapper

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from .types import WSGIApplication

_log = logger(__name__)
_numbers: Final = count(1)


class WSGIService(Service):
    """Serves `application` on `endpoints` from its start to its stop.

    `application`: a callable as PEP 3333 describes it. No default.

    `endpoints`: the endpoints to listen on; one, or a sequence. Each is a description (``"tcp:8000"``,
    ``"unix:/run/app.sock"``, ``"ssl:443:privateKey=key.pem"``) or provides `IStreamServerEndpoint`. No default; with an
    empty sequence the service listens nowhere.

    `settings`: a `Settings`, which tells the unit of each of its values. None, the default: ``Settings()``.

    `reactor`: provides what Twisted's own do. None, the default: the process's reactor, imported now.

    `handler_class`: `WSGIHandler`, the default, or a subclass of it. One object is made for each request.

    `observers`: the service calls each with a `Record` of each finished exchange, in the thread that finished it. If an
    observer has a method ``observe_facts``, the service calls that instead, with the fields of a `Record` as a plain
    tuple, which costs less. None by default.

    `mounts`: what answers below a path instead of `application`, by that path: ``"static:DIR"``, ``"redirect:URL"``,
    a WSGI application, a resource of `twisted.web`, or an `InternalMount`. None by default. See docs/mounts.md.

    `name`: a `str` that begins the names of the threads. None, the default: ``wsgi-`` and a number.

    `multiprocess`: ``wsgi.multiprocess``, whether other processes run this application. False by default.

    `clock`: returns seconds as a `float`, which never go back. Any thread calls it. By default `time.monotonic`.

    `seat`: for worker processes of ours: where their numbers meet. None, the default: this process is the only one.

    Raises `TypeError` if `application` can not be called, `settings` is no `Settings`, or an endpoint is of neither
    kind. Raises `SettingError` if ``proxy_protocol`` is on and an endpoint is no description. A description that names
    no endpoint is no error here: ``whenListening`` fails with it. Called in the reactor's thread, or before it runs.

    ``whenListening`` fires with the `IListeningPort` of each endpoint, or fails with `ListenError`. If a failure has no
    errback, the service logs it as one line; it also ends a process that is just starting its services, as twistd does.
    ``serves``, a `str`, is the application's name for the status site and ``repr``: its own, until another one is set.
    The threads of this service call the application. It never blocks the reactor, and never joins a thread.
    """

    __module__ = "twisted_wsgiref"

    #: Makes the threads: of the application, and of the disk. What a subclass gives here has the interface of `Pool`.
    make_pool: Callable[..., Pool] = WorkerPool

    cut_off = 0  # requests that were not answered to their end when a grace was over
    _end_stop: Callable[[], None] | None = None  # of the stop that is under way

    def __init__(
        self,
        application: WSGIApplication,
        endpoints: str | IStreamServerEndpoint | Sequence[str | IStreamServerEndpoint],
        settings: Settings | None = None,
        *,
        reactor: object = None,
        handler_class: type[WSGIHandler] = WSGIHandler,
        observers: Sequence[Callable[[Record], object] | FactsObserver] = (),
        mounts: Mapping[str, object] = MappingProxyType({}),
        name: str | None = None,
        multiprocess: bool = False,
        clock: Callable[[], float] = time.monotonic,
        seat: Seat | None = None,
    ) -> None:
        self._settings = settings = _checked(settings)
        self.serves = application_name(application)
        application = accepted(application, settings.validate)
        # As late as this: a program may choose one until now.
        self._listening, self._reactor = _reactors(the_reactor() if reactor is None else cast(Reactor, reactor))
        self._endpoints = endpoints_of(endpoints, settings)
        if settings.proxy_protocol and not all(isinstance(endpoint, str) for endpoint in self._endpoints):
            raise SettingError("proxy_protocol is on: it needs endpoints given as text, to be read before all else")
        its = self._reactor
        wake = ReactorWake(its.callFromThread, _log_bug)
        self._pool, self._disk = pools_of(settings, self.make_pool, name or f"wsgi-{next(_numbers)}", _log_bug)
        self._caller = ReactorCaller(its, wake, self._pool.running)
        self._rules = rules_of(settings)
        self._reports = Reports(settings, mounts, observers, seat, clock)
        self._common = common = self._reports.common
        tally = Tally(_say, clock)
        schedule = Schedule(self._pool, wake=wake, call_later=its.callLater, failed=_log_bug, clock=clock)
        if (poller := self._make_poller(schedule)) is not None:
            schedule.reading = poller
        guard = find_guard() if settings.request_interrupt and settings.request_timeout else None
        self._workers = Workers(schedule, tally, _say, interrupts=guard is not None)
        self._passage = Passage(self._workers, settings.sendfile_root, tally.note, guard)
        self.busy = self._workers.summary
        self._gateway = self._make_gateway(application, handler_class, multiprocess, mounts)
        self._factory = WSGIFactory(
            common,
            WSGITarget(self._gateway, self._workers),
            environ_of(settings, common.errors, multiprocess, FileWrapper, self._caller, self._workers.is_stopping),
            self._rules,
            (IdentifyingCoder if settings.request_id else HTTP1Coder)(settings.server_header),
            Means(poller, schedule.batch, self._disk, wake, tally),
        )
        self._reports.watch(self._factory, self._pool, self._workers, self._describe, self._listening, its)
        self._factory.mount(self._mounted(mounts))
        self._listener = self._make_listener(multiprocess)
        self._sweep = repeating(self._look_after, its)

    def _make_poller(self, schedule: Schedule) -> Poller | None:
        return make_poller(self._reactor, schedule.flush, schedule.resumed)

    def _make_gateway(
        self,
        application: WSGIApplication,
        handler_class: type[WSGIHandler],
        multiprocess: bool,
        mounts: Mapping[str, object],
    ) -> Gateway:
        common, settings = self._common, self._settings
        return Gateway(
            errors=common.errors,
            clock=common.clock,
            observers=common.observers,
            extract=common.extract,
            meter=common.meter,
            log=common.log,
            application=application,
            handler_class=handler_class,
            multiprocess=multiprocess,
            overseer=self._workers,
            guard=self._passage.guard(mounts),
            isolated=settings.suspend_streams or settings.context == "request",
            suspends=settings.suspend_streams,
            identifies=settings.request_id,
        )

    def _make_listener(self, multiprocess: bool) -> Listener:
        factory, settings, trusted = self._factory, self._settings, self._rules.trusted
        listening: Listening = self._listening
        if settings.proxy_protocol and trusted is not None:
            listening = ProxiedReactor(listening, trusted, partial(factory.note_refusal, 0, cause="unreadable"))
        ports = Ports(factory, self._endpoints, listening, self._reactor, settings.backlog)
        # Of several processes the parent says what is odd about a port.
        proxies = () if multiprocess else settings.trusted_proxy
        return Listener(ports, self._reports.door, proxies, self._reactor)

    def _describe(self) -> dict[str, object]:
        return {"name": "twisted_wsgiref", "version": __version__, "application": self.serves}

    def _mounted(self, mounts: Mapping[str, object]) -> MountedTargets | None:
        """Return who answers below the prefixes of `mounts`. Raises `SettingError`."""
        given = self._settings
        how = FileSettings(given.static_max_age, given.static_links, given.sendfile_root, self._factory.log_trouble)
        try:
            maker = TargetMaker(self._common, self._gateway, self._workers, how, given.validate, self._reactor)
            return maker.mount(self._reports.mounted(mounts), given.mount, self._passage)
        except ValueError as error:
            raise SettingError(str(error)) from None

    def serve(self, application: WSGIApplication, mounts: Mapping[str, object] | None = None) -> None:
        """Serve `application` and, unless it is None, `mounts` from now on, instead of those of before.

        Raises `TypeError` if `application` can not be called, and `SettingError` for what can not be mounted.
        """
        if mounts is not None:
            self._gateway = replace(self._gateway, guard=self._passage.guard(mounts))
            self._factory.mount(self._mounted(mounts))
        self.serves, application = application_name(application), accepted(application, self._settings.validate)
        self._gateway = replace(self._gateway, application=application)
        self._factory.target = WSGITarget(self._gateway, self._workers)

    @property
    def speaks_tls(self) -> bool:
        """Whether it listens on an endpoint that speaks TLS by its own words, or by ``tls_cert``."""
        return bool(self._listener.certificates)

    def renew_certificates(self) -> bool:
        """Read the files of certificates and keys anew: new connections get them, and none of the others is lost.

        That is, those of the settings and of endpoints given as text; an endpoint object has a context of its owner's.
        If a file is not as it has to be, the service logs one line that says why, and its endpoints keep what they
        have. Returns whether all is taken. Sessions of before (tickets) are not resumed. Raises nothing.
        """
        certificates = self._listener.certificates
        mistakes = renewed(certificates, self._settings)
        for mistake in mistakes:
            _log.error("certificates are not renewed, those of before stay: {mistake}", mistake=mistake)
        if certificates and not mistakes:
            _log.info("certificates are renewed: connections get them from now on")
        return not mistakes

    # ---- IService ----------------------------------------------------------------------------------------------

    def privilegedStartService(self) -> None:
        """Listen on every endpoint, while the process may still bind to low ports.

        Raises `NotListening`, which ends the process with status 1, if it can not listen on an endpoint and
        ``whenListening`` has no errback. It raises only if a parent starts it, as twistd's does.
        """
        self._listen()
        parent = cast("Service | None", self.parent)
        if parent is not None and not parent.running and not self._reactor.running:
            line = self._listener.say_untaken()
            if line is not None:
                raise NotListening(line)

    def startService(self) -> None:
        """Start the threads, and listen unless it does already. Takes back a stop that is under way."""
        super().startService()
        self._factory.resume()
        self._workers.open()
        if self._end_stop is not None:
            self._end_stop()
        self._pool.start()
        self._workers.start()
        self._disk.start()
        self._caller.open()
        self._factory.adopt = getattr(self._reactor, "adoptStreamConnection", None)
        if self._factory.poller is not None:
            self._factory.poller.open()
        self._sweep_every(SWEEP)
        self._reports.begin()
        self._listen()

    def stopService(self) -> Deferred[None]:
        """Accept no more, answer the requests in flight, and end: at the latest after the grace, or at a new start."""
        super().stopService()
        stopped: Deferred[None] = Deferred()
        closed = self._listener.close()
        earlier = self._end_stop
        late: IDelayedCall  # the call at the end of the grace

        def end() -> None:
            self._end_stop = None
            if earlier is not None:
                earlier()
            if late.active():
                late.cancel()
            if not self.running:  # else it was started again meanwhile
                if self._sweep.running:
                    self._sweep.stop()
                self._pool.stop()
                self._disk.stop()
                self._workers.stop()
                self._factory.close()
                self._caller.close()
                self._reports.finish()
                closed.addCallback(lambda _: self._reports.close())
            closed.addCallback(lambda _: stopped.callback(None))

        def give_up() -> None:
            nonlocal late
            _log.warn("{count} connections are cut off at the end of the grace", count=len(self._factory.connections))
            self.cut_off += self._factory.count_unanswered()
            self._factory.cut_off()  # and a turn later, so that resources hear of it before the process ends:
            late = self._reactor.callLater(0, self._factory.abandon)

        self._end_stop = end
        late = self._reactor.callLater(self._settings.grace, give_up)
        self._sweep_every(LAST_SWEEP)
        self._factory.retire()
        self._reports.drain()
        self._workers.retire(self._settings.linger)
        # Not before the last connection is accepted: with none it would be over at once.
        closed.addCallback(lambda _: self._factory.drain(end) if self._end_stop is end else None)
        closed.addErrback(_log_failure)
        return stopped

    # ---- What it does now --------------------------------------------------------------------------------------

    @property
    def connections(self) -> int:
        """The number of connections at this moment."""
        return len(self._factory.connections)

    def threads_at_work(self) -> list[Work]:
        """Return the work of each thread that runs a request at this moment. Any thread may call."""
        return self._workers.works()

    def running_exchanges(self) -> list[tuple[threading.Thread, WSGIExchange]]:
        """Return each thread that runs an exchange, with that, for our own processes. Any thread may call."""
        return self._workers.running()

    def __repr__(self) -> str:
        # In any thread. One whose making failed has not all of what is looked at.
        try:
            places = ", ".join(map(endpoint_name, self._endpoints)) or "no endpoint"
            name = f"{type(self).__name__} {self.serves} on {places}"
            if not self.running:
                return f"<{name}: not running>"
            busy = f"{len(self._pool.running())} of {self._pool.size} threads busy, {self._pool.waiting} waiting"
            count = self.connections
            return f"<{name}: {count} connection{'' if count == 1 else 's'}, {busy}>"
        except AttributeError:
            return object.__repr__(self)

    def running_requests(self) -> list[Told]:
        """Return what is told of the requests that run, for our own processes."""
        return self._reports.requests()

    def meet(self, others: Others) -> None:
        """Have the status site ask `others`, too, what they run: for our own processes."""
        self._reports.meet(others)

    def call_when_unfit(self, call: Callable[[], object]) -> None:
        """Call `call` if each thread runs a request whose time is over, so that none is left for others."""
        self._workers.on_unfit = call

    def _look_after(self) -> None:
        if self._workers.sweep(self._common.clock()):
            self._factory.note_forgotten("a request waited though a thread was idle")
        self._factory.sweep()
        self._reports.look()

    def _sweep_every(self, seconds: float) -> None:
        if self._sweep.running:
            self._sweep.stop()
        # Anew: one that is told to stop and to start while it runs, as by `call_when_unfit`, would go on twice.
        self._sweep = repeating(self._look_after, self._reactor)
        self._sweep.start(seconds, now=False).addErrback(_log_failure)

    # ---- Listening ---------------------------------------------------------------------------------------------

    @property
    def whenListening(self) -> Announcement:
        """Fires with the ports, or fails with `ListenError`; another one after each stop."""
        return self._listener.announcement

    def _listen(self) -> None:
        for holder in (self._workers, self._caller, self._factory, self._reports):
            tell(holder)  # before there is a socket that a child could have
        self._listener.listen()


def _reactors(given: Reactor) -> tuple[Reactor, Reactor]:
    """Return who listens, and the reactor itself: `given` is another one in a worker, whose ports are the reactor's."""
    return given, cast(Reactor, getattr(given, "stands_for", given))


def _checked(settings: Settings | None) -> Settings:
    if settings is None:
        return Settings()
    if not isinstance(settings, Settings):
        raise TypeError(f"the settings are {settings!r:.100}: they have to be a Settings, as Settings(threads=8)")
    return settings


# In any thread: what these call is safe there.


def _say(text: str) -> None:
    _log.info("{text}", text=text)


def _log_bug(error: BaseException) -> None:
    log_failure("this is a bug in twisted_wsgiref, unless no thread can be started", error)


def _log_failure(failure: Failure) -> None:
    _log.failure("while stopping", failure)
