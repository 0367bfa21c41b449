"""The process of the parent of workers: its identity, its status, and the words for its service manager.

What lives here: what becomes of the process while `parent` sees to the workers. What may not: workers. The reactor's
thread calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from twisted_wsgiref._connection.open_sockets import open_proxies

from .process import CommandLineService, ThisProcess

if TYPE_CHECKING:
    from .identity import Identity
    from .parent import ParentService

_log = Logger()


class ParentProcess(CommandLineService):
    """A `ParentService` as a process of its own, which becomes `identity` as soon as the endpoints are bound."""

    _service: ParentService

    def __init__(self, service: ParentService, process: ThisProcess, identity: Identity | None) -> None:
        super().__init__(service, process, None)
        self._identity = identity
        service.host = self
        process.ending.call_last(service.kill_all)

    def _reopen_logs(self) -> None:
        self._service.reopen_logs()

    def _listening(self, ports: Sequence[IListeningPort]) -> None:
        warning = open_proxies(ports, self._process.settings.trusted_proxy)
        if warning:
            _log.warn("{line}", line=warning)
        super()._listening(ports)

    def bound(self) -> None:
        """Become the user and group of `identity`, if there is one, before there are children."""
        if self._identity is not None:
            self._identity.take()

    def reloading(self, now: bool) -> None:
        """Tell the service manager that a reload begins, or is over, well or not."""
        if now:
            self._process.notifier.reloading()
        else:
            self._tell_ready()

    def ended(self, status: int) -> None:
        """Note the status to end with."""
        self._ending.end_with(status)

    def leave(self) -> None:
        """End the reactor, and with it the process."""
        self._ending.stop()
