"""The thread that runs the reactor: the main thread of this process, or one that the application has started for it.

An application may run the reactor itself at its import, as `crochet.setup()` does. There is one reactor, and it runs
once. So the thread that comes first runs it, and for the second one `run` is still a call that comes back when the
reactor has ended. If the reactor runs elsewhere, the main thread's calls to it are made there. Signals still come to
the main thread, and to no other.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from typing import Final, TypeVar

from twisted.application.reactors import getReactorTypes
from twisted.internet import default

from twisted_wsgiref._twisted.private import makes_reactor, stand_in_for_run
from twisted_wsgiref._twisted.reactor import Reactor

from .loading import LoadError

_T = TypeVar("_T")

# Whether the reactor has ended is looked at this often while something is to be done by it, in seconds.
_LOOK: Final = 0.1
# A signal that another thread gets, or the main thread a moment before it waits, does not wake it: the handler runs at
# the next wake. It comes this often, in seconds, which costs nothing and is soon enough for whoever stops a server.
_HEED: Final = 1.0
_ENDED: Final = (
    "the application ran the reactor when it was imported, and ended it: a reactor runs once. Leave that to this "
    "server: with crochet, call crochet.no_setup() instead of crochet.setup()"
)


def reactor_name(reactor: Reactor) -> str:
    """Return the word for ``--reactor`` that makes such a reactor, "" for the default and for one that has none."""
    if default.install.__module__ == type(reactor).__module__:
        return ""
    found = (each.shortName for each in getReactorTypes() if makes_reactor(each, reactor))
    return next(found, "")


def _part_logs() -> None:
    """Send the lines that Python's `logging` shows for want of a handler to the process's own standard error.

    `crochet.setup()` passes Twisted's log on to `logging`. If twistd passes `sys.stderr` on to Twisted's log, each line
    would come back to itself for ever.
    """
    if sys.__stderr__ is not None and getattr(logging.lastResort, "stream", None) is sys.stderr:
        logging.lastResort = logging.StreamHandler(sys.__stderr__)
        logging.lastResort.setLevel(logging.WARNING)


class Runner:
    """Stands in the place of ``reactor.run``. Make it before the application is imported, in the main thread."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._owner: threading.Thread | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._first: list[Callable[[], object]] = []
        self._really_run = stand_in_for_run(reactor, self.run)

    def run(self, installSignalHandlers: bool = True) -> None:
        """Run the reactor, or wait until the thread that runs it is through. Called in any thread."""
        me = threading.current_thread()
        with self._lock:
            if self._owner is None:
                self._owner = me
        if self._owner is not me:
            while not self._ended.wait(_HEED):
                pass  # in the main thread, handlers of signals have run by now
            return
        if self.is_elsewhere:
            _part_logs()
        try:
            # No other thread than the main one can install a handler.
            self._really_run(installSignalHandlers=installSignalHandlers and me is threading.main_thread())
        finally:
            self._ended.set()

    def settle(self) -> None:
        """Let the main thread run the reactor, unless another one runs it. Raises `LoadError` if one did, and ended it.

        To be called when the application is imported: a thread of it that comes later finds that the reactor runs.
        """
        with self._lock:
            if self._owner is None:
                self._owner = threading.main_thread()
        if self._ended.is_set():
            raise LoadError(_ENDED)

    def call_first(self, function: Callable[[], object]) -> None:
        """Have `function` called by `run_first`: with the reactor running, before the process serves."""
        self._first.append(function)

    def run_first(self) -> None:
        """Call, once, what was given to `call_first`. Raises what that raises. Called in the reactor's thread."""
        first, self._first = self._first, []
        for function in first:
            function()

    @property
    def is_elsewhere(self) -> bool:
        """Whether a thread of the application's runs the reactor."""
        return self._owner not in (None, threading.main_thread())

    def call(self, function: Callable[[], _T]) -> _T:
        """Call `function` in the reactor's thread, and return its result or raise its exception.

        Raises `LoadError` if the reactor ends before. Called in the main thread, or in the reactor's.
        """
        if not self.is_elsewhere or threading.current_thread() is self._owner:
            return function()
        done = threading.Event()
        results: list[_T] = []
        errors: list[BaseException] = []

        def do() -> None:
            try:
                results.append(function())
            except BaseException as error:  # it is the caller's
                errors.append(error)
            done.set()

        self._reactor.callFromThread(do)
        while not done.wait(_LOOK):
            if self._ended.is_set() and not done.is_set():
                raise LoadError(_ENDED)
        if errors:
            raise errors[0]
        return results[0]
