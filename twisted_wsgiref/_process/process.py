"""A service as a process of its own: signals, exit status, logs, the first line of the log, and an end that comes.

Here live the parts that all processes share. What may not: what only one that serves does, which is `serving`'s, or
only the parent of workers, which is `parent_process`'; and options, which are `command_line`'s. The reactor's thread
calls.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_wsgiref._connection.perhaps_secure import tls_factory
from twisted_wsgiref._observe.access_log import CLOSE_SECONDS, AccessLog
from twisted_wsgiref._twisted.reactor import Reactor
from twisted_wsgiref._twisted.typed import Service
from twisted_wsgiref.settings import Settings

from .beginning import AT_ONCE, Beginning
from .loading import LoadError
from .notify import Notifier
from .pulse import time_left
from .rotation import call_on_rotation
from .signals import Ending
from .terminal import take_stdout_back

if TYPE_CHECKING:
    pass

_log = Logger()

# Should even the reactor not turn any more, the process is ended this long after the grace, in seconds.
LAST_RESORT: Final = 0.4


@dataclass(frozen=True)
class ThisProcess:
    """The process that serves: what it was told, who runs its reactor, and how it begins and ends.

    `app` names the application, None: the demo page. `command` begins each line of ours on standard error. `ending`
    is asked for the end, `notifier` is told when the process is ready and when it stops. A process that `daemonises`
    leaves its terminal. Whoever starts one that `takes_refusal` takes `CannotStart`, and tells the line.
    """

    app: str | None
    settings: Settings
    command: str
    reactor: Reactor
    ending: Ending
    notifier: Notifier = field(default_factory=Notifier)
    beginning: Beginning = AT_ONCE
    daemonises: bool = False
    takes_refusal: bool = False


class Served(Protocol):
    """The service that a process is there for: a `WSGIService`, or the `ParentService` of workers."""

    @property
    def whenListening(self) -> Deferred[list[IListeningPort]]: ...

    def privilegedStartService(self) -> None: ...

    def startService(self) -> None: ...

    def stopService(self) -> Deferred[None]: ...


class CannotStart(SystemExit, Exception):
    """The service can not start. Ends the process with status 1 and no traceback, since it is a `SystemExit`.

    It is an `Exception` too because twistd, after it has become a daemon, tells its parent of nothing else.
    """

    def __init__(self, line: str) -> None:
        super().__init__(1)
        self.line = line

    def __str__(self) -> str:
        return self.line


class CommandLineService(Service):
    """`service` as a process of its own: signals, exit status, access log, and the first line of the log.

    Called in the reactor's thread, except the two methods that start it: the main thread calls those, which is mostly
    the same thread.
    """

    def __init__(self, service: Served, process: ThisProcess, access_log: AccessLog | None) -> None:
        self._service = service
        self._process = process
        self.settings = process.settings
        self._reactor = process.reactor
        self._ending = process.ending
        self._beginning = process.beginning
        self._access_log = access_log
        self._said = ""
        self._takes_signals = False
        self._problem: str | None = None
        self._starting = False
        self._ending.grace = process.settings.grace
        service.whenListening.addCallbacks(self._listening, self._not_listening)

    @property
    def status(self) -> int:
        """The status that the process ends with."""
        return self._ending.status

    def privilegedStartService(self) -> None:
        """Bind the endpoints. Raises `CannotStart`."""
        super().privilegedStartService()
        self._start(self._service.privilegedStartService)

    def startService(self) -> None:
        """Serve. Raises `CannotStart`."""
        super().startService()
        if self._beginning.is_elsewhere:
            self._take_signals()
            self._start(self._service.startService)
            self._start(self._running)
        else:
            self._start(self._service.startService)
            self._reactor.callWhenRunning(self._begin)
        self._beginning.over()

    def _begin(self) -> None:
        self._take_signals()
        try:
            self._running()
        except LoadError as error:
            if error.traceback:
                _log.critical("{traceback}", traceback=error.traceback)
            self._ending.fail(str(error))

    def stopService(self) -> Deferred[None]:
        """Drain; the Deferred fires when the requests in flight are answered and the access log is written."""
        super().stopService()
        self._process.notifier.stopping()
        stopped = maybeDeferred(self._service.stopService)
        return stopped.addBoth(self._close_access_log)

    def _start(self, start: Callable[[], None]) -> None:
        self._starting = True
        try:
            self._beginning.call(start)
        except LoadError as error:
            self._problem = str(error)
        finally:
            self._starting = False
        if self._problem is not None:
            self._refuse(self._problem)

    def _refuse(self, line: str, traceback: str = "") -> NoReturn:
        """Say `line` in a place that a person looks at: twistd has made the log of `sys.stderr`; a daemon closes it."""
        command = self._process.command
        if self._process.daemonises:
            _log.critical("{traceback}{line}", traceback=traceback, line=line)
            self._beginning.say(f"{traceback}{command}: {line}\n")
        elif not self._process.takes_refusal and sys.__stderr__ is not None:
            print(f"{command}: {line}", file=sys.__stderr__, flush=True)
        raise CannotStart(line)

    def _take_signals(self) -> None:
        """Install the handlers of signals. Called in the main thread, the only one that may."""
        self._ending.take_signals(from_nobody=self._beginning.is_elsewhere)
        # Without an access log, too: SIGUSR1 with nothing to rotate must not end the process.
        call_on_rotation(self._reopen_logs, self._reactor)

    def _running(self) -> None:
        if not self._process.daemonises:
            take_stdout_back()
        self._takes_signals = True
        self._tell_ready()
        self._process.notifier.keep_alive(self._reactor)

    def _reopen_logs(self) -> None:
        """Open moved log files anew, except twistd's own. Called by a signal's handler."""
        if self._access_log is not None:
            self._access_log.reopen()

    def _listening(self, ports: Sequence[IListeningPort]) -> None:
        served = f"serving {self._process.app or 'the demo page'} on"
        threads = describe_threading(self._process.settings)
        for port in ports:
            _log.info("{line}", line=f"{served} {address(port)}, {threads}")
        self._said = f"{served} {', '.join(map(address, ports))}, {threads}"
        self._tell_ready()

    def _tell_ready(self) -> None:
        # Not before the handlers of signals are there: a service manager that hears it may stop us at once.
        if self._said and self._takes_signals:
            self._process.notifier.ready(self._said)

    def _not_listening(self, failure: Failure) -> None:
        line = failure.getErrorMessage()
        if self._starting or not self._reactor.running:
            self._problem = line
        else:
            self._ending.fail(line)

    def _close_access_log(self, result: Failure | None) -> Deferred[None]:
        if self._access_log is not None:
            self._access_log.close(min(CLOSE_SECONDS, max(0.0, time_left() - LAST_RESORT / 2)))
        return succeed(None) if result is None else fail(result)


def describe_threading(settings: Settings) -> str:
    """Return with how many processes and threads is served, for people."""
    threads = f"{settings.threads}"
    if settings.threads_max > settings.threads:
        threads += f" to {settings.threads_max}"
    threads += f" thread{'' if threads == '1' else 's'}"
    return threads if settings.workers == 1 else f"{settings.workers} workers of {threads}"


def address(port: IListeningPort) -> str:
    """Return the place at which clients reach a listening `port`: a URL, or ``unix:PATH``."""
    host = port.getHost()
    if isinstance(host, UNIXAddress):
        return f"unix:{os.fsdecode(host.name or '')}"
    if not isinstance(host, IPv4Address | IPv6Address):
        return str(host)
    name = f"[{host.host}]" if isinstance(host, IPv6Address) else host.host
    return f"{'https' if tls_factory(port) is not None else 'http'}://{name}:{host.port}"
