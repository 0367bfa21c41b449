"""Repeated events in the log: it says the first of each kind, counts the others, and says their number later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

# A kind of event is said once in so many seconds: often enough to see an attack begin and end.
_PERIOD: Final = 60.0
# Kinds are fixed texts of ours, or errors of the system: more than these would be a leak.
_MOST: Final = 256


class Tally:
    """Says each kind of event once in a while, with the number of events since.

    `say` gets one line, `clock` returns seconds. Called in the reactor's thread.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._say = say
        self._clock = clock
        self._counts: dict[str, int] = {}
        self._said: dict[str, float] = {}

    def note(self, kind: str) -> None:
        """Say `kind` if it has not been said lately, otherwise count it."""
        if kind in self._said:
            self._counts[kind] = self._counts.get(kind, 0) + 1
        elif len(self._said) < _MOST:
            self._said[kind] = self._clock()
            self._say(kind)

    def sum_up(self) -> None:
        """Say the counts that are due, and forget kinds that have stopped."""
        now = self._clock()
        for kind in [kind for kind, said in self._said.items() if now - said >= _PERIOD]:
            count = self._counts.pop(kind, 0)
            if count:
                self._say(f"{kind} ({count} more in {now - self._said[kind]:.0f} s)")
                self._said[kind] = now
            else:
                del self._said[kind]
