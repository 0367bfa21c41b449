"""Connections that nobody watches: nothing is expected of their clients any more but that they take an answer and go.

Such a connection (`brief`) is not entered into the epoll object, and its end is not waited for: its worker sends the
answer and closes it. nginx closes such connections at once, too. One whose answer takes longer than a moment is watched
after all, since its client may leave.

All is called in the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall

#: A connection is not watched for so many seconds: as long as a quick application takes for a turn's requests.
MOMENT: Final = 0.002


class Clock(Protocol):
    """A reactor's, as far as it is needed here."""

    def callLater(self, delay: float, call: Callable[[], object], /) -> IDelayedCall: ...


class Brief(Protocol):
    """A connection that is over in a moment, most probably."""

    def watch(self) -> None:
        """Be watched, unless it is over."""


class Unwatched:
    """Those connections of a service. `clock` is the reactor."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._made: list[Brief] = []
        self._timer: IDelayedCall | None = None

    def add(self, connection: Brief) -> None:
        """Have `connection`, a new one, watched after a moment."""
        self._made.append(connection)
        if self._timer is None:
            self._timer = self._clock.callLater(MOMENT, self._look)

    def _look(self) -> None:
        self._timer = None
        made, self._made = self._made, []
        for each in made:
            each.watch()

    def close(self) -> None:
        """Leave nothing with the reactor: all connections are closed, or will be."""
        self._made.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
