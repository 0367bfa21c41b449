"""A reactor and a clock that move only when a test moves them; the pool that does is `twisted_wsgiref.testing`'s."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.selectreactor import SelectReactor
from twisted.python.failure import Failure


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class _InlineThreads:
    """What stands for the reactor's own threads: does its work at once."""

    min, max = 0, 1

    def callInThread(self, function: Any, *args: Any, **kw: Any) -> None:
        function(*args, **kw)

    def callInThreadWithCallback(self, told: Any, function: Any, *args: Any, **kw: Any) -> None:
        try:
            result = function(*args, **kw)
        except BaseException:
            told(False, Failure())
        else:
            told(True, result)


class SteppedReactor(SelectReactor):
    """Twisted's own reactor, moved by `turn`, by a clock that stands."""

    def __init__(self) -> None:
        self.clock = Clock()
        super().__init__()
        self._inline = _InlineThreads()

    def seconds(self) -> float:
        return self.clock()

    def getThreadPool(self) -> Any:
        return self._inline

    def callInThread(self, function: Any, *args: Any, **kw: Any) -> None:
        function(*args, **kw)

    def turn(self) -> None:
        self.iterate(0)

    def close(self) -> None:
        """Give every descriptor back, our own wakers' too."""
        for each in {*self.removeAll(), *self._internalReaders}:
            each.connectionLost(Failure(ConnectionDone()))
        self._internalReaders.clear()
