"""A reactor in a thread of its own, beside whatever runs in the others; it is not the process's reactor.

Called in any thread but its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import blockingCallFromThread

from twisted_wsgiref._threads.forks import runs_beside
from twisted_wsgiref._twisted.private import close_reactor, lone_reactor

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from twisted_wsgiref._twisted.reactor import Reactor

_T = TypeVar("_T")


class LoneReactor:
    """A new reactor, which runs from now on until `end`."""

    def __init__(self) -> None:
        self.reactor: Reactor = lone_reactor()
        runs_beside(self.reactor, True)
        self._thread = threading.Thread(target=self._run, name="wsgi-testing-reactor", daemon=True)
        self._thread.start()

    def call(self, function: Callable[[], Deferred[_T]]) -> _T:
        """Return what `function` gives by its Deferred, called in the reactor's thread; raise what it raises."""
        return call_in(self.reactor, function)

    def end(self) -> None:
        """End the reactor; its thread and its descriptors are gone afterwards."""
        # A reactor that is awake would stop, and close the descriptor by which this thread is about to wake it: that
        # may be another's by then.
        told = threading.Event()

        def stop() -> None:
            told.wait()
            self.reactor.stop()

        try:
            self.reactor.callFromThread(stop)
        finally:
            told.set()
        self._thread.join()
        runs_beside(self.reactor, False)

    def _run(self) -> None:
        try:
            self.reactor.run(installSignalHandlers=False)
        finally:
            close_reactor(self.reactor)


def call_in(reactor: Reactor, function: Callable[[], Deferred[_T]]) -> _T:
    """Return what `function` gives by its Deferred, called in the thread of `reactor`; raise what it raises."""
    threads = cast(IReactorFromThreads, reactor)
    return cast("Callable[..., _T]", blockingCallFromThread)(threads, function)
