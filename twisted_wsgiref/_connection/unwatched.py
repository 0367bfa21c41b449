"""Connections that nobody watches: nothing is expected of their clients any more but that they take an answer and go.

A client that sends all of a request without a body in one piece, and says that it is the last, has nothing more to say.
So such a connection is not entered into the epoll object, and its end is not waited for: once its worker has sent the
answer and closed our half, it is closed. nginx closes such connections at once, too. One whose answer takes longer than
a moment is watched after all, since its client may leave.

Two threads meet in a deque: a worker says that a connection is over, and the reactor closes it. If both decide at the
same moment, the connection is watched *and* closed, which is as good.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall

#: A connection is not watched for so many seconds: as long as a quick application takes for a turn's requests.
MOMENT: Final = 0.002


class Clock(Protocol):
    """A reactor's, as far as it is needed here."""

    def callLater(self, delay: float, call: Callable[[], object], /) -> IDelayedCall: ...


class Unwatched:
    """Those connections of a service. `clock` is the reactor."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watch: list[Callable[[], None]] = []
        self._over: deque[Callable[[], None]] = deque()
        self._timer: IDelayedCall | None = None

    # ---- WORKER --------------------------------------------------------------------------------------------------

    def say_over(self, close: Callable[[], None]) -> None:
        """Have `close`, of a connection that is over, called by the reactor's thread soon."""
        self._over.append(close)

    # ---- In the reactor's thread ---------------------------------------------------------------------------------

    def add(self, watch: Callable[[], None]) -> None:
        """Have `watch`, of a new connection, called after a moment. It does nothing if the connection is closed."""
        self._watch.append(watch)
        if self._timer is None:
            self._timer = self._clock.callLater(MOMENT, self._look)

    def close_those_over(self) -> None:
        """Close the connections that are over."""
        over = self._over
        while over:
            over.popleft()()

    def _look(self) -> None:
        self._timer = None
        self.close_those_over()
        watch, self._watch = self._watch, []
        for each in watch:
            each()

    def close(self) -> None:
        """Leave nothing with the reactor: all connections are closed, or will be."""
        self.close_those_over()
        self._watch.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
