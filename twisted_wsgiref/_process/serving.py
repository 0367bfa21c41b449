"""A process that serves: what it shows when asked or stuck, and the end that comes whatever its threads do.

What lives here: what becomes of a process that runs an application, alone or as a worker. What may not: a worker's talk
to its parent, which is `worker`'s. The reactor's thread calls, unless a docstring says otherwise.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_wsgiref._observe.access_log import AccessLog
from twisted_wsgiref._observe.busy import labels
from twisted_wsgiref._observe.stacks import describe_threads, requests_of
from twisted_wsgiref.service import WSGIService

from .loading import LoadError
from .logs import end_log
from .process import LAST_RESORT, CommandLineService, ThisProcess
from .pulse import Pulse, disarm, end_within
from .renewal import renew_on_hang_up
from .supervisor import CUT_SHORT
from .tuning import settle

_log = Logger()

# Connections are cut off at the end of the grace; this much later, in seconds, a thread that still runs is stuck.
STUCK_AFTER: Final = 0.2
# Whether the threads are through is looked at this often, in seconds.
_LOOK: Final = 0.05


class ServingService(CommandLineService):
    """A `WSGIService` as a process of its own, which shows its threads when asked or stuck, and always ends."""

    _service: WSGIService
    _is_alone = True  # no parent kills this process if it does not end

    def __init__(self, service: WSGIService, process: ThisProcess, access_log: AccessLog | None) -> None:
        self._imported = process.beginning.load is None
        self._bound: Sequence[IListeningPort] | None = None
        super().__init__(service, process, access_log)
        self._grace, stall, patience = process.settings.grace, process.settings.stall, process.settings.watchdog
        self._pulse = Pulse(process.reactor, time.monotonic, stall, self._beats(), self._requests, patience=patience)

    def _beats(self) -> Sequence[Callable[[], object]]:
        """Return the functions to call about once a second."""
        return ()

    def _requests(self) -> dict[int, str]:
        """Return which thread runs which request. Any thread may call."""
        return labels(self._service.threads_at_work())

    def startService(self) -> None:
        """Import the application, if that was to wait until the process is a daemon, and serve. Raises `CannotStart`.

        Threads that the import starts would not have come with a fork.
        """
        try:
            self._beginning.import_late(self._service.serve)
        except LoadError as error:
            self._refuse(str(error), error.traceback)
        self._imported = True
        if self._bound is not None:
            super()._listening(self._bound)
        super().startService()

    def _listening(self, ports: Sequence[IListeningPort]) -> None:
        if self._imported:
            super()._listening(ports)
        else:
            self._bound = ports  # nothing is served yet

    def _take_signals(self) -> None:
        super()._take_signals()
        if (number := getattr(signal, "SIGUSR2", None)) is not None:
            signal.signal(number, self._show_threads)
        if self._is_alone:
            renew_on_hang_up(self._service, self._process, self._tell_ready)

    def _running(self) -> None:
        self._beginning.run_first()
        super()._running()
        self._tune()
        self._pulse.start()

    def _tune(self) -> None:
        """Set up the whole process: this one is ours, and an embedding program's is not."""
        settle(self._process.settings.switch_interval)

    def _show_threads(self, number: int, frame: FrameType | None) -> None:
        # In the handler itself, and not in the reactor, which may be stuck.
        text = describe_threads(self._requests())
        # Somebody has asked for it, so it is no less than a warning.
        _log.warn("SIGUSR2: {summary}\n{text}", summary=self._service.busy(), text=text)

    def stopService(self) -> Deferred[None]:
        """Drain; the Deferred fires when no thread runs a request any more. Else the process ends with its grace."""
        self._end = time.monotonic() + self._grace + STUCK_AFTER
        if self._reactor.running:
            self._pulse.stop()
            self._end_within(self._grace)
        return super().stopService()

    def _end_within(self, grace: float) -> None:
        """Make the process end with the grace, whatever runs then."""
        # Not in the reactor: an application's `atexit` functions, and its threads that are no daemons, run after it.
        why = f"the process has not ended at the end of the grace, after {grace:g} s"
        end_within(grace + LAST_RESORT, self._ending.status or CUT_SHORT, why, even_in_c=self._is_alone)

    def _close_access_log(self, result: Failure | None) -> Deferred[None]:
        if self._service.cut_off:
            self._ending.end_with(CUT_SHORT)
        if not self._service.running_exchanges():
            return super()._close_access_log(result)
        # A request still runs whose client has left: it may end its work, too.
        free: Deferred[None] = Deferred()
        self._wait_for_threads(free)
        return free.addCallback(lambda _: super(ServingService, self)._close_access_log(result))

    def _wait_for_threads(self, free: Deferred[None]) -> None:
        stuck = self._service.running_exchanges()
        if not stuck:
            free.callback(None)
        elif time.monotonic() < self._end:
            self._reactor.callLater(_LOOK, self._wait_for_threads, free)
        else:
            self._cut_short(stuck)

    def _cut_short(self, stuck: Sequence[tuple[threading.Thread, object]]) -> None:
        """End the process though threads run: nothing else would, and one that is stuck would keep it for ever."""
        if stuck:
            number = f"{len(stuck)} request{'' if len(stuck) == 1 else 's'}"
            line = f"{number} still run at the end of the grace and are given up"
            _log.critical("{line}\n{text}", line=line, text=describe_threads(requests_of(stuck), only=True))
        super()._close_access_log(None)
        end_log()  # while it is known how much time is left
        disarm()
        self._ending.leave_now(CUT_SHORT)
