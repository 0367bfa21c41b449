"""A module of the user's whose functions are told what happens to workers and requests: ``--hooks MODULE``.

Here live the four names, the calls, and the lines of what fails. A hook can not break anything: what it raises is in
the log, and the server goes on without it. When each is called is the business of the processes that call it.

- ``worker_started()``: this process serves. Without workers the one process counts as a worker.
- ``worker_stopping()``: it answers what is in flight, and ends.
- ``request_finished(record)``: a request is answered, or given up; a `Record`. In the thread that has finished it.
- ``worker_died(end)``: a worker is gone, by its own or because it was asked; a `WorkerEnd`. In the parent.

The first, the second and the last are called in the reactor's thread, which waits for them. The methods here are
called there, too, or in the main thread, unless they say otherwise.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Final, NamedTuple

from twisted.logger import Logger

from twisted_wsgiref._observe.record import Record
from twisted_wsgiref.settings import SettingError

from .loading import LoadError, check_module

if TYPE_CHECKING:
    from .notify import Notifier
    from .process import ThisProcess

_log = Logger()

NAMES: Final = ("worker_started", "worker_stopping", "request_finished", "worker_died")
# A hook that fails with each request has its traceback in the log so often, in seconds.
_AGAIN: Final = 60.0


class WorkerEnd(NamedTuple):
    """A worker process that is gone: its `number`, its `pid`, and `how` it ended, as ``status 0`` or ``SIGKILL``.

    `asked`: it was asked to end, by a stop, a reload or a replacement.
    """

    number: int
    pid: int
    how: str
    asked: bool


class Hooks:
    """The functions of the module `name`, looked for in the directory of now, too; with "" there is none."""

    def __init__(self, name: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._directory = os.getcwd() if name else ""
        self._module: ModuleType | None = None
        self._loaded = not name
        self._clock = clock
        self._failed: dict[str, float] = {}
        self._started = False

    @classmethod
    def checked(cls, name: str) -> Hooks:
        """Return the hooks of the module `name`, which is not imported yet. Raises `SettingError` if there is none."""
        hooks = cls(name)
        try:
            if name:
                check_module(name, hooks._directory)
        except LoadError as error:
            raise SettingError.of("{hooks} is {!r}: {}", name, error) from None
        return hooks

    def attach(self, process: ThisProcess, *, at_once: bool) -> None:
        """Be called as `process`, which has no workers, begins and ends. `at_once`: import the module now."""
        if self._name:
            if at_once:
                self.load()
            process.notifier.call_when_ready(self.worker_started)
            process.reactor.addSystemEventTrigger("before", "shutdown", self.worker_stopping)

    def loaded_by(self, notifier: Notifier) -> Hooks:
        """Return these hooks, which are imported when all workers serve: as the user that the parent is then."""
        if self._name:
            notifier.call_when_ready(self.load)
        return self

    def load(self) -> None:
        """Import the module, once. If that fails, the log says why, and no hook is called."""
        if self._loaded:
            return
        self._loaded = True
        if self._directory not in sys.path:
            sys.path.insert(0, self._directory)
        try:
            self._module = importlib.import_module(self._name)
        except (Exception, SystemExit):
            _log.failure("--hooks {name} can not be imported: no hook is called", name=self._name)
            return
        if not any(hasattr(self._module, each) for each in NAMES):
            _log.warn("--hooks {name} has none of {names}", name=self._name, names=", ".join(NAMES))

    def observers(self) -> Sequence[Callable[[Record], object]]:
        """Return who is told of finished requests: nobody, if no hook asks for them."""
        if self._loaded and not hasattr(self._module, "request_finished"):
            return ()
        return (self.request_finished,)

    def worker_started(self) -> None:
        """Tell, once, that this process serves."""
        self.load()
        if not self._started:
            self._started = True
            self._call("worker_started")

    def worker_stopping(self) -> None:
        """Tell that this process is about to end, if it has served."""
        if self._started:
            self._call("worker_stopping")

    def request_finished(self, record: Record) -> None:
        """Tell of a request. Called in any thread."""
        self._call("request_finished", record)

    def worker_died(self, end: WorkerEnd) -> None:
        """Tell of a worker that is gone. Called in the parent."""
        self._call("worker_died", end)

    def _call(self, name: str, *args: object) -> None:
        """Call the hook `name`, if there is one. Called in any thread."""
        hook = getattr(self._module, name, None)
        if hook is None:
            return
        try:
            hook(*args)
        except (Exception, SystemExit):
            now, before = self._clock(), self._failed.get(name)
            if before is None or now - before >= _AGAIN:
                self._failed[name] = now
                _log.failure("the hook {name} of {module} failed", name=name, module=self._name)


NO_HOOKS: Final = Hooks("")
