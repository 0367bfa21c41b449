"""What a service reports to its operators: numbers, the status site, checks of health, counts for statsd.

What lives here: which of them the settings ask for, and their way through the life of the service. What may not: the
numbers, which are `_observe`'s; pages, which are `_targets.status`'; the port, which is `_connection.status_port`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from twisted.internet.defer import Deferred, succeed

from twisted_wsgiref._connection.census import Census
from twisted_wsgiref._connection.factory import WSGIFactory
from twisted_wsgiref._connection.ports import Ports
from twisted_wsgiref._connection.status_port import StatusDoor, status_factory
from twisted_wsgiref._gateway.error_stream import ErrorStream
from twisted_wsgiref._gateway.exchange import Common
from twisted_wsgiref._http.places import read_host_and_port
from twisted_wsgiref._observe.board import Board
from twisted_wsgiref._observe.failures import log_exception, log_text
from twisted_wsgiref._observe.log import logger
from twisted_wsgiref._observe.record import FactsObserver, Record, find_extract, find_log, lost_of, told_facts
from twisted_wsgiref._observe.standing import Seat, Standing
from twisted_wsgiref._observe.statsd import Sender, Statsd
from twisted_wsgiref._observe.sums import Told
from twisted_wsgiref._settings.knobs import read_bounds
from twisted_wsgiref._targets.reactor_exchange import ReactorTarget
from twisted_wsgiref._targets.status import Others, StatusAnswers, StatusSite, is_watched, read_token, with_status
from twisted_wsgiref._targets.workers import Workers
from twisted_wsgiref._threads.pool import Pool
from twisted_wsgiref._twisted.reactor import Listening, Reactor
from twisted_wsgiref.settings import SettingError, Settings

_log = logger(__name__)


class Reports:
    """The reports that `settings` and `mounts` ask for; `observers` hear of each exchange, whatever they ask for.

    `clock` is the service's. `seat` is where the numbers of several processes meet; None: this process is the only one.
    ``common`` is what all exchanges of the service share; ``door`` is the way to the site, None if nobody watches.
    Raises `SettingError`.
    """

    door: StatusDoor | None = None

    def __init__(
        self,
        settings: Settings,
        mounts: Mapping[str, object],
        observers: Sequence[Callable[[Record], object] | FactsObserver],
        seat: Seat | None,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._standing: Standing | None = None
        if is_watched(settings.status, settings.health_path, mounts):
            bounds = read_bounds(settings.histogram_buckets)
            self._standing = Standing(seat or Seat(Board.alone(time.time())), bounds, clock)
        self._lost = partial(lost_of, observers)
        self._statsd = _statsd_of(settings)
        heard = [*observers, *self._statsd]
        log = find_log(heard)
        told = tuple(told_facts(observer) for observer in heard if observer is not log)
        meter = None if self._standing is None else self._standing.meter
        errors = ErrorStream(log_text, log_exception)
        self.common = Common(errors, clock, told, extract=find_extract(heard), meter=meter, log=log)
        self._quiet = Common(errors, clock, ())

    def watch(
        self,
        factory: WSGIFactory,
        pool: Pool,
        workers: Workers,
        server: Callable[[], Mapping[str, object]],
        listening: Listening,
        reactor: Reactor,
    ) -> None:
        """Tell of the connections of `factory` and the threads of `pool` from now on; nothing, if nobody watches.

        `server` returns what the site says of the server. `listening` opens its port. Raises `SettingError` if there
        is no token in the file of the setting.
        """
        standing, settings = self._standing, self._settings
        if standing is None:
            return
        try:
            self._token = read_token(settings.status_token)
        except ValueError as error:
            raise SettingError.of("{status_token}: {}", str(error)) from None
        factory.census = census = Census(lambda: len(factory.connections))
        standing.watch(pool, settings.queue, workers.running, census, self._lost)
        workers.count_by(standing.meter)
        self._site = StatusSite(standing, server, factory.wake)
        own = ports = None
        if settings.status:
            target = ReactorTarget(self._quiet, StatusAnswers(self._site, "", self._token))
            call, bug = reactor.callFromThread, factory.log_bug
            own = status_factory(self._quiet, target, factory.environ, factory.rules, _say, call, bug)
            ports = Ports(own, [settings.status], listening, reactor, settings.backlog)
        self.door = StatusDoor(standing, own, ports)

    def mounted(self, mounts: Mapping[str, object]) -> Mapping[str, object]:
        """Return `mounts` with the site's pages in them. Raises `ValueError` if they can not be there."""
        if self.door is None:
            return mounts
        return with_status(mounts, self._site, self._token, self._settings.health_path, self.common, self._quiet)

    # ---- The life of the service -------------------------------------------------------------------------------

    def forked(self, heir: bool) -> None:
        """Know, in the child of a fork, that no other thread is left; one that is no `heir` lets go of the site."""
        if self.door is not None:
            self.door.forked(heir)

    def begin(self) -> None:
        """Know that the service starts, also while it stops."""
        if self.door is not None:
            self.door.begin()

    def look(self) -> None:
        """Do what is to be done about once a second."""
        if self.door is not None:
            self.door.look()
        for statsd in self._statsd:
            statsd.flush()

    def drain(self) -> None:
        """Know that the service stops: the site still tells what is left to do."""
        if self.door is not None:
            self.door.drain()

    def finish(self) -> None:
        """Send what is counted: all requests are answered, or cut off."""
        for statsd in self._statsd:
            statsd.close()

    def close(self) -> Deferred[object]:
        """Close the site; the Deferred fires when its port is closed."""
        return succeed(None) if self.door is None else self.door.close()

    # ---- For our own processes ---------------------------------------------------------------------------------

    def requests(self) -> list[Told]:
        """Return what is told of the requests that run."""
        return [] if self._standing is None else self._standing.requests()

    def meet(self, others: Others) -> None:
        """Have the site ask `others`, too, what they run."""
        if self.door is not None:
            self._site.others = others


def _statsd_of(settings: Settings) -> list[Statsd]:
    """Return an observer that tells the statsd of `settings`, if there is one."""
    place = read_host_and_port(settings.statsd)
    if place is None:
        return []
    try:
        send = Sender(*place)
    except OSError as error:
        _log.warn("statsd is told nothing, since {host} is not known: {error}", host=place[0], error=error)
        return []
    return [Statsd(settings.statsd_prefix, send, send.close)]


def _say(line: str) -> None:
    _log.info("{line}", line=line)
