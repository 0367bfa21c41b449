"""A worker's process that was forked, and whoever forks it: as those see each other who start workers.

What lives here: signals to a process that may not be there yet. Called in the reactor's thread.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol

from twisted.internet.error import ProcessExitedAlready

from twisted_wsgiref._twisted.reactor import ChildProcess

from .worker_process import Output


class Worker(Protocol):
    """A worker, as whoever starts it sees it."""

    @property
    def number(self) -> int: ...

    def began(self, pid: int) -> None:
        """Learn that it has its process."""

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Take what it has written to one of its descriptors."""

    def childConnectionLost(self, childFD: int) -> None:
        """Learn that it has closed one."""

    def ended(self, *, by_signal: int = 0, status: int = 0, why: str = "") -> None:
        """Learn how it ended, or `why` it never began."""

    def begun(self) -> None:
        """Learn that the interpreter runs: if it ends now, the application is at fault."""

    def is_on_its_own(self) -> None:
        """Learn that nobody will tell how it ends."""

    def failed(self, line: str, *, hopeless: bool) -> None:
        """Learn why it is about to end."""


class Forker(Protocol):
    """Whoever forks workers."""

    def wanted(self, number: int) -> None:
        """Take a signal for a child that is not forked yet."""


class Own(Protocol):
    """This process, as whoever forks workers."""

    @property
    def is_current(self) -> bool:
        """Whether all that it has imported is the code of now."""

    @property
    def can_fork(self) -> bool:
        """Whether it may fork now."""

    def start(self, worker: Worker, descriptors: Sequence[int]) -> ChildProcess:
        """Fork a worker, which gets copies of `descriptors`. Raises `OSError`."""


class Forked:
    """A worker's process. Fulfils `ChildProcess`."""

    def __init__(self, server: Forker, worker: Worker) -> None:
        self._server = server
        self.worker = worker
        self.pid = 0  # not forked yet
        self.is_over = False
        self.outputs: list[Output] = []
        self._wanted = 0

    def signalProcess(self, signalID: int) -> None:
        """Send a signal, or as soon as there is a process. Raises `ProcessExitedAlready`."""
        if self.is_over:
            raise ProcessExitedAlready()
        if not self.pid:
            self._wanted = signalID
            self._server.wanted(signalID)
            return
        try:
            os.kill(self.pid, signalID)
        except ProcessLookupError:
            raise ProcessExitedAlready() from None

    @property
    def is_unwanted(self) -> bool:
        """Whether it was to end before it was there."""
        return not self.pid and bool(self._wanted)

    def began(self, pid: int) -> None:
        """Take that it is forked."""
        self.pid = pid
        if self._wanted:
            self.signalProcess(self._wanted)
