"""The parent of worker processes, as a service: sockets, spawning, signals. It has no application and no threads.

Here a `Supervisor`'s decisions are done to real processes. The parent waits for the pids that it started and for no
others, so other programs in its process keep their own children. Called in the reactor's thread.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Final, Protocol

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from twisted_wsgiref._twisted.private import is_reaped
from twisted_wsgiref._twisted.reactor import Reactor
from twisted_wsgiref._twisted.typed import Service

from .fairness import MOST_WORKERS, Table, board_behind, nameless_memory
from .forking import ForkServers
from .hooks import NO_HOOKS, Hooks, WorkerEnd
from .link import FIRST_SOCKET, LINE, TABLE, Orders, connect
from .listeners import Bound, Listeners
from .orphans import reap_strangers
from .pulse import DUMP
from .relay import Relay, siblings
from .spawning import command, environment
from .supervisor import End, Patience, State, Supervisor
from .terminal import Modes
from .worker_process import WorkerProcess

_log = Logger()

# The supervisor looks for overdue children this often, in seconds: while one starts or ends, and while all serve.
TICK: Final = 0.25
IDLE_TICK: Final = 1.0
# A child that is to be killed has this long to show its stacks, in seconds.
TO_DUMP: Final = 0.1
WORKER: Final = "twisted_wsgiref._process.worker"
# Why a child could not be started that may be started later: the machine has no more of something at the moment.
_PASSING: Final = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})


class Host(Protocol):
    """The process that a `ParentService` runs in. Called in the reactor's thread."""

    def bound(self) -> None:
        """Learn that the endpoints are bound; no child is started yet."""

    def reloading(self, now: bool) -> None:
        """Learn that a reload begins, or is over, well or not."""

    def ended(self, status: int) -> None:
        """Learn that it is over, with a status that is not 0."""

    def leave(self) -> None:
        """End: there is nothing left to do."""


class ParentService(Service):
    """Keeps `workers` processes serving on the sockets of `listeners`.

    Every child gets `orders`, with its own number, slot and sockets. With `forks` children are forked, else each is an
    interpreter of its own. The output of children on the descriptors `relay`, of 1 and 2, goes into our log. With a
    `terminal` a child may read standard input, and job control works as for any other program. Set ``host`` before the
    service is started.

    ``whenListening`` fires with the ports once all workers serve for the first time, or fails as `listeners` do.
    """

    host: Host
    #: Told of each worker that is gone.
    hooks: Hooks = NO_HOOKS

    def __init__(
        self,
        reactor: Reactor,
        listeners: Listeners,
        orders: Orders,
        *,
        workers: int,
        patience: Patience,
        relay: frozenset[int],
        terminal: Modes | None = None,
        forks: ForkServers | None = None,
    ) -> None:
        self.whenListening: Deferred[list[IListeningPort]] = Deferred()
        self.reactor = reactor
        self._listeners = listeners
        self._orders = orders
        self._relayed = relay
        self._terminal = terminal
        self._forks = forks
        self._bound = False
        self._children: dict[int, WorkerProcess] = {}
        self._ports: list[IListeningPort] | None = None
        self._stopped: Deferred[None] | None = None
        self._running = False
        self._over = self._is_finished = False
        self._table_descriptor = nameless_memory()
        self._table = Table(self._table_descriptor)
        self._relay = Relay(board_behind(self._table_descriptor), lambda: siblings(self.supervisor, self._children))
        self._next_look: IDelayedCall | None = None
        self.supervisor = Supervisor(workers, self, patience, clock=time.monotonic)

    # ---- IService ----------------------------------------------------------------------------------------------

    def privilegedStartService(self) -> None:
        """Bind every endpoint, while the process may still bind to low ports."""
        self._listen()

    def startService(self) -> None:
        """Start the workers once the reactor runs."""
        super().startService()
        self._listen()
        self.reactor.callWhenRunning(self._begin)

    def stopService(self) -> Deferred[None]:
        """Have every worker drain; fires when the last is gone."""
        super().stopService()
        stopped = self._stopped = Deferred()
        self._relay.stop()
        if self._over:
            self._finish()
        else:
            self._listeners.close()
            self.supervisor.stop()
        return stopped

    def _listen(self) -> None:
        if self._ports is not None:
            return
        self._ports = []

        def listens(ports: list[IListeningPort]) -> None:
            self._ports = ports
            self.host.bound()
            self._bound = True
            self._begin()

        def fails(failure: Failure) -> None:
            self._over = True
            self.whenListening.errback(failure)

        self._listeners.listen().addCallback(listens).addErrback(fails)

    def _begin(self) -> None:
        # An endpoint that fails later ends the process by `whenListening`. One that binds later is waited for.
        if self._bound and self.reactor.running and not (self._running or self._over) and self._stopped is None:
            self._running = True
            self._take_signals()
            self.supervisor.start()
            self._look()

    def _look(self) -> None:
        self._next_look = None
        try:
            self._look_at_all()
        except Exception:
            _log.failure("in the supervisor")
        calm = all(each.state is State.SERVING for each in self.supervisor.children.values())
        self._look_within(IDLE_TICK if calm else TICK)

    def _look_within(self, seconds: float) -> None:
        """Look in so many seconds, or when that is to be done anyway."""
        soon = self._next_look
        if soon is not None and soon.getTime() - self.reactor.seconds() > seconds:
            soon.reset(seconds)
        elif soon is None and not self._is_finished:
            self._next_look = self.reactor.callLater(seconds, self._look)

    def _look_at_all(self) -> None:
        self.supervisor.tick()
        self._relay.look(self.supervisor.target)
        if os.getpid() == 1:
            reap_strangers(lambda pid: is_reaped(pid) or (self._forks is not None and self._forks.waits_for(pid)))

    def done(self, status: int) -> None:
        """Take the end: no worker is left."""
        self._over = True
        if status:
            self.host.ended(status)
        if self._stopped is not None:
            self._finish()
        else:
            self.host.leave()

    def ready(self) -> None:
        """Take that all workers serve, for the first time."""
        self.whenListening.callback(self._ports or [])

    def reloading(self, now: bool) -> None:
        """Pass on that a reload begins, or is over."""
        if not now and self._forks is not None:
            self._forks.keep_only(self._generations())
        self.host.reloading(now)

    def _generations(self) -> set[int]:
        """Return the generations of code that may have another child."""
        children = self.supervisor.children.values()
        return {each.generation for each in children if each.state is not State.DRAINING}

    def _finish(self) -> None:
        self._is_finished = True
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None
        if self._forks is not None:
            self._forks.keep_only(())
        closed, stopped = DeferredList([self._listeners.close(), self._listeners.close_aside()]), self._stopped
        if stopped is not None:
            closed.addCallback(lambda _: stopped.callback(None))

    # ---- Signals -----------------------------------------------------------------------------------------------

    def _take_signals(self) -> None:
        supervisor = self.supervisor
        self._on_signal("SIGHUP", self._hang_up)
        if self._terminal is None:
            self._on_signal("SIGTTIN", supervisor.more)
            self._on_signal("SIGTTOU", supervisor.fewer)
        self._on_signal("SIGUSR2", lambda: self._pass_on(signal.SIGUSR2))

    def _hang_up(self) -> None:
        # The same signal comes if the developer closes the window.
        if self._terminal is not None and self._terminal.is_gone():
            self.host.leave()
        else:
            self.supervisor.reload()

    def _on_signal(self, name: str, call: Callable[[], None]) -> None:
        def take(number: int, frame: FrameType | None) -> None:
            self.reactor.callFromThread(call)

        signal.signal(getattr(signal, name), take)

    def reopen_logs(self) -> None:
        """Have every worker open its access log anew. Called by a signal's handler."""
        self.reactor.callFromThread(self._pass_on, signal.SIGUSR1)

    def _pass_on(self, number: int) -> None:
        for child in self.supervisor.children.values():
            # One that has not begun to serve would die of it.
            if child.served:
                self.signal(child.number, number)

    # ---- Processes ---------------------------------------------------------------------------------------------

    def start(self, number: int) -> None:
        """Start the child `number`."""
        taken = {each.slot for each in self._children.values()}
        slot = next(each for each in range(MOST_WORKERS) if each not in taken)
        self._table.clear(slot)
        self._relay.begin(slot)
        child = self._children[number] = WorkerProcess(self, number, slot)
        self._look_within(TICK)
        try:
            self._spawn(child)
        except Exception as error:
            passing = getattr(error, "errno", None) in _PASSING
            self.reactor.callLater(0, self.gone, child, End(f"it could not be started: {error}", by_itself=not passing))

    def _spawn(self, child: WorkerProcess) -> None:
        if not os.access(sys.executable, os.X_OK):
            raise PermissionError(f"{sys.executable} may not be executed by the user {os.getuid()}")
        bound = self._listeners.bound()
        sockets = [Bound(each.key, FIRST_SOCKET + index, each.family) for index, each in enumerate(bound)]
        orders = replace(self._orders, number=child.number, slot=child.slot, sockets=sockets)
        ours, theirs = socket.socketpair()
        path, environ = environment()
        with ours, theirs, open(os.devnull, "rb") as nothing:
            if self._forks is not None:
                self._forks.keep_only(self._generations())
                handed = [theirs.fileno(), self._table_descriptor, *(each.descriptor for each in bound)]
                child.process = self._forks.start(self.supervisor.children[child.number].generation, child, handed)
            else:
                stdin = nothing.fileno() if self._terminal is None else 0
                inherited: dict[int, int | str] = {0: stdin, 1: 1, 2: 2}
                inherited |= dict.fromkeys(self._relayed, "r")
                inherited |= {LINE: theirs.fileno(), TABLE: self._table_descriptor}
                inherited |= {FIRST_SOCKET + index: each.descriptor for index, each in enumerate(bound)}
                words = command(WORKER, orders.app)
                child.process = self.reactor.spawnProcess(child, words[0], words, environ, childFDs=inherited)
                child.began(child.process.pid)
            connect(self.reactor, ours.dup(), child.line)
        child.line.order(replace(orders, path=path, born=time.monotonic(), parent=os.getpid()))

    def signal(self, number: int, signum: int) -> None:
        """Send a signal to the child `number`, if it is still there. Before a kill it shows its stacks."""
        self._look_within(TICK)
        if signum == signal.SIGKILL and DUMP is not None:
            self._send(number, DUMP)
            self.reactor.callLater(TO_DUMP, self._send, number, signum)
        else:
            self._send(number, signum)

    def say(self, line: str, level: str = "info") -> None:
        """Log `line`."""
        _log.emit(LogLevel.lookupByName(level), "{line}", line=line)

    def kill_all(self) -> None:
        """End every child at once. Called by a signal's handler, before this process ends in the same way."""
        for number in list(self._children):
            self._send(number, signal.SIGKILL)
        if self._forks is not None:
            self._forks.kill_all()

    def _send(self, number: int, signum: int) -> None:
        child = self._children.get(number)
        if child is not None and child.process is not None:
            try:
                child.process.signalProcess(signum)
            except ProcessExitedAlready:
                pass

    def heard(self, child: WorkerProcess, line: str) -> None:
        """Take a word from a child."""
        word, _, rest = line.partition(" ")
        supervisor = self.supervisor
        if word == "beat":
            supervisor.beat(child.number)
        elif word == "begun":
            supervisor.begun(child.number)
        elif word == "ready":
            supervisor.ready(child.number)
        elif word == "drained":
            child.has_drained = True
        elif word == "asks":
            supervisor.asks(child.number, rest)
        elif word == "unfit":
            supervisor.unfit(child.number, rest)
        elif word in {"failed", "hopeless"}:
            supervisor.failed(child.number, rest, hopeless=word == "hopeless")
        else:
            self._relay.heard(child.number, word, rest)

    def gone(self, child: WorkerProcess, end: End) -> None:
        """Forget a child that has ended."""
        if self._terminal is not None:
            self._terminal.restore()
        if self._children.pop(child.number, None) is not None:
            self._table.clear(child.slot)
            child.line.hang_up()
            if child.process is not None:
                asked = self.supervisor.was_asked(child.number)
                self.hooks.worker_died(WorkerEnd(child.number, child.pid, end.how, asked))
            self.supervisor.exited(child.number, end)
            self._relay.end(child.slot, child.process, well=end.well)
