"""The effect of signals on a served process, and the status that it ends with.

Here live handlers, installed over the reactor's own once it runs, and the exit status. No service and no option may
live here. Twisted's own handlers note the signal, and `twistd` kills itself by it once all is done. A service that was
asked to stop, and has drained and stopped, has done its duty, so here the status is 0.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger

from twisted_wsgiref._threads.forks import tell
from twisted_wsgiref._twisted.private import is_reactors_handler
from twisted_wsgiref._twisted.reactor import Reactor

from .logs import end_log

_log = Logger()

# A second Ctrl-C sooner is the same key press, passed on by a wrapper; later it is an operator who will not wait.
IMPATIENT_SECONDS = 1.0

_STOPPING = ("SIGTERM", "SIGINT", "SIGBREAK")
_DEFAULT = (signal.SIG_DFL, signal.default_int_handler)


class Ending:
    """The end of this process: by a signal, with status 0, or by `fail`, with status 1.

    `register` gets a function to call when the interpreter ends. Make the object before the application is imported, so
    that the application's own functions of that kind come first. ``grace`` is the time that the end may take, in
    seconds, for the log. Called in the main thread, which is the reactor's.
    """

    def __init__(self, reactor: Reactor, *, register: Callable[[Callable[[], None]], object] = atexit.register) -> None:
        self.grace: float | None = None
        self._last_calls: list[Callable[[], object]] = []
        self._reactor = reactor
        self._since: float | None = None
        self.status = 0
        register(self._leave)
        tell(self)

    def forked(self, heir: bool) -> None:
        """Have no end of the parent's in a child of it, unless that is the `heir`. As a holder of `forks`."""
        if not heir:
            self.status = 0
            self._last_calls.clear()

    def take_signals(self, *, from_nobody: bool = False) -> None:
        """Make the stopping signals end the reactor without being noted by it.

        It replaces the reactor's own handlers only: an ignored SIGINT stays ignored, and a debugger's handler stays.
        Called when the reactor runs, since the reactor installs its handlers while it starts. With `from_nobody` it
        also replaces default handlers: a reactor that another thread runs installs none.
        """
        for name in _STOPPING:
            number = getattr(signal, name, None)
            if number is None:
                continue
            handler = signal.getsignal(number)
            if is_reactors_handler(handler, self._reactor) or (from_nobody and handler in _DEFAULT):
                signal.signal(number, self._asked_to_stop)

    def fail(self, line: str) -> None:
        """Log `line` and stop the reactor; the process will end with status 1."""
        _log.critical("{line}", line=line)
        self.status = 1
        self._stop()

    def end_with(self, status: int) -> None:
        """Make `status` the one that the process ends with; the first that is not 0 counts."""
        self.status = self.status or status

    def call_last(self, call: Callable[[], object]) -> None:
        """Call `call` before an immediate end: `leave_now`, or a second Ctrl-C."""
        self._last_calls.append(call)

    def leave_now(self, status: int) -> NoReturn:
        """End the process here and now, with `status`, without the end of the interpreter or of Twisted."""
        self.end_with(status)
        self._call_last()
        _flush()
        os._exit(self.status)

    def stop(self) -> None:
        """Stop the reactor, unless it has been stopped already."""
        self._stop()

    def _asked_to_stop(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._since is None:
            self._since = now
            self._reactor.callFromThread(self._stop, self._line(number))
        elif number == signal.SIGINT and now - self._since > IMPATIENT_SECONDS:
            self._call_last()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _line(self, number: int) -> str:
        most = "" if self.grace is None else f", for {self.grace:g} s at most"
        # The person at the terminal may not want to wait.
        hint = "; a second Ctrl-C ends it at once" if number == signal.SIGINT else ""
        return f"{signal.Signals(number).name}: answering the requests in flight{most}, then stopping{hint}"

    def _call_last(self) -> None:
        for call in self._last_calls:
            try:
                call()
            except Exception:
                _log.failure("at the end")  # which comes, whatever fails

    def _stop(self, line: str = "") -> None:
        if line:
            _log.info("{line}", line=line)
        try:
            self._reactor.stop()
        except ReactorNotRunning:
            pass  # It has been stopped already.

    def _leave(self) -> None:
        # twistd has no way to be given a status once its reactor has run.
        if self.status:
            self.leave_now(self.status)
        # An interpreter that ends takes handlers away. A second SIGTERM would kill it then: one to a whole group comes
        # again from the parent. A signal that is ignored stays so.
        if signal.getsignal(signal.SIGTERM) == self._asked_to_stop:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        end_log()  # again, in a process that was forked: the application's functions ended after the first time


def _flush() -> None:
    end_log()
    flush()


def flush() -> None:
    """Write what was printed."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError):
                pass  # Its reader is gone.


def heed_not(number: int, frame: FrameType | None) -> None:
    """Do nothing: the handler of a signal that another process takes care of."""
