"""Connections that nobody watches: nothing is expected of their clients any more but that they take an answer and go.

Such a connection (`brief`) is not entered into the epoll object, and its end is not waited for: its worker sends the
answer and closes it. nginx closes such connections at once, too. One whose answer takes longer than a moment is watched
after all, since its client may leave.

All is called in the reactor's thread, but a worker takes a connection that is over out of ``live``.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall

#: This often, in seconds, those that are not over are looked at, and those that were there the last time are watched.
#: To watch one costs as much as half of all that is done for it, and on a busy server requests wait for some
#: milliseconds; and nobody misses it if a client's leave is noticed so much later.
MOMENT: Final = 0.025
#: So many are watched in one turn of the reactor, which takes a few milliseconds: thousands may have come together.
MOST: Final = 128


class Clock(Protocol):
    """A reactor's, as far as it is needed here."""

    def callLater(self, delay: float, call: Callable[[], object], /) -> IDelayedCall: ...


class Brief(Protocol):
    """A connection that is over in a moment, most probably. It is hashed and compared by its identity."""

    def watch(self) -> None:
        """Be watched, unless it is over."""


class Unwatched:
    """Those connections of a service. `clock` is the reactor."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: Those that are not over. Whoever puts one in calls `begin` before, if it is the first.
        self.live: set[Brief] = set()
        self._seen: set[Brief] = set()
        self._timer: IDelayedCall | None = None

    def begin(self) -> None:
        """Look after them from now on."""
        if self._timer is None:
            self._timer = self._clock.callLater(MOMENT, self._look)

    def _look(self) -> None:
        self._timer = None
        due = self._seen & self.live
        for each in islice(due, MOST):
            each.watch()
        if len(due) > MOST:
            self._seen = due
            self._timer = self._clock.callLater(0, self._look)
            return
        self._seen = self.live.copy()
        if self._seen:
            self.begin()

    def close(self) -> None:
        """Leave nothing with the reactor: all connections are closed, or will be."""
        self.live.clear()
        self._seen.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
