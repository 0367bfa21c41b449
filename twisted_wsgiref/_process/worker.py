"""One worker process. Its parent starts it as ``python -m twisted_wsgiref._process.worker``, or a fork server forks it.

It takes its orders, loads the application, adopts the parent's sockets, says that it is ready, and serves until it is
asked to drain, or until its parent is gone. Called in the main thread.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from twisted_wsgiref._twisted.late_tls import import_without_tls

import_without_tls()  # before all that imports a reactor

# ruff: noqa: E402
from twisted.application.reactors import installReactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_wsgiref._observe.record import FactsObserver, Record
from twisted_wsgiref._observe.standing import Seat
from twisted_wsgiref._threads import forks
from twisted_wsgiref._twisted.private import inherit_sockets
from twisted_wsgiref._twisted.reactor import Port, Reactor, the_reactor
from twisted_wsgiref.service import WSGIService
from twisted_wsgiref.settings import SettingError

from .access import open_access_log
from .adoption import adopting
from .beginning import Beginning
from .fairness import Table, Turn, board_behind, pace
from .hooks import Hooks
from .lifeline import ORPHAN_GRACE, Lifeline
from .link import LINE, TABLE, Line, Orders, connect, message, read_orders
from .listeners import Bound
from .loading import LoadError
from .logs import begin_log, hear_logging
from .mounting import Loaded, load
from .out_of_the_way import moved
from .preloading import Preloaded
from .process import ThisProcess
from .pulse import disarm, end_within, show_on_dump
from .recycling import Recycling
from .relay import Siblings
from .runner import Runner
from .serving import ServingService
from .signals import Ending, heed_not
from .supervisor import FAILED
from .terminal import pass_over_breakpoints
from .titles import take_title

if TYPE_CHECKING:
    from twisted_wsgiref._observe.access_log import AccessLog

_log = Logger()
_T = TypeVar("_T")

DEMO: Final = "twisted_wsgiref.simple_server:demo_app"


class WorkerService(ServingService):
    """Serves on adopted sockets, and tells the parent how it goes on ``line``."""

    def __init__(
        self,
        service: WSGIService,
        process: ThisProcess,
        access_log: AccessLog | None,
        *,
        recycling: Recycling,
        share: Share,
        hooks: Hooks,
    ) -> None:
        siblings = Siblings(service.running_requests, process.reactor.callLater)
        self.line = siblings.line = Line(siblings.heard, self.orphaned)
        service.meet(siblings)
        self._recycling = recycling
        self._share = share
        self._hooks = hooks
        self._asked = False
        self._is_alone = False  # there is a parent that kills
        self._is_over = False  # all is answered
        self._is_hurried = False  # the service's own grace is longer than an orphan's
        service.call_when_unfit(self._unfit)
        super().__init__(service, process, access_log)

    def _beats(self) -> Sequence[Callable[[], object]]:
        return (self._beat,)

    def _beat(self) -> None:
        self.line.say("beat")
        self._share.update()
        reason = self._recycling.reason()
        if reason:
            self.ask(reason)

    def ask(self, reason: str, *, word: str = "asks") -> None:
        """Ask the parent for a successor; when that serves, the parent has this process drain. Once is enough."""
        if not self._asked:
            self._asked = True
            self.line.say(word, reason)

    def _unfit(self) -> None:
        self._share.hold_back()
        self.ask("every thread of it is stuck", word="unfit")

    def startService(self) -> None:
        """Make what is made with the reactor running, and serve. Before it says that it is ready."""
        try:
            self._beginning.call(self._beginning.run_first)
        except LoadError as error:
            if error.traceback:
                _log.critical("{traceback}", traceback=error.traceback)
            self.line.say_last("failed" if error.traceback else "hopeless", str(error))
            self._ending.fail(str(error))
            return
        super().startService()

    def _listening(self, ports: Sequence[IListeningPort]) -> None:
        disarm()
        self.line.say("ready")
        self._hooks.worker_started()

    def _not_listening(self, failure: Failure) -> None:
        # The sockets are bound: a key that can not be read, or does not fit, is no better the next time.
        self.line.say_last("hopeless", failure.getErrorMessage())
        self._ending.fail(failure.getErrorMessage())

    def orphaned(self) -> None:
        """Finish soon, since the parent is gone, also if it had this process drain before."""
        if self._is_over:
            return  # it is this end of the line that is closed
        if not self._is_alone:
            self._is_alone = True
            left = ORPHAN_GRACE if self.running else min(ORPHAN_GRACE, self._end - time.monotonic())
            _log.critical("the parent is gone: what is in flight may take {left:.1f} s", left=max(0.0, left))
            if self.running:
                self._is_hurried = self._grace > ORPHAN_GRACE
                self._grace = min(self._grace, ORPHAN_GRACE)
            else:
                self._hurry(max(0.0, left))
        self._ending.stop()

    def stopService(self) -> Deferred[None]:
        """Drain."""
        self._share.give_up()
        stopped = super().stopService()
        if self._is_hurried:
            self._hurry(ORPHAN_GRACE)
        return stopped.addBoth(self._ends)

    def _ends(self, result: _T) -> _T:
        self._is_over = True
        if not isinstance(result, Failure) and not self.status:
            self.line.say_last("drained")
        return result

    def _hurry(self, left: float) -> None:
        """Cut the end short in `left` seconds, though the service itself would take more time."""
        self._end_within(left)
        self._reactor.callLater(left, lambda: self._cut_short(self._service.running_exchanges()))


class Share:
    """This worker's part of the connections: its number in the table of all, and its ports' turns."""

    def __init__(self, table: Table, slot: int) -> None:
        self._table = table
        self._slot = slot
        self._ports: list[Port] = []
        self._count: Callable[[], int] = lambda: 0
        self._turn = Turn(lambda: table.fewest(slot), self.update, time.monotonic)

    def count_by(self, count: Callable[[], int]) -> None:
        """Ask `count` for the number of connections from now on."""
        self._count = count

    def adopted(self, reactor: Reactor, port: Port) -> None:
        """Make `port` accept in turn with the other workers, unless it is the status site's: any of them answers."""
        if getattr(getattr(port.factory, "wrappedFactory", port.factory), "is_status", False):
            return
        self._ports.append(port)
        pace(port, self._turn, reactor.callLater)
        self.update()

    def hold_back(self) -> None:
        """Leave new connections to the other workers, while there are any."""
        self._turn.unfit = True

    def update(self) -> int:
        """Say how many connections there are, and return it."""
        count = self._count()
        if self._ports:
            self._table.put(self._slot, count)
        return count

    def give_up(self) -> None:
        """Accept no more. If no other worker accepts, take the connections first that wait in the kernel."""
        ports, self._ports = self._ports, []
        self._table.clear(self._slot)
        if self._table.fewest(self._slot) is None:
            for port in ports:
                port.doRead()


@dataclass(frozen=True)
class Inherited:
    """What a worker has from the process that started it, as numbers: its `line`, its `table`, and the `sockets`.

    None: the sockets have the numbers of the orders. `preloaded` is the application, if that was imported before the
    fork. `register` is as of `Ending`. `parent` is the pid of the fork server, or 0: it is as in the orders.
    """

    line: int = LINE
    table: int = TABLE
    sockets: Sequence[int] | None = None
    preloaded: Preloaded | None = None
    register: Callable[[Callable[[], None]], object] = atexit.register
    parent: int = 0


def serve(given: Inherited) -> NoReturn:
    """Serve until told otherwise; ends with `SystemExit`."""
    _ignore_signals()
    show_on_dump()
    sock = socket.socket(fileno=moved(given.line))
    try:
        orders = read_orders(sock)
        sock.sendall(message("begun"))
    except (EOFError, OSError):
        sys.exit(1)  # the parent is gone
    memory = moved(given.table)
    share = Share(Table(memory), orders.slot)
    seat = Seat(board_behind(memory), orders.slot, orders.number)
    numbers = given.sockets or [each.descriptor for each in orders.sockets]
    bound = [Bound(each.key, moved(number), each.family) for each, number in zip(orders.sockets, numbers, strict=True)]
    forks.settle()
    inherited = forks.Descriptors([sock.fileno(), *(each.descriptor for each in bound)])
    forks.tell(inherited)  # until they have owners: the application may fork when it is imported
    _restore_environment(orders)
    if orders.at_terminal:
        # The system stops a process that reads a terminal from the background, with all of its job.
        for number in (signal.SIGTTIN, signal.SIGTTOU):
            signal.signal(number, signal.SIG_DFL)
    else:
        pass_over_breakpoints()
    settings = orders.settings
    take_title(settings.name, f"worker {orders.number}")
    if settings.start_timeout:
        # Before the parent kills it: this way the log shows the place where it hangs.
        left = max(0.1, orders.born + settings.start_timeout - time.monotonic())
        end_within(left, FAILED, f"worker {orders.number} did not begin to serve within {settings.start_timeout:g} s")
    if orders.reactor:
        installReactor(orders.reactor)
    reactor = the_reactor()
    begin_log(settings, orders.number, relayed=orders.relayed)
    hear_logging()
    ending, runner = Ending(reactor, register=given.register), Runner(reactor)
    lifeline = Lifeline(sock, given.parent or orders.parent)
    served, access_log = _load(orders, sock, runner, given.preloaded)
    del inherited
    process = ThisProcess(orders.app, settings, f"worker {orders.number}", reactor, ending, beginning=Beginning(runner))
    service = _make_service(served, orders, process, access_log, share, seat, bound)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    runner.call(lambda: connect(reactor, sock, service.line))
    lifeline.serves = True
    if runner.is_elsewhere:
        service.startService()
    else:
        reactor.callWhenRunning(service.startService)
    reactor.run()
    sys.exit(service.status)


def main() -> NoReturn:
    """Serve as a process of its own interpreter."""
    serve(Inherited())


def _load(
    orders: Orders, sock: socket.socket, runner: Runner, preloaded: Preloaded | None
) -> tuple[Loaded, AccessLog | None]:
    """Return what is to be served and the access log, or end the process after telling the parent why."""
    try:
        if preloaded is None:
            served = load(orders.app or DEMO, orders.mounts, runner)
        else:
            served = preloaded.served
            for function in preloaded.first:
                runner.call_first(function)
        runner.settle()
        access_log = open_access_log(orders.settings)
    except LoadError as error:
        # Words that name nothing are wrong for every worker; code that fails may be mended.
        _end_with(sock, "failed" if error.traceback else "hopeless", str(error), error.traceback)
    except SettingError as error:
        _end_with(sock, "hopeless", str(error))
    return served, access_log


def _make_service(
    served: Loaded,
    orders: Orders,
    process: ThisProcess,
    access_log: AccessLog | None,
    share: Share,
    seat: Seat,
    bound: Sequence[Bound],
) -> WorkerService:
    settings, reactor = process.settings, process.reactor
    recycling = Recycling(settings.max_requests, settings.max_rss, settings.max_worker_age)
    hooks = Hooks(settings.hooks)
    hooks.load()
    if settings.hooks:
        reactor.addSystemEventTrigger("before", "shutdown", hooks.worker_stopping)
    observers: list[Callable[[Record], object] | FactsObserver] = [*hooks.observers()]
    if settings.max_requests:
        observers.append(recycling)
    if access_log is not None:
        observers.append(access_log)
    wsgi = WSGIService(
        served.application,
        orders.endpoints,
        settings,
        reactor=adopting(reactor, bound, lambda port: share.adopted(reactor, port)),
        observers=observers,
        name=f"worker-{orders.number}",
        multiprocess=True,
        mounts=served.mounts,
        seat=seat,
    )
    wsgi.serves = orders.app or wsgi.serves
    share.count_by(lambda: wsgi.connections)
    return WorkerService(wsgi, process, access_log, recycling=recycling, share=share, hooks=hooks)


def _end_with(sock: socket.socket, word: str, line: str, traceback: str = "") -> NoReturn:
    """Tell the parent why, and end."""
    if traceback:
        sys.stderr.write(traceback)
        sys.stderr.flush()
    try:
        sock.sendall(message(word, line))
    except OSError:
        pass  # the parent is gone
    sys.exit(1)


def _ignore_signals() -> None:
    """Leave Ctrl-C and a closing terminal, which every process hears of, to the parent.

    By a handler and not by SIG_IGN, which processes that the application starts would inherit.
    """
    for name in ("SIGINT", "SIGHUP", "SIGTTIN", "SIGTTOU", "SIGUSR1", "SIGUSR2"):
        signal.signal(getattr(signal, name), heed_not)


def _restore_environment(orders: Orders) -> None:
    """Undo the parent's changes of the environment, and take over the sockets that systemd gave to it."""
    os.environ.pop("PYTHONPATH", None)
    if orders.path is not None:
        os.environ["PYTHONPATH"] = orders.path
    descriptors, names = orders.activated
    for number in descriptors:
        # Twisted will close the descriptors that systemd gave: their numbers must not be in use.
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        if nothing != number:
            os.dup2(nothing, number, inheritable=False)
            os.close(nothing)
    inherit_sockets(descriptors, names)


if __name__ == "__main__":
    main()
